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
	NLL    []float64 // the validation NLL at the end of each cycle that it was trained for
	Out    string    // why it was not trained further; "" where it was still in when the race ended

	keep   bool        // whether its epochs are the same as those of training the configuration outside of a race
	epochs []raceEpoch // its first epochs, which Trainer.Follow takes over
}

// raceEpoch is an epoch that was trained in a race.
type raceEpoch struct {
	state      []File  // the checkpoint after it
	loss, rate float64 // Epoch.Loss and Epoch.LearningRate
}

// Best returns the lowest NLL at the end of a cycle, or infinity where no cycle was trained to its end.
func (e *Entrant) Best() float64 {
	best := math.Inf(1)
	for _, v := range e.NLL {
		best = min(best, v)
	}
	return best
}

// Bounds on a race, so that it takes only a part of the time of the training that follows it.
const (
	raceRows    = 1 << 16  // the largest number of training samples; of more, so many are drawn at random
	raceVal     = 1 << 14  // the largest number of validation samples, likewise
	raceCycles  = 3        // the largest number of cycles
	raceMemory  = 32 << 20 // the largest size of the checkpoints that are kept of an entrant
	raceAbreast = 2        // entrants at a time, whatever the number of processors, since how they do decides about the others
)

// An entrant is out where it is behind the leader by more than twice the standard error, and its NLL is more than so many times the
// leader's: that of the first cycle, after which the order often still changes, or later the one that its next cycle is expected to reach.
const (
	maxFirstRatio = 1.25
	maxNextRatio  = 1.1
	maxOtherRatio = 1.2 // in place of maxNextRatio where the leader is of another Model, whose NLL falls along another curve
)

// streamRace is the random stream of the samples of a race.
const streamRace = 51

// Race trains a network of each configuration, side by side, for cycles of the schedule restarts. It returns how each did, and the index of
// the winner: the one with the lowest NLL at the end of a cycle, on the split val.
//
// After each cycle, an entrant is given up when another cycle is not worth training, or when it is clearly behind the leader: by a quarter
// after the first cycle, and later by the NLL that its next cycle is expected to end with, if that falls by the same ratio as the last. A
// smaller lag is allowed because a strongly regularised network starts slowly and ends low. One of another Model may start fast and end high,
// so that after the first cycle the leader is that of an entrant's own Model. This is successive halving (Jamieson and
// Talwalkar, 2016) whose rungs are the cycles, with evidence in place of a fixed half. The race ends when one entrant is left, or when the
// NLL is nearly 0. enough, where it is not nil, is called after each cycle and ends the race by returning true.
//
// Configurations of one Model stand in an order, such as from the least to the most regularised, along which the NLL falls to one lowest point and
// rises again: those beyond one that is behind a leader before it are given up untrained.
//
// The configurations and splits decide every bit, not the number of threads. Race returns a *SettingsError, before any step, where a
// configuration cannot be trained. Trainer.Follow saves training the winner's epochs again.
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
		if trainers[i].cycles.decidingSplit < 0 {
			return nil, 0, &SettingsError{errors.New("a race is decided by a split called val, at the end of each cycle of the schedule restarts")}
		}
		trainers[i].Sink = func(int, int, []float32) error { return nil }
		trainers[i].decidingOnly = true
	}
	winner := 0
	for round := range raceCycles {
		behind := func(i, leader int) bool {
			return i != leader && entrants[i].behind(&entrants[leader], round, trainers[i].cycles.before, trainers[leader].cycles.before)
		}
		for from := 0; from < len(configs); from += raceAbreast {
			to := min(from+raceAbreast, len(configs))
			err := eachOf(to-from, func(i int) error {
				if entrants[from+i].Out != "" {
					return nil
				}
				return entrants[from+i].cycle(ctx, trainers[from+i])
			})
			if err != nil {
				return nil, 0, err
			}
			// The last of them says of those after it.
			last := to - 1
			leader := leaderOf(entrants, last)
			if leader < last && entrants[last].Out == "" && len(entrants[leader].NLL) > round && behind(last, leader) {
				for i := to; i < len(entrants); i++ {
					if entrants[i].Out == "" && entrants[i].Config.Model == entrants[last].Config.Model {
						entrants[i].Out = "beyond one that is behind"
					}
				}
			}
		}
		for i := range entrants {
			if entrants[i].Best() < entrants[winner].Best() {
				winner = i
			}
		}
		left := 0
		for i := range entrants {
			e := &entrants[i]
			if i != winner && e.Out == "" && (behind(i, leaderOf(entrants, i)) || round > 0 && behind(i, winner)) {
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

// leaderOf returns the entrant of the lowest NLL among those of i's model.
func leaderOf(entrants []Entrant, i int) int {
	leader := i
	for j := range entrants {
		if entrants[j].Config.Model == entrants[i].Config.Model && entrants[j].Best() < entrants[leader].Best() {
			leader = j
		}
	}
	return leader
}

// behind reports whether e is so far behind the leader after a round that it is given up. nll and leaderNLL are the NLL of each validation
// sample at the end of their last cycles.
func (e *Entrant) behind(leader *Entrant, round int, nll, leaderNLL []float32) bool {
	if len(leader.NLL) <= round { // the leader's NLL falls no more
		return e.next() >= leader.Best()
	}
	n, mean, squares := float64(len(nll)), 0.0, 0.0
	for i, v := range nll {
		d := float64(v) - float64(leaderNLL[i])
		mean += d / n
		squares += d * d / n
	}
	if !(mean > 2*math.Sqrt((squares-mean*mean)/(n-1))) {
		return false
	}
	if round == 0 {
		return e.NLL[0] > maxFirstRatio*leader.NLL[0]
	}
	if e.Config.Model != leader.Config.Model {
		return e.next() > maxOtherRatio*leader.next()
	}
	return e.next() > maxNextRatio*leader.next()
}

// next returns the NLL that the next cycle is expected to end with. It needs two cycles.
func (e *Entrant) next() float64 {
	last := len(e.NLL) - 1
	return e.NLL[last] * e.NLL[last] / e.NLL[last-1]
}

// raceConfig returns the configuration as it is raced: without patience where StopOn is a figure of a split that a race does not measure. It
// returns an error where StopOn names no figure.
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

// cycle trains an entrant to the end of its next cycle, and keeps the checkpoints after its epochs, up to raceMemory. An entrant that
// diverges is out of the race, which is no error.
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
				e.epochs = append(e.epochs, raceEpoch{state, epoch.Loss, epoch.LearningRate})
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

// Follow lets a trainer, before its first epoch, take over the epochs that an entrant of the same configuration was trained for in a race,
// in place of training them again: the weights have the same bits, in a fraction of the time. Each epoch is measured as any other. For an
// entrant of another configuration Follow does nothing.
func (t *Trainer) Follow(e *Entrant) {
	if t.epoch == 0 && reflect.DeepEqual(t.config, e.Config) {
		t.raced = e.epochs
	}
}

// size returns the sum of the sizes of files, in bytes.
func size(files []File) int {
	n := 0
	for _, f := range files {
		n += len(f.Data)
	}
	return n
}

// raceSplits returns the training and the validation split, or as many samples of them as a race takes. whole says whether it is all of them.
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

// eachOf calls do with 0 to n−1, as many at a time as there are processors, and returns the error of the lowest number.
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
