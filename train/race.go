package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/logitscope/logitscope/internal/splitname"
	"github.com/logitscope/logitscope/nn"
)

// Entrant is one of the configurations of a race, and how it did.
type Entrant struct {
	Config Config
	NLL    []float64 // of validation at the end of each cycle that it was trained for
	Out    string    // why it was trained no further; empty where the race ended with it still in
}

// Best returns the lowest NLL that a cycle ended with, infinity where none did.
func (e *Entrant) Best() float64 {
	best := math.Inf(1)
	for _, v := range e.NLL {
		best = min(best, v)
	}
	return best
}

// Bounds on a race: what a cycle takes, entrants and cycles multiplied, stays a part of what training takes after it.
const (
	raceRows   = 1 << 16 // training samples, of more than that drawn at random
	raceVal    = 1 << 14 // validation samples
	raceCycles = 3
)

// streamRace is drawn for the samples of a race.
const streamRace = 51

// Race trains a network of each configuration by cycles of restarts, side by side, and returns how they did with the index of the
// one whose NLL on the split val ended a cycle lowest. One is given up when a cycle of its own is not worth another, and when it
// would not be ahead even if its next cycle gained half of what its last one did: successive halving (Jamieson and Talwalkar, 2016) whose
// rungs are the schedule's cycles, with evidence in place of a fixed half. A strongly regularised network starts slowly and ends
// low, so all are trained for two cycles. enough, where it is not nil, is asked after each and ends the race early.
//
// The configurations and splits decide every bit, not the number of threads. A configuration that cannot be trained is a *SettingsError
// before any step.
func Race(ctx context.Context, configs []Config, head nn.Head, splits []Split, enough func() bool) ([]Entrant, int, error) {
	all := splits
	splits, err := raceSplits(configs[0], head, splits)
	if err != nil {
		return nil, 0, &SettingsError{err}
	}
	entrants, trainers := make([]Entrant, len(configs)), make([]*Trainer, len(configs))
	for i, c := range configs {
		entrants[i].Config = c
		if c, err = raceConfig(c, head, all); err != nil {
			return nil, 0, &SettingsError{err}
		}
		if trainers[i], err = New(c, head, splits); err != nil {
			return nil, 0, err
		}
		if trainers[i].cycles.watched < 0 {
			return nil, 0, &SettingsError{errors.New("a race is decided by a split called val, at the end of each cycle of the schedule restarts")}
		}
		trainers[i].Sink = func(int, int, []float32) error { return nil }
		trainers[i].watchedOnly = true
	}
	gains := make([]float64, len(configs))
	winner := 0
	for round := range raceCycles {
		err := eachOf(len(configs), func(i int) error {
			if entrants[i].Out != "" {
				return nil
			}
			return entrants[i].cycle(ctx, trainers[i], &gains[i])
		})
		if err != nil {
			return nil, 0, err
		}
		for i := range entrants {
			if entrants[i].Best() < entrants[winner].Best() {
				winner = i
			}
		}
		left := 0
		for i := range entrants {
			e := &entrants[i]
			if e.Out == "" && round > 0 && i != winner && !(e.NLL[round]-gains[i]/2 < entrants[winner].Best()) {
				e.Out = "behind"
			}
			if e.Out == "" && i != winner {
				left++
			}
		}
		if left == 0 || enough != nil && enough() {
			break
		}
	}
	if math.IsInf(entrants[winner].Best(), 1) {
		return nil, 0, fmt.Errorf("no setting of the race was trained to the end of a cycle: the first %s", entrants[0].Out)
	}
	return entrants, winner, nil
}

// raceConfig is the configuration as it races: what it stops on may be a figure of a split that no race measures, and then has no say in it.
func raceConfig(c Config, head nn.Head, splits []Split) (Config, error) {
	if c.StopOn == "" {
		return c, nil
	}
	if err := checkFigure(c.StopOn, head, splits); err != nil {
		return c, err
	}
	if split, _, _ := strings.Cut(c.StopOn, "."); split != splitname.Val && c.StopOn != "train.loss" {
		c.StopOn, c.Patience = "", 0
	}
	return c, nil
}

// cycle trains an entrant to the end of its next cycle. One that diverges is out of the race, which is no error.
func (e *Entrant) cycle(ctx context.Context, t *Trainer, gain *float64) error {
	for {
		epoch, err := t.runEpoch(ctx)
		var diverged *DivergedError
		switch {
		case errors.As(err, &diverged) && diverged.Cause.Layer != "input":
			e.Out = fmt.Sprintf("diverged at epoch %d", diverged.Epoch)
			return nil
		case err != nil:
			return err
		case epoch.Cycle != nil:
			e.NLL, *gain = append(e.NLL, epoch.Cycle.NLL), epoch.Cycle.Gain
			switch {
			case !epoch.Cycle.Worth:
				e.Out = "falls no more"
			case t.Finished():
				e.Out = "all its epochs trained"
			}
			return nil
		}
	}
}

// raceSplits are the training and validation split, or as many samples of them as a race takes.
func raceSplits(c Config, head nn.Head, splits []Split) ([]Split, error) {
	splits = slices.Clone(splits)
	if err := checkSplits(head, splits); err != nil {
		return nil, err
	}
	rng := rand.New(c.source(streamRace))
	some := splits[:1:1]
	for _, s := range splits[1:] {
		if s.Name == splitname.Val {
			some = append(some, s)
		}
	}
	for i, most := range []int{raceRows, raceVal} {
		if i < len(some) && some[i].N() > most {
			rows := rng.Perm(some[i].N())[:most]
			slices.Sort(rows)
			some[i] = some[i].take(rows, head)
		}
	}
	return some, nil
}

// eachOf does work on [0,n), as many at a time as there are processors, and returns the first error by index.
func eachOf(n int, do func(i int) error) error {
	failed := make([]error, n)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			failed[i] = do(i)
			<-slots
		})
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}
