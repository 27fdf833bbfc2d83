package summary

import (
	"cmp"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Bin counts predictions whose probabilities are near one another.
type Bin struct {
	N           int     // the number of predictions
	Right       int     // the number of them that are right
	Probability float64 // the sum of their probabilities

	roundingRest float64 // what rounding took from Probability
}

// gap returns |mean probability − share right|. It is NaN for an empty bin.
func (b Bin) gap() float64 {
	return math.Abs(b.Probability+b.roundingRest-float64(b.Right)) / float64(b.N)
}

// Bins counts predictions by their probability, in B bins of equal width: bin i is (i/B, (i+1)/B], and probability 0 is in the first.
type Bins []Bin

// NewBins returns so many bins, with no prediction counted yet.
func NewBins(bins int) *Bins {
	b := make(Bins, bins)
	return &b
}

// Add counts the largest probability of each row, which is right where the row is labelled with its class.
func (b Bins) Add(rows Batch) {
	rows.Stats(func(rows Batch, stats []logit.RowStats) {
		for i, label := range rows.Labels {
			if r := &stats[i]; label != loss.Ignored && r.LSE == r.LSE {
				b.Count(rows.Confidence(i, r, len(b)), rows.Slack, r.Argmax == label)
			}
		}
	})
	b.settle()
}

// settle rounds every sum, after the last of some predictions was counted.
func (b Bins) settle() {
	for i := range b {
		settle(&b[i].Probability, &b[i].roundingRest)
	}
}

// rounding is how far float64's rounding may move a probability that is on an edge of a bin, as it moves 1 − 1/3 away from 2/3, or the
// mean of many frequencies away from its value in fractions.
const rounding = 0x1p-46

// index returns the bin of a probability p in [0,1]. A p within slack of an edge counts as on the edge.
func (b Bins) index(p, slack float64) int {
	switch {
	case !(p > 0):
		return 0
	case p >= 1:
		return len(b) - 1
	}
	bins := float64(len(b))
	scaled := p * bins
	i := int(scaled)
	// A quotient of two whole numbers is rounded to the nearest float64, so that p = k/n equals the edge where the two fractions are
	// equal. However coarse p is, it is never taken for an edge that is an eighth of a bin away.
	slack = min(max(slack, rounding), 1/(8*bins))
	near := max(slack*bins, 1e-9)
	if inside := scaled - float64(i); inside > near && inside < 1-near {
		return i
	}
	edge := math.Round(scaled)
	if p-edge/bins > slack {
		edge++
	}
	return max(0, min(int(edge)-1, len(b)-1))
}

// Count counts a prediction of probability p, which rounding may have moved by slack.
func (b Bins) Count(p, slack float64, right bool) {
	bin := &b[b.index(p, slack)]
	bin.N++
	addTo(&bin.Probability, &bin.roundingRest, p)
	if right {
		bin.Right++
	}
}

// MaxBins is the largest number of bins that a calibration error is computed with.
const MaxBins = 10_000

// nearEdge is the distance from an edge, relative to the value, within which float32 cannot tell on which side a value lies.
const nearEdge = 1e-5

// Confidence returns the largest p of row i of b, r being the row's statistics, which hold it to within 1e-6. Where that may decide on
// which side of an edge of bins bins it lies, as for the 1/2 of a tie, it is computed anew in float64.
func (b *Batch) Confidence(i int, r *logit.RowStats, bins int) float64 {
	p, n := min(r.PMax, 1), float64(bins)
	if scaled := p * n; scaled < n-0.5 && math.Abs(scaled-math.Round(scaled)) < nearEdge*n {
		switch {
		case b.Wide == nil:
			return 1 / kernel.ExpSum(b.row(i), float32(r.Largest), b.temperature())
		case !b.asGiven():
			return 1 / kernel.ExpSum(b.wideOf(i), r.Largest, b.temperature())
		}
	}
	return p
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have as many bins.
func (b Bins) Merge(other *Bins) error {
	if err := sameSize("Bins.Merge", "bins", len(b), len(*other)); err != nil {
		return err
	}
	for i, o := range *other {
		if o.N == 0 {
			continue
		}
		b[i].N += o.N
		b[i].Right += o.Right
		mergeSum(&b[i].Probability, &b[i].roundingRest, o.Probability, o.roundingRest)
	}
	return nil
}

// ECE returns the expected calibration error: the mean over all predictions of their bin's gap |mean probability − share right|. C. Guo,
// G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 5.
// It is NaN where no prediction was counted.
func (b Bins) ECE() float64 {
	n, sum := 0, 0.0
	for _, bin := range b {
		if bin.N > 0 {
			n += bin.N
			sum += bin.gap() * float64(bin.N)
		}
	}
	return sum / float64(n)
}

// MCE returns the maximum calibration error: the largest gap of a bin that is not empty. It is defined in the same paper, equation 6. It
// is NaN where no prediction was counted.
func (b Bins) MCE() float64 {
	largest := math.NaN()
	for _, bin := range b {
		if bin.N > 0 && !(bin.gap() <= largest) {
			largest = bin.gap()
		}
	}
	return largest
}

// Debiased returns the ECE less an estimate of its bias, which is large where bins have few predictions. If the share right of a bin is
// drawn anew about the observed one, from a normal distribution of variance share·(1 − share)/N, then the expected gap exceeds the
// observed gap by about as much as the observed gap exceeds the true one: that much is taken off. The result is at least 0, and NaN where
// no prediction was counted. A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019, and its code.
func (b Bins) Debiased() float64 {
	n, sum := 0, 0.0
	for _, bin := range b {
		if bin.N == 0 {
			continue
		}
		n += bin.N
		share, gap := float64(bin.Right)/float64(bin.N), bin.gap()
		if sd := math.Sqrt(share * (1 - share) / float64(bin.N)); sd > 0 {
			// The mean of a folded normal distribution.
			expected := sd*math.Sqrt(2/math.Pi)*math.Exp(-gap*gap/(2*sd*sd)) + gap*math.Erf(gap/(sd*math.Sqrt2))
			gap -= expected - gap
		}
		sum += gap * float64(bin.N)
	}
	if n == 0 {
		return math.NaN()
	}
	return max(sum, 0) / float64(n)
}

// ClassBins counts, for each class, the probabilities that rows give it, in bins of equal width. A probability is right where the row is
// labelled with the class.
type ClassBins struct {
	K int // the number of classes

	// Bins [K] are the bins of each class without what is in the first, which Class works out; nil for a class whose probabilities are
	// all in the first bin.
	Bins []Bins

	// With many classes most probabilities are in the first bin. They are not counted there one by one: Class takes the other bins
	// away from these sums of all.
	bins      int       // the number of bins of each class
	spare     Bins      // allocated and not yet in use
	sums      []float64 // [K], the sum of all probabilities of each class
	rests     []float64 // [K], what rounding took from sums
	exact     []float64 // [K], the sums of the last exactRows rows, which are exact and not yet in sums; nil where there were none yet
	exactRows int
	n         int   // the number of rows
	labelled  []int // [K], the number of rows labelled with each class
}

// NewClassBins returns bins bins for each of k classes, with no row counted yet.
func NewClassBins(k, bins int) *ClassBins {
	return &ClassBins{K: k, Bins: make([]Bins, k), bins: bins, sums: make([]float64, k), rests: make([]float64, k), labelled: make([]int, k)}
}

// binsOf returns the bins of class j, which it allocates where there are none yet.
func (c *ClassBins) binsOf(j int) Bins {
	if c.Bins[j] == nil {
		if len(c.spare) == 0 {
			const together = 64 // classes for which memory is allocated at a time
			c.spare = make(Bins, together*c.bins)
		}
		c.Bins[j], c.spare = c.spare[:c.bins:c.bins], c.spare[c.bins:]
	}
	return c.Bins[j]
}

// Add counts the rows of b. Probabilities come from float32 vector code, except those that are so near an edge of a bin that float64 is
// needed to tell the bin. It panics unless b has as many classes as c.
func (c *ClassBins) Add(b Batch) {
	checkSameSize("ClassBins.Add", "classes", c.K, b.Classes())
	b.Stats(c.adder())
	c.settle()
}

// settle rounds every sum, after the last of some rows was added.
func (c *ClassBins) settle() {
	c.addExact()
	for j := range c.sums {
		settle(&c.sums[j], &c.rests[j])
		c.Bins[j].settle()
	}
}

// fewClasses: with fewer classes than this, probabilities are looked at one by one.
const fewClasses = 32

// maxExactRows is the number of rows over which sums of probabilities that are rounded by kernel.Grain are exact,
// whatever the order.
const maxExactRows = 1 << 13

// addExact adds the sums of the last rows to those of all rows.
func (c *ClassBins) addExact() {
	for j, sum := range c.exact {
		addTo(&c.sums[j], &c.rests[j], sum)
	}
	clear(c.exact)
	c.exactRows = 0
}

// adder returns a function that counts rows whose statistics are known, in c. The caller calls settle after the last.
func (c *ClassBins) adder() func(rows Batch, stats []logit.RowStats) {
	bins := float64(c.bins)
	first := 1 / bins * (1 - nearEdge)
	count := func(z []float32, j int, label int32, r *logit.RowStats, t float64) {
		p := r.PMax * math.Exp((float64(z[j])-r.Largest)/t)
		if scaled := p * bins; math.Abs(scaled-math.Round(scaled)) < nearEdge*bins {
			p = math.Exp((float64(z[j])-r.Largest)/t) / kernel.ExpSum(z, float32(r.Largest), t)
		}
		if p > 1/bins+rounding {
			c.binsOf(j).Count(p, 0, j == int(label))
		}
	}
	zeros, reached := make([]float32, c.K), make([]int32, c.K+kernel.MorePlaces)
	probs := make([]float32, 0, blockLogits)
	return func(rows Batch, stats []logit.RowStats) {
		if rows.Wide != nil {
			c.addWide(rows, stats)
			return
		}
		t := rows.temperature()
		few := c.K < fewClasses
		if !few && c.exact == nil {
			c.exact = make([]float64, c.K)
		}
		var sums [fewClasses]float64
		if few {
			probs = probs[:len(rows.Logits)]
			kernel.Softmax(probs, rows.Logits, c.K, t)
		}
		for i, label := range rows.Labels {
			r := &stats[i]
			if label == loss.Ignored || math.IsNaN(r.LSE) {
				continue
			}
			c.n++
			c.labelled[label]++
			z := rows.row(i)
			if few {
				for j, p := range probs[i*c.K : (i+1)*c.K] {
					if sums[j] += (float64(p) + kernel.Grain) - kernel.Grain; float64(p) >= first {
						count(z, j, label, r, t)
					}
				}
				continue
			}
			if c.exactRows++; c.exactRows > maxExactRows {
				c.addExact()
				c.exactRows = 1
			}
			kernel.AddSoftmax(c.exact, z, r.Largest, r.PMax, t)
			if r.PMax < first {
				continue
			}
			further := t * math.Log(first/r.PMax)
			least := r.Largest + further - (math.Abs(r.Largest)-further)*nearEdge // a little too low, so that no class is missed
			for _, j := range reached[:kernel.Above(reached, z, zeros, float32(least))] {
				count(z, int(j), label, r, t)
			}
		}
		if few {
			for j := range c.sums {
				addTo(&c.sums[j], &c.rests[j], sums[j])
			}
		}
	}
}

// addWide counts rows in Wide, whose probabilities are computed in float64.
func (c *ClassBins) addWide(rows Batch, stats []logit.RowStats) {
	t, first := rows.temperature(), (1/float64(c.bins))*(1-nearEdge)
	given := rows.asGiven()
	for i, label := range rows.Labels {
		r := &stats[i]
		if label == loss.Ignored || math.IsNaN(r.LSE) {
			continue
		}
		c.n++
		c.labelled[label]++
		z := rows.wideOf(i)
		scale := 1.0
		if !given {
			scale = 1 / kernel.ExpSum(z, r.Largest, t)
		}
		for j, v := range z {
			p := math.Exp(v)
			if !given {
				p = math.Exp((v-r.Largest)/t) * scale
			}
			if addTo(&c.sums[j], &c.rests[j], p); p < first {
				continue
			}
			if bins := c.binsOf(j); bins.index(p, rows.Slack) > 0 {
				bins.Count(p, rows.Slack, j == int(label))
			}
		}
	}
}

// Merge adds other's counts. It returns an error, and changes nothing, unless both have as many classes and bins.
func (c *ClassBins) Merge(other *ClassBins) error {
	if err := cmp.Or(sameSize("ClassBins.Merge", "classes", c.K, other.K), sameSize("ClassBins.Merge", "bins", c.bins, other.bins)); err != nil {
		return err
	}
	c.n += other.n
	for j := range c.Bins {
		if bins := other.Bins[j]; bins != nil {
			_ = c.binsOf(j).Merge(&bins) // never an error: both have c.bins bins
		}
		mergeSum(&c.sums[j], &c.rests[j], other.sums[j], other.rests[j])
		c.labelled[j] += other.labelled[j]
	}
	return nil
}

// Class returns the bins of class j, the first included.
func (c *ClassBins) Class(j int) Bins {
	bins := make(Bins, c.bins)
	copy(bins, c.Bins[j])
	first := Bin{N: c.n, Right: c.labelled[j], Probability: c.sums[j], roundingRest: c.rests[j]}
	for _, bin := range bins[1:] {
		first.N -= bin.N
		first.Right -= bin.Right
		mergeSum(&first.Probability, &first.roundingRest, -bin.Probability, -bin.roundingRest)
	}
	if first.Probability < 0 {
		first.Probability, first.roundingRest = 0, 0
	}
	bins[0] = first
	return bins
}

// ECE returns the classwise calibration error: the mean over classes of the ECE of each class's probabilities. M. Kull et al., "Beyond
// temperature scaling: Obtaining well-calibrated multiclass probabilities with Dirichlet calibration", NeurIPS 2019, equation 2. It is NaN
// where no row was counted.
func (c *ClassBins) ECE() float64 {
	sum := 0.0
	for j := range c.K {
		sum += c.Class(j).ECE()
	}
	return sum / float64(c.K)
}
