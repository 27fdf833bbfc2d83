package analysis

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/record"
)

// Change is how the mean NLL of the validation split, or another mean over its samples, moved from one epoch to another. Each sample is compared
// with itself. From is often the epoch with the lowest NLL of many; such a choice makes a rise from there likelier by chance, and Chance takes
// that into account.
type Change struct {
	From    int    `json:"from"`           // the earlier epoch
	To      int    `json:"to"`             // the later epoch
	NLL     Number `json:"nll"`            // the mean at To less the mean at From
	Low     Number `json:"low"`            // the lower end of its 95 % interval
	High    Number `json:"high"`           // the upper end; null, as Low and Chance are, where the logits of the two epochs are not recorded
	Chance  Number `json:"chance"`         // the probability that chance alone moves the mean so far in that direction
	Samples int    `json:"samples"`        // how many samples were compared
	Needed  int    `json:"samples_needed"` // about how many samples would tell such a change from chance; 0 where Samples do, or where it is not known
}

// Constants that decide when a change is told from chance.
const (
	// ByChance is the largest probability of reporting a change where there is none. Both directions and every split together stay under 5 %.
	ByChance = 0.01
	// fewestUnits is the smallest number of sums that a change is judged by, because the spread of fewer is not known.
	fewestUnits = 10
	// A 95 % interval reaches halfInterval standard errors to either side. A change of telling standard errors is told from chance, at the
	// level ByChance, in four of five samples: telling is the normal quantile of 0.99 plus that of 0.8.
	halfInterval, telling = 1.96, 2.326 + 0.842

	maxUnits      = 1024           // the largest number of sums; where there are more samples, several share a sum
	maxRivals     = 32             // the largest number of rival epochs, evenly spaced, that the choice of the best epoch is judged by
	resamples     = 999            // how often samples are drawn anew
	clearlyWorse  = -2.5           // an epoch whose change is below this number of standard errors was no rival
	mostTold      = 10_000_000     // the largest number of samples that Needed gives
	resamplesSeed = 0x6c6f67697473 // the seed of drawing samples anew
)

// BeyondChance reports whether Chance is at most ByChance. It is false for nil.
func (c *Change) BeyondChance() bool { return c != nil && float64(c.Chance) <= ByChance }

// known reports whether the logits of both epochs are recorded, so that they were compared.
func (c *Change) known() bool { return c != nil && !math.IsNaN(float64(c.Chance)) }

// halfWidth returns half the width of the interval.
func (c *Change) halfWidth() float64 { return float64(c.High-c.Low) / 2 }

// sampleSums holds sums of the NLL over samples of one split at one epoch. All decisions on a sample, of which a sigmoid head takes one a class,
// are added to the same sum, because they are not independent.
type sampleSums struct {
	sums    []float64
	counts  []float64 // the number of labelled decisions in each sum
	perUnit int       // the number of decisions on a sample
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

// add adds the NLL of a decision. NaN, for a decision without an NLL, makes the whole sum NaN, which leaves it out of comparisons.
func (u *sampleSums) add(row int, nll float64) {
	at := row / u.perUnit % len(u.sums)
	u.sums[at] += nll
	u.counts[at]++
}

// change compares two epochs by their sums, which units returns for an epoch, nil for none. rivals are the epochs that from was chosen from, nil
// where it was not chosen for its NLL. The result is nil where the two epochs have no sums to compare.
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
		// An NLL cannot fall below 0 but can rise without bound, so few samples may happen to miss one whose NLL rises far. A fall
		// must therefore persist if one more sample rose as far as any sample moved.
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

// furthest returns the largest |d|.
func furthest(d []float64) float64 {
	return max(slices.Max(d), -slices.Min(d))
}

// needed returns about how many samples would tell a change from chance that is t standard errors from 0 over n samples. It is 0 for a t that is
// not above 0.
func needed(n, t float64) int {
	if !(t > 0) {
		return 0
	}
	want := n * telling * telling / (t * t)
	return roundUp(max(want, n+1, fewestUnits))
}

// roundUp rounds a number up to two digits, and to mostTold at most.
func roundUp(v float64) int {
	if !(v < mostTold) {
		return mostTold
	}
	step := math.Pow(10, max(math.Floor(math.Log10(v))-1, 0))
	return int(math.Ceil(v/step) * step)
}

// differences returns the sums of b less those of a, of those sums where both hold the same number of decisions and every decision has a softmax,
// and how many decisions they hold together.
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
	if squares <= 1e-28*n*mean*mean { // the values are all the same, and this is rounding
		return mean, 0
	}
	return mean, math.Sqrt(squares / (n - 1) / n)
}

// tailOfT returns the probability that a variable with Student's t distribution and the given degrees of freedom is at least t, to within 0.0007
// (D. L. Wallace, Annals of Mathematical Statistics 30, 1959).
func tailOfT(t, freedom float64) float64 {
	z := (8*freedom + 1) / (8*freedom + 3) * math.Sqrt(freedom*math.Log1p(t*t/freedom))
	return math.Erfc(math.Copysign(z, t)/math.Sqrt2) / 2
}

// chanceOfLargest returns the probability that the largest of the studentised means of others, each times sign, is at least t where every true
// mean is 0. It finds it by drawing the samples anew, the same samples for all of others, and leaves out epochs that were clearly no rivals
// (P. R. Hansen, "A test for superior predictive ability", Journal of Business & Economic Statistics 23, 2005). Each draw is divided by its own
// standard error, which takes a skewed distribution into account.
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

// thinned returns at most most of the epochs, evenly spaced.
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
