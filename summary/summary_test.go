package summary_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// Three samples of three classes, by hand: p of a row (0, 0, log 2) is (1/4, 1/4, 1/2).
func TestScoresByHand(t *testing.T) {
	log2 := float32(math.Log(2))
	s := summary.NewScores()
	s.Add(summary.Batch{
		Logits: []float32{
			0, 0, log2, // right, p = 1/2
			0, log2, 0, // wrong, p = 1/4
			0, 0, 0, // a tie: the lowest class is taken, p = 1/3
			nan, 0, 0, // undefined
			inf, 0, 0, // undefined
			1, 2, 3, // not labelled
		},
		Labels: []int32{2, 0, 0, 0, 0, loss.Ignored}, Columns: 3,
	})
	if s.N != 3 || s.Undefined != 2 || s.Right != 2 {
		t.Errorf("N %d, undefined %d, right %d; want 3, 2, 2", s.N, s.Undefined, s.Right)
	}
	wantNLL := (math.Log(2) + math.Log(4) + math.Log(3)) / 3
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"NLL", s.Mean(s.NLL), wantNLL},
		{"log p", s.Mean(s.LogPTrue), -wantNLL},
		{"p", s.Mean(s.PTrue), (1./2 + 1./4 + 1./3) / 3},
		{"z", s.Mean(s.ZTrue), float64(log2) / 3},
		{"accuracy", s.Accuracy(), 2. / 3},
		{"lowest log p", s.LogP.Low, -math.Log(4)},
		{"highest z", s.Z.High, float64(log2)},
	} {
		if !numtest.Near(c.got, c.want, 1e-7) {
			t.Errorf("%s is %v, want %v", c.name, c.got, c.want)
		}
	}
	if empty := summary.NewScores(); !math.IsNaN(empty.Mean(empty.NLL)) || !math.IsNaN(empty.Accuracy()) {
		t.Error("the mean of no row is not NaN")
	}
}

// A binary head's logit z gives what a softmax head's logits [0, z] give.
func TestBinaryIsTwoLogits(t *testing.T) {
	z, labels := []float32{1, -2, 0, 30, nan}, []int32{1, 1, 0, 0, 1}
	var two []float32
	for _, v := range z {
		two = append(two, 0, v)
	}
	one, other := summary.NewScores(), summary.NewScores()
	one.Add(summary.Batch{Logits: z, Labels: labels, Columns: 1})
	other.Add(summary.Batch{Logits: two, Labels: labels, Columns: 2})
	if *one != *other {
		t.Errorf("one logit gives %+v, two give %+v", *one, *other)
	}
}

func TestMaskedClasses(t *testing.T) {
	s := summary.NewScores()
	s.Add(summary.Batch{Logits: []float32{1, -inf, 1, -inf, -inf, -inf}, Labels: []int32{0, 0}, Columns: 3})
	if s.N != 1 || s.Undefined != 1 || !numtest.Near(s.NLL, math.Log(2), 1e-12) {
		t.Errorf("N %d, undefined %d, NLL %v", s.N, s.Undefined, s.NLL)
	}
	if s.Z.Low != 1 || math.IsInf(s.LogP.Low, 0) {
		t.Errorf("the ranges hold infinities: %v, %v", s.Z, s.LogP)
	}
}

func random(seed uint64) summary.Batch {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := summary.Batch{Columns: 2 + rng.IntN(6)}
	for range 1 + rng.IntN(200) {
		for range b.Columns {
			b.Logits = append(b.Logits, float32(rng.NormFloat64()*5))
		}
		b.Labels = append(b.Labels, int32(rng.IntN(b.Columns)))
	}
	if rng.IntN(2) == 0 {
		b.Logits[rng.IntN(len(b.Logits))] = nan
	}
	return b
}

// split cuts b at random places.
func split(b summary.Batch, rng *rand.Rand) []summary.Batch {
	var parts []summary.Batch
	for start := 0; start < len(b.Labels); {
		end := min(start+1+rng.IntN(50), len(b.Labels))
		parts = append(parts, summary.Batch{Logits: b.Logits[start*b.Columns : end*b.Columns], Labels: b.Labels[start:end], Columns: b.Columns})
		start = end
	}
	return parts
}

