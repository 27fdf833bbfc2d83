package train_test

import (
	"testing"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// The rate suggested learns, the one at which the loss blew up is above it, and a range that is none is refused.
func TestFindRate(t *testing.T) {
	splits := []train.Split{clusters("train", 900, 1)}
	c := config()
	c.Optimizer = "sgd"
	found, err := train.FindRate(t.Context(), c, nn.Softmax(3), splits, 1e-6, 1e3, 120)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Rates) < 20 || len(found.Rates) != len(found.Smoothed) || len(found.Rates) != len(found.Losses) {
		t.Fatalf("%d rates, %d losses", len(found.Rates), len(found.Losses))
	}
	if !(found.Suggested > 1e-5 && found.Suggested < 10) || found.Diverged != 0 && !(found.Diverged > found.Suggested) {
		t.Fatalf("suggests %v, diverged at %v", found.Suggested, found.Diverged)
	}
	c.LearningRate, c.Epochs = found.Suggested, 3
	var last train.SplitResult
	if err := train.Run(t.Context(), c, nn.Softmax(3), splits, func(e train.Epoch) error { last = e.Splits[0]; return nil }); err != nil {
		t.Fatal(err)
	}
	if !(last.Accuracy >= 0.99) {
		t.Errorf("at the suggested rate %v the accuracy is %v", found.Suggested, last.Accuracy)
	}
	for _, bad := range [][3]float64{{0, 1, 100}, {1, 1, 100}, {1e-6, 1, 3}} {
		if _, err := train.FindRate(t.Context(), c, nn.Softmax(3), splits, bad[0], bad[1], int(bad[2])); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}
