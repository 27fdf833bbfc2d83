package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/nn"
)

// RateRange is the result of a learning rate range test, which takes one step at each of rising learning rates, beginning with an untrained
// network. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3.
type RateRange struct {
	Rates     []float64 `json:"rates"`     // the learning rate of each step
	Losses    []float64 `json:"losses"`    // the loss of each step's batch, before the step
	Smoothed  []float64 `json:"smoothed"`  // the exponential moving average of Losses, corrected for its start
	Suggested float64   `json:"suggested"` // the rate at which Smoothed falls fastest by the logarithm of the rate; 0 where it never falls
	Diverged  float64   `json:"diverged"`  // the rate at which Smoothed was four times its lowest, or the loss not finite; 0 where it never was
}

// Constants of the test. The moving average lags 1/(1−findDecay) steps behind the losses; a longer one would suggest rates far too high.
const (
	findDecay  = 0.9
	findGiveUp = 4 // the test ends where the average loss is this many times its lowest
)

// FindRate trains on the first split for steps steps, 10 or more, at learning rates from low to high, each the same factor above the one
// before. It returns a *SettingsError where config, head and splits cannot be trained together, and the cause of ctx where that ends.
func FindRate(ctx context.Context, config Config, head nn.Head, splits []Split, low, high float64, steps int) (*RateRange, error) {
	if !positive(low) || !positive(high) || low >= high || steps < 10 {
		return nil, fmt.Errorf("%d learning rates from %v to %v: give at least 10, in a rising range that begins above 0", steps, low, high)
	}
	config.Schedule = Schedule{}
	t, err := New(config, head, splits)
	if err != nil {
		return nil, err
	}
	found := &RateRange{}
	mean, lowest := 0.0, math.Inf(1)
	t.batches.shuffle()
	for step := range steps {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !t.batches.next() {
			t.batches.shuffle()
			t.batches.next()
		}
		rate := low * math.Pow(high/low, float64(step)/float64(steps-1))
		t.optimizer.setRate(rate)
		loss, err := t.net.Step(t.batches.batch(), t.optimizer)
		var cause *nn.NonFiniteError
		if errors.As(err, &cause) && step > 0 {
			found.Diverged = rate
			break
		}
		if err != nil {
			return nil, t.diverged(&Epoch{Number: 1, LearningRate: rate}, err)
		}
		mean = findDecay*mean + (1-findDecay)*loss
		smoothed := mean / (1 - math.Pow(findDecay, float64(step+1)))
		found.Rates, found.Losses, found.Smoothed = append(found.Rates, rate), append(found.Losses, loss), append(found.Smoothed, smoothed)
		if lowest = min(lowest, smoothed); smoothed > findGiveUp*lowest {
			found.Diverged = rate
			break
		}
	}
	found.suggest()
	return found, nil
}

// suggest sets Suggested: the rate of the steepest fall before the lowest loss.
func (r *RateRange) suggest() {
	if len(r.Smoothed) < 3 {
		return
	}
	end := slices.Index(r.Smoothed, slices.Min(r.Smoothed))
	steepest := 0.0
	for i := 1; i < end; i++ {
		if slope := r.Smoothed[i+1] - r.Smoothed[i-1]; slope < steepest {
			steepest, r.Suggested = slope, r.Rates[i]
		}
	}
}
