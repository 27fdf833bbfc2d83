package summary

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/spare"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Check returns an error that says what is wrong with b: lengths that do not agree, a label that is no class, or a temperature that is
// not above 0. An accumulator's Add panics when it is given such a batch, so that a program first checks what it read from a file.
func (b Batch) Check() error {
	if err := b.checkShape(); err != nil {
		return err
	}
	for i, label := range b.Labels {
		if (label < 0 || int(label) >= b.Classes()) && label != loss.Ignored {
			return fmt.Errorf("row %d: label %d of %d classes: they count from 0 to %d, and −100 is none", i, label, b.Classes(), b.Classes()-1)
		}
	}
	return nil
}

// checkShape is Check without the labels.
func (b Batch) checkShape() error {
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
	return nil
}

// values returns the number of logits in the batch.
func (b Batch) values() int { return len(b.Logits) + len(b.Wide) }

// Classes returns K: the number of columns, or 2 for a binary head's one column.
func (b Batch) Classes() int { return max(b.Columns, 2) }

func (b Batch) temperature() float64 {
	if b.Temperature == 0 {
		return 1
	}
	return max(b.Temperature, 0x1p-890) // z/T may overflow below; there every p is 0, 1 or that of a tie, as it is for far larger T
}

// blockLogits is the number of logits that are worked on at once, so few that they and their statistics stay in the caches.
const blockLogits = 1 << 13

// Buffers that were used and will be used again: statistics of a block, and a block of a binary head's logits in two columns, in float32
// and in float64.
var (
	spareStats  = make(chan *[]logit.RowStats, 16)
	spareLogits = make(chan *[]float32, 16)
	spareWide   = make(chan *[]float64, 16)
)

// take returns a buffer with room for n values. The caller gives it back with spare.Give.
func take[T any](from chan *[]T, n int) *[]T {
	if room := spare.Take(from); room != nil && cap(*room) >= n {
		return room
	}
	room := make([]T, n)
	return &room
}

// blocks calls use with b's rows, in order, a block at a time. A binary head's single column is given as two, [0, z]. The block is
// overwritten by the next. blocks panics where b's lengths do not agree or its temperature is not above 0.
func (b Batch) blocks(use func(rows Batch)) {
	if err := b.checkShape(); err != nil {
		panic("summary: " + err.Error())
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

// Stats calls use with b's rows and their statistics, in order, a block of rows at a time. rows is the block; a binary head's single
// column is given as two, [0, z]. stats [N] has an entry for each row of the block, as logit.Stats computes it. Both are overwritten by
// the next block. Stats panics where Check finds something wrong.
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

// wideStats is logit.Stats for rows in Wide. Where probabilities were given, PMax and NLL are those of the given probabilities, which
// are not divided by their sum.
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

// asGiven reports whether exp(z) are the probabilities themselves: they were given, and the temperature is 1.
func (b Batch) asGiven() bool { return b.Normal && b.temperature() == 1 }

// UndefinedRows returns the numbers of the first labelled rows without a softmax, at most limit of them, and how many such rows there are.
// It stops when ctx ends, and returns the context's error.
func UndefinedRows(ctx context.Context, rows Rows, limit int) (first []int, n int, err error) {
	type found struct {
		first []int
		n     int
	}
	all, err := FoldRows(ctx, rows, rows.Part(0, 0).Columns, stripes, func() *found { return new(found) }, func(f *found, part Batch) {
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
	if err != nil {
		return nil, 0, err
	}
	return all.first[:min(limit, len(all.first))], all.n, nil
}
