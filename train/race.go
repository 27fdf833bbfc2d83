package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
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

	keep   bool      // its epochs are those that the configuration is trained for outside of a race
	epochs []trained // that need not be trained again, from the first on
}

// trained is an epoch as it was trained in a race.
type trained struct {
	state      []File // after it, as Checkpoint gives it
	loss, rate float64
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
	raceMemory = 32 << 20 // for the states of an entrant after its epochs
)

// How far an entrant may be behind, by more than twice the error of the difference row by row, and stay in: its NLL after the first cycle, when
// the order still changes where rows contradict each other, and later what its next cycle is expected to end with, as shares of the leader's.
const (
	mayLag    = 1.25
	mayExpect = 1.1
)

// streamRace is drawn for the samples of a race.
const streamRace = 51

// Race trains a network of each configuration by cycles of restarts, side by side, and returns how they did with the index of the
// one whose NLL on the split val ended a cycle lowest. One is given up when a cycle of its own is not worth another and when it is behind: by
// a quarter after the first, or by its expected end of the next cycle, which falls in the proportion in which the last one did. That is
// successive halving (Jamieson and Talwalkar, 2016) whose rungs are the schedule's cycles, with evidence in place of a fixed half. A strongly
// regularised network starts slowly and ends low, so that being a little behind tells nothing. The race ends with one entrant left, and with an
// NLL of next to nothing. enough, where it is not nil, is asked after each round and ends it early.
//
// The configurations and splits decide every bit, not the number of threads. A configuration that cannot be trained is a *SettingsError
// before any step. Trainer.Follow takes over what the winner was trained.
func Race(ctx context.Context, configs []Config, head nn.Head, splits []Split, enough func() bool) ([]Entrant, int, error) {
	all := splits
	splits, whole, err := raceSplits(configs[0], head, splits)
	if err != nil {
		return nil, 0, &SettingsError{err}
	}
	entrants, trainers := make([]Entrant, len(configs)), make([]*Trainer, len(configs))
	for i, c := range configs {
		entrants[i].Config = c
		raced, err := raceConfig(c, head, all)
		if err != nil {
			return nil, 0, &SettingsError{err}
		}
		entrants[i].keep = whole && raced.StopOn == c.StopOn
		if trainers[i], err = New(raced, head, splits); err != nil {
			return nil, 0, err
		}
		if trainers[i].cycles.watched < 0 {
			return nil, 0, &SettingsError{errors.New("a race is decided by a split called val, at the end of each cycle of the schedule restarts")}
		}
		trainers[i].Sink = func(int, int, []float32) error { return nil }
		trainers[i].watchedOnly = true
	}
	winner := 0
	for round := range raceCycles {
		err := eachOf(len(configs), func(i int) error {
			if entrants[i].Out != "" {
				return nil
			}
			return entrants[i].cycle(ctx, trainers[i])
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
			if i != winner && e.Out == "" && e.behind(&entrants[winner], round, trainers[i].cycles.before, trainers[winner].cycles.before) {
				e.Out = "behind"
			}
			if i != winner && e.Out == "" {
				left++
			}
			if i != winner && e.Out != "" {
				e.epochs = nil
			}
		}
		if left == 0 || entrants[winner].Best() < leastNLL || enough != nil && enough() {
			break
		}
	}
	if math.IsInf(entrants[winner].Best(), 1) {
		return nil, 0, fmt.Errorf("no setting of the race was trained to the end of a cycle: the first %s", entrants[0].Out)
	}
	for i := range entrants {
		if i != winner {
			entrants[i].epochs = nil
		}
	}
	return entrants, winner, nil
}

// behind reports whether e, trained to the end of a round, is not worth another beside the one that leads. own and others are the NLL of each
// row at the end of their last cycles.
func (e *Entrant) behind(leader *Entrant, round int, own, others []float32) bool {
	if len(leader.NLL) <= round { // it falls no more
		return e.next() >= leader.Best()
	}
	n, mean, squares := float64(len(own)), 0.0, 0.0
	for i, v := range own {
		d := float64(v) - float64(others[i])
		mean += d / n
		squares += d * d / n
	}
	if !(mean > 2*math.Sqrt((squares-mean*mean)/(n-1))) {
		return false
	}
	if round == 0 {
		return e.NLL[0] > mayLag*leader.NLL[0]
	}
	return e.next() > mayExpect*leader.next()
}

// next is what the next cycle is expected to end with, from the second on.
func (e *Entrant) next() float64 {
	last := len(e.NLL) - 1
	return e.NLL[last] * e.NLL[last] / e.NLL[last-1]
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

// cycle trains an entrant to the end of its next cycle, and keeps the states that it goes through as far as there is room. One that diverges
// is out of the race, which is no error.
func (e *Entrant) cycle(ctx context.Context, t *Trainer) error {
	for {
		epoch, err := t.runEpoch(ctx)
		var diverged *DivergedError
		switch {
		case errors.As(err, &diverged) && diverged.Cause.Layer != "input":
			e.Out = fmt.Sprintf("diverged at epoch %d", diverged.Epoch)
			return nil
		case err != nil:
			return err
		}
		if e.keep && len(e.epochs) == t.epoch-1 {
			state := t.Checkpoint(nil)
			if t.epoch*size(state) <= raceMemory {
				e.epochs = append(e.epochs, trained{state, epoch.Loss, epoch.LearningRate})
			}
		}
		if epoch.Cycle != nil {
			e.NLL = append(e.NLL, epoch.Cycle.NLL)
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

// Follow has the trainer, before its first epoch, take the states that an entrant of its own configuration went through in place of training
// to them, for the epochs that the entrant knows: the bits are those of training, in a fraction of its time. Each is measured as any other.
func (t *Trainer) Follow(e *Entrant) {
	if t.epoch == 0 && reflect.DeepEqual(t.config, e.Config) {
		t.ahead = e.epochs
	}
}

// size is the sum of the sizes of files.
func size(files []File) int {
	n := 0
	for _, f := range files {
		n += len(f.Data)
	}
	return n
}

// raceSplits are the training and validation split, or as many samples of them as a race takes; whole says that it is all.
func raceSplits(c Config, head nn.Head, splits []Split) (some []Split, whole bool, err error) {
	splits = slices.Clone(splits)
	if err := checkSplits(head, splits); err != nil {
		return nil, false, err
	}
	rng := rand.New(c.source(streamRace))
	whole = true
	some = splits[:1:1]
	for _, s := range splits[1:] {
		if s.Name == splitname.Val {
			some = append(some, s)
		}
	}
	for i, most := range []int{raceRows, raceVal} {
		if i < len(some) && some[i].N() > most {
			rows := rng.Perm(some[i].N())[:most]
			slices.Sort(rows)
			some[i], whole = some[i].take(rows, head), false
		}
	}
	return some, whole, nil
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
