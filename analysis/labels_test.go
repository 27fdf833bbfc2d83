package analysis_test

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/record"
)

// Dynamics and the ranking of wrong labels are those of NumPy and scikit-learn: tools/oracle/labels.py.
func TestLabelsGolden(t *testing.T) {
	type golden struct {
		Name       string
		Classes    int
		Labels     []int32
		Clean      []int32
		ValLabels  []int32 `json:"val_labels"`
		Train, Val [][]float32

		Early                                     int
		Confidence, Variability, Correctness, AUM []float64
		EL2N, Score                               []float64
		Forgotten, Learned                        []int
		Likelier                                  []int32
		Flagged                                   int
		Expected                                  float64
		AveragePrecision                          float64 `json:"average_precision"`
		ByConfidence                              float64 `json:"by_confidence"`
	}
	var file struct {
		Cases []golden
		Ties  struct {
			Score            []float64
			Positive         []int
			AveragePrecision float64 `json:"average_precision"`
		}
	}
	numtest.ReadGolden(t, "testdata/labels.json", &file)
	for _, g := range file.Cases {
		m := record.Manifest{Head: record.HeadSoftmax, Columns: g.Classes}
		for j := range g.Classes {
			m.Classes = append(m.Classes, fmt.Sprint("class ", j))
		}
		ids := func(n int) []int64 {
			all := make([]int64, n)
			for i := range all {
				all[i] = int64(i)
			}
			return all
		}
		logits := map[int]map[string][]float32{}
		for e := range g.Train {
			logits[e+1] = map[string][]float32{"train": g.Train[e], "val": g.Val[e]}
		}
		run, _ := runOf(t, m, map[string]record.Samples{
			"train": {IDs: ids(len(g.Labels)), Labels: g.Labels, CleanLabels: g.Clean},
			"val":   {IDs: ids(len(g.ValLabels)), Labels: g.ValLabels},
		}, logits)
		d := dynamicsOf(t, run, "train")
		if d.Early != g.Early {
			t.Errorf("%s: early to epoch %d, want %d", g.Name, d.Early, g.Early)
		}
		for i, s := range d.Samples {
			for name, pair := range map[string][2]float64{
				"confidence": {float64(s.Confidence), g.Confidence[i]}, "variability": {float64(s.Variability), g.Variability[i]},
				"correctness": {float64(s.Correctness), g.Correctness[i]}, "AUM": {float64(s.AUM), g.AUM[i]}, "EL2N": {float64(s.EL2N), g.EL2N[i]},
			} {
				if !(math.Abs(pair[0]-pair[1]) <= 1e-6) {
					t.Errorf("%s, sample %d: %s %v, want %v", g.Name, i, name, pair[0], pair[1])
				}
			}
			if s.Forgotten != g.Forgotten[i] || s.Learned != g.Learned[i] {
				t.Errorf("%s, sample %d: forgotten %d, learned %d; want %d, %d", g.Name, i, s.Forgotten, s.Learned, g.Forgotten[i], g.Learned[i])
			}
		}
		labels, err := analysis.New(run).WrongLabels("train", len(g.Labels))
		if err != nil {
			t.Fatal(err)
		}
		if !near6(labels.Expected, g.Expected) {
			t.Errorf("%s: %v wrong labels expected, want %v", g.Name, labels.Expected, g.Expected)
		}
		if len(labels.Suspects) != len(g.Labels) || labels.Flagged != g.Flagged {
			t.Errorf("%s: %d suspects, %d flagged; want %d, %d", g.Name, len(labels.Suspects), labels.Flagged, len(g.Labels), g.Flagged)
		}
		for _, s := range labels.Suspects {
			if !(math.Abs(float64(s.Score)-g.Score[s.ID]) <= 1e-5) || s.Likelier != g.Likelier[s.ID] {
				t.Errorf("%s, sample %d: score %v, likelier %d; want %v, %d", g.Name, s.ID, s.Score, s.Likelier, g.Score[s.ID], g.Likelier[s.ID])
			}
		}
		if tr := labels.Truth; !near6(tr.AveragePrecision, g.AveragePrecision) || !near6(tr.ByConfidence, g.ByConfidence) {
			t.Errorf("%s: average precision %v and %v, want %v and %v", g.Name, tr.AveragePrecision, tr.ByConfidence, g.AveragePrecision, g.ByConfidence)
		}
		run.Close()
	}
	positive := make([]bool, len(file.Ties.Positive))
	for i, p := range file.Ties.Positive {
		positive[i] = p == 1
	}
	if got := analysis.AveragePrecision(file.Ties.Score, positive); !(math.Abs(got-file.Ties.AveragePrecision) <= 1e-12) {
		t.Errorf("average precision with ties %v, want %v", got, file.Ties.AveragePrecision)
	}
}

