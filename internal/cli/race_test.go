package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

// rings is a table of two columns whose class is the ring that a point lies in, a share of the classes drawn anew.
func rings(t *testing.T, n int, noise float64) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(4, 4))
	var b bytes.Buffer
	b.WriteString("x,y,class\n")
	for range n {
		x, y := rng.NormFloat64(), rng.NormFloat64()
		ring := int(x*x + y*y)
		if rng.Float64() < noise {
			ring = rng.IntN(4)
		}
		fmt.Fprintf(&b, "%.3f,%.3f,r%d\n", x, y, min(ring, 3))
	}
	path := filepath.Join(t.TempDir(), "rings.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the race chose, and what each of its entrants reached, is said and kept; the run's own configuration trains the same bits
// without one.
func TestRaceIsKept(t *testing.T) {
	folder := t.TempDir()
	dir, again := filepath.Join(folder, "run"), filepath.Join(folder, "again")
	code, out, said := call(t, "train", "--data", rings(t, 400, 0.3), "--out", dir)
	if code != exitOK {
		t.Fatal(said)
	}
	var table experiment.Race
	if err := json.Unmarshal([]byte(readFile(t, dir, experiment.RaceFile)), &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Entrants) != 5 {
		t.Fatalf("the race has %+v", table)
	}
	chosen := table.Entrants[table.Chosen]
	for _, e := range table.Entrants {
		if len(e.NLL) == 0 {
			continue // beyond one that is behind
		}
		if line := fmt.Sprintf("%.4f", e.NLL[0]); !strings.Contains(said, line) {
			t.Errorf("%s is not among what is said: %s", line, said)
		}
		for _, v := range e.NLL {
			if low := lowest(chosen); v < low {
				t.Errorf("an entrant reached %v, the one chosen %v", v, low)
			}
		}
	}
	config := readFile(t, dir, experiment.ConfigFile)
	want := fmt.Sprintf("weight_decay: %v", chosen.WeightDecay)
	if !strings.Contains(config, want+"\n") && !strings.Contains(config, want+".0\n") || strings.Count(said, "chosen\n") != 1 {
		t.Errorf("%s of the race is not in the configuration %s, or not said", want, config)
	}
	for _, line := range []string{"training ended where another cycle is not worth its time", "hint: 80 of 400 rows were kept for validation: --refit"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not among %s", line, out)
		}
	}
	_, _, said = call(t, "train", "-c", filepath.Join(dir, experiment.ConfigFile), "--out", again)
	if strings.Contains(said, "raced") || logitsHash(t, dir) != logitsHash(t, again) {
		t.Errorf("from its own configuration a run has other logits: %s", said)
	}
}

func lowest(e experiment.Entrant) float64 {
	low := e.NLL[0]
	for _, v := range e.NLL {
		low = min(low, v)
	}
	return low
}

// What is given stands, a 0 too, and nothing is raced for it.
func TestNothingIsRacedThatIsGiven(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	data := rings(t, 200, 0)
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("dropout: 0\nweight_decay: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, kept := range map[string]string{
		"--dropout 0 --weight-decay 0": "dropout: 0.0\n weight_decay: 0.0\n",
		"-c " + file:                   "dropout: 0.0\n weight_decay: 0.0\n",
		"--dropout 0.5":                "dropout: 0.5\n weight_decay: 0.3\n",
		"--epochs 2":                   "epochs: 2\n schedule: cosine\n",
		"--schedule constant":          "epochs: 20\n schedule: constant\n",
		"--val-fraction 0":             "epochs: 20\n schedule: cosine\n",
	} {
		dir := filepath.Join(t.TempDir(), "run")
		code, _, said := call(t, append([]string{"train", "--data", data, "--out", dir}, strings.Fields(args)...)...)
		if code != exitOK || strings.Contains(said, "raced") {
			t.Errorf("%s: exit code %d: %s", args, code, said)
			continue
		}
		config := readFile(t, dir, experiment.ConfigFile)
		for line := range strings.SplitSeq(kept, "\n ") {
			if !strings.Contains(config, "\n"+strings.TrimSpace(line)+"\n") {
				t.Errorf("%s: %q is not in %s", args, line, config)
			}
		}
	}
}

