package summary

import (
	"errors"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// MaxRanked is the most labelled rows that a ranking keeps unless it is told otherwise.
const MaxRanked = 1 << 25

// Ranking is for the figures that need every row at once: the area under the ROC curve and average precision, one class against the
// rest, and equally filled calibration bins.
//
// It keeps the rows while they are few, and its figures are exact. Beyond Limit labelled rows it counts them on a grid of log-odds
// instead: at most 256 MiB, whatever the rows, and each figure comes with a bound on how far it is off. Which of the two it is follows from the
// rows and the limit alone, however they were divided.
type Ranking struct {
	Limit int // labelled rows that are kept at most: 4 bytes a logit, 8 where they are Wide

	k    int
	rows Batch // kept; its Columns are 0 until the first are
	n    int   // labelled rows among them
	grid *grid // in place of rows, where there are more

	lent  bool       // rows are the caller's, and must not be changed
	ready *placement // of just these rows, their statistics taken in
}

// Estimate is a figure that is off by Bound at most; 0 for one that is exact.
type Estimate struct{ Value, Bound float64 }

// Ranks are what a Ranking says.
type Ranks struct {
	// The area under the ROC curve and the average precision of each class against the rest, averaged over the classes that have rows
	// and do not have all; NaN where there is none. T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
	AUC, AP Estimate
	Classes int // how many those are

	// The ECE over bins that hold equally many rows, in order of confidence: K. Nguyen, B. O'Connor, "Posterior calibration and
	// exploratory analysis for natural language processing models", EMNLP 2015.
	AdaptiveECE Estimate
}

// NewRanking returns a ranking of k classes, without a row, that keeps MaxRanked at most.
func NewRanking(k int) *Ranking { return &Ranking{Limit: MaxRanked, k: k} }

// Add takes the rows of b in. Panics unless it has as many classes, and the temperature and kind of the rows before.
func (r *Ranking) Add(b Batch) {
	checkSameSize("Ranking.Add", "classes", r.k, b.Classes())
	if r.rows.Columns == 0 {
		r.rows = b.like()
	}
	if err := r.rows.alike(b); err != nil {
		panic("summary: Ranking.Add: " + err.Error())
	}
	r.add(b)
}

func (r *Ranking) add(b Batch) {
	n := labelled(b)
	if r.grid == nil && r.n+n > r.Limit {
		r.count()
	}
	if r.grid != nil {
		r.grid.add(b)
		return
	}
	if r.lent {
		own := r.rows.like()
		own.append(r.rows)
		r.rows, r.lent = own, false
	}
	r.rows.append(b)
	r.n, r.ready = r.n+n, nil
}

// count takes the rows to the grid.
func (r *Ranking) count() {
	r.grid = newGrid(r.rows, r.k)
	r.grid.add(r.rows)
	r.rows, r.n, r.ready = r.rows.like(), 0, nil
}

func labelled(b Batch) (n int) {
	for _, label := range b.Labels {
		if label != loss.Ignored {
			n++
		}
	}
	return n
}

// like is a batch of the kind of b, without a row.
func (b Batch) like() Batch {
	return Batch{Columns: b.Columns, Temperature: b.temperature(), Normal: b.Normal, Slack: b.Slack, wide: b.Wide != nil}
}

// alike returns an error where the rows of two batches are not of one kind.
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

// append copies the labelled rows of other.
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

// Merge takes other's rows in. It is an error unless both have as many classes and rows of one kind. The lower limit holds.
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
	r.add(other.rows)
	return nil
}

func (r *Ranking) lower(limit int) {
	if r.Limit = min(r.Limit, limit); r.grid == nil && r.n > r.Limit {
		r.count()
	}
}

// Figures works out what the ranking says, with so many bins of the ECE. Of TotalsOf's it is nothing where its context has ended.
func (r *Ranking) Figures(bins int) Ranks {
	if r.grid != nil {
		return r.grid.figures(bins)
	}
	if r.ready == nil {
		b := r.rows
		b.Columns = max(b.Columns, 1)
		if b.Columns == 1 && r.k != 2 { // no row was added
			b.Columns = r.k
		}
		r.ready = newPlacement(b)
		Fold(b, stripes, func() struct{} { return struct{}{} }, func(_ struct{}, part Batch) { part.Stats(r.ready.addStats) }, func(_, _ struct{}) {})
	}
	p := r.ready
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

// rankingOf returns a ranking of b's rows, which it reads where they are, and what takes in their statistics: in several goroutines
// at once, and no row twice.
func rankingOf(b Batch, limit int) (*Ranking, func(rows Batch, stats []logit.RowStats)) {
	r := &Ranking{Limit: limit, k: b.Classes(), rows: b, n: labelled(b), lent: true}
	r.rows.First, r.rows.Temperature = 0, b.temperature()
	if r.n <= limit {
		r.ready = newPlacement(r.rows)
		return r, r.ready.addStats
	}
	return r, func(Batch, []logit.RowStats) {}
}

// countAll takes lent rows to the grid on every processor, where they are too many to be kept.
func (r *Ranking) countAll() {
	if r.ready != nil {
		return
	}
	const parts = 4 // grids at once
	grids := make([]*grid, parts)
	n := len(r.rows.Labels)
	parallel.Each(parts, func(i int) {
		grids[i] = newGrid(r.rows, r.k)
		grids[i].add(r.rows.Slice(i*n/parts, (i+1)*n/parts))
	})
	for _, g := range grids[1:] {
		grids[0].merge(g)
	}
	r.grid, r.rows, r.n, r.lent = grids[0], r.rows.like(), 0, false
}

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
		r.rows.wide, r.lent, r.ready, r.grid = wide, false, nil, nil
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
		rows.append(r.rows)
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
