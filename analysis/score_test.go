package analysis

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Every figure is that of scikit-learn or PyTorch, or of its definition in NumPy: tools/oracle/metrics.py.
func TestScoreIsScikitLearns(t *testing.T) {
	var golden struct {
		Cases []struct {
			Name        string
			Columns     int
			Logits      []float32
			Labels      []int32
			Temperature float64
			Bins        int
			Expected    map[string]any
		}
	}
	numtest.ReadGolden(t, "testdata/metrics.json.gz", &golden)
	if len(golden.Cases) < 20 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		s := scoreOf(t, summary.Batch{Logits: c.Logits, Labels: c.Labels, Columns: c.Columns, Temperature: c.Temperature}, ScoreOptions{Bins: c.Bins})
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		for figure, want := range c.Expected {
			if figure == "confusion" {
				if w, err := json.Marshal(want); err != nil || !strings.Contains(string(raw), `"confusion":`+string(w)) {
					t.Errorf("%s: confusion %v, want %v, %v", c.Name, got["confusion"], want, err)
				}
				continue
			}
			if value, ok := got[figure].(float64); !ok || !numtest.Near(value, want.(float64), 1e-6) {
				t.Errorf("%s: %s is %v, want %v", c.Name, figure, got[figure], want)
			}
		}
		for _, figure := range []string{"roc_auc", "average_precision"} {
			if _, ok := c.Expected[figure]; !ok && (got[figure] != nil || s.Undefined[figure] == "") {
				t.Errorf("%s: %s is %v, not undefined with a reason", c.Name, figure, got[figure])
			}
		}
	}
}

