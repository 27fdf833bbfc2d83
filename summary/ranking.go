package summary

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// MaxRanked is the largest number of labelled rows that a Ranking keeps unless its Limit is changed.
const MaxRanked = 1 << 25

// Ranking works out the figures that need every row at once: the area under the ROC curve and average precision of each class against the
// rest, and the calibration error over bins with equally many rows.
//
// Up to Limit labelled rows it keeps the rows, and its figures are exact. Beyond, it counts them on a grid of log-odds instead, which
// takes at most 256 MiB whatever the number of rows, and each figure has a bound on its error. Which of the two it does depends on the
// rows and the limit alone, not on how the rows were divided among rankings that were merged.
type Ranking struct {
	Limit int // the largest number of labelled rows that are kept, at 4 bytes a logit, or 8 where they are Wide

	k    int
	rows Batch // the rows that are kept; its Columns are 0 before the first Add
	n    int   // the number of labelled rows in rows
	grid *grid // the counts that are kept in place of rows beyond Limit, else nil

	borrowed Rows       // rows of the caller that are read where they are, in place of rows; nil once others were added, which copies them
	placed   *placement // of the rows that are kept, whose statistics it was given; nil where rows were added since
}

// Estimate is a figure and a bound on its error.
type Estimate struct {
	Value float64
	Bound float64 // the exact figure is within Bound of Value; 0 where Value is exact
}

// Ranks are the figures of a Ranking.
type Ranks struct {
	// AUC is the area under the ROC curve of each class against the rest, averaged over the classes that have rows and do not have all
	// rows. AP is the average precision, averaged likewise. Both are NaN where there is no such class. T. Fawcett, "An introduction to
	// ROC analysis", Pattern Recognition Letters 27, 2006.
	AUC, AP Estimate
	Classes int // the number of classes that AUC and AP are averaged over

	// AdaptiveECE is the expected calibration error over bins that hold equally many rows, in order of confidence: K. Nguyen, B.
	// O'Connor, "Posterior calibration and exploratory analysis for natural language processing models", EMNLP 2015.
	AdaptiveECE Estimate
}

// NewRanking returns a ranking of rows of k classes that keeps at most MaxRanked of them, with no row added yet.
func NewRanking(k int) *Ranking { return &Ranking{Limit: MaxRanked, k: k} }

// Add adds the rows of b. It panics unless b has as many classes as r, and the temperature and kind of the rows added before.
func (r *Ranking) Add(b Batch) {
	if err := b.Check(); err != nil {
		panic("summary: Ranking.Add: " + err.Error())
	}
	checkSameSize("Ranking.Add", "classes", r.k, b.Classes())
	if r.rows.Columns == 0 {
		r.rows = b.like()
	}
	if err := r.rows.alike(b); err != nil {
		panic("summary: Ranking.Add: " + err.Error())
	}
	r.add(b)
}

// add is Add for rows that are known to be of the ranking's kind.
func (r *Ranking) add(b Batch) {
	n := labelled(b)
	if r.grid == nil && r.n+n > r.Limit {
		r.count()
	}
	if r.grid != nil {
		r.grid.add(b)
		return
	}
	if r.borrowed != nil {
		r.eachBorrowed(r.rows.append)
		r.borrowed = nil
	}
	r.rows.append(b)
	r.n, r.placed = r.n+n, nil
}

// eachBorrowed calls use with the borrowed rows, some at a time.
func (r *Ranking) eachBorrowed(use func(Batch)) {
	_ = Parts(context.Background(), r.borrowed, r.rows.Columns, 0, r.borrowed.Len(), func(b Batch) error { // neither this context nor use ends it
		use(b)
		return nil
	})
}

// count counts the kept rows on a grid, and keeps them no longer.
func (r *Ranking) count() {
	r.grid = newGrid(r.rows, r.k)
	if r.borrowed != nil {
		r.eachBorrowed(r.grid.add)
	}
	r.grid.add(r.rows)
	r.rows, r.borrowed, r.n, r.placed = r.rows.like(), nil, 0, nil
}

