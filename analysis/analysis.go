// Package analysis answers questions about a recorded run. The command line and the dashboard both ask this package, so that their
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

// Analyzer answers questions about one run. A recorded epoch never changes, so the Analyzer keeps what it computed of each epoch,
// which is a few numbers. It may be used by several goroutines at once.
type Analyzer struct {
	source Source

	mu      sync.Mutex
	samples map[string]knownSamples // the samples that were read, by split
	scores  map[int]epochScores     // the figures that were computed, by epoch
	means   map[splitEpoch]float64  // the mean NLL of a split at an epoch

	answered map[int]*answers // the answers on validation samples, by epoch; of the epochs with the lowest NLL and the last
	results  map[any]any      // what callers of Keep gave
}

type splitEpoch struct {
	split string
	epoch int
}

// epochScores holds the figures of each split at an epoch, or the damage that keeps them from being read.
type epochScores struct {
	splits map[string]splitFigures
	units  *sampleSums // the sums of NLL over the validation samples; nil without a validation split
	err    error       // the damage that keeps some split from being read; nil for none
}

// unread reports whether the figures were made of row statistics alone although the run keeps logits, which would tell more.
func (e epochScores) unread() bool {
	for _, f := range e.splits {
		if f.bounds && f.traits.info.Dense {
			return true
		}
	}
	return false
}

// New returns an Analyzer of a run directory. The caller refreshes and closes the run.
func New(run *record.Run) *Analyzer { return Of(directory{run}) }

// Of returns an Analyzer of any Source.
func Of(source Source) *Analyzer {
	return &Analyzer{
		source: source, samples: map[string]knownSamples{}, scores: map[int]epochScores{}, means: map[splitEpoch]float64{},
		answered: map[int]*answers{}, results: map[any]any{},
	}
}

// Source returns the run that the Analyzer asks.
func (a *Analyzer) Source() Source { return a.source }

// Keep stores a value that a caller computed of the run under a key, for Kept. As with the keys of a context, the key is of a type that
// the caller's package defines, so that two packages never share one.
func (a *Analyzer) Keep(key, value any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.results[key] = value
}

// Kept returns the value that Keep stored under a key, nil where there is none.
func (a *Analyzer) Kept(key any) any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.results[key]
}

// scoresOf returns the figures of the given epochs. It computes those that are not kept yet, epochs side by side on all processors. Where whole
// is false, the ranges of the scores and the traits may be mere bounds, which row statistics give.
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
				if s.Name == a.source.Manifest().HeldOut() && len(samples[s.Name].IDs) > 0 {
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

// ReadDecisions opens the decisions on the rows of a split at an epoch and calls use, which must not keep them. It is an error where the epoch has
// no rows of the split although other epochs do.
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
	format := "epoch %d of %s has no rows of split %s: the run has them at epochs %s"
	if len(with) == 1 {
		format = "epoch %d of %s has no rows of split %s: the run has them at epoch %s"
	}
	return a.notFound(format, epoch, a.source.Manifest().Name, split, namesOf(with))
}

// Score scores the labelled rows of a split at an epoch. A temperature that is not finite or not above 0 is an error.
func (a *Analyzer) Score(ctx context.Context, epoch int, split string, o ScoreOptions) (s *Score, err error) {
	err = a.ReadDecisions(ctx, epoch, split, func(d Decisions) (err error) {
		s, err = ScoreOf(ctx, d, o)
		return cmp.Or(err, ctx.Err())
	})
	return s, err
}

