// Package analysis answers questions about a recorded run. The command line and the dashboard ask it alike, so that their
// numbers are the same.
package analysis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Number is a float64 that JSON writes as null where it is not finite.
type Number = summary.Number

// Analyzer answers questions about one run. Epochs never change once recorded, so what was computed of them is kept: a few
// numbers for each. It may be used by several goroutines at once.
type Analyzer struct {
	source Source

	mu      sync.Mutex
	samples map[string]knownSamples
	scores  map[int]epochScores
	means   map[splitEpoch]float64 // mean NLL

	answered map[int]*answers // of validation, by epoch: the lowest and the last
	results  map[any]any
}

type splitEpoch struct {
	split string
	epoch int
}

// epochScores holds the figures of each split at an epoch, or the damage that keeps them from being read.
type epochScores struct {
	splits map[string]splitFigures
	units  *sampleSums // of validation; nil without
	err    error
}

// unread reports whether logits that are kept would tell more than the statistics that the figures were made of.
func (e epochScores) unread() bool {
	for _, f := range e.splits {
		if f.bounds && f.traits.info.Dense {
			return true
		}
	}
	return false
}

// New returns an Analyzer of a run directory, which stays the caller's to refresh and to close.
func New(run *record.Run) *Analyzer { return Of(directory{run}) }

// Of returns an Analyzer of any Source.
func Of(source Source) *Analyzer {
	return &Analyzer{
		source: source, samples: map[string]knownSamples{}, scores: map[int]epochScores{}, means: map[splitEpoch]float64{},
		answered: map[int]*answers{}, results: map[any]any{},
	}
}

// Source is the run that is asked.
func (a *Analyzer) Source() Source { return a.source }

// Keep keeps what was computed of the run beside what the Analyzer itself keeps. As in a context, a key is of a type of its owner's.
func (a *Analyzer) Keep(key, value any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.results[key] = value
}

// Kept returns what was kept under a key, nil where nothing was.
func (a *Analyzer) Kept(key any) any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.results[key]
}

// scoresOf returns the figures of the given epochs, computing those that are new on every processor. Where whole is not set, the ranges
// of scores and the traits may be bounds only.
func (a *Analyzer) scoresOf(ctx context.Context, epochs []int, whole bool) ([]epochScores, error) {
	splits := a.source.Manifest().Splits
	samples := make(map[string]*record.Samples, len(splits))
	for _, s := range splits {
		var err error
		if samples[s.Name], err = a.Samples(s.Name); err != nil {
			return nil, err
		}
	}
	all := make([]epochScores, len(epochs))
	err := parallel.Until(ctx, len(epochs), func(i int) error {
		epoch := epochs[i]
		a.mu.Lock()
		known := a.scores[epoch]
		a.mu.Unlock()
		computed := epochScores{splits: make(map[string]splitFigures, len(splits)), units: known.units}
		for _, s := range splits {
			f, ok := known.splits[s.Name]
			var err error
			if !ok {
				var units *sampleSums
				if s.Name == record.ValSplit && len(samples[s.Name].IDs) > 0 {
					units = newUnits(samples[s.Name], a.source.Manifest().Columns)
				}
				if f, err = a.figuresOf(ctx, epoch, s.Name, units); err == nil && units != nil {
					computed.units = units
				}
			}
			if err == nil && whole && f.bounds {
				f, err = a.complete(ctx, epoch, s.Name, f)
			}
			if unanswerable(ctx, err) {
				return err
			}
			if err != nil {
				computed.err = errors.Join(computed.err, err)
				continue
			}
			computed.splits[s.Name] = f
		}
		all[i] = computed
		if computed.err == nil {
			a.mu.Lock()
			a.scores[epoch] = computed
			a.mu.Unlock()
		}
		return nil
	})
	return all, err
}

// ReadDecisions opens what is decided of the labelled rows of a split at an epoch for use, which must not keep it. That the epoch has no rows
// of the split, and others do, is an error.
func (a *Analyzer) ReadDecisions(ctx context.Context, epoch int, split string, use func(Decisions) error) error {
	if err := a.checkEpoch(epoch); err != nil {
		return err
	}
	return a.Read(ctx, epoch, split, func(s *Split) error {
		if s.Len() == 0 {
			if err := a.noRows(epoch, split); err != nil {
				return err
			}
		}
		return use(s.Decisions())
	})
}

// noRows returns the error of a question about a split that has no rows at an epoch and some at others, which it names; nil where no epoch
// has any.
func (a *Analyzer) noRows(epoch int, split string) error {
	d, ok := a.source.(Directory)
	if !ok {
		return nil
	}
	var with []int
	for _, other := range a.source.Epochs() {
		splits, err := d.Epoch(other)
		if err == nil && slices.ContainsFunc(splits, func(s record.RowsInfo) bool { return s.Split == split && s.N > 0 }) {
			with = append(with, other)
		}
	}
	if len(with) == 0 {
		return nil
	}
	noun := "epochs"
	if len(with) == 1 {
		noun = "epoch"
	}
	return NotFound("epoch %d of %s has no rows of split %s: the run has them at %s %s", epoch, a.source.Manifest().Name, split, noun, namesOf(with))
}

// Score scores the labelled rows of a split at an epoch. A temperature that is none is an error.
func (a *Analyzer) Score(ctx context.Context, epoch int, split string, o ScoreOptions) (s *Score, err error) {
	err = a.ReadDecisions(ctx, epoch, split, func(d Decisions) (err error) {
		s, err = ScoreOf(ctx, d, o)
		return cmp.Or(err, ctx.Err())
	})
	return s, err
}

