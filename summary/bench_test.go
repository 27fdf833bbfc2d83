package summary

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/logitscope/logitscope/logit"
)

// BenchmarkStatistics times each accumulator on every processor; the bytes are those of the logits. bench/accumulators.py sets the
// figures beside what memory gives.
func BenchmarkStatistics(b *testing.B) {
	for _, shape := range [][2]int{{1_000_000, 10}, {50_000, 1000}, {8192, 32_000}} {
		n, k := shape[0], shape[1]
		batch := made(n, k)
		for _, accumulator := range []struct {
			name string
			of   func()
		}{
			{"scores", func() {
				_, _ = Count(batch, NewScores)
			}},
			{"table", func() { TableOf(batch, 15, nil) }},
			{"quantities", func() {
				QuantitiesOf(batch, Range{-12, 16}, Range{-30, 0}, 60)
			}},
			{"score", func() {
				r := newPlacement(batch)
				TableOf(batch, 15, r.addStats)
				r.order()
			}},
			{"at_once", func() { Fold(batch, 2, newEverything(k), (*everything).add, (*everything).merge) }},
		} {
			b.Run(fmt.Sprintf("%dx%d/%s", n, k, accumulator.name), func(b *testing.B) {
				b.SetBytes(int64(4 * n * k))
				for b.Loop() {
					accumulator.of()
				}
			})
		}
	}
}

// everything is all accumulators but the ranking, fed in one read.
type everything struct {
	table      *Table
	bins       *ClassBins
	quantities *Quantities
}

func newEverything(k int) func() *everything {
	return func() *everything {
		return &everything{NewTable(k, 15), NewClassBins(k, 15), NewQuantities(Range{-12, 16}, Range{-30, 0}, 60)}
	}
}

func (e *everything) add(b Batch) {
	others, addBins := newOthers(e.quantities, b.Columns), e.bins.adder()
	b.Stats(func(rows Batch, stats []logit.RowStats) {
		e.table.addStats(rows, stats)
		addBins(rows, stats)
		e.quantities.addStats(rows, stats, others)
	})
	others.count()
}

func (e *everything) merge(from *everything) {
	if err := cmp.Or(e.table.Merge(from.table), e.bins.Merge(from.bins), e.quantities.Merge(from.quantities)); err != nil {
		panic(err)
	}
}

// made returns logits of which those of the labels are larger; the rest repeat after a prime number of them.
func made(n, k int) Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	batch := Batch{Logits: make([]float32, n*k), Labels: make([]int32, n), Columns: k}
	const distinct = 1_000_003
	for i := range batch.Logits {
		if i < distinct {
			batch.Logits[i] = float32(rng.NormFloat64() * 2)
		} else {
			batch.Logits[i] = batch.Logits[i-distinct]
		}
	}
	for i := range batch.Labels {
		batch.Labels[i] = int32(rng.IntN(k))
		batch.Logits[i*k+int(batch.Labels[i])] += 4
	}
	return batch
}
