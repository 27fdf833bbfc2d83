package cli

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/numtest"
)

// What nobody asks for is chosen by the data, said and kept in the run; what somebody asks for stands, by flag or by file.
func TestDefaultsByTheData(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	texts := filepath.Join(t.TempDir(), "texts.csv")
	var b strings.Builder
	b.WriteString("text,topic\n")
	for i := range 90 {
		fmt.Fprintf(&b, "%s number %d,%d\n", []string{"bread from the oven", "a ball in the goal", "chips for a cache"}[i%3], i, i%3)
	}
	if err := os.WriteFile(texts, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(t.TempDir(), "asked.yaml")
	if err := os.WriteFile(asked, []byte("batch: 8\nmodel: mlp:8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := birds(t, 200)
	for _, c := range []struct {
		name, args string
		said       string
		kept       []string
	}{
		{"digits", "--data digits --train-size 50", "chosen for the digits: model mlp:64, epochs 45, batch 32, optimizer adam, lr 0.001, schedule constant", []string{"model: mlp:64", "epochs: 45", "batch: 32", "optimizer: adam\n", "lr: 0.001", "schedule: constant"}},
		{
			"table", "--data " + table, "model mlp:128,64+bins=16, dropout 0.2, batch 16, optimizer adamw, weight decay 1, lr 0.00125, cycles of 20, 40, … epochs until one gains less than 1 % of the validation NLL or its own standard error, at most 620 epochs in all",
			[]string{"model: mlp:128,64+bins=16\n", "epochs: 620", "schedule: restarts", "lr_cycle: 20", "min_gain: 0.01"},
		},
		{"texts", "--target topic --data " + texts, "chosen for texts: model text:8, batch 64", []string{"model: text:8", "lr: 0.035", "epochs: 450", "lr_cycle: 30"}},
		{
			"flags", "--epochs 2 --lr 0.1 --optimizer sgd --schedule constant --data " + table, "chosen for a table: model mlp:256,128, dropout 0.2, batch 16\n",
			[]string{"epochs: 2", "lr: 0.1", "optimizer: sgd", "weight_decay: 0", "schedule: constant"},
		},
		{"file and flag", "-c " + asked + " --epochs 2 --data " + table, "chosen for a table: optimizer adamw", []string{"batch: 8", "model: mlp:8", "epochs: 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			code, _, said := call(t, append([]string{"train", "--out", dir}, strings.Fields(c.args)...)...)
			if code != exitOK || !strings.Contains(said, c.said) {
				t.Fatalf("exit code %d, want %q among %s", code, c.said, said)
			}
			config, err := os.ReadFile(filepath.Join(dir, experiment.ConfigFile))
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range c.kept {
				if !strings.Contains(string(config), line) {
					t.Errorf("config.yaml lacks %q: %s", line, config)
				}
			}
		})
	}
	for _, flag := range []string{"--epochs", "--batch", "--lr"} {
		if code, _, said := call(t, "train", flag, "0", "--out", filepath.Join(t.TempDir(), "run")); code != exitUsage || !strings.Contains(said, flag+" 0") {
			t.Errorf("%s 0: exit code %d: %s", flag, code, said)
		}
	}
}

// What predict says of the validation rows is right as often as the best epoch was, though training went on and got worse.
func TestPredictIsTheBestEpoch(t *testing.T) {
	var train, val bytes.Buffer
	for part, rows := range map[*bytes.Buffer]int{&train: 60, &val: 200} {
		part.WriteString("a,b,c,d,class\n")
		for i := range rows {
			i += rows // other rows in each
			x := func(k int) int { return i * k % 97 }
			class := (x(31) + x(17)) / 65
			if i%4 == 0 {
				class = i / 4 % 3 // noise to be learned by heart
			}
			fmt.Fprintf(part, "%d,%d,%d,%d,k%d\n", x(31), x(17), x(53), x(71), class)
		}
	}
	folder := t.TempDir()
	paths := map[string][]byte{"train.csv": train.Bytes(), "val.csv": val.Bytes()}
	for name, text := range paths {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, out := filepath.Join(folder, "run"), filepath.Join(folder, "out.csv")
	succeed(t, "train", "--quiet", "--data", filepath.Join(folder, "train.csv"), "--val", filepath.Join(folder, "val.csv"), "--out", dir)
	succeed(t, "predict", dir, "--data", filepath.Join(folder, "val.csv"), "-o", out)
	s := show(t, dir)
	best := 0
	for i, e := range s.Epochs {
		if e.Splits["val"].NLL < s.Epochs[best].Splits["val"].NLL {
			best = i
		}
	}
	if last := len(s.Epochs) - 1; best == last {
		t.Fatal("the last epoch is the best: nothing is told apart")
	}
	truth, said := rowsOf(t, filepath.Join(folder, "val.csv")), rowsOf(t, out)
	right := 0
	for i := range truth {
		if said[i]["label"] == truth[i]["class"] {
			right++
		}
	}
	if got, want := float64(right)/float64(len(truth)), s.Epochs[best].Splits["val"].Accuracy; got != want {
		t.Errorf("predict is right in %v of the validation rows, epoch %d was in %v", got, best+1, want)
	}
}

func rowsOf(t *testing.T, path string) []map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}
