// Package train runs the epochs: shuffle, batches, steps, and after each epoch the logits of every split.
//
// It knows nothing of how a run is recorded. Whoever runs a Trainer gets each epoch's logits, and between epochs what it
// takes to go on later, and keeps what it wants of them.
package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/splitname"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// Epoch is what Run hands out after each epoch. The slices are the trainer's own: they hold until the observer returns.
type Epoch struct {
	Number       int // from 1
	Splits       []SplitResult
	Loss         float64       // mean over the epoch's steps of what was minimised, dropout and mixup included
	LearningRate float64       // of the last step
	Best         bool          // no epoch so far has a better figure
	Stop         bool          // training ends here before its epochs are over
	Cycle        *Cycle        // where a cycle of restarts ends here that is judged by MinGain
	Ahead        int           // the epoch at which training may end next: this one, the last of the next's cycle, or of all
	Elapsed      time.Duration // since Run began
}

// Trainer is a network in training, between two epochs.
type Trainer struct {
	// Sink, where it is set, is given the logits of each split (by its index) in blocks of samples, in order, as they are
	// measured; an Epoch then has none. So a split's logits need not fit into memory.
	Sink func(epoch, split int, logits []float32) error

	config    Config
	head      nn.Head
	splits    []Split
	net       *nn.Network[float32]
	optimizer *stepper
	batches   *batches
	meter     meter
	results   []SplitResult
	monitor   monitor
	cycles    cycles
	epoch     int // the last one done

	watchedOnly bool      // of a race: no split is measured but the one that decides
	ahead       []trained // epochs from the first on that an entrant of a race was trained

	// What the network draws from (dropout) and mixup; the order of the samples is drawn again from its seed.
	drawing, mixing *rand.PCG
}

// Run trains from the beginning: New and Trainer.Run.
func Run(ctx context.Context, config Config, head nn.Head, splits []Split, observe func(Epoch) error) error {
	t, err := New(config, head, splits)
	if err != nil {
		return err
	}
	return t.Run(ctx, observe)
}

// New makes a network and all that trains it. The first split is trained on, the others are only measured. The same config,
// splits and binary give the same bits whatever the number of threads. An error is a *SettingsError.
func New(config Config, head nn.Head, splits []Split) (*Trainer, error) {
	t, err := newTrainer(config, head, splits)
	if err != nil {
		return nil, &SettingsError{err}
	}
	return t, nil
}

// SettingsError says that a Config, a head and splits cannot be trained together, which is known before any step.
type SettingsError struct{ Err error }

func (e *SettingsError) Error() string { return e.Err.Error() }

func (e *SettingsError) Unwrap() error { return e.Err }

func newTrainer(config Config, head nn.Head, splits []Split) (*Trainer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	splits = slices.Clone(splits)
	if err := checkSplits(head, splits); err != nil {
		return nil, err
	}
	t := &Trainer{
		config: config, head: head, splits: splits, optimizer: newStepper(config), results: make([]SplitResult, len(splits)),
		meter: meter{head: head}, monitor: monitor{Plateau: 1}, drawing: config.source(streamInit), mixing: config.source(streamMixup),
	}
	t.meter.batches.columns = head.Columns()
	for i, s := range splits {
		t.results[i].Name = s.Name
	}
	var err error
	if t.monitor.Figure, err = config.figure(head, splits); err != nil {
		return nil, err
	}
	t.cycles = newCycles(config, splits)
	if t.batches, err = newBatches(config, head, splits[0], t.mixing); err != nil {
		return nil, err
	}
	if t.net, err = config.network(splits[0].input(), head, t.drawing); err != nil {
		return nil, err
	}
	t.net.Loss, err = config.LossConfig.build(head, &splits[0], splits[0].Soft != nil || config.Mixup != 0)
	return t, err
}

// figure is what says which epoch is best: StopOn, or the NLL of val, or of the first split where there is no val.
func (c Config) figure(head nn.Head, splits []Split) (string, error) {
	if c.StopOn != "" {
		return c.StopOn, checkFigure(c.StopOn, head, splits)
	}
	if slices.ContainsFunc(splits, func(s Split) bool { return s.Name == splitname.Val && s.N() > 0 }) {
		return splitname.Val + ".nll", nil
	}
	return splits[0].Name + ".nll", nil
}