// Calibrate fits a calibrator to the labelled rows of a split at an epoch. It leaves out rows without a softmax and counts them. Where no calibrator
// can be fitted to the rows, the error is a *NotFoundError.
func (a *Analyzer) Calibrate(ctx context.Context, epoch int, split string, method calibrate.Method, o calibrate.Options) (c *calibrate.Calibrator, err error) {
	err = a.ReadDecisions(ctx, epoch, split, func(d Decisions) error {
		all, why := d.whole(ctx)
		if why != nil {
			return why
		}
		if c, why = calibrate.Fit(ctx, all, method, o); why != nil && ctx.Err() == nil {
			return a.notFound("epoch %d, split %s: %v", epoch, split, why)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	c.Run, c.Epoch = a.source.Manifest().ID, &epoch
	return c, nil
}

// Epoch returns the epoch that a name means: a number, last, or best for the epoch with the lowest validation NLL. It also returns the damaged or
// missing epochs that might have been chosen otherwise. A name that means no recorded epoch is a *NotFoundError.
func (a *Analyzer) Epoch(ctx context.Context, name string) (int, Lacking, error) {
	lacks := Lacking{}
	epochs := a.source.Epochs()
	if len(epochs) == 0 && a.source.State() == record.StateRunning {
		return 0, lacks, a.notFound("%s holds no epoch yet: wait for the first one", a.source.Manifest().Name)
	} else if gone := a.Lost(); len(epochs) == 0 && gone.Any() {
		return 0, gone, a.notFound("%s has no epoch any more: %s", a.source.Manifest().Name, gone.Sentence())
	} else if len(epochs) == 0 {
		return 0, lacks, a.notFound("%s ended without an epoch recorded: train with --record all, or go on with --resume", a.source.Manifest().Name)
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
			return 0, curves.Lacking, a.notFound("%s has no validation NLL that can be read to tell the best epoch: %s", a.source.Manifest().Name, curves.Sentence())
		}
		if curves.Story.BestRecorded == 0 {
			return 0, lacks, a.notFound("%s has no validation NLL to tell the best epoch: name one", a.source.Manifest().Name)
		}
		return curves.Story.BestRecorded, curves.Lacking, nil
	}
	epoch, err := strconv.Atoi(name)
	if err != nil {
		return 0, lacks, a.notFound("no epoch %q: want a number, last or best", name)
	}
	return epoch, lacks, a.checkEpoch(epoch)
}

// Guard calls work, which reads a mapped file. Where another program truncates the file meanwhile, or the disk fails, the read faults; Guard then
// returns an error that begins with what and says that the file is damaged, where otherwise the process would end. Other panics pass through.
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

// knownSamples are the samples of a split as they were read.
type knownSamples struct {
	*record.Samples
	epochs int // how many epochs the run had then: in a split that grows, later epochs may bring more samples
}

// Samples returns the samples of a split. It reads them once, or again where a later epoch may have brought more. A split that the run does not
// have is a *NotFoundError.
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

// NotFoundError says what a run does not hold, and what it holds instead.
type NotFoundError struct{ text string }

// NotFound returns a *NotFoundError with a text that is formatted as by fmt.Sprintf.
func NotFound(format string, args ...any) error {
	return &NotFoundError{fmt.Sprintf(format, args...)}
}

// notFound is NotFound with a format that speaks of epochs, and an error that speaks of the run's unit.
func (a *Analyzer) notFound(format string, args ...any) error {
	return &NotFoundError{a.unit().Sprintf(format, args...)}
}

// unit is what the numbers of the run's epochs count.
func (a *Analyzer) unit() words.Unit { return words.Unit(a.source.Manifest().Unit) }

// inWords has a sentence, which is written of epochs and validation, speak of the run's unit, and of the split that is held out.
func (a *Analyzer) inWords(sentence string) string {
	return a.unit().In(words.HeldOut(a.source.Manifest().HeldOut()).In(sentence))
}

func (e *NotFoundError) Error() string { return e.text }

// CheckSplit returns nil where the run has the split, else a *NotFoundError that names the splits it has.
func (a *Analyzer) CheckSplit(split string) error {
	var names []string
	for _, s := range a.source.Manifest().Splits {
		names = append(names, s.Name)
	}
	if slices.Contains(names, split) {
		return nil
	}
	return a.notFound("no split %q in %s: it has %s", split, a.source.Manifest().Name, strings.Join(names, ", "))
}

func (a *Analyzer) checkEpoch(epoch int) error {
	epochs := a.source.Epochs()
	if slices.Contains(epochs, epoch) {
		return nil
	}
	name := a.source.Manifest().Name
	if len(epochs) == 0 {
		return a.notFound("no epoch %d in %s: none is recorded", epoch, name)
	}
	return a.notFound("no epoch %d in %s: it has %s", epoch, name, namesOf(epochs))
}

// namesOf returns text that names epochs, which are in rising order: every one where they are few, else the first and the last.
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
