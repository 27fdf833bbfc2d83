// Package analysis answers questions about a recorded run. The command line and the dashboard ask it alike, so that their
// numbers are the same.
package analysis

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Number is a float64 that JSON writes as null where it is not finite: the mean of nothing, or a masked class's logit.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// Analyzer answers questions about one run. Epochs never change once recorded, so what was computed of them is kept: a few
// numbers for each. It may be used by several goroutines at once.
type Analyzer struct {
	run *record.Run

	mu      sync.Mutex
	samples map[string]*record.Samples
	found   *diagnosed
	scores  map[int]epochScores
	means   map[splitEpoch]float64  // mean NLL
	dynamic map[[2]string]*Dynamics // by split, and by the split that tells its early epochs
}

type splitEpoch struct {
	split string
	epoch int
}

// epochScores holds the scores of each split at an epoch, the parts of its NLL and what else there is to see, or the damage
// that keeps them from being read.
type epochScores struct {
	splits map[string]*summary.Scores
	parts  map[string]*Decomposition
	seen   map[string]seen
	err    error
}

// New returns an Analyzer of run, which stays the caller's to refresh and to close.
func New(run *record.Run) *Analyzer {
	return &Analyzer{run: run, samples: map[string]*record.Samples{}, scores: map[int]epochScores{}, means: map[splitEpoch]float64{}, dynamic: map[[2]string]*Dynamics{}}
}

// scoresOf returns the scores of the given epochs, computing those that are new on every processor.
func (a *Analyzer) scoresOf(epochs []int) ([]epochScores, error) {
	splits := a.run.Manifest().Splits
	samples := make(map[string]*record.Samples, len(splits))
	for _, s := range splits {
		var err error
		if samples[s.Name], err = a.samplesOf(s.Name); err != nil {
			return nil, err
		}
	}
	all := make([]epochScores, len(epochs))
	parallel.Each(len(epochs), func(i int) {
		epoch := epochs[i]
		a.mu.Lock()
		known, ok := a.scores[epoch]
		a.mu.Unlock()
		if ok {
			all[i] = known
			return
		}
		computed := epochScores{splits: make(map[string]*summary.Scores, len(splits)), parts: map[string]*Decomposition{}, seen: map[string]seen{}}
		for _, s := range splits {
			scores, parts, seen, err := a.scoresAndParts(epoch, s.Name, samples[s.Name])
			if err != nil {
				computed.err = errors.Join(computed.err, err)
				continue
			}
			computed.splits[s.Name], computed.parts[s.Name], computed.seen[s.Name] = scores, parts, seen
		}
		all[i] = computed
		if computed.err == nil {
			a.mu.Lock()
			a.scores[epoch] = computed
			a.mu.Unlock()
		}
	})
	return all, nil
}

// add hands the logits of a split at an epoch to an accumulator.
func (a *Analyzer) add(epoch int, split string, samples *record.Samples, add func(summary.Batch)) error {
	return a.read(epoch, split, func(logits []float32) {
		add(summary.Batch{Logits: logits, Labels: samples.Labels, Columns: a.run.Manifest().Columns})
	})
}

// Batch hands the labelled logits of a split at an epoch to use, which must not keep them. Those of a sigmoid head are a row
// a sample and class, of one column: the class against its absence.
func (a *Analyzer) Batch(epoch int, split string, use func(summary.Batch)) error {
	if err := a.checkEpoch(epoch); err != nil {
		return err
	}
	samples, err := a.samplesOf(split)
	if err != nil {
		return err
	}
	return a.batch(epoch, split, samples, use)
}

func (a *Analyzer) batch(epoch int, split string, samples *record.Samples, use func(summary.Batch)) error {
	return a.add(epoch, split, samples, func(b summary.Batch) {
		if samples.Targets != nil {
			b.Columns, b.Labels = 1, make([]int32, len(samples.Targets))
			for i, target := range samples.Targets {
				b.Labels[i] = int32(target)
			}
		}
		use(b)
	})
}

