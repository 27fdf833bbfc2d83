package summary

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Histogram counts values in B bins of equal width. Values below the first edge are counted in the first bin and those above the last
// edge in the last bin, so that every value is counted.
type Histogram struct {
	Edges  []float64 // [B+1], ascending in equal steps
	Counts []int     // [B]
	N      int       // the number of values
	Sum    float64   // the sum of the values themselves, not of their bins
}

// NewHistogram returns an empty histogram with the bins between edges, of which there are at least two. It keeps the slice.
func NewHistogram(edges []float64) *Histogram {
	return &Histogram{Edges: edges, Counts: make([]int, len(edges)-1)}
}

// Add counts v. A value on an edge is in the bin above it, and one on the last edge in the last bin.
func (h *Histogram) Add(v float64) {
	bins := newBinning(h.Edges)
	h.Counts[bins.index(v)]++
	h.N++
	h.Sum += v
}

// binning finds the bins of values between edges.
type binning struct {
	edges            []float64
	low, high, scale float64
}

func newBinning(edges []float64) binning {
	last := len(edges) - 1
	return binning{edges, edges[0], edges[last], float64(last) / (edges[last] - edges[0])}
}

// index returns the bin of v.
func (b *binning) index(v float64) int {
	last := len(b.edges) - 2
	switch {
	case v >= b.high:
		return last
	case !(v > b.low):
		return 0
	}
	// Rounding may put what lies on an edge, or next to it, a bin too low or too high.
	bin := min(int((v-b.low)*b.scale), last)
	if v < b.edges[bin] {
		bin--
	} else if v >= b.edges[bin+1] {
		bin++
	}
	return bin
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have the same edges.
func (h *Histogram) Merge(other *Histogram) error {
	if err := h.sameEdges(other); err != nil {
		return err
	}
	h.merge(other)
	return nil
}

func (h *Histogram) merge(other *Histogram) {
	for i, count := range other.Counts {
		h.Counts[i] += count
	}
	h.N += other.N
	h.Sum += other.Sum
}

func (h *Histogram) sameEdges(other *Histogram) error {
	if !slices.Equal(h.Edges, other.Edges) {
		return fmt.Errorf("summary: Histogram.Merge: %d bins from %v to %v, and %d from %v to %v: want the same edges",
			len(h.Counts), h.Edges[0], h.Edges[len(h.Edges)-1], len(other.Counts), other.Edges[0], other.Edges[len(other.Edges)-1])
	}
	return nil
}

// Mean returns the mean of the values. It is NaN where there is none.
func (h *Histogram) Mean() float64 { return h.Sum / float64(h.N) }

// Edges returns the edges of about bins bins that cover r. The edges are round numbers: multiples of 1, 2 or 5 times a power of ten. A
// range that is empty or narrower than 1e-300, such as a single point, is widened to a width of 1.
func Edges(r Range, bins int) []float64 {
	const narrowest = 1e-300 // below it a bin's width may round to 0
	if !(r.High-r.Low > narrowest) {
		middle := 0.0
		if r.Low <= r.High {
			middle = r.Low
		}
		r = Range{middle - 0.5, middle + 0.5}
	}
	factor, exponent := roundStep((r.High - r.Low) / float64(bins))
	// A product or a quotient of whole numbers is the float64 nearest to the round number: 3/10 is 0.3, which 3·0.1 is not.
	edge := func(i float64) float64 { return i * factor * math.Pow10(exponent) }
	if exponent < 0 {
		edge = func(i float64) float64 { return i * factor / math.Pow10(-exponent) }
	}
	first, last := math.Floor(r.Low/edge(1)), math.Ceil(r.High/edge(1))
	edges := make([]float64, 0, int(last-first)+1)
	for i := first; i <= last; i++ {
		edges = append(edges, edge(i))
	}
	return edges
}

// roundStep returns the smallest factor·10^exponent that is at least step, the factor being 1, 2 or 5.
func roundStep(step float64) (factor float64, exponent int) {
	exponent = int(math.Floor(math.Log10(step)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*math.Pow10(exponent) >= step {
			return factor, exponent
		}
	}
	return 1, exponent + 1
}

// Quantities are the histograms of the four graphs: raw logit, softmax, log-softmax and NLL, each of the true class and of the other
// classes. log p is z/T less the row's LSE, and the NLL of a class is its −log p.
type Quantities struct {
	Z, P, LogP, NLL Pair
	Undefined       int // the number of labelled rows without a softmax, which are in no histogram
}

// Pair holds the histograms of one quantity.
type Pair struct {
	True  *Histogram // of the true class: one value a row
	Other *Histogram // of the other classes: K−1 values a row
}

// NewQuantities returns empty histograms of about bins bins each, over the ranges z of the logits and logP of the log-softmax. Those of p
// cover [0, 1], and those of the NLL [0, −logP.Low].
func NewQuantities(z, logP Range, bins int) *Quantities {
	pair := func(r Range) Pair {
		edges := Edges(r, bins)
		return Pair{NewHistogram(edges), NewHistogram(edges)}
	}
	logP.High = 0
	return &Quantities{
		Z: pair(z), P: pair(Range{0, 1}), LogP: pair(logP), NLL: pair(Range{0, -logP.Low}),
	}
}

// Add counts the rows of b, whose logits are in Logits.
func (q *Quantities) Add(b Batch) {
	others := newOthers(q, b.Classes())
	b.Stats(func(rows Batch, stats []logit.RowStats) { q.addStats(rows, stats, others) })
	others.count()
}

// addStats counts rows whose statistics are known. The caller calls others.count after the last.
func (q *Quantities) addStats(rows Batch, stats []logit.RowStats, others *otherClasses) {
	t := rows.temperature()
	for i := range stats {
		label, r := int(rows.Labels[i]), &stats[i]
		switch {
		case label == loss.Ignored:
		case math.IsNaN(r.LSE):
			q.Undefined++
		default:
			q.Z.True.Add(r.True)
			q.P.True.Add(math.Exp(-r.NLL))
			q.LogP.True.Add(-r.NLL)
			q.NLL.True.Add(r.NLL)
			others.add(rows.row(i), label, r.LSE, t)
			q.P.Other.Sum -= math.Expm1(-r.NLL) // the others' p add up to 1 − p of the label
		}
	}
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have the same edges.
func (q *Quantities) Merge(other *Quantities) error {
	into, from := q.histograms(), other.histograms()
	for i, h := range into {
		if err := h.sameEdges(from[i]); err != nil { // all are compared before any is changed
			return err
		}
	}
	q.Undefined += other.Undefined
	for i, h := range into {
		h.merge(from[i])
	}
	return nil
}

func (q *Quantities) histograms() [8]*Histogram {
	return [...]*Histogram{q.Z.True, q.Z.Other, q.P.True, q.P.Other, q.LogP.True, q.LogP.Other, q.NLL.True, q.NLL.Other}
}

// QuantitiesOfRows is QuantitiesOf for rows that are read some at a time; columns is the number of logits in a row. It stops when ctx
// ends, and returns the context's error.
func QuantitiesOfRows(ctx context.Context, rows Rows, columns int, z, logP Range, bins int) (*Quantities, error) {
	fresh := func() *Quantities { return NewQuantities(z, logP, bins) }
	return FoldRows(ctx, rows, columns, stripes, fresh, (*Quantities).Add, func(into, from *Quantities) {
		if err := into.Merge(from); err != nil {
			panic(err.Error()) // unreachable: all are made with the same edges
		}
	})
}

// QuantitiesOf returns the histograms of b's rows, whose logits are in Logits, computed on every processor. z, logP and bins are those
// of NewQuantities.
func QuantitiesOf(b Batch, z, logP Range, bins int) *Quantities {
	q, err := Count(b, func() *Quantities { return NewQuantities(z, logP, bins) })
	if err != nil {
		panic(err.Error()) // unreachable: all are made with the same edges
	}
	return q
}
