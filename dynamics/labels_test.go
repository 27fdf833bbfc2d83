package dynamics_test

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/logit"
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
		labels, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", len(g.Labels))
		if err != nil {
			t.Fatal(err)
		}
		if !near6(labels.Expected, g.Expected) {
			t.Errorf("%s: %v wrong labels expected, want %v", g.Name, labels.Expected, g.Expected)
		}
		if len(labels.Suspects) != len(g.Labels) || labels.Against != g.Flagged {
			t.Errorf("%s: %d suspects, %d contradicted; want %d, %d", g.Name, len(labels.Suspects), labels.Against, len(g.Labels), g.Flagged)
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
	if got := dynamics.AveragePrecision(file.Ties.Score, positive); !(math.Abs(got-file.Ties.AveragePrecision) <= 1e-12) {
		t.Errorf("average precision with ties %v, want %v", got, file.Ties.AveragePrecision)
	}
}

// Four samples of two classes, by hand: the mean softmax alone says that sample 3 is of class 1.
func TestWrongLabelsByHand(t *testing.T) {
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2, 3, 4, 5}, Labels: []int32{0, 0, 0, 1, record.Ignored}},
		map[int][]float32{1: {0, logOdds(0.1), 0, logOdds(0.4), 0, logOdds(0.8), 0, logOdds(0.7), 0, 0}})
	w, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", 1)
	if err != nil {
		t.Fatal(err)
	}
	// Class 0 has a mean p of 1.7/3 over its own samples, class 1 of 0.7: samples 1 and 2 count as class 0, 3 and 4 as class 1.
	// With one in every cell the label 0 has (3, 2), scaled by 3/5 to (1.8, 1.2); label 1 has (1, 2), scaled by 1/3.
	// Q(0|0) = 1.8/(1.8+1/3), Q(0|1) = 1.2/(1.2+2/3). For sample 3 these weigh 0.2 and 0.8.
	label, other := 0.2*1.8/(1.8+1./3), 0.8*1.2/(1.2+2./3)
	if len(w.Suspects) != 1 || w.Samples != 4 || w.Against != 1 || w.Flagged != 0 || w.Note == "" || w.Truth != nil || w.Evidence != dynamics.EarlyEpochs {
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
		w, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", 5)
		if err != nil || len(w.Suspects) != 0 || w.Suspects == nil || w.Samples != 0 {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2}, Labels: []int32{0, 1}, CleanLabels: []int32{0, 1}},
		map[int][]float32{1: {1, 0, 0, 1}})
	w, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", 5)
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
	for _, head := range []logit.Head{record.HeadSoftmax, record.HeadBinary} {
		m, z := twoClasses, two
		if head == record.HeadBinary {
			m.Head, m.Columns, z = head, 1, []float32{-2, -1, 2, 1}
		}
		run, _ := epochsOf(t, m, samples, map[int][]float32{1: z})
		w, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", 4)
		if err != nil || w.Against != 1 || w.Suspects[0].ID != 4 || w.Suspects[0].Likelier != 1 {
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
	w, err := dynamics.FindWrongLabels(t.Context(), analysis.New(run), "train", 2)
	if err != nil || len(w.Suspects) != 2 || w.Against != 2 || w.Suspects[0].Likelier == w.Suspects[0].Label {
		t.Fatalf("%+v, %v", w, err)
	}
	for _, s := range w.Suspects {
		if want := map[int64]int32{1: 2, 2: 0}[s.ID]; s.Likelier != want || math.IsNaN(float64(s.Score)) {
			t.Errorf("with masked classes: %+v, want likelier %d", s, want)
		}
	}
}

// As many are flagged as are contradicted beyond validation's own rate: about the wrong ones where labels are wrong, none where classes
// overlap, whatever their number. Those that are not flagged are not told unless asked for.
func TestFlaggedAgainstValidation(t *testing.T) {
	for name, c := range map[string]struct {
		plant               func(*planted.Run)
		least, most, beside int // flagged, and contradicted at least
		says                string
	}{
		"labels wrong: 10 %":    {func(r *planted.Run) { r.WrongLabels = 0.1 }, 80, 110, 110, "only what exceeds that is flagged"},
		"labels wrong: 3 %":     {func(r *planted.Run) { r.WrongLabels = 0.03 }, 15, 40, 50, "only what exceeds that is flagged"},
		"classes overlap":       {func(r *planted.Run) { r.Signal = 1.5 }, 0, 0, 300, "None is flagged"},
		"classes overlap, 2":    {func(r *planted.Run) { r.Signal, r.Classes, r.Train, r.Val = 0.5, 2, 3000, 800 }, 0, 0, 600, "None is flagged"},
		"30 validation samples": {func(r *planted.Run) { r.Signal, r.Val = 1.5, 30 }, 0, 0, 300, "None is flagged"},
		"no validation":         {func(r *planted.Run) { r.WrongLabels, r.Val = 0.1, 0 }, 0, 0, 100, "--top ranks them"},
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
		a := analysis.New(run)
		w, err := dynamics.FindWrongLabels(t.Context(), a, "train", 0)
		if err != nil {
			t.Fatal(err)
		}
		if w.Flagged < c.least || w.Flagged > c.most || w.Against < c.beside || !strings.Contains(w.Note, c.says) {
			t.Errorf("%s: %d flagged of %d contradicted of %d, %v in validation: %q", name, w.Flagged, w.Against, w.Samples, w.InVal, w.Note)
		}
		if len(w.Suspects) != w.Flagged || slices.ContainsFunc(w.Suspects, func(s dynamics.Suspect) bool { return !s.Flagged }) {
			t.Errorf("%s: %d suspects of %d flagged, or others among them", name, len(w.Suspects), w.Flagged)
		}
		all, err := dynamics.FindWrongLabels(t.Context(), a, "train", r.Train)
		if err != nil || len(all.Suspects) != r.Train {
			t.Errorf("%s: %d of %d ranked, %v", name, len(all.Suspects), r.Train, err)
		}
	}
}
