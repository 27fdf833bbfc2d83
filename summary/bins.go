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
	last := len(b) - 1
	i := min(max(int(math.Ceil(p*float64(last+1)))-1, 0), last)
	// The product may round past an edge.
	if i > 0 && p <= float64(i)/float64(last+1) {
		i--
	} else if i < last && p > float64(i+1)/float64(last+1) {
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

// nearEdge is how near an edge float32 does not tell the side.
const nearEdge = 1e-5

// addRow takes in the confidence of a row. Statistics of rows are within 1e-6; a confidence so near an edge that this tells, as
// the 1/2 of a tie is, is computed anew.
func (b Bins) addRow(rows *Batch, i int, r *kernel.Stat, temperature float64) {
	p, bins := min(r.PMax, 1), float64(len(b))
	if scaled := p * bins; scaled < bins-0.5 && math.Abs(scaled-math.Round(scaled)) < nearEdge*bins {
		_, sum := sumOfRow(rows.Logits[i*rows.Columns:(i+1)*rows.Columns], temperature)
		p = 1 / sum
	}
	b.Count(p, r.Argmax == rows.Labels[i])
}

// Merge takes other's predictions in; both have as many bins.
func (b Bins) Merge(other Bins) {
	for i, o := range other {
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
	Bins []Bins // [K]

	// Most probabilities of many classes are in the first bin: of them only the sum is kept, until it is asked for.
	low []float64 // [K], sums of all probabilities
	n   int       // rows
	of  []int     // [K], rows labelled so
}

// NewClassBins returns k times the given number of bins, without a row.
func NewClassBins(k, bins int) *ClassBins {
	c := &ClassBins{K: k, Bins: make([]Bins, k), low: make([]float64, k), of: make([]int, k)}
	all := make(Bins, k*bins)
	for j := range c.Bins {
		c.Bins[j] = all[j*bins : (j+1)*bins : (j+1)*bins]
	}
	return c
}

// Add takes the rows of b in. Probabilities come from float32 vector code, but for those so near an edge of a bin that this
// tells.
func (c *ClassBins) Add(b Batch) {
	b.blocks(func(rows Batch) {
		k, bins, t := rows.Columns, len(c.Bins[0]), b.temperature()
		p := make([]float32, len(rows.Logits))
		kernel.Softmax(p, rows.Logits, k, t)
		first := float32(1/float64(bins)) * (1 - nearEdge)
		for i, label := range rows.Labels {
			row := p[i*k : (i+1)*k]
			if label == loss.Ignored || row[0] != row[0] {
				continue
			}
			c.n++
			c.of[label]++
			low := c.low[:len(row)]
			for j, v := range row {
				low[j] += float64(v)
				if v < first {
					continue
				}
				p := float64(v)
				if scaled := p * float64(bins); math.Abs(scaled-math.Round(scaled)) < nearEdge*float64(bins) {
					z := rows.Logits[i*k : (i+1)*k]
					largest, sum := sumOfRow(z, t)
					p = math.Exp((float64(z[j])-largest)/t) / sum
				}
				if p > 1/float64(bins) {
					c.Bins[j].Count(p, j == int(label))
				}
			}
		}
	})
}

// Merge takes other's rows in.
func (c *ClassBins) Merge(other *ClassBins) {
	c.n += other.n
	for j := range c.Bins {
		c.Bins[j].Merge(other.Bins[j])
		c.low[j] += other.low[j]
		c.of[j] += other.of[j]
	}
}

// Class returns the bins of a class.
func (c *ClassBins) Class(j int) Bins {
	bins := append(Bins(nil), c.Bins[j]...)
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

// sumOfRow returns the largest logit of a row and the sum of exp((z − largest)/temperature) over it, in float64; NaN where the row
// has no softmax. The sum is compensated (D. Knuth, "The Art of Computer Programming" 2, 4.2.2, theorem B), so that rows of the same
// logits have the same sum whatever the order of the classes, and equal probabilities are ties.
func sumOfRow(z []float32, temperature float64) (largest, sum float64) {
	top := z[0]
	for _, v := range z {
		if v > top {
			top = v
		}
	}
	largest = float64(top)
	var sums, lost [4]float64
	for j, v := range z {
		e := math.Exp((float64(v) - largest) / temperature)
		// What the sum loses of e, or of itself. Four sums side by side do not wait for one another.
		lane := j & 3
		next := sums[lane] + e
		kept := next - sums[lane]
		lost[lane] += (sums[lane] - (next - kept)) + (e - kept)
		sums[lane] = next
	}
	rest := 0.0
	for lane, s := range sums {
		next := sum + s
		kept := next - sum
		rest += (sum - (next - kept)) + (s - kept) + lost[lane]
		sum = next
	}
	return largest, sum + rest
}
