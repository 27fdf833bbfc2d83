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
	Dir    string // the run directory to make
	Config Config
}

// Sweep trains every trial, atOnce of them at a time but at least one, and returns the result of each. A trial that fails, or has not begun
// when ctx ends, does not stop the others: its result is nil, and the error that Sweep returns names it. events, which may be nil, is called
// with a TrialDone for each.
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

// train trains the trial.
func (t Trial) train(ctx context.Context) (*Result, error) {
	result, err := Run(ctx, t.Config, t.Dir, nil)
	if err != nil {
		return nil, err
	}
	result.Experiment = nil // so that the data is not kept in memory once for every trial
	return result, nil
}

// FindRate searches for a learning rate with the network that Plan would train: it takes steps steps at rates rising from low to high, and
// suggests the rate at which the loss falls fastest. Nothing is recorded. A wrong setting is a *ConfigError or *train.SettingsError.
func FindRate(ctx context.Context, config Config, low, high float64, steps int) (*train.RateRange, error) {
	e, err := plan(ctx, config, false, nil)
	if err != nil {
		return nil, err
	}
	return train.FindRate(ctx, e.Config.Config, e.Head, e.Splits, low, high, steps)
}
