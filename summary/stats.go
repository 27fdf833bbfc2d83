package summary

import (
	"fmt"
	"math"
	"sync"

	"github.com/logitscope/logitscope/internal/kernel"
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
	return b.Temperature
}

// blockLogits is how many logits are worked on at once: they and their statistics stay in the caches.
const blockLogits = 1 << 13

var spareStats sync.Pool

// Stats hands the statistics of b's rows to use, in order, a block of rows at a time: rows is the block, with two columns
// where b is a binary head's one, and stats [N] what its rows say of themselves and of their labels. Both are overwritten by
// the next block.
func (b Batch) Stats(use func(rows Batch, stats []kernel.Stat)) {
	if len(b.Logits) != len(b.Labels)*b.Columns {
		panic(fmt.Sprintf("summary: Stats: %v", b.Check()))
	}
	k := b.Classes()
	each := max(1, blockLogits/k)
	room, _ := spareStats.Get().(*[]kernel.Stat)
	if room == nil || cap(*room) < each {
		room = &[]kernel.Stat{}
		*room = make([]kernel.Stat, each)
	}
	defer spareStats.Put(room)
	stats := (*room)[:min(each, len(b.Labels))]
	var two []float32
	if b.Columns == 1 {
		two = make([]float32, 2*len(stats))
	}
	for start := 0; start < len(b.Labels); start += each {
		rows := b.Slice(start, min(start+each, len(b.Labels)))
		if b.Columns == 1 {
			for i, z := range rows.Logits {
				two[2*i+1] = z
			}
			rows.Logits, rows.Columns = two[:2*len(rows.Labels)], 2
		}
		block := stats[:len(rows.Labels)]
		kernel.RowStats(block, rows.Logits, k, rows.Labels, b.temperature())
		use(rows, block)
	}
}

// UndefinedRows returns the numbers of the first labelled rows that have no softmax, at most limit, and how many there are.
func (b Batch) UndefinedRows(limit int) (first []int, n int) {
	b.Stats(func(rows Batch, stats []kernel.Stat) {
		for i := range stats {
			if rows.Labels[i] != loss.Ignored && math.IsNaN(stats[i].LSE) {
				if n++; n <= limit {
					first = append(first, rows.First+i)
				}
			}
		}
	})
	return first, n
}
