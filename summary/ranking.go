package summary

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// MaxRanked is the most rows that a Ranking takes: about 40 bytes each.
const MaxRanked = 1 << 25

// Ranking orders the rows of a split by their probabilities, for the figures that need every row at once: the area under the
// ROC curve and average precision, one class against the rest, and equally filled calibration bins.
type Ranking struct {
	confidence []float64 // [N], of the labelled rows that have a softmax
	right      []bool    // [N]
	classes    []ranks   // [K]
	n          int
}

// ranks are the probabilities of one class: those of the rows that are labelled so, and where between them the others lie.
type ranks struct {
	own   []float64 // [D] distinct, rising
	times []uint32  // [D], how often
	equal []uint32  // [D], others with just this probability
	above []uint32  // [D], others with more, and less than the next
}

// Rank orders the labelled rows of b that have a softmax, on every processor. It reads the logits twice and keeps a few numbers
// a row, none a class. It panics where there are more rows than MaxRanked.
func Rank(b Batch) *Ranking {
	if len(b.Labels) > MaxRanked {
		panic(fmt.Sprintf("summary: Rank: %d rows, want at most %d", len(b.Labels), MaxRanked))
	}
	const stripes = 64
	none := func() struct{} { return struct{}{} }
	merged := func(_, _ struct{}) {}
	b.First = 0
	k := b.Classes()
	pTrue, confidence, right := make([]float64, len(b.Labels)), make([]float64, len(b.Labels)), make([]bool, len(b.Labels))
	for i := range pTrue {
		pTrue[i] = math.NaN()
	}
	Fold(b, stripes, none, func(_ struct{}, part Batch) {
		part.Probabilities(func(i, label int, p []float64) {
			best := 0
			for j, v := range p {
				if v > p[best] {
					best = j
				}
			}
			pTrue[i], confidence[i], right[i] = p[label], p[best], best == label
		})
	}, merged)

	r := &Ranking{confidence: confidence[:0], right: right[:0], classes: make([]ranks, k)}
	of := make([]int, k)
	for i, label := range b.Labels {
		if !math.IsNaN(pTrue[i]) {
			of[label]++
			r.n++
		}
	}
	all, start := make([]float64, r.n), 0
	for j, n := range of {
		r.classes[j].own = all[start : start : start+n]
		start += n
	}
	for i, label := range b.Labels {
		if p := pTrue[i]; !math.IsNaN(p) {
			r.classes[label].own = append(r.classes[label].own, p)
			r.confidence, r.right = append(r.confidence, confidence[i]), append(r.right, right[i])
		}
	}
	each(k, func(j int) { r.classes[j].count() })

	Fold(b, stripes, none, func(_ struct{}, part Batch) {
		part.Probabilities(func(_, label int, p []float64) {
			for j, v := range p {
				if c := &r.classes[j]; len(c.own) > 0 && v >= c.own[0] && j != label {
					c.place(v)
				}
			}
		})
	}, merged)
	return r
}

// count sorts the probabilities and makes them distinct.
func (c *ranks) count() {
	slices.Sort(c.own)
	distinct := c.own[:0]
	c.times = make([]uint32, 0, len(c.own))
	for _, p := range c.own {
		if d := len(distinct); d == 0 || p != distinct[d-1] {
			distinct, c.times = append(distinct, p), append(c.times, 0)
		}
		c.times[len(c.times)-1]++
	}
	c.own, c.equal, c.above = distinct, make([]uint32, len(distinct)), make([]uint32, len(distinct))
}

// place counts another row's probability, at least own[0].
func (c *ranks) place(p float64) {
	// The last of own that is at most p is in own[at:at+n].
	at, n := 0, len(c.own)
	for n > 1 {
		half := n / 2
		if c.own[at+half] <= p {
			at += half
		}
		n -= half
	}
	if c.own[at] == p {
		atomic.AddUint32(&c.equal[at], 1)
	} else {
		atomic.AddUint32(&c.above[at], 1)
	}
}

// each calls do for 0 to n−1 on every processor.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wait.Wait()
}

// figures are the area under the ROC curve and the average precision of a class of a ranking of n rows; not ok where it has no
// row, or every one. A tie of a row of the class with another counts half in the area; average precision is
// Σ (R_i − R_{i−1})·P_i over the distinct probabilities, without interpolation.
func (c *ranks) figures(n int) (auc, ap float64, ok bool) {
	own := 0
	for _, times := range c.times {
		own += int(times)
	}
	if own == 0 || own == n {
		return 0, 0, false
	}
	positives, negatives, over := 0.0, 0.0, 0.0
	others, all := float64(n-own), float64(own)
	for d := len(c.own) - 1; d >= 0; d-- {
		times, equal := float64(c.times[d]), float64(c.equal[d])
		negatives += float64(c.above[d])
		over += times * (others - negatives - equal/2)
		negatives += equal
		positives += times
		ap += times / all * positives / (positives + negatives)
	}
	return over / (all * others), ap, true
}

// Curves returns the area under the ROC curve and the average precision, each class against the rest and averaged over the
// classes that have samples and do not have all, and how many those are; NaN where there is none. T. Fawcett, "An introduction
// to ROC analysis", Pattern Recognition Letters 27, 2006.
func (r *Ranking) Curves() (auc, ap float64, classes int) {
	for j := range r.classes {
		if a, p, ok := r.classes[j].figures(r.n); ok {
			auc += a
			ap += p
			classes++
		}
	}
	return auc / float64(classes), ap / float64(classes), classes
}

// AdaptiveECE is the ECE over bins that hold equally many rows, in order of confidence: bin i of B holds the ranks from iN/B to
// (i+1)N/B, rounded down. Rows of one confidence that a boundary divides have each their average accuracy, so that no order of
// theirs matters. K. Nguyen, B. O'Connor, "Posterior calibration and exploratory analysis for natural language processing
// models", EMNLP 2015. NaN for no row.
func (r *Ranking) AdaptiveECE(bins int) float64 {
	type row struct{ confidence, right float64 }
	rows := make([]row, r.n)
	for i, c := range r.confidence {
		rows[i].confidence = c
		if r.right[i] {
			rows[i].right = 1
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		switch {
		case a.confidence < b.confidence:
			return -1
		case a.confidence > b.confidence:
			return 1
		}
		return 0
	})
	for start, end := 0, 0; start < len(rows); start = end {
		right := 0.0
		for end = start; end < len(rows) && rows[end].confidence == rows[start].confidence; end++ {
			right += rows[end].right
		}
		for i := start; i < end; i++ {
			rows[i].right = right / float64(end-start)
		}
	}
	gaps := 0.0
	for i := range bins {
		gap := 0.0
		for _, row := range rows[i*r.n/bins : (i+1)*r.n/bins] {
			gap += row.confidence - row.right
		}
		gaps += math.Abs(gap)
	}
	return gaps / float64(r.n)
}
