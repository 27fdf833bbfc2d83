package summary

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/spare"
	"github.com/logitscope/logitscope/loss"
)

// Check returns what is wrong with b: lengths that do not agree, or a label that is no class. Adding such a batch panics.
func (b Batch) Check() error {
	switch {
	case b.Columns < 1:
		return fmt.Errorf("%d columns of logits: want 1 or more", b.Columns)
	case len(b.Logits) != len(b.Labels)*b.Columns:
		return fmt.Errorf("%d logits and %d labels: want rows of %d columns, one a label", len(b.Logits), len(b.Labels), b.Columns)
	case b.Temperature != 0 && !(b.Temperature > 0 && b.Temperature <= math.MaxFloat64):
		return fmt.Errorf("temperature %v: want a finite number above 0", b.Temperature)
	}
	for i, label := range b.Labels {
		if (label < 0 || int(label) >= b.Classes()) && label != loss.Ignored {
			return fmt.Errorf("row %d: label %d of %d classes", i, label, b.Classes())
		}
	}
	return nil
}

// Classes is K: the number of columns, or two for a binary head.
func (b Batch) Classes() int { return max(b.Columns, 2) }

func (b Batch) temperature() float64 {
	if b.Temperature == 0 {
		return 1
	}
	return max(b.Temperature, 0x1p-890) // of less z/T may overflow; every p is 0, 1 or a tie long before
}

// blockLogits is how many logits are worked on at once: they and their statistics stay in the caches.
const blockLogits = 1 << 13

// Rooms of the accumulators.
var (
	spareStats  = make(chan *[]kernel.Stat, 16)
	spareLogits = make(chan *[]float32, 16) // of a binary head, two columns
	spareLogP   = make(chan *[]float32, 16)
)

// take returns room for n values, to be given back.
func take[T any](from chan *[]T, n int) *[]T {
	if room := spare.Take(from); room != nil && cap(*room) >= n {
		return room
	}
	room := make([]T, n)
	return &room
}

// blocks hands b's rows to use, in order, a block at a time, with two columns where b is a binary head's one.
func (b Batch) blocks(use func(rows Batch)) {
	if len(b.Logits) != len(b.Labels)*b.Columns {
		panic(fmt.Sprintf("summary: %v", b.Check()))
	}
	each := max(1, blockLogits/b.Classes())
	var two []float32
	if b.Columns == 1 {
		room := take(spareLogits, 2*each)
		defer spare.Give(spareLogits, room)
		two = (*room)[:2*each]
	}
	for start := 0; start < len(b.Labels); start += each {
		rows := b.Slice(start, min(start+each, len(b.Labels)))
		if b.Columns == 1 {
			for i, z := range rows.Logits {
				two[2*i], two[2*i+1] = 0, z
			}
			rows.Logits, rows.Columns = two[:2*len(rows.Labels)], 2
		}
		use(rows)
	}
}

// Stats hands the statistics of b's rows to use, in order, a block of rows at a time: rows is the block, with two columns
// where b is a binary head's one, and stats [N] what its rows say of themselves and of their labels. Both are overwritten by
// the next block.
func (b Batch) Stats(use func(rows Batch, stats []kernel.Stat)) {
	room := take(spareStats, max(1, blockLogits/b.Classes()))
	defer spare.Give(spareStats, room)
	b.blocks(func(rows Batch) {
		stats := (*room)[:len(rows.Labels)]
		kernel.RowStats(stats, rows.Logits, rows.Columns, rows.Labels, b.temperature())
		use(rows, stats)
	})
}

// UndefinedRows returns the numbers of the first labelled rows that have no softmax, at most limit, and how many there are.
func (b Batch) UndefinedRows(limit int) (first []int, n int) {
	type found struct {
		first []int
		n     int
	}
	all := Fold(b, stripes, func() *found { return new(found) }, func(f *found, part Batch) {
		part.Stats(func(rows Batch, stats []kernel.Stat) {
			for i := range stats {
				if rows.Labels[i] != loss.Ignored && math.IsNaN(stats[i].LSE) {
					if f.n++; len(f.first) < limit {
						f.first = append(f.first, rows.First+i)
					}
				}
			}
		})
	}, func(into, from *found) {
		into.first = append(into.first, from.first...)
		into.n += from.n
	})
	return all.first[:min(limit, len(all.first))], all.n
}
