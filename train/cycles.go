package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/splitname"
	"github.com/logitscope/logitscope/loss"
)

// cycle returns the epochs [from, end) of the cycle that an epoch, counted from 0, of all epochs lies in.
func (s Schedule) cycle(epoch, all int) (from, end int) {
	length := max(s.Cycle, 1)
	for from+length <= epoch && from+length < all {
		from += length
		length *= 2
	}
	return from, min(from+length, all)
}

// Cycle is what a cycle of restarts came to on the validation split: its last epoch against that of the cycle before.
type Cycle struct {
	Epochs int     // that it had
	NLL    float64 // at its end
	Gain   float64 // by how much the NLL fell since the end of the cycle before; NaN for the first
	Error  float64 // the standard error of Gain, of the differences sample by sample
	Worth  bool    // another cycle follows, where epochs are left
}

func (c *Cycle) String() string {
	if math.IsNaN(c.Gain) {
		return fmt.Sprintf("%d epochs reach NLL %.4f", c.Epochs, c.NLL)
	}
	return fmt.Sprintf("%d epochs reach NLL %.4f, %.4f ± %.4f less", c.Epochs, c.NLL, c.Gain, c.Error)
}

// leastNLL is what a smaller NLL counts as where a gain is a share of it: below it every sample is right and sure, and a hundredth of
// nothing is nothing.
const leastNLL = 0.01

// cycles decides at the end of each cycle whether another is worth while.
type cycles struct {
	watched int       // index of the split that decides; -1: none, and all epochs are trained
	nll     []float32 // of its samples at the last epoch that was measured
	before  []float32 // at the end of the cycle before; nil in the first
	gain    float64   // of the cycle before; 0 where it is not known
	ended   bool
}

// newCycles follows the validation split where there is one.
func newCycles(c Config, splits []Split) cycles {
	y := cycles{watched: -1}
	if c.Schedule.Schedule == "restarts" && c.MinGain > 0 {
		y.watched = slices.IndexFunc(splits, func(s Split) bool { return s.Name == splitname.Val && s.N() > 0 })
	}
	return y
}

// see looks at the end of an epoch, counted from 1; it returns nil within a cycle. Without labels, as where a sample has several, every
// sample counts.
func (y *cycles) see(epoch int, c Config, labels []int32) *Cycle {
	from, end := c.cycle(epoch-1, c.Epochs)
	if y.watched < 0 || epoch != end {
		return nil
	}
	cycle := &Cycle{Epochs: end - from, Gain: math.NaN(), Error: math.NaN(), Worth: true}
	counts := func(i int) bool { return labels == nil || labels[i] != loss.Ignored }
	n, sum, gain := 0.0, 0.0, 0.0
	for i, v := range y.nll {
		if !counts(i) {
			continue
		}
		n++
		sum += float64(v)
		if y.before != nil {
			gain += float64(y.before[i]) - float64(v)
		}
	}
	cycle.NLL = sum / n
	if y.before != nil {
		cycle.Gain = gain / n
		squares := 0.0
		for i, v := range y.nll {
			if counts(i) {
				d := float64(y.before[i]) - float64(v) - cycle.Gain
				squares += d * d
			}
		}
		cycle.Error = math.Sqrt(squares / (n - 1) / n)
		// The next cycle is expected to gain in the proportion in which this one did to the one before.
		next := cycle.Gain
		if cycle.Gain > 0 && y.gain > cycle.Gain {
			next *= cycle.Gain / y.gain
		}
		// Of one sample the error is not known: NaN, and nothing is worth while.
		cycle.Worth = next > max(cycle.Error, c.MinGain*max(cycle.NLL, leastNLL))
		y.gain = cycle.Gain
	}
	y.before = append(y.before[:0], y.nll...)
	y.ended = !cycle.Worth
	return cycle
}
