package analysis_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
)

// The history of a sample has its p, NLL and argmax at every epoch, and its dynamics are those of Dynamics.
func TestHistoryByHand(t *testing.T) {
	run, dir := epochsOf(t, twoClasses, record.Samples{IDs: []int64{4, 7, 9}, Labels: []int32{0, 1, record.Ignored}}, map[int][]float32{
		1: {0, 0, 0, logOdds(0.2), 1, 0}, 3: {0, 0, 0, logOdds(0.75), 0, 1}, 4: {0, 0, nan, 0, 0, 1}, 6: {0, 0, 0, logOdds(0.9), 1, 0},
	})
	a := analysis.New(run)
	e, err := a.Explain(t.Context(), 3, "train", 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.History) != 4 || e.Early != 6 {
		t.Fatalf("history %+v, early to %d", e.History, e.Early)
	}
	for i, want := range []struct {
		epoch  int
		p      float64
		argmax int32
	}{{1, 0.2, 0}, {3, 0.75, 1}, {4, math.NaN(), -1}, {6, 0.9, 1}} {
		h := e.History[i]
		undefined := math.IsNaN(want.p) && math.IsNaN(float64(h.PTrue)) && math.IsNaN(float64(h.NLL))
		if h.Epoch != want.epoch || h.Argmax != want.argmax || !undefined && (!near6(h.PTrue, want.p) || !near6(h.NLL, -math.Log(want.p))) {
			t.Errorf("history %+v, want %+v", h, want)
		}
	}
	d, err := dynamics.Of(t.Context(), a, "train")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*e.Dynamics, d.Samples[1].TraceFigures) || e.Dynamics.Undefined != 1 || e.Dynamics.Learned != 3 {
		t.Errorf("dynamics %+v, want %+v", e.Dynamics, d.Samples[1].TraceFigures)
	}
	// Without a label there are no figures, and the argmax all the same.
	if e, err = a.Explain(t.Context(), 1, "train", 9, 1); err != nil || e.Dynamics != nil || e.History[1].Argmax != 1 || !strings.HasPrefix(e.Asks, "nothing") {
		t.Errorf("%+v, %v", e, err)
	}
	raw, err := json.Marshal(e)
	if err != nil || !strings.Contains(string(raw), `"dynamics":null`) || !strings.Contains(string(raw), `{"epoch":1,"p_true":null,"nll":null,"argmax":0}`) {
		t.Errorf("%s, %v", raw, err)
	}
	// A damaged epoch is a gap.
	if err := os.Truncate(filepath.Join(dir, "epochs", "000003", "train.arrow"), 9); err != nil {
		t.Fatal(err)
	}
	if e, err = a.Explain(t.Context(), 6, "train", 7, 1); err != nil || len(e.History) != 3 || e.History[1].Epoch != 4 || e.Dynamics.Learned != 6 {
		t.Errorf("with epoch 3 damaged: %+v, %v", e.History, err)
	}
}

// Distances are between centred logits: a row moved as a whole stays where it is.
func TestNeighbours(t *testing.T) {
	m := record.Manifest{Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3}
	samples := record.Samples{IDs: []int64{1, 2, 3, 4, 5, 6}, Labels: []int32{0, 1, 2, record.Ignored, 0, 0}}
	run, _ := epochsOf(t, m, samples, map[int][]float32{1: {
		1, 2, 3,
		11, 12, 13, // the same but for a constant
		1, 2, 6, // (0, 0, 3), centred (−1, −1, 2): √6 away
		1, 5, 3, // (0, 3, 0): √6 away
		-inf, 2, 3, // masked: no neighbour
		2, 2, 3, // (1, 0, 0): √(2/3) away
	}})
	e, err := analysis.New(run).Explain(t.Context(), 1, "train", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		id       int64
		distance float64
		argmax   int32
	}{{2, 0, 2}, {6, math.Sqrt(2. / 3), 2}, {3, math.Sqrt(6), 2}, {4, math.Sqrt(6), 1}}
	if len(e.Neighbours) != len(want) {
		t.Fatalf("neighbours %+v", e.Neighbours)
	}
	for i, n := range e.Neighbours {
		if n.ID != want[i].id || !near6(n.Distance, want[i].distance) || n.Argmax != want[i].argmax {
			t.Errorf("neighbour %d is %+v, want %+v", i, n, want[i])
		}
	}
	if e, err = analysis.New(run).Explain(t.Context(), 1, "train", 5, 1); err != nil || e.Neighbours == nil || len(e.Neighbours) != 0 {
		t.Errorf("neighbours of a masked row: %+v, %v", e.Neighbours, err)
	}
	// A binary head's logit z stands for [0, z]: two are |z₁ − z₂|/√2 apart. Of ten, the nearest eight are told.
	binary := record.Samples{}
	var z []float32
	for i := range 10 {
		binary.IDs, binary.Labels, z = append(binary.IDs, int64(i)), append(binary.Labels, 1), append(z, float32(i)-3)
	}
	run, _ = epochsOf(t, record.Manifest{Classes: []string{"no", "yes"}, Head: record.HeadBinary, Columns: 1}, binary, map[int][]float32{1: z})
	if e, err = analysis.New(run).Explain(t.Context(), 1, "train", 0, 1); err != nil || len(e.Neighbours) != 8 {
		t.Fatalf("%+v, %v", e.Neighbours, err)
	}
	for i, n := range e.Neighbours {
		if n.ID != int64(i+1) || !near6(n.Distance, float64(i+1)/math.Sqrt2) || (n.Argmax == 1) != (i+1 > 3) {
			t.Errorf("neighbour %d is %+v", i, n)
		}
	}
}

func TestWhatTheGradientAsks(t *testing.T) {
	run, _ := recorded(t, [2][]float32{{0, log2, 0, 0, 9, 0, nan, 0, 0}, {0, 0, 0, 0, 0, 0}})
	a := analysis.New(run)
	for id, want := range map[int64]string{
		// p = (1/4, 1/2, 1/4), label a.
		10: "raise z of a (gradient -0.750), lower that of b (+0.500), c (+0.250)",
		11: "hardly anything: p of b is 1.000 already",
		12: "nothing that is defined: the logits have no softmax",
	} {
		e, err := a.Explain(t.Context(), 1, "train", id, 1)
		if err != nil || e.Asks != want {
			t.Errorf("sample %d: %q, %v; want %q", id, e.Asks, err, want)
		}
	}
	// Twenty classes alike: three are named, the rest counted.
	m := record.Manifest{Classes: strings.Split("abcdefghijklmnopqrst", ""), Head: record.HeadSoftmax, Columns: 20}
	run, _ = epochsOf(t, m, record.Samples{IDs: []int64{1}, Labels: []int32{19}}, map[int][]float32{1: make([]float32, 20)})
	e, err := analysis.New(run).Explain(t.Context(), 1, "train", 1, 1)
	if want := "raise z of t (gradient -0.950), lower that of a (+0.050), b (+0.050), c (+0.050) and, by 0.800 together, of 16 more"; err != nil || e.Asks != want {
		t.Errorf("%q, %v; want %q", e.Asks, err, want)
	}
}
