package experiment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/logitscope/logitscope/train"
)

// Trial is one run of a sweep.
type Trial struct {
	Dir    string // run directory to make
	Config Config
}

// Sweep trains every trial, so many at a time, at least one. One that fails, or has not begun when ctx ends, keeps none of the others
// from their results: its own is nil, and the error names it. events, which may be nil, hears of each trial when it is done.
func Sweep(ctx context.Context, trials []Trial, atOnce int, events Events) ([]*Result, error) {
	results, failed := make([]*Result, len(trials)), make([]error, len(trials))
	next := make(chan int)
	var telling sync.Mutex
	var wait sync.WaitGroup
	for range min(max(atOnce, 1), len(trials)) {
		wait.Go(func() {
			for i := range next {
				t := trials[i]
				if ctx.Err() != nil {
					failed[i] = fmt.Errorf("run %s: not begun: %w", filepath.Base(t.Dir), context.Cause(ctx))
					continue
				}
				var err error
				if results[i], err = t.train(ctx); err != nil {
					failed[i] = fmt.Errorf("run %s: %w", filepath.Base(t.Dir), err)
				}
				telling.Lock()
				events.send(TrialDone{t.Dir, err})
				telling.Unlock()
			}
		})
	}
	for i := range trials {
		next <- i
	}
	close(next)
	wait.Wait()
	return results, errors.Join(failed...)
}

func (t Trial) train(ctx context.Context) (*Result, error) {
	result, err := Run(ctx, t.Config, t.Dir, nil)
	if err != nil {
		return nil, err
	}
	result.Experiment = nil // a sweep's data is not held once for every trial
	return result, nil
}

// FindRate takes one step at each of so many rising learning rates, from low to high, with the network that Plan would train, and suggests
// the rate at which the loss falls fastest. Nothing is recorded.
func FindRate(ctx context.Context, config Config, low, high float64, steps int) (*train.RateRange, error) {
	e, err := plan(ctx, config, false, nil)
	if err != nil {
		return nil, err
	}
	return train.FindRate(ctx, e.Config.Config, e.Head, e.Splits, low, high, steps)
}