// Where a figure is null, there is a reason.
func TestScoreUndefined(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name    string
		b       summary.Batch
		figures []string // null among them
	}{
		{"no label", summary.Batch{Logits: []float32{1, 2}, Labels: []int32{loss.Ignored}, Columns: 2}, []string{"nll", "accuracy", "ece", "mce", "mcc", "f1_macro", "roc_auc", "ece_adaptive", "ece_classwise", "ece_debiased"}},
		{"nothing", summary.Batch{Columns: 3}, []string{"nll", "margin", "brier"}},
		{"undefined alone", summary.Batch{Logits: []float32{nan, 2, inf, 1}, Labels: []int32{0, 1}, Columns: 2}, []string{"nll", "accuracy"}},
		{"label masked", summary.Batch{Logits: []float32{-inf, 2, 2, 1}, Labels: []int32{0, 0}, Columns: 2}, []string{"nll", "perplexity", "margin", "z_true"}},
		{"others masked", summary.Batch{Logits: []float32{2, -inf, 1, 2}, Labels: []int32{0, 1}, Columns: 2}, []string{"margin"}},
		{"one class", summary.Batch{Logits: []float32{2, 1, 1, 2}, Labels: []int32{0, 0}, Columns: 2}, []string{"roc_auc", "average_precision"}},
		{"NLL of 1000", summary.Batch{Logits: []float32{1000, 0}, Labels: []int32{1}, Columns: 2}, []string{"perplexity"}},
	} {
		s := scoreOf(t, c.b, ScoreOptions{Bootstrap: 3})
		for _, f := range s.Figures() {
			null, want := !finite(float64(f.Value)), slices.Contains(c.figures, f.Name)
			if want && !null {
				t.Errorf("%s: %s is %v, want it undefined", c.name, f.Name, f.Value)
			}
			if null && s.Undefined[f.Name] == "" {
				t.Errorf("%s: %s is null without a reason", c.name, f.Name)
			}
		}
		if s.N+s.UndefinedRows+s.Unlabelled != len(c.b.Labels) {
			t.Errorf("%s: %d scored, %d undefined, %d unlabelled", c.name, s.N, s.UndefinedRows, s.Unlabelled)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, bad := range []summary.Batch{
		{Logits: []float32{1, 2}, Labels: []int32{2}, Columns: 2}, {Logits: []float32{1, 2, 3}, Labels: []int32{1}, Columns: 2}, {Logits: []float32{1, 2}, Labels: []int32{0}, Columns: 2, Temperature: -1},
	} {
		if s, err := ScoreOf(context.Background(), bad, ScoreOptions{}); err == nil {
			t.Errorf("%+v has the score %+v", bad, s)
		}
	}
}

// scoreOf is ScoreOf of rows that can be scored.
func scoreOf(t testing.TB, b summary.Batch, o ScoreOptions) *Score {
	t.Helper()
	s, err := ScoreOf(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The intervals hold the figures, narrow as the root of the rows, are the same from the same seed, and near the standard error
// of a mean: accuracy's is √(a(1−a)/N).
func TestScoreIntervals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	b := summary.Batch{Columns: 3}
	for range 2000 {
		label := rng.IntN(3)
		for j := range 3 {
			z := rng.NormFloat64()
			if j == label {
				z++
			}
			b.Logits = append(b.Logits, float32(z))
		}
		b.Labels = append(b.Labels, int32(label))
	}
	s, again := scoreOf(t, b, ScoreOptions{Bootstrap: 400, Seed: 3}), scoreOf(t, b, ScoreOptions{Bootstrap: 400, Seed: 3})
	for _, f := range s.Figures() {
		interval, ok := s.Intervals[f.Name]
		if !ok {
			continue
		}
		if !(interval.Low < f.Value && f.Value < interval.High || f.Name == "ece" || f.Name == "top5") || interval != again.Intervals[f.Name] {
			t.Errorf("%s is %v in %v, then in %v", f.Name, f.Value, interval, again.Intervals[f.Name])
		}
	}
	if len(s.Intervals) < 10 {
		t.Errorf("%d intervals", len(s.Intervals))
	}
	a := float64(s.Figure("accuracy"))
	want := 2 * 1.96 * math.Sqrt(a*(1-a)/2000)
	if got := float64(s.Intervals["accuracy"].High - s.Intervals["accuracy"].Low); !(math.Abs(got/want-1) < 0.2) {
		t.Errorf("the interval of the accuracy is %v wide, want about %v", got, want)
	}
}

// What was given as logits is told from the whole split: a few rows of either kind do not make the others so.
func TestLooksLike(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	const n, k = 50, 4
	z, labels := make([]float32, n*k), make([]int32, n)
	for i := range z {
		z[i] = float32(rng.NormFloat64())
	}
	p, logP := make([]float32, n*k), make([]float32, n*k)
	logit.Softmax(p, z, k)
	logit.LogSoftmax(logP, z, k)
	mixed := slices.Concat(p[:n*k-k], z[n*k-k:])
	exact := slices.Repeat([]float32{1, 0, 0, 0}, n)
	column := func(of func(p float64) float64) []float32 {
		c := make([]float32, n)
		for i := range c {
			c[i] = float32(of((float64(i) + 0.5) / n))
		}
		return c
	}
	for _, c := range []struct {
		name    string
		values  []float32
		columns int
		want    Scale
	}{
		{"logits", z, k, Logits},
		{"probabilities", p, k, Probs},
		{"log p", logP, k, LogProbs},
		{"all but a row probabilities", mixed, k, Logits},
		{"one-hot", exact, k, Probs},
		{"a row of NaN", slices.Concat(p[k:], slices.Repeat([]float32{float32(math.NaN())}, k)), k, Probs},
		{"probabilities of class 1", column(func(p float64) float64 { return p }), 1, Probs},
		{"probabilities of class 1, on one side of 1/2", column(func(p float64) float64 { return p / 2 }), 1, Probs},
		{"a probability of class 1", []float32{0.25}, 1, Probs},
		{"rounded to two decimals", rounded(p, 2), k, Probs},
		{"rounded to one decimal", rounded(p, 1), k, Probs},
		{"log p rounded to two decimals", rounded(logP, 2), k, LogProbs},
		{"rounded, a row is not", slices.Concat(rounded(p[:n*k-k], 2), []float32{0.3, 0.3, 0.3, 0.3}), k, Logits},
		{"numbers in [0,1] with many digits that sum to about 1", column4(rng, n), k, Logits},
		{"one logit", column(func(p float64) float64 { return 3*p - 1 }), 1, Logits},
		{"one logit above 0", column(func(p float64) float64 { return p + 0.02 }), 1, Logits},
		{"no row", nil, k, Logits},
	} {
		b := summary.Batch{Logits: c.values, Labels: make([]int32, len(c.values)/c.columns), Columns: c.columns}
		if got := LooksLike(b); got != c.want {
			t.Errorf("%s look like %s, want %s", c.name, got, c.want)
		}
		if c.want == Logits || strings.Contains(c.name, "NaN") {
			continue
		}
		again, _, err := AsLogits(b, c.want)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		back := 0.0
		p := func(i int) float64 {
			if c.want == LogProbs {
				return math.Exp(float64(c.values[i]))
			}
			return float64(c.values[i])
		}
		for i := range c.values {
			at, sum := i, 0.0
			for j := i - i%k; c.columns == k && j < i-i%k+k; j++ {
				sum += p(j) // which rounding leaves off 1
			}
			if c.columns == 1 {
				at, sum = 2*i+1, 1 // of log(1−p) and log p
			}
			back = max(back, math.Abs(math.Exp(again.Wide[at])-p(i)/sum))
		}
		if !(back <= 1e-6) {
			t.Errorf("%s come back %v away", c.name, back)
		}
	}
	if _, _, err := AsLogits(summary.Batch{Logits: z, Labels: labels, Columns: k}, Probs); err == nil || !strings.Contains(err.Error(), "row 0") {
		t.Errorf("logits as probabilities: %v", err)
	}
}

// rounded is values as written with so many decimals.
func rounded(values []float32, decimals int) []float32 {
	unit := math.Pow10(decimals)
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(math.Round(float64(v)*unit) / unit)
	}
	return out
}

// column4 is rows of four numbers in [0,1] whose sums are between 0.9 and 1.1.
func column4(rng *rand.Rand, n int) (out []float32) {
	for range n {
		for range 4 {
			out = append(out, float32(0.225+0.05*rng.Float64()))
		}
	}
	return out
}

// A sigmoid head of K classes is K decisions a sample: the NLL is PyTorch's BCEWithLogitsLoss, the mean over all of them.
func TestSigmoidHead(t *testing.T) {
	m := record.Manifest{
		Name: "multi", Classes: []string{"a", "b", "c"}, Head: record.HeadSigmoid, Columns: 3, Splits: []record.SplitInfo{{Name: "train", N: 2}},
	}
	z := []float32{2, -1, 0, 0.5, -3, -2}
	run, _ := runtest.Epochs(t, m, record.Samples{
		IDs: []int64{1, 2}, Labels: []int32{loss.Ignored, loss.Ignored}, Targets: []uint8{1, 0, 1, 0, 0, 1},
	}, map[int][]float32{1: z})
	a := New(run)
	curves, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for i, sign := range []float64{-1, 1, -1, 1, 1, -1} {
		want += math.Log1p(math.Exp(sign*float64(z[i]))) / 6
	}
	got := curves.Epochs[0].Splits["train"]
	if got.N != 2 || !numtest.Near(float64(got.NLL), want, 1e-6) || !numtest.Near(float64(got.Accuracy), 3./6, 1e-12) {
		t.Errorf("n %d, NLL %v, accuracy %v, want 2, %v, 1/2", got.N, got.NLL, got.Accuracy, want)
	}
	if err := a.ReadDecisions(t.Context(), 1, "train", func(d Decisions) error {
		if s := scoreOf(t, d.Part(0, d.Len()), ScoreOptions{}); s.N != 6 || s.Classes != 2 || !numtest.Near(float64(s.Figure("nll")), want, 1e-6) {
			t.Errorf("scored %d of %d classes, NLL %v", s.N, s.Classes, s.Figure("nll"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