// labelled returns the number of rows of b that have a label.
func labelled(b Batch) (n int) {
	for _, label := range b.Labels {
		if label != loss.Ignored {
			n++
		}
	}
	return n
}

// like returns a batch without rows, of the same kind as b.
func (b Batch) like() Batch {
	return Batch{Columns: b.Columns, Temperature: b.temperature(), Normal: b.Normal, Slack: b.Slack, wide: b.wide || b.Wide != nil}
}

// alike returns an error unless the rows of two batches are of one kind: as many columns, one temperature, both or neither in float64, and
// both or neither probabilities.
func (b Batch) alike(other Batch) error {
	other.wide = other.wide || other.Wide != nil
	switch {
	case b.Columns != other.Columns:
		return fmt.Errorf("rows of %d columns and of %d: want the same", b.Columns, other.Columns)
	case b.temperature() != other.temperature():
		return fmt.Errorf("temperatures %v and %v: want the same", b.temperature(), other.temperature())
	case (b.wide || b.Wide != nil) != other.wide && len(other.Labels)+len(b.Labels) > 0:
		return errors.New("logits in float32 and in float64: want either")
	case b.Normal != other.Normal || b.Slack != other.Slack:
		return errors.New("logits and probabilities, or of other rounding: want the same")
	}
	return nil
}

// append appends copies of the labelled rows of other.
func (b *Batch) append(other Batch) {
	for i, label := range other.Labels {
		if label == loss.Ignored {
			continue
		}
		b.Labels = append(b.Labels, label)
		if other.Wide != nil {
			b.Wide = append(b.Wide, other.wideOf(i)...)
		} else {
			b.Logits = append(b.Logits, other.row(i)...)
		}
	}
}

// Merge adds other's rows. The lower of the two limits holds from then on. It returns an error, and changes nothing, unless both have as
// many classes and rows of one kind.
func (r *Ranking) Merge(other *Ranking) error {
	if err := sameSize("Ranking.Merge", "classes", r.k, other.k); err != nil {
		return err
	}
	if other.rows.Columns == 0 {
		r.lower(other.Limit)
		return nil
	}
	if r.rows.Columns == 0 {
		r.rows = other.rows.like()
	}
	if err := r.rows.alike(other.rows); err != nil {
		return fmt.Errorf("summary: Ranking.Merge: %w", err)
	}
	r.lower(other.Limit)
	if other.grid != nil {
		if r.grid == nil {
			r.count()
		}
		r.grid.merge(other.grid)
		return nil
	}
	if other.borrowed != nil {
		other.eachBorrowed(r.add)
	}
	r.add(other.rows)
	return nil
}

// lower lowers the limit to limit.
func (r *Ranking) lower(limit int) {
	if r.Limit = min(r.Limit, limit); r.grid == nil && r.n > r.Limit {
		r.count()
	}
}

// Figures works out the figures of all rows, with bins bins of the adaptive ECE. It returns the zero Ranks for a Ranking of TotalsOf whose
// context has ended.
func (r *Ranking) Figures(bins int) Ranks {
	if r.grid != nil {
		return r.grid.figures(bins)
	}
	if r.placed == nil {
		b := r.rows
		b.Columns = max(b.Columns, 1)
		if b.Columns == 1 && r.k != 2 { // no row was added: the columns are not known yet
			b.Columns = r.k
		}
		r.placed = newPlacement(b)
		Fold(b, stripes, func() struct{} { return struct{}{} }, func(_ struct{}, part Batch) { part.Stats(r.placed.addStats) }, func(_, _ struct{}) {})
	}
	p := r.placed
	if p.classes == nil && !p.ended() {
		p.order()
	}
	if p.ended() {
		p.classes = nil // not all are placed
		return Ranks{}
	}
	auc, ap, classes := p.curves()
	return Ranks{AUC: Estimate{Value: auc}, AP: Estimate{Value: ap}, Classes: classes, AdaptiveECE: Estimate{Value: p.adaptiveECE(bins)}}
}

