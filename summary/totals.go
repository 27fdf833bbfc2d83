package summary

import (
	"cmp"
	"context"

	"github.com/logitscope/logitscope/logit"
)

// Totals are all that the figures of a score are made of, in one accumulator.
type Totals struct {
	Table     *Table
	ClassBins *ClassBins
	Ranking   *Ranking
	Rows      int // all, also those without a label or a softmax
}

// NewTotals returns the totals of no row of k classes.
func NewTotals(k, bins int) *Totals {
	return &Totals{Table: NewTable(k, bins), ClassBins: NewClassBins(k, bins), Ranking: NewRanking(k)}
}

// TotalsOf returns the totals of b's rows, computed on every processor in two reads. The ranking reads the rows where they are, until
// others are merged with it. Where also is not nil it gets every row with its statistics, as from Stats, in several goroutines at once
// and in no order.
//
// It stops, with the error of ctx, where that ends, and so does the second reading, in Figures of its Ranking.
func TotalsOf(ctx context.Context, b Batch, bins int, also func(rows Batch, stats []logit.RowStats)) (*Totals, error) {
	return totalsOf(ctx, b, bins, MaxRanked, also)
}

func totalsOf(ctx context.Context, b Batch, bins, limit int, also func(rows Batch, stats []logit.RowStats)) (t *Totals, err error) {
	b.First = 0
	ranking, rank := rankingOf(b, limit)
	if ranking.ready != nil {
		ranking.ready.ctx = ctx
	}
	t = &Totals{Ranking: ranking, Rows: len(b.Labels)}
	t.Table, t.ClassBins, err = tableOf(ctx, b, bins, func(rows Batch, stats []logit.RowStats) {
		rank(rows, stats)
		if also != nil {
			also(rows, stats)
		}
	})
	if err != nil {
		return nil, err
	}
	ranking.countAll()
	return t, ctx.Err()
}

// Add takes the rows of b in. Panics unless it has as many classes, and the temperature and kind of the rows before.
func (t *Totals) Add(b Batch) {
	t.Ranking.Add(b)
	addBins := t.ClassBins.adder()
	b.Stats(func(rows Batch, stats []logit.RowStats) {
		t.Table.addStats(rows, stats)
		addBins(rows, stats)
	})
	t.Table.settle()
	t.ClassBins.settle()
	t.Rows += len(b.Labels)
}

// Merge takes other's rows in. It is an error unless both have as many classes and bins, and rows of one kind.
func (t *Totals) Merge(other *Totals) error {
	if err := sameSize("Totals.Merge", "bins", t.ClassBins.bins, other.ClassBins.bins); err != nil {
		return err
	}
	if err := cmp.Or(t.Table.alike(other.Table), t.Ranking.Merge(other.Ranking), t.ClassBins.Merge(other.ClassBins), t.Table.Merge(other.Table)); err != nil {
		return err
	}
	t.Rows += other.Rows
	return nil
}

// Kind returns a batch without a row, of the kind of those that were added: their columns, temperature, and whether they were
// probabilities.
func (t *Totals) Kind() Batch { return t.Ranking.rows.like() }

func (t *Totals) code(c *coder) {
	if c.reading {
		t.Table, t.ClassBins, t.Ranking = new(Table), new(ClassBins), new(Ranking)
	}
	c.int(&t.Rows)
	t.Table.code(c)
	t.ClassBins.code(c)
	t.Ranking.code(c)
	if !c.reading || c.err != nil {
		return
	}
	k, bins, scores := t.Ranking.k, len(t.Table.Bins), &t.Table.Scores
	if len(t.Table.Classes) != k || t.ClassBins.K != k || t.ClassBins.bins != bins {
		c.damaged("totals of %d, %d and %d classes, of %d and %d bins", len(t.Table.Classes), t.ClassBins.K, k, bins, t.ClassBins.bins)
		return
	}
	ranked := t.Ranking.n - scores.Undefined
	if t.Ranking.grid != nil {
		ranked = t.Ranking.grid.n
	}
	if t.ClassBins.n != scores.N || ranked != scores.N || scores.N+scores.Undefined > t.Rows {
		c.damaged("totals of %d rows, %d without a softmax, %d in bins, %d ranked", scores.N, scores.Undefined, t.ClassBins.n, ranked)
	}
}