// Done returns the last epoch that is done, 0 before the first.
func (t *Trainer) Done() int { return t.epoch }

// Best returns the best epoch so far, 0 before the first, and the figure that says so with its value.
func (t *Trainer) Best() (epoch int, figure string, value float64) {
	return t.monitor.Epoch, t.monitor.Figure, float64(t.monitor.Value)
}

// Finished reports whether nothing is left to do.
func (t *Trainer) Finished() bool {
	return t.epoch >= t.config.Epochs || t.cycles.ended || t.outOfPatience()
}

func (t *Trainer) outOfPatience() bool {
	return t.config.Patience > 0 && t.monitor.Since >= t.config.Patience
}

// End makes the epoch that is done the last one: nothing is left to do, now and after Restore of a checkpoint made from here on.
func (t *Trainer) End() { t.cycles.ended = true }

// Run trains until the config's epochs are done, patience ends, observe fails or ctx ends; then it returns ctx's cause at the
// next step, or the next block of what is measured. A value that is not finite stops training in its step, before any weight changes, with a *DivergedError.
func (t *Trainer) Run(ctx context.Context, observe func(Epoch) error) error {
	began := time.Now()
	for !t.Finished() {
		e, err := t.runEpoch(ctx)
		if err != nil {
			return err
		}
		e.Elapsed = time.Since(began)
		if err := observe(*e); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trainer) runEpoch(ctx context.Context) (*Epoch, error) {
	e := &Epoch{Number: t.epoch + 1, Splits: t.results}
	t.batches.shuffle()
	if err := t.learn(ctx, e); err != nil {
		return nil, err
	}
	// Within a cycle of a race nobody asks how the network does, unless patience counts the epochs.
	_, end := t.config.cycle(t.epoch, t.config.Epochs)
	if !t.watchedOnly || e.Number == end || t.config.Patience > 0 {
		if err := t.measure(ctx, e); err != nil {
			return nil, err
		}
	}
	t.epoch = e.Number
	e.Best = t.monitor.see(e.Number, e.Figure(t.monitor.Figure), t.config.Schedule)
	if t.cycles.watched >= 0 {
		labels := t.splits[t.cycles.watched].Labels
		if t.head.Kind().MultiLabel() {
			labels = nil
		}
		e.Cycle = t.cycles.see(e.Number, t.config, labels)
	}
	finished := t.Finished()
	e.Stop = finished && t.epoch < t.config.Epochs
	e.Ahead = t.config.Epochs
	if finished {
		e.Ahead = t.epoch
	} else if t.config.Schedule.Schedule == "restarts" {
		_, e.Ahead = t.config.cycle(t.epoch, t.config.Epochs)
	}
	return e, nil
}

// learn takes the steps of an epoch, or the state after them where a race was there before.
func (t *Trainer) learn(ctx context.Context, e *Epoch) error {
	if len(t.ahead) >= e.Number {
		return t.follow(e, t.ahead[e.Number-1])
	}
	perEpoch := t.batches.perEpoch()
	total := 0.0
	for t.batches.next() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.LearningRate = t.config.rate(t.config.LearningRate, t.optimizer.steps, t.config.Epochs*perEpoch, perEpoch, t.monitor.Plateau)
		t.optimizer.setRate(e.LearningRate)
		if t.weightless() {
			continue
		}
		mean, err := t.net.Step(t.batches.batch(), t.optimizer)
		if err != nil {
			return t.diverged(e, err)
		}
		total += mean * float64(len(t.batches.rows))
	}
	e.Loss = total / float64(len(t.batches.order))
	for _, p := range t.net.Params() {
		if !kernel.AllFinite(p.Data) {
			layer, quantity, _ := strings.Cut(p.Name, ".")
			return t.diverged(e, &nn.NonFiniteError{Layer: layer, Quantity: quantity, Row: -1})
		}
	}
	return nil
}