// Epoch returns the epoch that a name means: a number, last, or best for the lowest validation NLL.
func (a *Analyzer) Epoch(name string) (int, error) {
	epochs := a.run.Epochs()
	if len(epochs) == 0 && a.run.State() == record.StateRunning {
		return 0, &NotFoundError{fmt.Sprintf("%s holds no epoch yet: wait for the first one", a.run.Manifest().Name)}
	} else if len(epochs) == 0 {
		return 0, &NotFoundError{fmt.Sprintf("%s ended without an epoch recorded: train with --record all, or go on with --resume", a.run.Manifest().Name)}
	}
	switch name {
	case "last":
		return epochs[len(epochs)-1], nil
	case "best":
		curves, err := a.Curves()
		if err != nil {
			return 0, err
		}
		if curves.Story.BestRecorded == 0 {
			return 0, &NotFoundError{fmt.Sprintf("%s has no validation NLL to tell the best epoch: name one", a.run.Manifest().Name)}
		}
		return curves.Story.BestRecorded, nil
	}
	epoch, err := strconv.Atoi(name)
	if err != nil {
		return 0, &NotFoundError{fmt.Sprintf("no epoch %q: want a number, last or best", name)}
	}
	return epoch, a.checkEpoch(epoch)
}

// read hands the logits of a split at an epoch, [N,Columns], to use, which must not keep them.
func (a *Analyzer) read(epoch int, split string, use func(logits []float32)) error {
	logits, err := a.run.Logits(epoch, split)
	if err != nil {
		return err
	}
	defer logits.Close()
	return guarded(epoch, split, func() { use(logits.Values) })
}

// guarded calls use, which reads a mapped file of an epoch.
func guarded(epoch int, split string, use func()) error {
	return Guard(fmt.Sprintf("epoch %d, split %s", epoch, split), func() error {
		use()
		return nil
	})
}

// Guard calls work on a mapped file. Where another program cuts it short under our hands, or the disk fails, that is the
// file's damage, named by what, and not the end of the process.
func Guard(what string, work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p)
			}
			err = fmt.Errorf("%s: its file changed while it was read: the file is damaged", what)
		}
	}()
	return work()
}

func (a *Analyzer) samplesOf(split string) (*record.Samples, error) {
	if err := a.checkSplit(split); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.samples[split]; ok {
		return known, nil
	}
	samples, err := a.run.Samples(split)
	if err == nil {
		a.samples[split] = samples
	}
	return samples, err
}

// NotFoundError names what a run does not hold, and what it holds instead.
type NotFoundError struct{ what string }

func (e *NotFoundError) Error() string { return e.what }

func (a *Analyzer) checkSplit(split string) error {
	var names []string
	for _, s := range a.run.Manifest().Splits {
		names = append(names, s.Name)
	}
	if slices.Contains(names, split) {
		return nil
	}
	return &NotFoundError{fmt.Sprintf("no split %q in %s: it has %s", split, a.run.Manifest().Name, strings.Join(names, ", "))}
}

func (a *Analyzer) checkEpoch(epoch int) error {
	epochs := a.run.Epochs()
	if slices.Contains(epochs, epoch) {
		return nil
	}
	name := a.run.Manifest().Name
	if len(epochs) == 0 {
		return &NotFoundError{fmt.Sprintf("no epoch %d in %s: none is recorded", epoch, name)}
	}
	const few = 12
	first, last := epochs[0], epochs[len(epochs)-1]
	has := fmt.Sprintf("%d to %d", first, last)
	if gaps := last - first + 1 - len(epochs); gaps > 0 && len(epochs) > few {
		has += fmt.Sprintf(", but %d between them", gaps)
	} else if gaps > 0 || first == last {
		has = numbersText(epochs)
	}
	return &NotFoundError{fmt.Sprintf("no epoch %d in %s: it has %s", epoch, name, has)}
}
