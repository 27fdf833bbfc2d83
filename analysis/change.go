package analysis

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/record"
)

// Change is how the mean NLL of validation moved from one epoch to another, each sample compared with itself. From is often chosen
// for its low NLL, which makes a rise from there likelier by chance: Chance takes that into account.
type Change struct {
	From    int    `json:"from"`
	To      int    `json:"to"`
	NLL     Number `json:"nll"`    // at To less that at From
	Low     Number `json:"low"`    // its 95 % interval
	High    Number `json:"high"`   // null, as Low and Chance, where the logits of both epochs are not recorded
	Chance  Number `json:"chance"` // how often chance alone would move it so far in that direction
	Samples int    `json:"samples"`
	Needed  int    `json:"samples_needed"` // about how many would tell such a change from chance; 0 where these do, or nothing says
}

// What counts as told.
const (
	// ByChance is how often a change may be told where there is none. Two directions and every split together stay under 5 %.
	ByChance = 0.01
	// fewestUnits that anything is told by: a spread over fewer is not known.
	fewestUnits = 10
	// An interval is so many standard errors, and a sample that tells a change in ByChance does so in four of five tries where
	// the change is so many.
	halfInterval, telling = 1.96, 2.326 + 0.842

	maxUnits      = 1024 // sums of samples that are drawn anew; where there are more samples, some share a sum
	maxRivals     = 32   // epochs that the best was chosen from, evenly spaced
	resamples     = 999
	clearlyWorse  = -2.5 // standard errors: such an epoch was no rival
	mostTold      = 10_000_000
	resamplesSeed = 0x6c6f67697473
)

// BeyondChance reports whether a change as large would come about by chance in at most ByChance of all cases. It is false for nil.
func (c *Change) BeyondChance() bool { return c != nil && float64(c.Chance) <= ByChance }

// known reports whether the logits of both epochs were there to compare.
func (c *Change) known() bool { return c != nil && !math.IsNaN(float64(c.Chance)) }

// halfWidth returns half the width of the interval.
func (c *Change) halfWidth() float64 { return float64(c.High-c.Low) / 2 }

// sampleSums holds the sums of the NLL of samples of one split at one epoch. A sample's decisions, of a head with several labels, fall
// into one sum, because they are not independent.
type sampleSums struct {
	sums    []float64
	counts  []float64 // labelled rows in each
	perUnit int       // rows of a sample
}

func newUnits(samples *record.Samples, columns int) *sampleSums {
	u := &sampleSums{perUnit: 1}
	if samples.Targets != nil {
		u.perUnit = columns
	}
	n := min(len(samples.IDs), maxUnits)
	u.sums, u.counts = make([]float64, n), make([]float64, n)
	return u
}

// add takes the NLL of a row; NaN for one that has none, which leaves its whole sum out.
func (u *sampleSums) add(row int, nll float64) {
	at := row / u.perUnit % len(u.sums)
	u.sums[at] += nll
	u.counts[at]++
}

// change compares two epochs; rivals are the epochs that from was chosen from, nil where it was not chosen. It is nil where nothing
// can be compared.
func change(from, to int, units func(epoch int) *sampleSums, rivals []int) *Change {
	a, b := units(from), units(to)
	if a == nil || b == nil || len(a.sums) != len(b.sums) {
		return nil
	}
	d, rows := differences(a, b)
	n := float64(len(d))
	if n == 0 {
		return nil
	}
	mean, deviation := meanAndError(d)
	if mean < 0 {
		// An NLL cannot fall below 0, and rises without bound: what a few samples do not show is one that rises. A fall must
		// outlast one more that rises as far as any has moved.
		_, deviation = meanAndError(append(slices.Clip(d), furthest(d)))
	}
	scale := n / rows // from sums to the mean over rows
	c := &Change{From: from, To: to, NLL: Number(mean * scale), Samples: int(math.Round(rows / float64(a.perUnit)))}
	c.Low, c.High = Number((mean-halfInterval*deviation)*scale), Number((mean+halfInterval*deviation)*scale)
	sign := math.Copysign(1, mean)
	t := sign * mean / deviation
	if mean < 0 {
		t = (-mean*n - furthest(d)) / (n + 1) / deviation
	}
	if deviation == 0 {
		t = math.Inf(1)
		if mean == 0 {
			t = 0
		}
	}
	c.Chance = Number(1)
	if len(d) >= fewestUnits {
		c.Chance = Number(tailOfT(t, n-1))
	}
	if c.BeyondChance() {
		others := [][]float64{d}
		for _, epoch := range thinned(rivals, maxRivals) {
			if r := units(epoch); r != nil && epoch != from && epoch != to && len(r.sums) == len(b.sums) {
				if e, _ := differences(r, b); len(e) == len(d) {
					others = append(others, e)
				}
			}
		}
		c.Chance = max(c.Chance, Number(chanceOfLargest(t, sign, others)))
	}
	if !c.BeyondChance() {
		c.Needed = needed(float64(c.Samples), t)
	}
	return c
}

