package cli

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/experiment"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// A sweep trains the whole grid, each run with the bits of training it alone, and prints what compare prints.
func TestSweep(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sweep")
	common := []string{"--train-size", "100", "--epochs", "2"}
	args := append([]string{"sweep", "--json", "--grid", "lr=0.001,0.01", "--grid", "hidden=16;8,8", "--out", out, "--"}, common...)
	var rows []analysis.Compared
	if err := json.Unmarshal([]byte(succeed(t, args...)), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 {
		t.Fatalf("%d runs, want 4", len(rows))
	}
	var dirs []string
	for i, r := range rows {
		dirs = append(dirs, r.Run)
		if i > 0 && r.Best.NLL < rows[i-1].Best.NLL {
			t.Errorf("run %d has NLL %v, the one before it %v", i, r.Best.NLL, rows[i-1].Best.NLL)
		}
		if len(r.Differs) != 2 || r.Split != "val" || r.Epochs != 2 || r.State != "complete" {
			t.Errorf("%+v", r)
		}
		alone := filepath.Join(t.TempDir(), "alone")
		model := strings.Trim(r.Differs["model"], `"`)
		succeed(t, append([]string{"train", "--quiet", "--out", alone, "--lr", r.Differs["lr"], "--model", model}, common...)...)
		if s := show(t, alone); s.Epochs[1].Splits["val"].NLL != float64(r.Last.NLL) {
			t.Errorf("%s ends at %v, alone at %v", r.Run, r.Last.NLL, s.Epochs[1].Splits["val"].NLL)
		}
	}
	table := succeed(t, append([]string{"compare"}, dirs...)...)
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 5 || !strings.Contains(lines[0], "model") || !strings.HasPrefix(lines[1], dirs[0]) {
		t.Errorf("compare prints\n%s", table)
	}
}

// The settings of a file are those of every run, and the grid wins over them.
func TestSweepFromAFile(t *testing.T) {
	base, out := small(t), filepath.Join(t.TempDir(), "sweep")
	var rows []analysis.Compared
	args := []string{"sweep", "--json", "-c", filepath.Join(base, experiment.ConfigFile), "--grid", "lr=0.001,0.02", "--out", out, "--", "--epochs", "2"}
	if err := json.Unmarshal([]byte(succeed(t, args...)), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Epochs != 2 || rows[0].Differs["lr"] != "0.02" || rows[1].Differs["lr"] != "0.001" || len(rows[0].Differs) != 1 {
		t.Fatalf("%+v", rows)
	}
	if want := show(t, base).Epochs[1].Splits["val"].NLL; float64(rows[1].Last.NLL) != want {
		t.Errorf("the run at the file's own learning rate ends at %v, the file's at %v", rows[1].Last.NLL, want)
	}
}

// A file holds the grid and the ranges as well, in the order of its keys; flags win over it, and what it cannot mean is named with
// its place.
func TestSweepOfAFile(t *testing.T) {
	file, out := filepath.Join(t.TempDir(), "sweep.yaml"), filepath.Join(t.TempDir(), "sweep")
	sweepOf := func(text string, more ...string) (rows []analysis.Compared) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out += "-"
		if err := json.Unmarshal([]byte(succeed(t, append([]string{"sweep", "--json", "-c", file, "--out", out}, more...)...)), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	const text = "data: {path: digits, val_fraction: 0.2, train_size: 100}\nepochs: 2\ngrid:\n  hidden: [[16], [8, 8]]\n  weight_decay: [0, 0.1]\nrandom:\n  batch: 8..16\nruns: 1\n"
	rows := sweepOf(text)
	names := map[string]bool{}
	for _, r := range rows {
		names[strings.SplitN(filepath.Base(r.Run), "_batch", 2)[0]] = true
		if r.Epochs != 2 {
			t.Errorf("%+v: want 2 epochs", r)
		}
	}
	for _, want := range []string{"1_hidden-16_weight-decay-0", "2_hidden-16_weight-decay-0.1", "3_hidden-8-8_weight-decay-0", "4_hidden-8-8_weight-decay-0.1"} {
		if !names[want] {
			t.Errorf("no run %s: %v", want, names)
		}
	}
	if again := sweepOf(text, "--grid", "hidden=4;4,4;4", "--random", "weight-decay=0..1", "--runs", "2"); len(again) != 6 {
		t.Errorf("%d runs where flags give the layers and the decay, want 3 times 2", len(again))
	}
	for text, want := range map[string]string{
		"grid: {lr: [1]}\nepoch: 3\n": `sweep.yaml:2:1: unknown field "epoch"`,
		"grid: [lr]\n":                "sweep.yaml:1:7",
		"grid: {colour: [red]}\n":     "colour is no flag of logitscope train",
		"grid: {lr: []}\n":            "lr has no value",
		"grid: {lr: }\n":              "lr has no value",
		"random: {lr: 2..1}\n":        "two numbers",
		"epochs: 3\n":                 "give --grid FLAG=VALUES or --random",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := call(t, "sweep", "-c", file, "--out", out); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, stderr, want)
		}
	}
}

// Runs that record nothing are compared by the figures of their epochs.
func TestSweepRecordsNothing(t *testing.T) {
	var rows, recorded []analysis.Compared
	for kept, into := range map[string]*[]analysis.Compared{"none": &rows, "all": &recorded} {
		out := filepath.Join(t.TempDir(), "sweep")
		args := []string{"sweep", "--json", "--grid", "lr=0.001,0.02", "--out", out, "--", "--train-size", "100", "--epochs", "3", "--record", kept}
		if err := json.Unmarshal([]byte(succeed(t, args...)), into); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range recorded {
		got := rows[i]
		if got.Best == nil || got.Best.Epoch != want.Best.Epoch || got.Epochs != 3 || got.Differs["lr"] != want.Differs["lr"] ||
			!(math.Abs(float64(got.Best.NLL-want.Best.NLL)) <= 1e-5) {
			t.Errorf("%+v of %+v, want %+v", got, got.Best, want.Best)
		}
	}
}

// A run that fails is named; the others are trained and shown.
func TestSweepGoesOnWhereARunFails(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sweep")
	code, stdout, stderr := call(t, "sweep", "--grid", "lr=-1,0.01", "--out", out, "--", "--train-size", "100", "--epochs", "1")
	if code == exitOK || !strings.Contains(stderr, "1_lr--1") || !strings.Contains(stdout, "2_lr-0.01") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestSweepSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"give --grid FLAG=VALUES or --random", nil},
		{"flag of logitscope train", []string{"--grid", "colour=red"}},
		{"flag of logitscope train", []string{"--grid", "out=a,b"}},
		{"is not FLAG=VALUES", []string{"--grid", "lr"}},
		{"given twice", []string{"--grid", "lr=1", "--random", "lr=1..2"}},
		{"two numbers", []string{"--random", "lr=2..1"}},
		{"two numbers", []string{"--random", "lr=1..Inf"}},
		{"numbers above 0", []string{"--random", "lr=log:0..1"}},
		{"give 1 or more", []string{"--random", "lr=1..2", "--runs", "0"}},
		{"give 1 or more", []string{"--grid", "lr=1", "--jobs", "0"}},
		{"come after --", []string{"--grid", "lr=1", "more"}},
	} {
		if code, _, stderr := call(t, append([]string{"sweep"}, c.args...)...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q, want %q", c.args, code, stderr, c.want)
		}
	}
	if code, _, stderr := call(t, "compare", filepath.Join(t.TempDir(), "none")); code != exitFailure || !strings.Contains(stderr, "none") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// The table says how many epochs were planned of a run whose writer knew it, and the epochs alone of another's.
func TestCompareEpochs(t *testing.T) {
	for planned, want := range map[int]string{0: "  1       complete", 5: "  1/5     complete"} {
		_, dir := runtest.Run(t, record.Manifest{Name: "run", Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2, PlannedEpochs: planned},
			map[string]record.Samples{"val": {IDs: []int64{0}, Labels: []int32{0}}}, map[int]map[string][]float32{1: {"val": {0, 0}}})
		if table := succeed(t, "compare", dir); !strings.Contains(table, want) {
			t.Errorf("%d planned epochs: want %q in\n%s", planned, want, table)
		}
	}
}

// Ranges are drawn from evenly, whole numbers from both ends on, and logarithms evenly as logarithms.
func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		text            string
		low, high, mean float64 // of what is drawn, or of its logarithms
		log, whole      bool
	}{
		{"0..0.5", 0, 0.5, 0.25, false, false},
		{"3..8", 3, 8, 5.5, false, true},
		{"log:0.0001..0.1", 0.0001, 0.1, math.Log(0.0001*0.1) / 2, true, false},
		{"log:1..1000", 1, 1000, math.NaN(), true, true},
	} {
		draw, err := parseRange(c.text, rand.New(rand.NewPCG(1, 0)))
		if err != nil {
			t.Fatal(err)
		}
		const n = 20000
		sum, least, most := 0.0, math.Inf(1), math.Inf(-1)
		for range n {
			v, err := strconv.ParseFloat(draw(), 64)
			if err != nil || c.whole && v != math.Trunc(v) {
				t.Fatalf("%s gives %v, %v", c.text, v, err)
			}
			least, most = min(least, v), max(most, v)
			if c.log {
				v = math.Log(v)
			}
			sum += v
		}
		width := c.high - c.low
		if c.log {
			width = math.Log(c.high / c.low)
		}
		if !(math.Abs(sum/n-c.mean) <= width/100) && c.mean == c.mean || least < c.low || most > c.high || c.whole && least != c.low {
			t.Errorf("%s: mean %v, from %v to %v", c.text, sum/n, least, most)
		}
	}
}