// rankingOf returns a ranking of rows, of which it makes no copy, and a function that must be called with the statistics of every row once.
// Several goroutines may call it at once. countAll must be called after that.
func rankingOf(rows Rows, limit int) (*Ranking, func(rows Batch, stats []logit.RowStats)) {
	kind := rows.Part(0, 0).like()
	r := &Ranking{Limit: limit, k: kind.Classes(), rows: kind, borrowed: rows}
	if rows.Len() > limit {
		r.eachBorrowed(func(b Batch) { r.n += labelled(b) })
	}
	if r.n <= limit {
		r.placed = newPlacement(rows)
		return r, r.placed.addStats
	}
	return r, func(Batch, []logit.RowStats) {}
}

// countAll counts the labelled rows or, where they are too many to be kept, counts the borrowed rows on a grid, on every processor. It stops
// when ctx ends, and returns the context's error.
func (r *Ranking) countAll(ctx context.Context) (err error) {
	if r.placed != nil {
		r.n = labelled(Batch{Labels: r.placed.labels})
		return nil
	}
	const parts = 4 // that many grids are in memory at once
	r.grid, err = FoldRows(ctx, r.borrowed, r.rows.Columns, parts, func() *grid { return newGrid(r.rows, r.k) }, (*grid).add, (*grid).merge)
	r.borrowed, r.n = nil, 0
	return err
}

// code writes or reads the ranking: its kind, and the grid or the labelled rows.
func (r *Ranking) code(c *coder) {
	c.int(&r.k)
	c.int(&r.Limit)
	c.int(&r.rows.Columns)
	c.float(&r.rows.Temperature)
	c.bool(&r.rows.Normal)
	c.float(&r.rows.Slack)
	wide, counted := r.rows.wide || r.rows.Wide != nil, r.grid != nil
	c.bool(&wide)
	c.bool(&counted)
	if c.reading && c.err == nil {
		if r.k < 2 || r.k > maxClasses || r.rows.Columns != 0 && r.rows.Classes() != r.k || r.rows.Columns > maxClasses ||
			r.rows.Columns > 0 && !(r.rows.Temperature > 0 && r.rows.Temperature <= math.MaxFloat64) || r.rows.Columns == 0 && (counted || wide) || !(r.rows.Slack >= 0 && r.rows.Slack <= 1) {
			c.damaged("a ranking of %d classes and %d columns", r.k, r.rows.Columns)
			return
		}
		r.rows.wide, r.borrowed, r.placed, r.grid = wide, nil, nil, nil
		r.rows.Labels, r.rows.Logits, r.rows.Wide = nil, nil, nil
	}
	if counted {
		if c.reading && c.err == nil {
			r.grid, r.n = emptyGrid(r.rows, r.k), 0
		}
		if c.err == nil {
			r.grid.code(c)
		}
		return
	}
	rows := r.rows
	if !c.reading {
		rows = r.rows.like()
		if rows.append(r.rows); r.borrowed != nil {
			r.eachBorrowed(rows.append)
		}
	}
	width := 4
	if wide {
		width = 8
	}
	slice(c, &rows.Labels, 1+width*rows.Columns, func(label *int32) {
		v := int(*label)
		if c.int(&v); c.reading && v >= r.k {
			c.damaged("label %d of %d classes", v, r.k)
		}
		*label = int32(v)
	})
	n := len(rows.Labels) * rows.Columns
	if c.reading && c.err == nil {
		if n > 0 && len(c.in) != n*width {
			c.damaged("%d bytes of logits, want %d", len(c.in), n*width)
			return
		}
		if wide {
			rows.Wide = make([]float64, n)
		} else {
			rows.Logits = make([]float32, n)
		}
	}
	for i := range rows.Wide {
		c.float(&rows.Wide[i])
	}
	for i := range rows.Logits {
		c.float32(&rows.Logits[i])
	}
	if c.reading {
		r.rows, r.n = rows, len(rows.Labels)
		if r.n > r.Limit {
			c.damaged("%d rows are kept, more than the limit of %d", r.n, r.Limit)
		}
	}
}
