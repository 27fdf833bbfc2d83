package cli

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/predict"
)

// The best checkpoint gives the logits that were recorded at the best epoch, and that is the one of least validation NLL.
func TestNetworkIsTheBestEpoch(t *testing.T) {
	dir := small(t, "--epochs", "30", "--lr", "0.05", "--train-size", "60", "--label-noise", "0.3", "--patience", "4")
	run := openRun(t, dir)
	net, head, best, err := predict.Network(run, "best")
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
	if _, _, last, err := predict.Network(run, "last"); err != nil || last != len(s.Epochs) {
		t.Errorf("last is %d, %v", last, err)
	}
	if _, _, _, err := predict.Network(run, strconv.Itoa(best-1)); err == nil {
		t.Error("an epoch without a checkpoint has a model")
	}
	if _, _, _, err := predict.Network(run, "first"); err == nil {
		t.Error("an epoch called first has a model")
	}
}

// What predict gives for the training file is what was recorded of the best epoch, for every kind of model.
func TestModelsOfEveryKind(t *testing.T) {
	folder := t.TempDir()
	texts, two := filepath.Join(folder, "texts.csv"), filepath.Join(folder, "two.csv")
	var text, table strings.Builder
	text.WriteString("text,topic\n")
	table.WriteString("a,b,label\n")
	for i := range 120 {
		topic := []string{"bread salt oven", "ball team goal", "byte chip cache"}[i%3]
		fmt.Fprintf(&text, "the %s of day %d,%d\n", topic, i, i%3)
		fmt.Fprintf(&table, "%d,%d,%s\n", i*7%13, i%2*3+i%5, []string{"no", "yes"}[i%2])
	}
	for path, content := range map[string]string{texts: text.String(), two: table.String()} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, data, head string
		columns          int
		args             []string
	}{
		{"text by default", texts, "softmax", 3, []string{"--target", "topic"}},
		{"one logit for two classes", two, "binary", 1, []string{"--target", "label", "--mixup", "0.2"}},
		{"two logits on request", two, "softmax", 2, []string{"--target", "label", "--head", "softmax"}},
		{"layer norm, gelu and dropout", two, "binary", 1, []string{"--target", "label", "--model", "mlp:16+layernorm", "--activation", "gelu", "--dropout", "0.1"}},
		{"convolutions with batch norm", "digits", "softmax", 10, []string{"--model", "cnn+batchnorm", "--ema", "0.9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			succeed(t, append([]string{"train", "--quiet", "--epochs", "3", "--data", c.data, "--out", dir}, c.args...)...)
			run := openRun(t, dir)
			net, head, best, err := predict.Network(run, "best")
			if err != nil {
				t.Fatal(err)
			}
			if string(head.Kind()) != c.head || net.Columns() != c.columns {
				t.Errorf("a %s head of %d columns, want %s of %d", head.Kind(), net.Columns(), c.head, c.columns)
			}
			want, err := run.Logits(best, "val")
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			config := experiment.Default()
			config.Data.Path, config.Epochs = c.data, 1
			if c.args[0] == "--target" {
				config.Data.Target = c.args[1]
			}
			plan, err := experiment.Plan(t.Context(), config, nil)
			if err != nil {
				t.Fatal(err)
			}
			data := plan.Data
			z := make([]float32, c.columns)
			for i, id := range want.IDs {
				b := nn.Batch[float32]{N: 1}
				if data.Offsets != nil {
					from, to := data.Offsets[id], data.Offsets[id+1]
					b.Tokens, b.Weights, b.Offsets = data.Tokens[from:to], data.Weights[from:to], []int32{0, to - from}
				} else {
					b.Features = data.Row(int(id))
				}
				net.Logits(z, b)
				for j, v := range z {
					if got := want.Values[i*c.columns+j]; !(math.Abs(float64(got-v)) <= 1e-4) {
						t.Fatalf("sample %d, logit %d: the model says %v, recorded is %v", id, j, v, got)
					}
				}
			}
			succeed(t, "train", "--quiet", "-c", filepath.Join(dir, "config.yaml"), "--out", filepath.Join(filepath.Dir(dir), "again"))
			if logitsHash(t, filepath.Join(filepath.Dir(dir), "again")) != logitsHash(t, dir) {
				t.Error("config.yaml trains other bits")
			}
		})
	}
}