// follow takes the state that an entrant was in after an epoch.
func (t *Trainer) follow(e *Epoch, to trained) error {
	files := map[string][]byte{}
	for _, f := range to.state {
		files[f.Name] = f.Data
	}
	before := t.cycles // which measuring tells anew
	if _, err := t.take(files); err != nil {
		return err
	}
	t.cycles = before
	t.ahead[e.Number-1] = trained{} // a run may be long, and needs it no more
	e.Loss, e.LearningRate = to.loss, to.rate
	return nil
}

// weightless reports whether class weights leave nothing of the batch to be learnt: its mean is 0/0.
func (t *Trainer) weightless() bool {
	l, ok := t.net.Loss.(loss.CrossEntropy[float32])
	if !ok || l.ClassWeights == nil || len(t.batches.soft) > 0 {
		return false
	}
	return !slices.ContainsFunc(t.batches.labels, func(label int32) bool { return label != loss.Ignored && l.ClassWeights[label] > 0 })
}

// Measure measures every split once more, as after the last epoch that is done, for Sink, until ctx ends.
func (t *Trainer) Measure(ctx context.Context) error {
	return t.measure(ctx, &Epoch{Number: t.epoch, Splits: t.results})
}

// measure measures every split, by the average of the weights where there is one.
func (t *Trainer) measure(ctx context.Context, e *Epoch) error {
	t.swapAverage()
	defer t.swapAverage()
	watched, figure, _ := strings.Cut(t.monitor.Figure, ".")
	for i := range t.splits {
		if t.watchedOnly && i != t.cycles.watched {
			continue
		}
		extra := ""
		if t.splits[i].Name == watched && figure != "nll" && figure != "accuracy" && figure != "loss" {
			extra = figure
		}
		var sink func([]float32) error
		if t.Sink != nil {
			sink = func(logits []float32) error { return t.Sink(e.Number, i, logits) }
		}
		t.meter.nll = nil
		if i == t.cycles.watched {
			t.cycles.nll = slices.Grow(t.cycles.nll[:0], t.splits[i].N())[:t.splits[i].N()]
			t.meter.nll = t.cycles.nll
		}
		if err := t.meter.measure(ctx, &e.Splits[i], t.net, &t.splits[i], extra, sink); err != nil {
			return err
		}
	}
	return nil
}

// swapAverage exchanges the network's weights for their average, and back.
func (t *Trainer) swapAverage() {
	if t.optimizer.average == nil {
		return
	}
	at := 0
	for _, p := range t.net.Params() {
		average := t.optimizer.average[at : at+len(p.Data)]
		at += len(p.Data)
		for i := range p.Data {
			p.Data[i], average[i] = average[i], p.Data[i]
		}
	}
}

// DivergedError says where training met a value that is not finite.
type DivergedError struct {
	Epoch, Step  int // both from 1
	SampleID     int64
	LearningRate float64
	Cause        *nn.NonFiniteError
}

func (e *DivergedError) Error() string {
	sample := ""
	if e.Cause.Row >= 0 {
		sample = fmt.Sprintf(", sample %d", e.SampleID)
	}
	return fmt.Sprintf("training diverged at epoch %d, step %d: NaN or infinity in %s %s%s; no weight was changed by this step; %s",
		e.Epoch, e.Step, e.Cause.Layer, e.Cause.Quantity, sample, e.advice())
}

func (e *DivergedError) advice() string {
	switch {
	case e.Cause.Layer == "input":
		return "the sample's features hold it: check the data"
	case e.Epoch == 1 && e.Step == 1:
		return "nothing was learned yet, so the features are too large: scale them to about 1"
	}
	return fmt.Sprintf("the learning rate of %.3g is likely too high: lower it, or bound the gradients (--clip-norm 1)", e.LearningRate)
}

func (e *DivergedError) Unwrap() error { return e.Cause }

// diverged adds to a network's error which epoch, step and sample it was.
func (t *Trainer) diverged(at *Epoch, err error) error {
	var cause *nn.NonFiniteError
	if !errors.As(err, &cause) {
		return err
	}
	e := &DivergedError{Epoch: at.Number, Step: t.batches.step, LearningRate: at.LearningRate, Cause: cause}
	if cause.Row >= 0 {
		e.SampleID = t.batches.split.id(t.batches.rows[cause.Row])
	}
	return e
}
