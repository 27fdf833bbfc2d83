package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
)

// Bin holds predictions whose probabilities are near one another.
type Bin struct {
	N           int
	Right       int
	Probability float64 // sum
}

// gap is |mean probability − share right|.
func (b Bin) gap() float64 {
	return math.Abs(b.Probability-float64(b.Right)) / float64(b.N)
}

// Bins holds predictions by their probability in B bins of equal width: bin i is (i/B, (i+1)/B], and what has probability 0 is
// in the first.
type Bins []Bin

// at returns the bin of a probability p in [0,1].
func (b Bins) at(p float64) int {
	bins := float64(len(b))
	i := max(0, min(int(p*bins), len(b)-1))
	if inside := p*bins - float64(i); inside > 1e-9 && inside < 1-1e-9 {
		return i
	}
	// On an edge, or so near one that the product may be past it.
	for i > 0 && p <= float64(i)/bins {
		i--
	}
	for i < len(b)-1 && p > float64(i+1)/bins {
		i++
	}
	return i
}

// Count takes in a prediction of probability p.
func (b Bins) Count(p float64, right bool) {
	bin := &b[b.at(p)]
	bin.N++
	bin.Probability += p
	if right {
		bin.Right++
	}
}

// MaxBins is the most that a calibration error is computed with.
const MaxBins = 10_000

// nearEdge is how near an edge float32 does not tell the side.
const nearEdge = 1e-5

// addRow takes in the confidence of a row. Statistics of rows are within 1e-6; a confidence so near an edge that this tells, as
// the 1/2 of a tie is, is computed anew.
func (b Bins) addRow(rows *Batch, i int, r *kernel.Stat, temperature float64) {
	p, bins := min(r.PMax, 1), float64(len(b))
	if scaled := p * bins; scaled < bins-0.5 && math.Abs(scaled-math.Round(scaled)) < nearEdge*bins {
		p = 1 / kernel.ExpSum(rows.row(i), float32(r.Largest), temperature)
	}
	b.Count(p, r.Argmax == rows.Labels[i])
}

// Merge takes other's predictions in. Panics unless both have as many bins.
func (b Bins) Merge(other Bins) {
	checkSame("Bins.Merge", "bins", len(b), len(other))
	for i, o := range other {
		if o.N == 0 {
			continue
		}
		b[i].N += o.N
		b[i].Right += o.Right
		b[i].Probability += o.Probability
	}
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
	bins  int
	spare Bins      // for classes to come
	low   []float64 // [K], sums of all probabilities
	n     int       // rows
	of    []int     // [K], rows labelled so
}

// NewClassBins returns k times the given number of bins, without a row.
func NewClassBins(k, bins int) *ClassBins {
	return &ClassBins{K: k, Bins: make([]Bins, k), bins: bins, low: make([]float64, k), of: make([]int, k)}
}

// at returns the bins of a class, to count in.
func (c *ClassBins) at(j int) Bins {
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
	checkSame("ClassBins.Add", "classes", c.K, b.Classes())
	b.Stats(c.adder())
}

// fewClasses are so few that their probabilities are looked at one by one.
const fewClasses = 32

// adder takes in rows whose statistics are known.
func (c *ClassBins) adder() func(rows Batch, stats []kernel.Stat) {
	bins := float64(c.bins)
	first := 1 / bins * (1 - nearEdge)
	count := func(z []float32, j int, label int32, r *kernel.Stat, t float64) {
		p := r.PMax * math.Exp((float64(z[j])-r.Largest)/t)
		if scaled := p * bins; math.Abs(scaled-math.Round(scaled)) < nearEdge*bins {
			p = math.Exp((float64(z[j])-r.Largest)/t) / kernel.ExpSum(z, float32(r.Largest), t)
		}
		if p > 1/bins {
			c.at(j).Count(p, j == int(label))
		}
	}
	none, at := make([]float32, c.K), make([]int32, c.K+kernel.MorePlaces)
	probs := make([]float32, 0, blockLogits)
	return func(rows Batch, stats []kernel.Stat) {
		t := rows.temperature()
		few := c.K < fewClasses
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
			c.of[label]++
			z := rows.row(i)
			if few {
				for j, p := range probs[i*c.K : (i+1)*c.K] {
					if c.low[j] += float64(p); float64(p) >= first {
						count(z, j, label, r, t)
					}
				}
				continue
			}
			kernel.AddSoftmax(c.low, z, r.Largest, r.PMax, t)
			if r.PMax < first {
				continue
			}
			further := t * math.Log(first/r.PMax)
			least := r.Largest + further - (math.Abs(r.Largest)-further)*nearEdge // rather one too many
			for _, j := range at[:kernel.Above(at, z, none, float32(least))] {
				count(z, int(j), label, r, t)
			}
		}
	}
}

// Merge takes other's rows in. Panics unless both have as many classes and bins.
func (c *ClassBins) Merge(other *ClassBins) {
	checkSame("ClassBins.Merge", "classes", c.K, other.K)
	checkSame("ClassBins.Merge", "bins", c.bins, other.bins)
	c.n += other.n
	for j := range c.Bins {
		if bins := other.Bins[j]; bins != nil {
			c.at(j).Merge(bins)
		}
		c.low[j] += other.low[j]
		c.of[j] += other.of[j]
	}
}

// Class returns the bins of a class.
func (c *ClassBins) Class(j int) Bins {
	bins := make(Bins, c.bins)
	copy(bins, c.Bins[j])
	first := Bin{N: c.n, Right: c.of[j], Probability: c.low[j]}
	for _, bin := range bins[1:] {
		first.N -= bin.N
		first.Right -= bin.Right
		first.Probability -= bin.Probability
	}
	first.Probability = max(first.Probability, 0)
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
