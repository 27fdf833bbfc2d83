package summary

import (
	"cmp"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Bin holds predictions whose probabilities are near one another.
type Bin struct {
	N           int
	Right       int
	Probability float64 // sum of the probabilities

	roundingRest float64 // what rounding took from Probability
}

// gap is |mean probability − share right|.
func (b Bin) gap() float64 {
	return math.Abs(b.Probability+b.roundingRest-float64(b.Right)) / float64(b.N)
}

// Bins holds predictions by their probability in B bins of equal width: bin i is (i/B, (i+1)/B], and what has probability 0 is
// in the first.
type Bins []Bin

// NewBins returns so many bins, of no prediction.
func NewBins(bins int) *Bins {
	b := make(Bins, bins)
	return &b
}

// Add takes the largest probabilities of the rows of a batch in.
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

func (b Bins) settle() {
	for i := range b {
		settle(&b[i].Probability, &b[i].roundingRest)
	}
}

// rounding is how far from an edge the arithmetic of float64 may leave a probability that is on it: as 1 − 1/3 is from 2/3, or the
// mean of many frequencies from what it is in fractions.
const rounding = 0x1p-46

// index returns the bin of a probability p in [0,1], which is on an edge where it is within slack of it.
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
	// The quotient of two whole numbers is rounded to the nearest float64: p = k/n and the edge are equal where they are equal as
	// fractions. An eighth of a bin is never taken for its edge, however coarse p is.
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

// Count takes in a prediction of probability p, which rounding may have moved by slack.
func (b Bins) Count(p, slack float64, right bool) {
	bin := &b[b.index(p, slack)]
	bin.N++
	addTo(&bin.Probability, &bin.roundingRest, p)
	if right {
		bin.Right++
	}
}

// MaxBins is the most that a calibration error is computed with.
const MaxBins = 10_000

// nearEdge is how near an edge float32 does not tell the side.
const nearEdge = 1e-5

// Confidence returns the largest p of row i of b, r being its statistics. Those are within 1e-6; a confidence so near an edge of
// bins that this tells, as the 1/2 of a tie is, is computed anew.
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

// Merge takes other's predictions in. It is an error unless both have as many bins.
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

// ECE is the expected calibration error: the mean over predictions of their bin's gap |mean probability − share right|. C. Guo,
// G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 5. NaN for none.
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

// MCE is the largest gap of a bin that is not empty: the same, equation 6. NaN for none.
func (b Bins) MCE() float64 {
	largest := math.NaN()
	for _, bin := range b {
		if bin.N > 0 && !(bin.gap() <= largest) {
			largest = bin.gap()
		}
	}
	return largest
}

// Debiased is the ECE less what few predictions a bin add to it: with shares right that scatter about the observed ones as a
// normal distribution of variance share·(1 − share)/N, the expected gap exceeds the observed by as much as the observed, about,
// exceeds the true. At least 0. A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019, and the code
// beside it. NaN for none.
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

// ClassBins are the bins of each class's probability, right where the label is the class.
type ClassBins struct {
	K    int
	Bins []Bins // [K], but for the first of each; nil for a class whose probabilities are all there

	// Most probabilities of many classes are in the first bin: of them only the sum is kept, until it is asked for.
	bins     int
	spare    Bins      // for classes to come
	low      []float64 // [K], sums of all probabilities
	rests    []float64 // [K], what rounding took from low
	exact    []float64 // [K], sums of the probabilities of the last rows, at most exactRows of them, which settle adds to low; nil for none
	since    int       // how many rows
	n        int       // rows
	labelled []int     // [K], rows labelled with each class
}

// NewClassBins returns k times the given number of bins, without a row.
func NewClassBins(k, bins int) *ClassBins {
	return &ClassBins{K: k, Bins: make([]Bins, k), bins: bins, low: make([]float64, k), rests: make([]float64, k), labelled: make([]int, k)}
}

// binsOf returns the bins of a class, which it makes where there are none yet.
func (c *ClassBins) binsOf(j int) Bins {
	if c.Bins[j] == nil {
		if len(c.spare) == 0 {
			const together = 64
			c.spare = make(Bins, together*c.bins)
		}
		c.Bins[j], c.spare = c.spare[:c.bins:c.bins], c.spare[c.bins:]
	}
	return c.Bins[j]
}

// Add takes the rows of b in. Probabilities come from float32 vector code, but for those so near an edge of a bin that this
// tells. Panics unless b has the classes of c.
func (c *ClassBins) Add(b Batch) {
	checkSameSize("ClassBins.Add", "classes", c.K, b.Classes())
	b.Stats(c.adder())
	c.settle()
}

func (c *ClassBins) settle() {
	c.addExact()
	for j := range c.low {
		settle(&c.low[j], &c.rests[j])
		c.Bins[j].settle()
	}
}

// fewClasses are so few that their probabilities are looked at one by one.
const fewClasses = 32

// exactRows is of how many rows the sums of probabilities that were rounded by kernel.Grain are exact, in any order.
const exactRows = 1 << 13

// addExact adds the sums of the last rows to those of all.
func (c *ClassBins) addExact() {
	for j, sum := range c.exact {
		addTo(&c.low[j], &c.rests[j], sum)
	}
	clear(c.exact)
	c.since = 0
}

// adder takes in rows whose statistics are known.
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
	none, at := make([]float32, c.K), make([]int32, c.K+kernel.MorePlaces)
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
			if c.since++; c.since > exactRows {
				c.addExact()
				c.since = 1
			}
			kernel.AddSoftmax(c.exact, z, r.Largest, r.PMax, t)
			if r.PMax < first {
				continue
			}
			further := t * math.Log(first/r.PMax)
			least := r.Largest + further - (math.Abs(r.Largest)-further)*nearEdge // rather one too many
			for _, j := range at[:kernel.Above(at, z, none, float32(least))] {
				count(z, int(j), label, r, t)
			}
		}
		if few {
			for j := range c.low {
				addTo(&c.low[j], &c.rests[j], sums[j])
			}
		}
	}
}

