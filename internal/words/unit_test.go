package words_test

import (
	"testing"

	"github.com/logitscope/logitscope/internal/words"
)

func TestUnit(t *testing.T) {
	for sentence, want := range map[string]string{
		"Validation NLL was lowest at epoch 3 (0.2): one epoch is no rise yet.": "Validation NLL was lowest at round 3 (0.2): one round is no rise yet.",
		"Epochs 1 to 3: an epoch's logits, (epoch 2) and the epochs'":           "Rounds 1 to 3: a round's logits, (round 2) and the rounds'",
		"An epoch of more epochs": "A round of more rounds",
		"Give --epochs 3, --epoch=%d, epochs/000001, {epoch}.npz or logits.epoch; of epoch, say": "Give --epochs 3, --epoch=%d, epochs/000001, {epoch}.npz or logits.epoch; of round, say",
		`"epoch" and "my \"epoch\" class" at epoch 4`:                                            `"epoch" and "my \"epoch\" class" at round 4`,
		"nothing of the kind": "nothing of the kind",
	} {
		if got := words.Unit("round").In(sentence); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		for _, same := range []words.Unit{"", "epoch"} {
			if got := same.In(sentence); got != sentence {
				t.Errorf("of epochs: %q, want %q", got, sentence)
			}
		}
	}
	if got := words.Unit("step").Sprintf("no epoch %d in %s", 3, "epoch"); got != "no step 3 in epoch" {
		t.Error(got)
	}
	if words.Unit("").String() != "epoch" || words.Unit("round").String() != "round" {
		t.Error("the noun is another")
	}
}
