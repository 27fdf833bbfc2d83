package summary

import (
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
)

// MaxConfusion is the most classes whose confusion is counted pair by pair.
const MaxConfusion = 1000

// Table is everything that one pass over a split's rows gives: figures of the rows, of the classes, and of confidences.
type Table struct {
	Scores    Scores
	Classes   Classes
	Bins      Bins       // of the largest probability
	Confusion *Confusion // nil for more than MaxConfusion classes
}

// NewTable returns a table of no row of k classes.
func NewTable(k, bins int) *Table {
	t := newTable(k, bins)
	if k <= MaxConfusion {
		t.Confusion = NewConfusion(k)
	}
	return t
}

// newTable is NewTable without a confusion.
func newTable(k, bins int) *Table {
	return &Table{Scores: *NewScores(), Classes: make(Classes, k), Bins: make(Bins, bins)}
}

// Add takes the rows of b in. Panics unless it has the table's classes.
func (t *Table) Add(b Batch) {
	checkSame("Table.Add", "classes", len(t.Classes), b.Classes())
	b.Stats(t.addStats)
}

func (t *Table) addStats(rows Batch, stats []kernel.Stat) {
	temperature := rows.temperature()
	for i := range stats {
		label, r := int(rows.Labels[i]), &stats[i]
		if label == loss.Ignored || !t.Scores.add(r, label, temperature) {
			continue
		}
		t.Classes.add(r, label)
		t.Bins.addRow(&rows, i, r, temperature)
		if t.Confusion != nil {
			t.Confusion.add(r, label)
		}
	}
}

// Merge takes other's rows in. Panics unless both have as many classes and bins, and both a confusion or neither.
func (t *Table) Merge(other *Table) {
	checkSame("Table.Merge", "classes", len(t.Classes), len(other.Classes))
	checkSame("Table.Merge", "bins", len(t.Bins), len(other.Bins))
	if (t.Confusion == nil) != (other.Confusion == nil) {
		panic("summary: Table.Merge: one table has a confusion, the other has none")
	}
	t.Scores.Merge(&other.Scores)
	t.Classes.Merge(other.Classes)
	t.Bins.Merge(other.Bins)
	if t.Confusion != nil {
		t.Confusion.Merge(other.Confusion)
	}
}

// TableOf returns the table of b's rows and the bins of each class's probability, computed on every processor in one read. Where
// also is not nil it gets every row with its statistics, as from Stats, in several goroutines at once and in no order.
func TableOf(b Batch, bins int, also func(rows Batch, stats []kernel.Stat)) (*Table, *ClassBins) {
	type counted struct {
		table *Table
		bins  *ClassBins
	}
	k := b.Classes()
	var confusion sharedConfusion
	if k <= MaxConfusion {
		confusion.Confusion = NewConfusion(k)
	}
	// What they have of the classes stays within 128 MiB together, and merging it is little beside the rows.
	parts := max(1, min(stripes, 128<<20/(k*(40+24*bins)), max(leastParts, len(b.Labels)/4096)))
	all := Fold(b, parts, func() counted {
		return counted{newTable(k, bins), NewClassBins(k, bins)}
	}, func(c counted, part Batch) {
		addBins, places := c.bins.adder(), pairs{}
		part.Stats(func(rows Batch, stats []kernel.Stat) {
			c.table.addStats(rows, stats)
			addBins(rows, stats)
			if confusion.Confusion != nil {
				places.add(rows, stats, &confusion)
			}
			if also != nil {
				also(rows, stats)
			}
		})
		if confusion.Confusion != nil {
			places.count(&confusion)
		}
	}, func(into, from counted) {
		into.table.Merge(from.table)
		into.bins.Merge(from.bins)
	})
	all.table.Confusion = confusion.Confusion
	return all.table, all.bins
}
