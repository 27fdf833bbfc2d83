package analysis_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

var (
	log2 = float32(math.Log(2))
	nan  = float32(math.NaN())
	inf  = float32(math.Inf(1))
)

func TestCurvesByHand(t *testing.T) {
	run, _ := recorded(t, even(), [2][]float32{{log2, 0, 0, 0, log2, 0, log2, 0, 0}, {log2, 0, 0, nan, 0, 0}})
	c, err := analysis.New(run).Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Run != "run" || c.State != record.StateComplete || len(c.Epochs) != 2 || c.PlannedEpochs != 2 {
		t.Fatalf("curves %+v", c)
	}
	first, train, val := c.Epochs[0].Splits["val"], c.Epochs[1].Splits["train"], c.Epochs[1].Splits["val"]
	if !near(first.NLL, math.Log(3)) || !near(first.PTrue, 1./3) || !near(first.Accuracy, 0.5) || first.N != 2 {
		t.Errorf("epoch 1, val: %+v", first)
	}
	if !near(train.Accuracy, 2./3) || !near(train.PTrue, (0.5+0.5+0.25)/3) || !near(train.ZTrue, 2*math.Log(2)/3) {
		t.Errorf("epoch 2, train: %+v", train)
	}
	if val.N != 2 || val.Undefined != 1 || !near(val.NLL, math.Log(2)) {
		t.Errorf("epoch 2, val with one row undefined: %+v", val)
	}
}

