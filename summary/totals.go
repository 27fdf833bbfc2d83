package summary

import (
	"cmp"
	"context"

	"github.com/logitscope/logitscope/logit"
)

// Totals hold everything that the figures of `logitscope score` are worked out from, in one accumulator.
type Totals struct {
	Table     *Table
	ClassBins *ClassBins
	Ranking   *Ranking
	Rows      int // the number of all rows, also of those without a label or without a softmax
}

// NewTotals returns totals for rows of k classes, with no row counted yet. bins is the number of bins of confidence, and of each class's
// probability.
func NewTotals(k, bins int) *Totals {
	return &Totals{Table: NewTable(k, bins), ClassBins: NewClassBins(k, bins), Ranking: NewRanking(k)}
}

// TotalsOf returns the totals of rows, computed on every processor. bins is that of NewTotals. The logits are read once here, some rows at a
// time, and once more by Figures of the Ranking, which keeps about 50 bytes of each row and none of its logits: the rows must stay readable
// and must not be changed while the totals are in use.
//
// Where also is not nil, it is called with every block of rows and its statistics, as Stats calls its function, but by several
// goroutines at once and in no order.
//
// TotalsOf stops when ctx ends, and returns the context's error. So does the second reading, in Figures.
func TotalsOf(ctx context.Context, rows Rows, bins int, also func(rows Batch, stats []logit.RowStats)) (*Totals, error) {
	return totalsOf(ctx, rows, bins, MaxRanked, also)
}

func totalsOf(ctx context.Context, rows Rows, bins, limit int, also func(rows Batch, stats []logit.RowStats)) (t *Totals, err error) {
	ranking, rank := rankingOf(rows, limit)
	if ranking.placed != nil {
		ranking.placed.ctx = ctx
	}
	t = &Totals{Ranking: ranking, Rows: rows.Len()}
	t.Table, t.ClassBins, err = tableOf(ctx, rows, bins, func(rows Batch, stats []logit.RowStats) {
		rank(rows, stats)
		if also != nil {
			also(rows, stats)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := ranking.countAll(ctx); err != nil {
		return nil, err
	}
	return t, ctx.Err()
}

// Add counts the rows of b. It panics unless b has as many classes as t, and the temperature and kind of the rows added before.
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

// Merge adds other's counts. It returns an error, and changes nothing, unless both have as many classes and bins, and rows of the same kind.
func (t *Totals) Merge(other *Totals) error {
	if err := sameSize("Totals.Merge", "bins", t.ClassBins.bins, other.ClassBins.bins); err != nil {
		return err
	}
	// Once the first two succeed, the tables and the class bins have equal sizes, and their merges cannot fail.
	if err := t.Table.alike(other.Table); err != nil {
		return err
	}
	if err := t.Ranking.Merge(other.Ranking); err != nil {
		return err
	}
	if err := cmp.Or(t.ClassBins.Merge(other.ClassBins), t.Table.Merge(other.Table)); err != nil {
		return err
	}
	t.Rows += other.Rows
	return nil
}

// Kind returns a batch without rows that says what the added ones had in common: Columns, Temperature, Normal and Slack.
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
