package cli

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// The best checkpoint gives the logits that were recorded at the best epoch, and that is the one of least validation NLL.
func TestLoadModelIsTheBestEpoch(t *testing.T) {
	dir := small(t, "--epochs", "30", "--lr", "0.05", "--train-size", "60", "--label-noise", "0.3", "--patience", "4")
	net, head, best, err := train.LoadModel(dir, "best")
	if err != nil {
		t.Fatal(err)
	}
	s := show(t, dir)
	lowest := 0
	for i, e := range s.Epochs {
		if e.Splits["val"].NLL < s.Epochs[lowest].Splits["val"].NLL {
			lowest = i
		}
	}
	if best != s.Epochs[lowest].Epoch || len(s.Epochs) != best+4 || head.Classes() != 10 {
		t.Errorf("best epoch %d of %d, show has %d", best, len(s.Epochs), s.Epochs[lowest].Epoch)
	}
	data, err := dataset.Digits()
	if err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	want, err := run.Logits(best, "val")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	z := make([]float32, len(want.Values))
	for i, id := range want.IDs {
		net.Logits(z[10*i:10*i+10], nn.Batch[float32]{N: 1, Features: data.Row(int(id))})
	}
	close := func(a, b float32) bool { return a-b <= 1e-4 && b-a <= 1e-4 }
	if !slices.EqualFunc(z, want.Values, close) {
		t.Error("the best model has other logits than its epoch")
	}
	if _, _, last, err := train.LoadModel(dir, "last"); err != nil || last != len(s.Epochs) {
		t.Errorf("last is %d, %v", last, err)
	}
	if _, _, _, err := train.LoadModel(dir, strconv.Itoa(best-1)); err == nil {
		t.Error("an epoch without a checkpoint has a model")
	}
	if _, _, _, err := train.LoadModel(dir, "first"); err == nil {
		t.Error("an epoch called first has a model")
	}
}

func TestLRFind(t *testing.T) {
	var found train.RateRange
	if err := json.Unmarshal([]byte(succeed(t, "lr-find", "--json")), &found); err != nil {
		t.Fatal(err)
	}
	if !(found.Suggested >= 1e-4 && found.Suggested <= 0.05) || len(found.Rates) < 50 {
		t.Errorf("suggests %v after %d rates, want what Adam learns the digits with", found.Suggested, len(found.Rates))
	}
	if table := succeed(t, "lr-find"); !strings.Contains(table, "suggested: --lr") {
		t.Errorf("the table is %q", table)
	}
}
