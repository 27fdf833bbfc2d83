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
	t := &Table{Scores: *NewScores(), Classes: make(Classes, k), Bins: make(Bins, bins)}
	if k <= MaxConfusion {
		t.Confusion = NewConfusion(k)
	}
	return t
}

// Add takes the rows of b in.
func (t *Table) Add(b Batch) {
	temperature := b.temperature()
	b.Stats(func(rows Batch, stats []kernel.Stat) {
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
	})
}

// Merge takes other's rows in; both have the same classes and bins.
func (t *Table) Merge(other *Table) {
	t.Scores.Merge(&other.Scores)
	t.Classes.Merge(other.Classes)
	t.Bins.Merge(other.Bins)
	if t.Confusion != nil {
		t.Confusion.Merge(other.Confusion)
	}
}

// TableOf returns the table of b's rows, computed on every processor.
func TableOf(b Batch, bins int) *Table {
	k := b.Classes()
	// The stripes count the same confusion: K² numbers each would cost more than the rows.
	confusion := NewTable(k, bins).Confusion
	// Their classes together stay within 64 MiB.
	parts := max(1, min(stripes, 64<<20/(40*k)))
	return Fold(b, parts, func() *Table {
		return &Table{Scores: *NewScores(), Classes: make(Classes, k), Bins: make(Bins, bins), Confusion: confusion}
	}, (*Table).Add, func(into, from *Table) {
		into.Scores.Merge(&from.Scores)
		into.Classes.Merge(from.Classes)
		into.Bins.Merge(from.Bins)
	})
}

// ClassBinsOf returns the bins of each class's probability over b's rows, computed on every processor.
func ClassBinsOf(b Batch, bins int) *ClassBins {
	k := b.Classes()
	// The stripes' bins together stay within 64 MiB.
	parts := max(1, min(stripes, 64<<20/(24*k*bins)))
	return Fold(b, parts, func() *ClassBins { return NewClassBins(k, bins) }, (*ClassBins).Add, (*ClassBins).Merge)
}