// Cut anywhere and merged in any order: counts are the same, sums agree to 1e-12.
func TestMergeInAnyOrder(t *testing.T) {
	for seed := range uint64(100) {
		b, rng := random(seed), rand.New(rand.NewPCG(seed, 1))
		whole, merged := summary.NewScores(), summary.NewScores()
		whole.Add(b)
		parts := split(b, rng)
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		z, logP := whole.Z, whole.LogP
		graphs, mergedGraphs := summary.NewQuantities(z, logP, 20), summary.NewQuantities(z, logP, 20)
		graphs.Add(b)
		for _, part := range parts {
			s, q := summary.NewScores(), summary.NewQuantities(z, logP, 20)
			s.Add(part)
			q.Add(part)
			merged.Merge(s)
			mergedGraphs.Merge(q)
		}
		if merged.N != whole.N || merged.Undefined != whole.Undefined || merged.Right != whole.Right ||
			merged.Z != whole.Z || merged.LogP != whole.LogP {
			t.Errorf("seed %d: merged %+v, whole %+v", seed, *merged, *whole)
		}
		for _, pair := range [][2]float64{{merged.NLL, whole.NLL}, {merged.PTrue, whole.PTrue}, {merged.ZTrue, whole.ZTrue}, {merged.LogPTrue, whole.LogPTrue}} {
			if !numtest.Near(pair[0], pair[1], 1e-12) {
				t.Errorf("seed %d: merged sum %v, whole %v", seed, pair[0], pair[1])
			}
		}
		for i, pair := range [][2]summary.Pair{{graphs.Z, mergedGraphs.Z}, {graphs.P, mergedGraphs.P}, {graphs.LogP, mergedGraphs.LogP}, {graphs.NLL, mergedGraphs.NLL}} {
			k := b.Columns
			if !slices.Equal(pair[0].True.Counts, pair[1].True.Counts) || !slices.Equal(pair[0].Other.Counts, pair[1].Other.Counts) {
				t.Errorf("seed %d: quantity %d: merged counts differ", seed, i)
			}
			if pair[0].True.N != whole.N || pair[0].Other.N != whole.N*(k-1) {
				t.Errorf("seed %d: quantity %d counts %d and %d values of %d rows of %d classes", seed, i, pair[0].True.N, pair[0].Other.N, whole.N, k)
			}
		}
		if !numtest.Near(graphs.NLL.True.Mean(), whole.Mean(whole.NLL), 1e-6) {
			t.Errorf("seed %d: mean NLL of the histogram %v, of the scores %v", seed, graphs.NLL.True.Mean(), whole.Mean(whole.NLL))
		}
	}
}

func TestHistogram(t *testing.T) {
	h := summary.NewHistogram([]float64{0, 1, 2, 3})
	for _, v := range []float64{-5, 0, 0.5, 1, 1.999, 2, 3, 7, math.Inf(-1), math.Inf(1)} {
		h.Add(v)
	}
	if want := []int{4, 2, 4}; !slices.Equal(h.Counts, want) {
		t.Errorf("counts %v, want %v", h.Counts, want)
	}
	if h.N != 10 {
		t.Errorf("N = %d, want 10", h.N)
	}
}

func TestEdges(t *testing.T) {
	for _, c := range []struct {
		r           summary.Range
		bins        int
		first, last float64
	}{
		{summary.Range{Low: 0, High: 1}, 50, 0, 1},
		{summary.Range{Low: -17.3, High: 12.1}, 60, -17.5, 12.5},
		{summary.Range{Low: 5, High: 5}, 10, 4.5, 5.5},
		{summary.Range{Low: math.Inf(1), High: math.Inf(-1)}, 10, -0.5, 0.5},
		{summary.Range{Low: -3e38, High: 3e38}, 60, -3e38, 3e38},
	} {
		edges := summary.Edges(c.r, c.bins)
		if !numtest.Near(edges[0], c.first, 1e-9) || !numtest.Near(edges[len(edges)-1], c.last, 1e-9) {
			t.Errorf("%v: edges from %v to %v, want %v to %v", c.r, edges[0], edges[len(edges)-1], c.first, c.last)
		}
		if n := len(edges) - 1; n < c.bins/3 || n > c.bins+2 {
			t.Errorf("%v: %d bins, asked for about %d", c.r, n, c.bins)
		}
		if !slices.IsSorted(edges) {
			t.Errorf("%v: edges %v do not rise", c.r, edges)
		}
	}
}

// A batch that Check refuses is not counted: Add panics, whichever is wrong.
func TestAddRefusesWhatCheckRefuses(t *testing.T) {
	z := []float32{1, 2, 3}
	for what, b := range map[string]summary.Batch{
		"no columns":           {Logits: z, Labels: []int32{2}},
		"a row too few":        {Logits: z, Labels: []int32{2, 0}, Columns: 3},
		"a label above":        {Logits: z, Labels: []int32{3}, Columns: 3},
		"a label below":        {Logits: z, Labels: []int32{-1}, Columns: 3},
		"a temperature below":  {Logits: z, Labels: []int32{2}, Columns: 3, Temperature: -1},
		"a temperature of NaN": {Logits: z, Labels: []int32{2}, Columns: 3, Temperature: math.NaN()},
		"both precisions":      {Logits: z, Wide: []float64{1, 2, 3}, Labels: []int32{2}, Columns: 3},
	} {
		if b.Check() == nil {
			t.Errorf("%s: Check returns no error", what)
		}
		for _, a := range kinds(3) {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %v.Add does not panic", what, a)
					}
				}()
				a.Add(b)
			}()
		}
	}
}
