package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/splitname"
	"github.com/logitscope/logitscope/loss"
)

// cycle returns the epochs [from, end) of the cycle that epoch lies in. Epochs are counted from 0, and all is their number.
func (s Schedule) cycle(epoch, all int) (from, end int) {
	length := max(s.Cycle, 1)
	for from+length <= epoch && from+length < all {
		from += length
		length *= 2
	}
	return from, min(from+length, all)
}

// Cycle is the result of a cycle of the schedule restarts on the validation split: its last epoch compared with that of the cycle before.
type Cycle struct {
	Epochs int     // the number of its epochs
	NLL    float64 // the mean NLL at its end
	Gain   float64 // by how much the mean NLL fell since the end of the cycle before; NaN for the first cycle
	Error  float64 // the standard error of Gain, from the differences of each sample's NLL; NaN for the first cycle
	Worth  bool    // whether another cycle is worth training, if epochs are left
}

// String returns the result as a sentence without a full stop.
func (c *Cycle) String() string {
	if math.IsNaN(c.Gain) {
		return fmt.Sprintf("%d epochs reach NLL %.4f", c.Epochs, c.NLL)
	}
	return fmt.Sprintf("%d epochs reach NLL %.4f, %.4f ± %.4f less", c.Epochs, c.NLL, c.Gain, c.Error)
}

// leastNLL takes the place of a smaller NLL where MinGain is a share of it. At such an NLL nearly every sample is right and sure, and a
// share of it would be no gain at all.
const leastNLL = 0.01

// cycles decides at the end of each cycle whether another is worth training.
type cycles struct {
	decidingSplit int       // the index of the split that decides; -1 where none does and all epochs are trained
	nll           []float32 // the NLL of each of its samples at the last epoch that was measured
	before        []float32 // the same at the end of the cycle before; nil in the first cycle
	gain          float64   // the Gain of the cycle before; 0 where it is not known
	ended         bool      // whether training ends
}

// newCycles returns the cycles of a configuration: the validation split decides, where there is one.
func newCycles(c Config, splits []Split) cycles {
	y := cycles{decidingSplit: -1}
	if c.Schedule.Schedule == "restarts" && c.MinGain > 0 {
		y.decidingSplit = slices.IndexFunc(splits, func(s Split) bool { return s.Name == splitname.Val && s.N() > 0 })
	}
	return y
}

// endEpoch decides at the end of an epoch, counted from 1. It returns nil for one that does not end a cycle. labels are those of the
// deciding split, of which the Ignored ones do not count; where it is nil, as for a sigmoid head, every sample counts.
func (y *cycles) endEpoch(epoch int, c Config, labels []int32) *Cycle {
	from, end := c.cycle(epoch-1, c.Epochs)
	if y.decidingSplit < 0 || epoch != end {
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
		// If the gain of this cycle was a share of the one before, the gain of the next is expected to be the same share of this one.
		next := cycle.Gain
		if cycle.Gain > 0 && y.gain > cycle.Gain {
			next *= cycle.Gain / y.gain
		}
		// With a single sample the error is NaN, and no further cycle is worth training.
		cycle.Worth = next > max(cycle.Error, c.MinGain*max(cycle.NLL, leastNLL))
		y.gain = cycle.Gain
	}
	y.before = append(y.before[:0], y.nll...)
	y.ended = !cycle.Worth
	return cycle
}