// A run of every row has the settings and epochs that validation chose, and no validation split; resumed it is left alone.
func TestRefit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	succeed(t, "train", "--quiet", "--data", rings(t, 300, 0.1), "--refit", "--record", "best", "--out", dir)
	first, all := openRun(t, dir), openRun(t, dir+"-refit")
	if m := all.Manifest(); len(m.Splits) != 1 || m.Splits[0].N != 300 || all.State() != record.StateComplete {
		t.Fatalf("splits %+v, %s", m.Splits, all.State())
	}
	last, err := first.Checkpoint(checkpoints(t, first)[len(checkpoints(t, first))-1])
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	var state struct{ Best struct{ Epoch int } }
	if err := json.Unmarshal(last.Files["state.json"], &state); err != nil {
		t.Fatal(err)
	}
	epochs := checkpoints(t, all)
	if got := epochs[len(epochs)-1]; got != state.Best.Epoch || got == 0 {
		t.Errorf("trained for %d epochs, the best was %d", got, state.Best.Epoch)
	}
	ids := map[int64]int32{}
	for _, name := range []string{"train", "val"} {
		s, err := first.Samples(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range s.IDs {
			ids[id] = s.Labels[i]
		}
	}
	s, err := all.Samples("train")
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range s.IDs {
		if label, ok := ids[id]; !ok || label != s.Labels[i] {
			t.Fatalf("sample %d has the label %d, in the first run %d", id, s.Labels[i], label)
		}
		delete(ids, id)
	}
	if len(ids) > 0 {
		t.Errorf("%d samples of the first run are not in the second", len(ids))
	}
	want := logitsHash(t, dir+"-refit")
	again := dir + "-again"
	succeed(t, "train", "--quiet", "-c", filepath.Join(dir+"-refit", experiment.ConfigFile), "--out", again)
	if logitsHash(t, again) != want {
		t.Error("from its own configuration the run of all rows has other logits")
	}
}

func openRun(t *testing.T, dir string) *record.Run {
	t.Helper()
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run
}

func checkpoints(t *testing.T, run *record.Run) []int {
	t.Helper()
	epochs, err := run.Checkpoints()
	if err != nil || len(epochs) == 0 {
		t.Fatalf("checkpoints %v, %v", epochs, err)
	}
	return epochs
}

// A budget by the clock ends training, and the run is whole; how many epochs there were is the clock's affair.
func TestBudget(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	out := succeed(t, "train", "--quiet", "--data", rings(t, 300, 0), "--budget", time.Nanosecond.String(), "--out", dir)
	if run := openRun(t, dir); run.State() != record.StateComplete || len(run.Epochs()) != 1 || !strings.Contains(out, "training ended with the budget of 1ns, after epoch 1") {
		t.Errorf("state %s, epochs %v: %s", run.State(), run.Epochs(), out)
	}
}

// The training loss rises where the learning rate starts anew, which is no rate too high.
func TestRestartsAreNoSwing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	succeed(t, "train", "--quiet", "--data", rings(t, 300, 0), "--lr", "0.01", "--epochs", "31", "--schedule", "restarts", "--lr-cycle", "1", "--out", dir)
	rose := 0
	s := show(t, dir)
	for i := 1; i < len(s.Epochs); i++ {
		if s.Epochs[i].Splits["train"].NLL > 1.05*s.Epochs[i-1].Splits["train"].NLL {
			rose++
		}
	}
	if _, out, _ := call(t, "diagnose", dir, "--json"); rose < 3 || strings.Contains(out, "learning_rate_high") {
		t.Errorf("%d rises, and it is said: %s", rose, out)
	}
}

// Of samples with several classes each the NLL decides as it does of one.
func TestRaceOfSeveralLabels(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var b bytes.Buffer
	b.WriteString("x,y,tags\n")
	for range 200 {
		x, y := rng.NormFloat64(), rng.NormFloat64()
		tags := []string{"any"}
		if x > 0 {
			tags = append(tags, "right")
		}
		if y > 0 {
			tags = append(tags, "up")
		}
		fmt.Fprintf(&b, "%.3f,%.3f,%s\n", x, y, strings.Join(tags, "|"))
	}
	folder := t.TempDir()
	data, dir := filepath.Join(folder, "t.csv"), filepath.Join(folder, "run")
	if err := os.WriteFile(data, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, "train", "--quiet", "--data", data, "--multi-label", "--out", dir)
	var table experiment.Race
	if err := json.Unmarshal([]byte(readFile(t, dir, experiment.RaceFile)), &table); err != nil {
		t.Fatal(err)
	}
	for _, e := range table.Entrants {
		if len(e.NLL) < 2 || !(e.NLL[0] < 0.5) { // 0.69 is what a coin costs
			t.Errorf("dropout %v ends its cycles at %v", e.Dropout, e.NLL)
		}
	}
}