func TestGraphs(t *testing.T) {
	run, _ := recorded(t, even(), [2][]float32{{4, 0, 0, 0, 4, 0, -4, 0, 0}, {4, 0, 0, 0, 0, 4}})
	a := analysis.New(run)
	one, err := a.Graphs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.Graphs(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	curves, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range two.Quantities {
		if len(q.Edges) != len(one.Quantities[i].Edges) || q.Edges[0] != one.Quantities[i].Edges[0] {
			t.Errorf("%s: epochs have different bins", q.Name)
		}
		for split, n := range map[string]int{"train": 3, "val": 2} {
			d := q.Splits[split]
			if d.True.N != n || d.Other.N != 2*n || len(d.True.Counts) != len(q.Edges)-1 || total(d.True.Counts) != n || total(d.Other.Counts) != 2*n {
				t.Errorf("%s of %s counts %d and %d values", q.Name, split, d.True.N, d.Other.N)
			}
		}
	}
	// The graphs' means are the curves' figures.
	s := curves.Epochs[1].Splits["train"]
	for i, want := range []analysis.Number{s.ZTrue, s.PTrue, s.LogPTrue, s.NLL} {
		if got := two.Quantities[i].Splits["train"].True.Mean; !near(got, float64(want)) {
			t.Errorf("%s: mean %v, the curves have %v", two.Quantities[i].Name, got, want)
		}
	}
	if z := two.Quantities[0]; z.Edges[0] > -4 || z.Edges[len(z.Edges)-1] < 4 {
		t.Errorf("z is drawn from %v to %v, it goes from −4 to 4", z.Edges[0], z.Edges[len(z.Edges)-1])
	}
}

func total(counts []int) (sum int) {
	for _, c := range counts {
		sum += c
	}
	return sum
}

func TestExplain(t *testing.T) {
	run, _ := recorded(t, [2][]float32{{2 * log2, 0, 0, 0, 0, 2 * log2, nan, 0, 0}, {0, -inf, 0, inf, 0, 0}})
	a := analysis.New(run)
	e, err := a.Explain(t.Context(), 1, "train", 11, 2)
	if err != nil {
		t.Fatal(err)
	}
	// z/T is (0, 0, log 2): p = (1/4, 1/4, 1/2), label 1.
	for name, pair := range map[string][2][]float64{
		"softmax":  {floats(e.Softmax), {0.25, 0.25, 0.5}},
		"gradient": {floats(e.Gradient), {0.125, -0.375, 0.25}},
		"z/T":      {floats(e.ZOverT), {0, 0, math.Log(2)}},
	} {
		for j := range pair[1] {
			if !near(analysis.Number(pair[0][j]), pair[1][j]) {
				t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
			}
		}
	}
	if !near(e.NLL, math.Log(4)) || e.Argmax != 2 || e.Rank != 3 || e.Label != 1 || *e.CleanLabel != 2 || string(e.Preview) != "\x03\x04" {
		t.Errorf("NLL %v, argmax %d, rank %d, label %d, clean %d, preview %v", e.NLL, e.Argmax, e.Rank, e.Label, *e.CleanLabel, e.Preview)
	}
	for _, c := range []struct {
		split string
		id    int64
		want  string
	}{{"train", 12, `"argmax":-1`}, {"val", 20, `"z":[0,null,0]`}, {"val", 21, `"nll":null`}} {
		e, err := a.Explain(t.Context(), 1, c.split, c.id, 1)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(e)
		if err != nil || !strings.Contains(string(raw), c.want) || e.Note == "" {
			t.Errorf("sample %d: %s, %v; want %s and a note", c.id, raw, err, c.want)
		}
	}
	for _, c := range []struct {
		epoch int
		split string
		id    int64
		want  string
	}{
		{9, "train", 10, "no epoch 9 in run: it has 1"},
		{1, "test", 10, `no split "test" in run: it has train, val`},
		{1, "val", 10, "no sample 10 in split val"},
	} {
		_, err := a.Explain(t.Context(), c.epoch, c.split, c.id, 1)
		var missing *analysis.NotFoundError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func floats(numbers []analysis.Number) []float64 {
	f := make([]float64, len(numbers))
	for i, n := range numbers {
		f[i] = float64(n)
	}
	return f
}

func TestHardest(t *testing.T) {
	run, _ := recorded(t, [2][]float32{{3, 0, 0, 0, 1, 0, 5, 0, 0}, {0, 0, 0, 0, nan, 0}})
	a := analysis.New(run)
	h, err := a.Hardest(t.Context(), 1, "train", 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Samples) != 2 || h.Samples[0].ID != 12 || h.Samples[1].ID != 11 || h.Samples[0].Argmax != 0 || string(h.Samples[0].Preview) != "\x05\x06" {
		t.Errorf("hardest %+v", h.Samples)
	}
	if h, err = a.Hardest(t.Context(), 1, "val", 10); err != nil || len(h.Samples) != 1 {
		t.Errorf("hardest of val: %+v, %v; the sample without a softmax is to be left out", h, err)
	}
}

// A damaged epoch is named; the others are read.
func TestDamagedEpoch(t *testing.T) {
	run, dir := recorded(t, even(), even(), even())
	path := filepath.Join(dir, "epochs", "000002", "val.arrow")
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	a := analysis.New(run)
	c, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Damaged) != 1 || !strings.Contains(c.Damaged[0], "val.arrow") {
		t.Errorf("damaged: %q", c.Damaged)
	}
	if len(c.Epochs) != 3 || len(c.Epochs[1].Splits) != 1 || len(c.Epochs[2].Splits) != 2 {
		t.Errorf("epochs %+v", c.Epochs)
	}
	// The story is told of the epochs that can be read.
	if c.Story.Kind != analysis.TooShort || c.Story.LastEpoch != 3 || !strings.Contains(c.Story.Sentence, "epoch 3 validation NLL is 1.099") {
		t.Errorf("story %+v", c.Story)
	}
	if _, err := a.Graphs(t.Context(), 2); err == nil {
		t.Error("the graphs of a damaged epoch: no error")
	}
	if _, err := a.Graphs(t.Context(), 3); err != nil {
		t.Errorf("the graphs of a whole epoch: %v", err)
	}
}

func TestStories(t *testing.T) {
	type z = [2]float32
	for _, c := range []struct {
		kind   analysis.Kind
		best   int
		epochs []z
		says   string
	}{
		{analysis.TooShort, 0, nil, "No epoch"},
		{analysis.TooShort, 1, []z{{2, 2}}, "too early"},
		{analysis.Overfitting, 2, []z{{0, 0}, {1, 1}, {2, 0.5}, {3, 0}}, "lowest at epoch 2"},
		{analysis.Undecided, 3, []z{{0, 0}, {1, 1}, {2, 1.1}, {3, 0}}, "one epoch is no rise yet"},
		{analysis.Undecided, 3, []z{{0, 0}, {1, 1}, {2, 1.5}, {3, 1.49}, {3, 1.48}, {3, 1.49}, {3, 1.48}, {3, 1.49}, {4, 0.5}}, "up and down"},
		{analysis.Worsened, 2, []z{{0, 0}, {2, 1}, {1.8, 0.5}, {1.5, 0}}, "training NLL did not fall"},
		{analysis.Learning, 4, []z{{0, 0}, {1, 1}, {2, 2}, {3, 3}}, "still falls"},
		{analysis.Converged, 3, []z{{0, 0}, {2, 2}, {2.1, 2}, {2.2, 2}, {2.3, 1.99}}, "stands still"},
		{analysis.Converged, 5, []z{{0, 0}, {2, 2}, {2.1, 2.001}, {2.2, 2.002}, {2.3, 2.003}}, "hardly moves"},
		{analysis.Diverged, 1, []z{{0, 0}, {-1, -1}, {-2, -2}}, "diverges"},
		{analysis.Diverged, 1, []z{{0, 0}, {1, -1}, {nan, 0}}, "diverged"},
		{analysis.Diverged, 2, []z{{0, 0}, {1, 1}, {2, nan}}, "20 samples have logits without a softmax"},
		{analysis.Diverged, 2, []z{{0, 0}, {1, 1}, {2, -inf}}, "masked"},
	} {
		curves := curvesOf(t, sureOf(t, c.epochs...))
		s := curves.Story
		if c.says == "stands still" {
			c.best = s.BestEpoch // of three that are the same
		}
		if s.Kind != c.kind || s.BestEpoch != c.best || !strings.Contains(s.Sentence, c.says) || strings.Contains(s.Sentence, "\n") {
			t.Errorf("story %+v, want %s with the best epoch %d that says %q", s, c.kind, c.best, c.says)
		}
		if (s.Kind == analysis.Overfitting) != strings.Contains(s.Mark, "overfits") || (curves.Rise != nil) != (s.Kind == analysis.Overfitting || s.Kind == analysis.Worsened) {
			t.Errorf("%s is marked %q, its rise is %+v", s.Kind, s.Mark, curves.Rise)
		}
		if _, err := json.Marshal(curves); err != nil {
			t.Errorf("JSON: %v", err)
		}
	}
	// Of two validation samples nothing is told.
	run, _ := recorded(t, certain(0, 0), certain(2, 2), certain(3, 1), certain(4, 0))
	if s := curvesOf(t, run).Story; s.Kind != analysis.Undecided || !strings.Contains(s.Sentence, "On 2 validation samples such a rise may be chance") || strings.Contains(s.Mark, "overfits") {
		t.Errorf("of two samples: %+v", s)
	}
	// Epochs that were not recorded are counted.
	run, _ = runOf(t, twoClasses, map[string]record.Samples{"train": {IDs: []int64{1}, Labels: []int32{0}}},
		map[int]map[string][]float32{5: {"train": {0, 0}}, 10: {"train": {1, 0}}, 15: {"train": {2, 0}}})
	if s := curvesOf(t, run).Story.Sentence; !strings.HasSuffix(s, "(Of these 11 epochs 3 are known.)") {
		t.Errorf("of epochs 5, 10 and 15: %s", s)
	}
}