// furthest is the largest |d|.
func furthest(d []float64) float64 {
	return max(slices.Max(d), -slices.Min(d))
}

// needed is about how many samples tell a change that stands t standard errors from 0 over n samples.
func needed(n, t float64) int {
	if !(t > 0) {
		return 0
	}
	want := n * telling * telling / (t * t)
	return roundUp(max(want, n+1, fewestUnits))
}

// roundUp gives a number two digits.
func roundUp(v float64) int {
	if !(v < mostTold) {
		return mostTold
	}
	step := math.Pow(10, max(math.Floor(math.Log10(v))-1, 0))
	return int(math.Ceil(v/step) * step)
}

// differences are the sums of b less those of a where both have a softmax in every row, and how many rows they hold.
func differences(a, b *sampleSums) (d []float64, rows float64) {
	for i := range a.sums {
		if diff := b.sums[i] - a.sums[i]; a.counts[i] > 0 && a.counts[i] == b.counts[i] && finite(diff) {
			d = append(d, diff)
			rows += a.counts[i]
		}
	}
	return d, rows
}

// meanAndError returns the mean of d and its standard error.
func meanAndError(d []float64) (mean, deviation float64) {
	n := float64(len(d))
	for _, v := range d {
		mean += v
	}
	mean /= n
	squares := 0.0
	for _, v := range d {
		squares += (v - mean) * (v - mean)
	}
	if squares <= 1e-28*n*mean*mean { // rounding of values that are all the same
		return mean, 0
	}
	return mean, math.Sqrt(squares / (n - 1) / n)
}

// tailOfT is the probability that Student's t with so many degrees of freedom is t or more (D. L. Wallace, Annals of Mathematical
// Statistics 30, 1959: within .0007 of it).
func tailOfT(t, freedom float64) float64 {
	z := (8*freedom + 1) / (8*freedom + 3) * math.Sqrt(freedom*math.Log1p(t*t/freedom))
	return math.Erfc(math.Copysign(z, t)/math.Sqrt2) / 2
}

// chanceOfLargest is how often the largest of the studentised means of others, each times sign, is t or more by chance alone: where
// every true mean is 0, found by drawing the samples anew, the same for all (P. R. Hansen, "A test for superior predictive ability",
// Journal of Business & Economic Statistics 23, 2005; studentised draws also see a lopsided distribution). Epochs that were clearly
// no rivals are left out, as there.
func chanceOfLargest(t, sign float64, others [][]float64) float64 {
	if math.IsInf(t, 1) {
		return 0
	}
	n := len(others[0])
	means := make([]float64, 0, len(others))
	rivals := others[:0:0]
	for _, d := range others {
		mean, deviation := meanAndError(d)
		if deviation > 0 && sign*mean/deviation >= clearlyWorse {
			rivals, means = append(rivals, d), append(means, mean)
		}
	}
	reached := make([]bool, resamples)
	parallel.Each(resamples, func(draw int) {
		rng := rand.New(rand.NewPCG(resamplesSeed, uint64(draw)))
		times := make([]float64, n)
		for range n {
			times[rng.IntN(n)]++
		}
		for i, d := range rivals {
			sum, squares := 0.0, 0.0
			for j, w := range times {
				e := d[j] - means[i]
				sum += w * e
				squares += w * e * e
			}
			mean := sum / float64(n)
			variance := (squares/float64(n) - mean*mean) / float64(n-1)
			if variance > 0 && sign*mean >= t*math.Sqrt(variance) {
				reached[draw] = true
				return
			}
		}
	})
	count := 1.0
	for _, r := range reached {
		if r {
			count++
		}
	}
	return count / (resamples + 1)
}

// thinned returns at most so many of the epochs, evenly spaced.
func thinned(epochs []int, most int) []int {
	if len(epochs) <= most {
		return epochs
	}
	kept := make([]int, most)
	for i := range kept {
		kept[i] = epochs[i*len(epochs)/most]
	}
	return kept
}
