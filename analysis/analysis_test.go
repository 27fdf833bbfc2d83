package analysis_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

// runOf records a run with the given logits, by epoch and split, and opens it.
func runOf(t testing.TB, m record.Manifest, samples map[string]record.Samples, epochs map[int]map[string][]float32) (*record.Run, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	w, err := record.Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range slices.Sorted(maps.Keys(epochs)) {
		if err := w.WriteEpoch(epoch, epochs[epoch]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run, dir
}

// recorded makes a run of three classes with the given logits of each epoch, three training and two validation samples.
func recorded(t *testing.T, epochs ...[2][]float32) (*record.Run, string) {
	t.Helper()
	logits := map[int]map[string][]float32{}
	for i, e := range epochs {
		logits[i+1] = map[string][]float32{"train": e[0], "val": e[1]}
	}
	return runOf(t, record.Manifest{
		Name: "run", Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3, PlannedEpochs: len(epochs),
		Preview: &record.Preview{Kind: "image", Height: 1, Width: 2, Channels: 1, Max: 16},
	}, map[string]record.Samples{
		"train": {IDs: []int64{10, 11, 12}, Labels: []int32{0, 1, 2}, CleanLabels: []int32{0, 2, 2}, Previews: []byte{1, 2, 3, 4, 5, 6}},
		"val":   {IDs: []int64{20, 21}, Labels: []int32{0, 1}, CleanLabels: nil, Previews: []byte{7, 8, 9, 10}},
	}, logits)
}

var (
	log2 = float32(math.Log(2))
	nan  = float32(math.NaN())
	inf  = float32(math.Inf(1))
)

// even is an epoch at which every class has the same logit.
func even() [2][]float32 { return [2][]float32{make([]float32, 9), make([]float32, 6)} }

func near(got analysis.Number, want float64) bool { return math.Abs(float64(got)-want) <= 1e-7 }

func TestCurvesByHand(t *testing.T) {
	run, _ := recorded(t, even(), [2][]float32{{log2, 0, 0, 0, log2, 0, log2, 0, 0}, {log2, 0, 0, nan, 0, 0}})
	c, err := analysis.New(run).Curves()
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
	one, err := a.Graphs(1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.Graphs(2)
	if err != nil {
		t.Fatal(err)
	}
	curves, err := a.Curves()
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
	e, err := a.Explain(1, "train", 11, 2)
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
		e, err := a.Explain(1, c.split, c.id, 1)
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
		_, err := a.Explain(c.epoch, c.split, c.id, 1)
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
	h, err := a.Hardest(1, "train", 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Samples) != 2 || h.Samples[0].ID != 12 || h.Samples[1].ID != 11 || h.Samples[0].Argmax != 0 || string(h.Samples[0].Preview) != "\x05\x06" {
		t.Errorf("hardest %+v", h.Samples)
	}
	if h, err = a.Hardest(1, "val", 10); err != nil || len(h.Samples) != 1 {
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
	c, err := a.Curves()
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
	if _, err := a.Graphs(2); err == nil {
		t.Error("the graphs of a damaged epoch: no error")
	}
	if _, err := a.Graphs(3); err != nil {
		t.Errorf("the graphs of a whole epoch: %v", err)
	}
}

// certain gives every sample of both splits a logit of z for its true class; the NLL falls with z.
func certain(train, val float32) [2][]float32 {
	return [2][]float32{{train, 0, 0, 0, train, 0, 0, 0, train}, {val, 0, 0, 0, val, 0}}
}

func TestStories(t *testing.T) {
	for _, c := range []struct {
		kind   analysis.Kind
		best   int
		epochs [][2][]float32
		says   string
	}{
		{analysis.TooShort, 0, nil, "No epoch"},
		{analysis.TooShort, 1, [][2][]float32{certain(1, 1)}, "too early"},
		{analysis.Overfitting, 2, [][2][]float32{certain(0, 0), certain(1, 1), certain(2, 0.5), certain(3, 0)}, "lowest at epoch 2"},
		{analysis.Learning, 4, [][2][]float32{certain(0, 0), certain(1, 1), certain(2, 2), certain(3, 3)}, "still falls"},
		{analysis.Converged, 2, [][2][]float32{certain(0, 0), certain(1, 1), certain(1.1, 1), certain(1.2, 1), certain(1.2, 0.99)}, "stands still"},
		{analysis.Diverged, 1, [][2][]float32{certain(0, 0), certain(-1, -1), certain(-2, -2)}, "diverges"},
		{analysis.Diverged, 1, [][2][]float32{certain(0, 0), certain(1, -1), certain(nan, 0)}, "diverged"},
		{analysis.Diverged, 2, [][2][]float32{certain(0, 0), certain(1, 1), certain(2, nan)}, "2 samples have logits without a softmax"},
		{analysis.Diverged, 2, [][2][]float32{certain(0, 0), certain(1, 1), certain(2, -inf)}, "masked"},
	} {
		run, _ := recorded(t, c.epochs...)
		curves, err := analysis.New(run).Curves()
		if err != nil {
			t.Fatal(err)
		}
		s := curves.Story
		if s.Kind != c.kind || s.BestEpoch != c.best || !strings.Contains(s.Sentence, c.says) || strings.Contains(s.Sentence, "\n") {
			t.Errorf("story %+v, want %s with the best epoch %d that says %q", s, c.kind, c.best, c.says)
		}
		if _, err := json.Marshal(curves); err != nil {
			t.Errorf("JSON: %v", err)
		}
	}
	// Epochs that were not recorded are counted.
	run, _ := runOf(t, twoClasses, map[string]record.Samples{"train": {IDs: []int64{1}, Labels: []int32{0}}},
		map[int]map[string][]float32{5: {"train": {0, 0}}, 10: {"train": {1, 0}}, 15: {"train": {2, 0}}})
	if s := curvesOf(t, run).Story.Sentence; !strings.HasSuffix(s, "(Of these 11 epochs 3 are known.)") {
		t.Errorf("of epochs 5, 10 and 15: %s", s)
	}
}