// Calibrate fits a calibrator to the labelled rows of a split at an epoch. Rows without a softmax are left out and counted. Where these rows
// cannot be fitted that is an error of type *NotFoundError.
func (a *Analyzer) Calibrate(ctx context.Context, epoch int, split string, method calibrate.Method, o calibrate.Options) (c *calibrate.Calibrator, err error) {
	err = a.ReadDecisions(ctx, epoch, split, func(d Decisions) error {
		var why error
		if c, why = calibrate.Fit(ctx, d.Part(0, d.Len()), method, o); why != nil && ctx.Err() == nil {
			return NotFound("%s: %v", rowsOf(epoch, split), why)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	c.Run, c.Epoch = a.source.Manifest().ID, &epoch
	return c, nil
}

// Epoch returns the epoch that a name means: a number, last, or best for the lowest validation NLL; and what is lacking that it
// might have been.
func (a *Analyzer) Epoch(ctx context.Context, name string) (int, Lacking, error) {
	lacks := Lacking{}
	epochs := a.source.Epochs()
	if len(epochs) == 0 && a.source.State() == record.StateRunning {
		return 0, lacks, &NotFoundError{fmt.Sprintf("%s holds no epoch yet: wait for the first one", a.source.Manifest().Name)}
	} else if gone := a.Lost(); len(epochs) == 0 && gone.Any() {
		return 0, gone, &NotFoundError{fmt.Sprintf("%s has no epoch any more: %s", a.source.Manifest().Name, gone.Sentence())}
	} else if len(epochs) == 0 {
		return 0, lacks, &NotFoundError{fmt.Sprintf("%s ended without an epoch recorded: train with --record all, or go on with --resume", a.source.Manifest().Name)}
	}
	switch name {
	case "last":
		return epochs[len(epochs)-1], a.lackingLast(), nil
	case "best":
		curves, err := a.Curves(ctx)
		if err != nil {
			return 0, lacks, err
		}
		if curves.Story.BestRecorded == 0 && curves.Any() {
			return 0, curves.Lacking, &NotFoundError{fmt.Sprintf("%s has no validation NLL that can be read to tell the best epoch: %s", a.source.Manifest().Name, curves.Sentence())}
		}
		if curves.Story.BestRecorded == 0 {
			return 0, lacks, &NotFoundError{fmt.Sprintf("%s has no validation NLL to tell the best epoch: name one", a.source.Manifest().Name)}
		}
		return curves.Story.BestRecorded, curves.Lacking, nil
	}
	epoch, err := strconv.Atoi(name)
	if err != nil {
		return 0, lacks, &NotFoundError{fmt.Sprintf("no epoch %q: want a number, last or best", name)}
	}
	return epoch, lacks, a.checkEpoch(epoch)
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

// knownSamples are the samples of a split and, where these grow, with which epochs.
type knownSamples struct {
	*record.Samples
	epochs int
}

// Samples returns the samples of a split, which are read once, or anew where an epoch may have brought others.
func (a *Analyzer) Samples(split string) (*record.Samples, error) {
	if err := a.CheckSplit(split); err != nil {
		return nil, err
	}
	splits := a.source.Manifest().Splits
	info := splits[slices.IndexFunc(splits, func(s record.SplitInfo) bool { return s.Name == split })]
	epochs := len(a.source.Epochs())
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.samples[split]; ok && (!info.Grows() || known.epochs == epochs) {
		return known.Samples, nil
	}
	samples, err := a.source.Samples(split)
	if err == nil {
		a.samples[split] = knownSamples{samples, epochs}
	}
	return samples, err
}

// NotFoundError names what a run does not hold, and what it holds instead.
type NotFoundError struct{ text string }

// NotFound returns one.
func NotFound(format string, args ...any) error {
	return &NotFoundError{fmt.Sprintf(format, args...)}
}

func (e *NotFoundError) Error() string { return e.text }

// CheckSplit returns nil where the run has a split, else an error that names those it has.
func (a *Analyzer) CheckSplit(split string) error {
	var names []string
	for _, s := range a.source.Manifest().Splits {
		names = append(names, s.Name)
	}
	if slices.Contains(names, split) {
		return nil
	}
	return &NotFoundError{fmt.Sprintf("no split %q in %s: it has %s", split, a.source.Manifest().Name, strings.Join(names, ", "))}
}

func (a *Analyzer) checkEpoch(epoch int) error {
	epochs := a.source.Epochs()
	if slices.Contains(epochs, epoch) {
		return nil
	}
	name := a.source.Manifest().Name
	if len(epochs) == 0 {
		return &NotFoundError{fmt.Sprintf("no epoch %d in %s: none is recorded", epoch, name)}
	}
	return &NotFoundError{fmt.Sprintf("no epoch %d in %s: it has %s", epoch, name, namesOf(epochs))}
}

// namesOf names epochs, which rise: each of them where they are few, else the first and the last.
func namesOf(epochs []int) string {
	const few = 12
	first, last := epochs[0], epochs[len(epochs)-1]
	names := fmt.Sprintf("%d to %d", first, last)
	if gaps := last - first + 1 - len(epochs); gaps > 0 && len(epochs) > few {
		names += fmt.Sprintf(", but %d between them", gaps)
	} else if gaps > 0 || first == last {
		names = words.Numbers(epochs)
	}
	return names
}
