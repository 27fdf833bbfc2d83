package summary

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/loss"
)

// MaxRanked is the most rows that a Ranking takes: about 40 bytes each.
const MaxRanked = 1 << 25

// Ranking orders the rows of a split by their probabilities, for the figures that need every row at once: the area under the
// ROC curve and average precision, one class against the rest, and equally filled calibration bins.
type Ranking struct {
	confidence []uint64 // [N], rising: bits of the largest probability, and whether it is right in the lowest
	classes    []ranks  // [K]
	n          int      // labelled rows that have a softmax
}

// ranks are the log p of one class: those of the rows that are labelled so, and where between them the others lie.
type ranks struct {
	own   []float64 // [D] distinct, rising
	times []uint32  // [D], how often
	equal []uint32  // [D], others with just this
	above []uint32  // [D], others with more, and less than the next

	// start[i] is the first of own in part i of their range, of equal width.
	start      []uint32
	low, scale float64
}

// nothing stands for the log of a p that is 0 in float64.
const nothing = -746

// Rank orders the labelled rows of b that have a softmax, on every processor, in float64. It reads the logits twice and keeps a
// few numbers a row, none a class. It panics where there are more rows than MaxRanked.
func Rank(b Batch) *Ranking {
	if len(b.Labels) > MaxRanked {
		panic(fmt.Sprintf("summary: Rank: %d rows, want at most %d", len(b.Labels), MaxRanked))
	}
	none := func() struct{} { return struct{}{} }
	merged := func(_, _ struct{}) {}
	b.First = 0
	k, t := b.Classes(), b.temperature()
	largest, logSum := make([]float32, len(b.Labels)), make([]float64, len(b.Labels)) // of each row; NaN where it takes no part
	own := make([]float64, len(b.Labels))
	confidence := make([]uint64, len(b.Labels))
	Fold(b, stripes, none, func(_ struct{}, part Batch) {
		part.blocks(func(rows Batch) {
			for i, label := range rows.Labels {
				at := rows.First + i
				logSum[at] = math.NaN()
				if label == loss.Ignored {
					continue
				}
				z := rows.Logits[i*k : (i+1)*k]
				top, sum := sumOfRow(z, t)
				largest[at], logSum[at] = float32(top), math.Log(sum)
				own[at] = logP(z[label], largest[at], t, logSum[at])
				confidence[at] = math.Float64bits(1/sum) << 1
				if argmax := slices.Index(z, largest[at]); argmax == int(label) {
					confidence[at]++
				}
			}
		})
	}, merged)

	r := &Ranking{classes: make([]ranks, k), confidence: confidence[:0]}
	of := make([]int, k)
	for i, label := range b.Labels {
		if !math.IsNaN(logSum[i]) {
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
		if !math.IsNaN(logSum[i]) {
			r.classes[label].own = append(r.classes[label].own, own[i])
			r.confidence = append(r.confidence, confidence[i])
		}
	}
	parallel.Each(k+1, func(j int) {
		if j == 0 {
			slices.Sort(r.confidence)
		} else {
			r.classes[j-1].count()
		}
	})

	Fold(b, stripes, none, func(_ struct{}, part Batch) {
		part.blocks(func(rows Batch) {
			for i, label := range rows.Labels {
				at := rows.First + i
				if math.IsNaN(logSum[at]) {
					continue
				}
				top, sum := largest[at], logSum[at]
				for j, z := range rows.Logits[i*k : (i+1)*k] {
					c := &r.classes[j]
					if v := logP(z, top, t, sum); v >= c.low && j != int(label) {
						c.place(v)
					}
				}
			}
		})
	}, merged)
	return r
}

// logP is the log of a class's probability.
func logP(z, largest float32, temperature, logSum float64) float64 {
	return max((float64(z)-float64(largest))/temperature-logSum, nothing)
}

// count sorts what the class has and makes it distinct.
func (c *ranks) count() {
	c.low = math.Inf(1)
	if len(c.own) == 0 {
		return
	}
	slices.Sort(c.own)
	distinct := c.own[:0]
	c.times = make([]uint32, 0, len(c.own))
	for _, v := range c.own {
		if d := len(distinct); d == 0 || v != distinct[d-1] {
			distinct, c.times = append(distinct, v), append(c.times, 0)
		}
		c.times[len(c.times)-1]++
	}
	c.own, c.equal, c.above = distinct, make([]uint32, len(distinct)), make([]uint32, len(distinct))
	c.low = distinct[0]
	parts := len(distinct)
	if width := distinct[parts-1] - c.low; width > 0 {
		c.scale = float64(parts) / width
	}
	c.start = make([]uint32, parts+1)
	part := 0
	for i, v := range distinct {
		for ; part <= c.part(v); part++ {
			c.start[part] = uint32(i)
		}
	}
	for ; part <= parts; part++ {
		c.start[part] = uint32(len(distinct))
	}
}

// part is where in their range v lies, at least low.
func (c *ranks) part(v float64) int {
	return int(min((v-c.low)*c.scale, float64(len(c.start)-2)))
}

// place counts another row's log p, at least low.
func (c *ranks) place(v float64) {
	// The last of own that is at most v is among those of v's part, or the last before them.
	part := c.part(v)
	at, n := int(c.start[part]), int(c.start[part+1]-c.start[part])
	if n == 0 || c.own[at] > v {
		at--
	} else {
		for n > 1 {
			half := n / 2
			if c.own[at+half] <= v {
				at += half
			}
			n -= half
		}
	}
	if c.own[at] == v {
		atomic.AddUint32(&c.equal[at], 1)
	} else {
		atomic.AddUint32(&c.above[at], 1)
	}
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
	gap, gaps := 0.0, 0.0
	bin, end := 0, r.n/bins // the bin that is filled, and where it ends
	for start, next := 0, 0; start < r.n; start = next {
		confidence, right := r.confidence[start]>>1, 0.0
		for next = start; next < r.n && r.confidence[next]>>1 == confidence; next++ {
			right += float64(r.confidence[next] & 1)
		}
		each := math.Float64frombits(confidence) - right/float64(next-start)
		for at := start; at < next; {
			for ; at == end; bin++ {
				gaps += math.Abs(gap)
				gap = 0
				end = (bin + 2) * r.n / bins
			}
			part := min(next, end) - at
			gap += each * float64(part)
			at += part
		}
	}
	return (gaps + math.Abs(gap)) / float64(r.n)
}
