package words_test

import (
	"testing"

	"github.com/logitscope/logitscope/internal/words"
)

func TestHeldOut(t *testing.T) {
	for sentence, want := range map[string]string{
		"Validation NLL was lowest at epoch 3; validation accuracy": "NLL on test was lowest at epoch 3; accuracy on test",
		"About 300 validation samples give, in validation's own":    "About 300 samples of test give, in test's own",
		"The validation set is too small. Validation is.":           "The test set is too small. Test is.",
		`class "validation" of training`:                            `class "validation" of training`,
	} {
		if got := words.HeldOut("test").In(sentence); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := words.HeldOut("val").In(sentence); got != sentence {
			t.Errorf("of val: %q, want %q", got, sentence)
		}
	}
}
