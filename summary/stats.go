package summary

import (
	"errors"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/spare"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Check returns what is wrong with b: lengths that do not agree, or a label that is no class. Adding such a batch panics.
func (b Batch) Check() error {
	switch {
	case b.Columns < 1:
		return fmt.Errorf("%d columns of logits: want 1 or more", b.Columns)
	case b.Wide != nil && b.Logits != nil:
		return errors.New("logits both in float32 and in float64: want either")
	case b.values() != len(b.Labels)*b.Columns:
		return fmt.Errorf("%d logits and %d labels: want rows of %d columns, one a label", b.values(), len(b.Labels), b.Columns)
	case b.Temperature != 0 && !(b.Temperature > 0 && b.Temperature <= math.MaxFloat64):
		return fmt.Errorf("temperature %v: want a finite number above 0", b.Temperature)
	}
	for i, label := range b.Labels {
		if (label < 0 || int(label) >= b.Classes()) && label != loss.Ignored {
			return fmt.Errorf("row %d: label %d of %d classes: they count from 0 to %d, and −100 is none", i, label, b.Classes(), b.Classes()-1)
		}
	}
	return nil
}

// values returns how many logits the batch has.
func (b Batch) values() int { return len(b.Logits) + len(b.Wide) }

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
	spareStats  = make(chan *[]logit.RowStats, 16)
	spareLogits = make(chan *[]float32, 16) // of a binary head, two columns
	spareWide   = make(chan *[]float64, 16)
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
	if b.values() != len(b.Labels)*b.Columns {
		panic(fmt.Sprintf("summary: %v", b.Check()))
	}
	each := max(1, blockLogits/b.Classes())
	var two []float32
	var wide []float64
	switch {
	case b.Columns > 1:
	case b.Wide != nil:
		room := take(spareWide, 2*each)
		defer spare.Give(spareWide, room)
		wide = *room
	default:
		room := take(spareLogits, 2*each)
		defer spare.Give(spareLogits, room)
		two = *room
	}
	for start := 0; start < len(b.Labels); start += each {
		rows := b.Slice(start, min(start+each, len(b.Labels)))
		switch {
		case wide != nil:
			rows.Wide, rows.Columns = twoColumns(wide, rows.Wide), 2
		case two != nil:
			rows.Logits, rows.Columns = twoColumns(two, rows.Logits), 2
		}
		use(rows)
	}
}

// twoColumns writes [0, z] for each logit z to dst and returns what it wrote.
func twoColumns[T kernel.Float](dst, logits []T) []T {
	for i, z := range logits {
		dst[2*i], dst[2*i+1] = 0, z
	}
	return dst[:2*len(logits)]
}

// Stats hands the statistics of b's rows to use, in order, a block of rows at a time: rows is the block, with two columns
// where b is a binary head's one, and stats [N] what its rows say of themselves and of their labels. Both are overwritten by
// the next block.
func (b Batch) Stats(use func(rows Batch, stats []logit.RowStats)) {
	room := take(spareStats, max(1, blockLogits/b.Classes()))
	defer spare.Give(spareStats, room)
	b.blocks(func(rows Batch) {
		stats := (*room)[:len(rows.Labels)]
		if rows.Wide != nil {
			rows.wideStats(stats)
		} else {
			logit.Stats(stats, rows.Logits, rows.Columns, rows.Labels, b.temperature())
		}
		use(rows, stats)
	})
}

// wideStats is logit.Stats of wide rows. What was given as p is not divided by its sum, which is 1 but for rounding.
func (b Batch) wideStats(stats []logit.RowStats) {
	logit.Stats(stats, b.Wide, b.Columns, b.Labels, b.temperature())
	if !b.asGiven() {
		return
	}
	for i := range stats {
		r := &stats[i]
		if r.PMax = math.Exp(r.Largest); b.Labels[i] != loss.Ignored {
			r.NLL = max(0, -r.True)
		}
	}
}

// asGiven reports whether exp(z) are the probabilities: they were given, and no temperature changes them.
func (b Batch) asGiven() bool { return b.Normal && b.temperature() == 1 }

// UndefinedRows returns the numbers of the first labelled rows that have no softmax, at most limit, and how many there are.
func (b Batch) UndefinedRows(limit int) (first []int, n int) {
	type found struct {
		first []int
		n     int
	}
	all := Fold(b, stripes, func() *found { return new(found) }, func(f *found, part Batch) {
		part.Stats(func(rows Batch, stats []logit.RowStats) {
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