// Four samples of two classes, by hand: the mean softmax alone says that sample 3 is of class 1.
func TestWrongLabelsByHand(t *testing.T) {
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2, 3, 4, 5}, Labels: []int32{0, 0, 0, 1, record.Ignored}},
		map[int][]float32{1: {0, logOdds(0.1), 0, logOdds(0.4), 0, logOdds(0.8), 0, logOdds(0.7), 0, 0}})
	w, err := analysis.New(run).WrongLabels("train", 0)
	if err != nil {
		t.Fatal(err)
	}
	// Class 0 has a mean p of 1.7/3 over its own samples, class 1 of 0.7: samples 1 and 2 count as class 0, 3 and 4 as class 1.
	// With one in every cell the label 0 has (3, 2), scaled by 3/5 to (1.8, 1.2); label 1 has (1, 2), scaled by 1/3.
	// Q(0|0) = 1.8/(1.8+1/3), Q(0|1) = 1.2/(1.2+2/3). For sample 3 these weigh 0.2 and 0.8.
	label, other := 0.2*1.8/(1.8+1./3), 0.8*1.2/(1.2+2./3)
	if len(w.Suspects) != 1 || w.Samples != 4 || w.Flagged != 1 || w.Truth != nil || w.Evidence != analysis.EarlyEpochs {
		t.Fatalf("%+v", w)
	}
	s := w.Suspects[0]
	if s.ID != 3 || s.Likelier != 1 || s.Rank != 1 || !near6(s.Score, (other-label)/(other+label)) || !near6(s.PLabel, 0.2) || !near6(s.PLikelier, 0.8) {
		t.Errorf("%+v; want a score of %v", s, (other-label)/(other+label))
	}
	if want := "up to epoch 1 mean p of b is 0.80, of its label a 0.20; the label was never learned"; s.Why != want {
		t.Errorf("why: %q, want %q", s.Why, want)
	}
	raw, err := json.Marshal(w)
	if err != nil || !strings.Contains(string(raw), `"truth":null`) {
		t.Errorf("%s, %v", raw, err)
	}
}

// Runs without anything to rank: no epoch, no label, no softmax, one epoch damaged by NaN.
func TestNoWrongLabels(t *testing.T) {
	for name, epochs := range map[string]map[int][]float32{"no epoch": nil, "no softmax": {1: {nan, 0, inf, 0}}} {
		run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2}, Labels: []int32{0, record.Ignored}}, epochs)
		w, err := analysis.New(run).WrongLabels("train", 5)
		if err != nil || len(w.Suspects) != 0 || w.Suspects == nil || w.Samples != 0 {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2}, Labels: []int32{0, 1}, CleanLabels: []int32{0, 1}},
		map[int][]float32{1: {1, 0, 0, 1}})
	w, err := analysis.New(run).WrongLabels("train", 5)
	raw, err2 := json.Marshal(w)
	if err != nil || err2 != nil || !strings.Contains(string(raw), `"wrong":0,"average_precision":null`) {
		t.Errorf("nothing wrong: %s, %v, %v", raw, err, err2)
	}
}

// A binary head's one logit ranks as the two it stands for; a masked class has no share and is never the likelier one.
func TestWrongLabelsOfOddHeads(t *testing.T) {
	samples := record.Samples{IDs: []int64{1, 2, 3, 4}, Labels: []int32{0, 0, 1, 0}}
	two := []float32{0, -2, 0, -1, 0, 2, 0, 1}
	var scores []analysis.Number
	for _, head := range []string{record.HeadSoftmax, record.HeadBinary} {
		m, z := twoClasses, two
		if head == record.HeadBinary {
			m.Head, m.Columns, z = head, 1, []float32{-2, -1, 2, 1}
		}
		run, _ := epochsOf(t, m, samples, map[int][]float32{1: z})
		w, err := analysis.New(run).WrongLabels("train", 4)
		if err != nil || w.Flagged != 1 || w.Suspects[0].ID != 4 || w.Suspects[0].Likelier != 1 {
			t.Fatalf("%s: %+v, %v", head, w, err)
		}
		for _, s := range w.Suspects {
			scores = append(scores, s.Score)
		}
	}
	if !slices.Equal(scores[:4], scores[4:]) {
		t.Errorf("scores %v of two logits, %v of one", scores[:4], scores[4:])
	}
	m := record.Manifest{Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3}
	run, _ := epochsOf(t, m, record.Samples{IDs: []int64{1, 2}, Labels: []int32{0, 1}}, map[int][]float32{1: {-inf, -inf, 1, 3, 2, -inf}})
	w, err := analysis.New(run).WrongLabels("train", 2)
	if err != nil || len(w.Suspects) != 2 || w.Flagged != 2 || w.Suspects[0].Likelier == w.Suspects[0].Label {
		t.Fatalf("%+v, %v", w, err)
	}
	for _, s := range w.Suspects {
		if want := map[int64]int32{1: 2, 2: 0}[s.ID]; s.Likelier != want || math.IsNaN(float64(s.Score)) {
			t.Errorf("with masked classes: %+v, want likelier %d", s, want)
		}
	}
}

// Where the network errs as often on validation, which it never saw, the flagged labels need not be wrong; those that are not
// flagged are not told unless asked for.
func TestFlaggedAgainstValidation(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*planted.Run)
		note  bool
	}{
		"labels wrong: 10 %": {func(r *planted.Run) { r.WrongLabels = 0.1 }, false},
		"classes overlap":    {func(r *planted.Run) { r.Signal = 1.5 }, true},
	} {
		r := planted.Healthy()
		c.plant(&r)
		dir := filepath.Join(t.TempDir(), "run")
		if err := r.Write(dir, 1); err != nil {
			t.Fatal(err)
		}
		run, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		w, err := analysis.New(run).WrongLabels("train", 0)
		if err != nil {
			t.Fatal(err)
		}
		if (w.Note != "") != c.note || !(w.InVal > 0 && w.InVal < 1) {
			t.Errorf("%s: %d of %d flagged, %v in validation: %q", name, w.Flagged, w.Samples, w.InVal, w.Note)
		}
		if len(w.Suspects) != w.Flagged || slices.ContainsFunc(w.Suspects, func(s analysis.Suspect) bool { return !s.Flagged }) {
			t.Errorf("%s: %d suspects of %d flagged, or others among them", name, len(w.Suspects), w.Flagged)
		}
	}
}
