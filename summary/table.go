package summary

import (
	"cmp"
	"context"
	"errors"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// MaxConfusion is the largest number of classes for which a Table has a Confusion.
const MaxConfusion = 1000

// Table is what one pass over rows counts: sums over the rows, counts of each class, bins of confidence, and the confusion of classes.
type Table struct {
	Scores    Scores
	Classes   Classes
	Bins      Bins       // of each row's largest probability
	Confusion *Confusion // nil for more than MaxConfusion classes
}

// NewTable returns a table for rows of k classes, with no row counted yet, and with so many bins of confidence.
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

// Add counts the rows of b. It panics unless b has as many classes as the table.
func (t *Table) Add(b Batch) {
	checkSameSize("Table.Add", "classes", len(t.Classes), b.Classes())
	b.Stats(t.addStats)
	t.settle()
}

// settle rounds every sum, after the last of some rows was added.
func (t *Table) settle() {
	t.Scores.settle()
	t.Classes.settle()
	t.Bins.settle()
}

// addStats counts rows whose statistics are known. The caller calls settle after the last.
func (t *Table) addStats(rows Batch, stats []logit.RowStats) {
	temperature := rows.temperature()
	for i := range stats {
		label, r := int(rows.Labels[i]), &stats[i]
		if label == loss.Ignored || !t.Scores.add(r, label, temperature) {
			continue
		}
		t.Classes.add(r, label)
		t.Bins.Count(rows.Confidence(i, r, len(t.Bins)), rows.Slack, int(r.Argmax) == label)
		if t.Confusion != nil {
			t.Confusion.add(r, label)
		}
	}
}

// alike returns an error unless both tables have as many classes and bins, and either both or neither has a Confusion.
func (t *Table) alike(other *Table) error {
	err := cmp.Or(sameSize("Table.Merge", "classes", len(t.Classes), len(other.Classes)), sameSize("Table.Merge", "bins", len(t.Bins), len(other.Bins)))
	if err == nil && (t.Confusion == nil) != (other.Confusion == nil) {
		err = errors.New("summary: Table.Merge: one table has a confusion, the other has none")
	}
	return err
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both tables have as many classes and bins, and either both
// or neither has a Confusion.
func (t *Table) Merge(other *Table) error {
	if err := t.alike(other); err != nil {
		return err
	}
	err := cmp.Or(t.Scores.Merge(&other.Scores), t.Classes.Merge(&other.Classes), t.Bins.Merge(&other.Bins))
	if t.Confusion != nil {
		err = cmp.Or(err, t.Confusion.Merge(other.Confusion))
	}
	return err
}

// TableOf returns the table of rows and the bins of each class's probability, computed on every processor in one pass. Where also is
// not nil, it is called with every block of rows and its statistics, as Stats calls its function, but by several goroutines at once and
// in no order.
func TableOf(rows Rows, bins int, also func(rows Batch, stats []logit.RowStats)) (*Table, *ClassBins) {
	table, classBins, _ := tableOf(context.Background(), rows, bins, also) // this context never ends
	return table, classBins
}

// tableOf is TableOf, but stops when ctx ends, and returns the context's error.
func tableOf(ctx context.Context, rows Rows, bins int, also func(rows Batch, stats []logit.RowStats)) (*Table, *ClassBins, error) {
	type counted struct {
		table   *Table
		bins    *ClassBins
		addBins func(rows Batch, stats []logit.RowStats) // adds to bins
		places  *pairs
	}
	settle := func(c counted) {
		c.table.settle()
		c.bins.settle()
	}
	columns := rows.Part(0, 0).Columns
	k := max(columns, 2)
	var confusion sharedConfusion
	if k <= MaxConfusion {
		confusion.Confusion = NewConfusion(k)
	}
	// So many parts that the counts of their classes stay within 128 MiB together, and that merging them takes little time beside
	// reading the rows.
	parts := max(1, min(stripes, 128<<20/(k*(48+24*bins)), max(leastParts, rows.Len()/4096)))
	all, err := FoldRows(ctx, rows, columns, parts, func() counted {
		c := counted{table: newTable(k, bins), bins: NewClassBins(k, bins), places: new(pairs)}
		c.addBins = c.bins.adder()
		return c
	}, func(c counted, part Batch) {
		part.Stats(func(rows Batch, stats []logit.RowStats) {
			c.table.addStats(rows, stats)
			c.addBins(rows, stats)
			if confusion.Confusion != nil {
				c.places.add(rows, stats, &confusion)
			}
			if also != nil {
				also(rows, stats)
			}
		})
		if confusion.Confusion != nil {
			c.places.count(&confusion)
		}
	}, func(into, from counted) {
		settle(into)
		settle(from)
		if err := cmp.Or(into.table.Merge(from.table), into.bins.Merge(from.bins)); err != nil {
			panic(err.Error()) // unreachable: all are made with k classes and bins bins
		}
	})
	if err != nil {
		return nil, nil, err
	}
	settle(all)
	all.table.Confusion = confusion.Confusion
	return all.table, all.bins, nil
}
