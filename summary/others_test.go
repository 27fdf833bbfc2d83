package summary

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/logit"
)

// Rows of many classes are counted value by value as a histogram counts them, those on the edges of bins included, masks too, whether
// edges are even or not.
func TestOthersAreCountedOneByOne(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		k := []int{2, 15, 40, 1000, collected + 100}[rng.IntN(5)]
		n := 1 + 3000/k
		b := Batch{Columns: k, Logits: make([]float32, n*k), Labels: make([]int32, n), Temperature: []float64{1, 0.5, 1.7, 1e50}[rng.IntN(4)]}
		for i := range b.Logits {
			if b.Logits[i] = float32(rng.NormFloat64() * 4); rng.IntN(2) == 0 {
				b.Logits[i] = float32(math.Round(float64(b.Logits[i])))
			}
		}
		for i := range b.Labels {
			b.Labels[i] = int32(rng.IntN(k))
		}
		if seed%4 == 0 {
			b.Logits[rng.IntN(len(b.Logits))] = float32(math.Inf(-1))
		}
		edges := func(low, high float64) []float64 {
			bins := 60
			if seed%7 == 0 {
				bins = 600 // more than vector code counts
			}
			e := Edges(Range{low, high}, bins)
			if seed%5 == 0 {
				e[3] += (e[4] - e[3]) / 3
			}
			return e
		}
		pair := func(edges []float64) Pair { return Pair{NewHistogram(edges), NewHistogram(edges)} }
		of := func() *Quantities {
			return &Quantities{Z: pair(edges(-10, 10)), P: pair(edges(0, 1)), LogP: pair(edges(-20, 0)), NLL: pair(edges(0, 20))}
		}
		got, want := of(), of()
		got.Add(b)
		stats := make([]logit.RowStats, n)
		logit.Stats(stats, b.Logits, k, b.Labels, b.Temperature)
		for i, r := range stats {
			for j, z := range b.row(i) {
				if j == int(b.Labels[i]) || math.IsNaN(r.LSE) {
					continue
				}
				logP := min(float64(z)/b.Temperature-r.LSE, 0)
				want.Z.Other.Add(float64(z))
				want.P.Other.Add(math.Exp(logP))
				want.LogP.Other.Add(logP)
				want.NLL.Other.Add(-logP)
			}
		}
		for i, pair := range [...][2]Pair{{got.Z, want.Z}, {got.P, want.P}, {got.LogP, want.LogP}, {got.NLL, want.NLL}} {
			g, w := pair[0].Other, pair[1].Other
			if g.N != w.N || !slices.Equal(g.Counts, w.Counts) {
				t.Errorf("seed %d, K %d, quantity %d: %d values, %v\nwant %d, %v", seed, k, i, g.N, g.Counts, w.N, w.Counts)
			}
			if !(math.Abs(g.Sum-w.Sum) <= 1e-6*float64(w.N)) && g.Sum != w.Sum {
				t.Errorf("seed %d, K %d, quantity %d: sum %v, want %v", seed, k, i, g.Sum, w.Sum)
			}
		}
	}
}