// addWide takes in wide rows, whose probabilities are float64's.
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
			if addTo(&c.low[j], &c.rests[j], p); p < first {
				continue
			}
			if bins := c.binsOf(j); bins.index(p, rows.Slack) > 0 {
				bins.Count(p, rows.Slack, j == int(label))
			}
		}
	}
}

// Merge takes other's rows in. It is an error unless both have as many classes and bins.
func (c *ClassBins) Merge(other *ClassBins) error {
	if err := cmp.Or(sameSize("ClassBins.Merge", "classes", c.K, other.K), sameSize("ClassBins.Merge", "bins", c.bins, other.bins)); err != nil {
		return err
	}
	c.n += other.n
	for j := range c.Bins {
		if bins := other.Bins[j]; bins != nil {
			_ = c.binsOf(j).Merge(&bins) // of as many bins
		}
		mergeSum(&c.low[j], &c.rests[j], other.low[j], other.rests[j])
		c.labelled[j] += other.labelled[j]
	}
	return nil
}

// Class returns the bins of a class.
func (c *ClassBins) Class(j int) Bins {
	bins := make(Bins, c.bins)
	copy(bins, c.Bins[j])
	first := Bin{N: c.n, Right: c.labelled[j], Probability: c.low[j], roundingRest: c.rests[j]}
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

// ECE is the mean over classes of the ECE of their probabilities: M. Kull et al., "Beyond temperature scaling: Obtaining
// well-calibrated multiclass probabilities with Dirichlet calibration", NeurIPS 2019, equation 2. NaN where there is no row.
func (c *ClassBins) ECE() float64 {
	sum := 0.0
	for j := range c.K {
		sum += c.Class(j).ECE()
	}
	return sum / float64(c.K)
}
