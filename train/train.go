// Package train trains a network epoch by epoch, and measures after each epoch the logits of every split.
//
// It knows nothing of how a run is recorded. The caller of Trainer.Run gets each epoch's logits, and between epochs a checkpoint from which
// training can go on later, and keeps of them what it wants.
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

// Epoch is the result of an epoch. Its slices are the trainer's: they are overwritten when the observer has returned.
type Epoch struct {
	Number       int           // counted from 1
	Splits       []SplitResult // in the order of the splits that were given to New
	Loss         float64       // the mean, over the epoch's samples, of the loss that was minimised, with dropout and mixup
	LearningRate float64       // of the last step
	Best         bool          // whether no epoch so far has a better figure
	Stop         bool          // whether training ends with this epoch, before Config.Epochs
	Cycle        *Cycle        // the result of the cycle of restarts that ends here and is judged by MinGain; else nil
	Ahead        int           // the next epoch with which training may end: this one, the last of the current cycle, or Config.Epochs
	Elapsed      time.Duration // since Run began
}

// Trainer is a network in training. Between two epochs its state can be kept by Checkpoint.
type Trainer struct {
	// Sink, where it is set, is called with the logits of each split (by its index) as they are measured, a block of samples at a time and
	// in order. The logits are then not part of an Epoch, so that those of a split need not fit into memory.
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
	epoch     int // the last epoch that was trained

	decidingOnly bool        // in a race: only the deciding split is measured
	raced        []raceEpoch // the first epochs, which were trained in a race already; see Follow

	// The random generators of dropout and of mixup. That of the samples' order starts again from its seed when training is resumed.
	drawing, mixing *rand.PCG
}

// Run trains from the beginning: it is New and Trainer.Run.
func Run(ctx context.Context, config Config, head nn.Head, splits []Split, observe func(Epoch) error) error {
	t, err := New(config, head, splits)
	if err != nil {
		return err
	}
	return t.Run(ctx, observe)
}

// New returns a Trainer of a new network. The first split is trained on, the others are only measured. The same config, splits and binary
// give the same bits whatever the number of threads. Where config, head and splits cannot be trained together, New returns a
// *SettingsError.
func New(config Config, head nn.Head, splits []Split) (*Trainer, error) {
	t, err := newTrainer(config, head, splits)
	if err != nil {
		return nil, &SettingsError{err}
	}
	return t, nil
}

// binRows is the number of training samples that the edges of bins are taken from.
const binRows = 1 << 14

// SettingsError says why a Config, a head and splits cannot be trained together. It is returned before any step.
type SettingsError struct{ Err error }

// Error implements error.
func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
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
	if bins, _ := nn.ModelBins(config.Model); bins > 0 { // else the samples need not be looked at
		t.net.FitBins(splits[0].spread(binRows))
	}
	t.net.Loss, err = config.LossConfig.build(head, &splits[0], splits[0].Soft != nil || config.Mixup != 0)
	return t, err
}

// figure returns the name of the figure that says which epoch is best: StopOn, or the NLL of val, or of the first split where val has no
// sample.
func (c Config) figure(head nn.Head, splits []Split) (string, error) {
	if c.StopOn != "" {
		return c.StopOn, checkFigure(c.StopOn, head, splits)
	}
	if slices.ContainsFunc(splits, func(s Split) bool { return s.Name == splitname.Val && s.N() > 0 }) {
		return splitname.Val + ".nll", nil
	}
	return splits[0].Name + ".nll", nil
}

// Done returns the last epoch that was trained, 0 before the first.
func (t *Trainer) Done() int { return t.epoch }

// Best returns the best epoch so far, 0 before the first, and the name and value of the figure by which it is the best.
func (t *Trainer) Best() (epoch int, figure string, value float64) {
	return t.monitor.Epoch, t.monitor.Figure, float64(t.monitor.Value)
}

// Finished reports whether training has ended: all epochs were trained, patience is at its end, or another cycle is not worth training.
func (t *Trainer) Finished() bool {
	return t.epoch >= t.config.Epochs || t.cycles.ended || t.outOfPatience()
}

// outOfPatience reports whether the figure has not improved for Patience epochs.
func (t *Trainer) outOfPatience() bool {
	return t.config.Patience > 0 && t.monitor.Since >= t.config.Patience
}

// End makes the last epoch that was trained the last of all. A Trainer that is restored from a later checkpoint is finished too.
func (t *Trainer) End() { t.cycles.ended = true }

// Run trains until Finished, and calls observe after each epoch. It returns the error of observe, or the cause of ctx where that ends: at
// the next step, or the next block of samples that is measured. Where a value is not finite, it returns a *DivergedError, before that step
// changes any weight.
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

// runEpoch trains and measures the next epoch.
func (t *Trainer) runEpoch(ctx context.Context) (*Epoch, error) {
	e := &Epoch{Number: t.epoch + 1, Splits: t.results}
	t.batches.shuffle()
	if err := t.learn(ctx, e); err != nil {
		return nil, err
	}
	// In a race, an epoch within a cycle is not measured unless patience needs its figure.
	_, end := t.config.cycle(t.epoch, t.config.Epochs)
	if !t.decidingOnly || e.Number == end || t.config.Patience > 0 {
		if err := t.measure(ctx, e); err != nil {
			return nil, err
		}
	}
	t.epoch = e.Number
	e.Best = t.monitor.endEpoch(e.Number, e.Figure(t.monitor.Figure), t.config.Schedule)
	if t.cycles.decidingSplit >= 0 {
		labels := t.splits[t.cycles.decidingSplit].Labels
		if t.head.Kind().MultiLabel() {
			labels = nil
		}
		e.Cycle = t.cycles.endEpoch(e.Number, t.config, labels)
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

// learn takes the steps of an epoch, or takes over the state after them from a race.
func (t *Trainer) learn(ctx context.Context, e *Epoch) error {
	if len(t.raced) >= e.Number {
		return t.takeOver(e, t.raced[e.Number-1])
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

// takeOver sets the trainer to the state that an entrant of a race was in after an epoch.
func (t *Trainer) takeOver(e *Epoch, raced raceEpoch) error {
	files := map[string][]byte{}
	for _, f := range raced.state {
		files[f.Name] = f.Data
	}
	before := t.cycles // stays, since this epoch is measured like any other
	if _, err := t.readState(files); err != nil {
		return err
	}
	t.cycles = before
	t.raced[e.Number-1] = raceEpoch{} // frees its memory
	e.Loss, e.LearningRate = raced.loss, raced.rate
	return nil
}

// weightless reports whether class weights leave nothing of the batch to be learnt: its mean loss would be 0/0.
func (t *Trainer) weightless() bool {
	l, ok := t.net.Loss.(loss.CrossEntropy[float32])
	if !ok || l.ClassWeights == nil || len(t.batches.soft) > 0 {
		return false
	}
	return !slices.ContainsFunc(t.batches.labels, func(label int32) bool { return label != loss.Ignored && l.ClassWeights[label] > 0 })
}

// Measure measures every split once more, as after the last epoch that was trained, and calls Sink with the logits. It returns the error of
// Sink, or the cause of ctx where that ends.
func (t *Trainer) Measure(ctx context.Context) error {
	return t.measure(ctx, &Epoch{Number: t.epoch, Splits: t.results})
}

// measure measures every split, with the moving average of the weights where there is one.
func (t *Trainer) measure(ctx context.Context, e *Epoch) error {
	t.swapAverage()
	defer t.swapAverage()
	watched, figure, _ := strings.Cut(t.monitor.Figure, ".")
	for i := range t.splits {
		if t.decidingOnly && i != t.cycles.decidingSplit {
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
		if i == t.cycles.decidingSplit {
			t.cycles.nll = slices.Grow(t.cycles.nll[:0], t.splits[i].N())[:t.splits[i].N()]
			t.meter.nll = t.cycles.nll
		}
		if err := t.meter.measure(ctx, &e.Splits[i], t.net, &t.splits[i], extra, sink); err != nil {
			return err
		}
	}
	return nil
}

// swapAverage exchanges the network's weights and their moving average, where there is one.
func (t *Trainer) swapAverage() {
	if t.optimizer.average == nil {
		return
	}
	start := 0
	for _, p := range t.net.Params() {
		average := t.optimizer.average[start : start+len(p.Data)]
		start += len(p.Data)
		for i := range p.Data {
			p.Data[i], average[i] = average[i], p.Data[i]
		}
	}
}

// DivergedError says where training met a value that is not finite.
type DivergedError struct {
	Epoch, Step  int                // both counted from 1
	SampleID     int64              // the id of the sample, where Cause.Row is not −1
	LearningRate float64            // of the step
	Cause        *nn.NonFiniteError // where in the network
}

// Error implements error. The text says what to try.
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

// Unwrap returns Cause.
func (e *DivergedError) Unwrap() error { return e.Cause }

// diverged returns the error of a network's step as a *DivergedError, which adds the epoch, the step and the sample.
func (t *Trainer) diverged(epoch *Epoch, err error) error {
	var cause *nn.NonFiniteError
	if !errors.As(err, &cause) {
		return err
	}
	e := &DivergedError{Epoch: epoch.Number, Step: t.batches.step, LearningRate: epoch.LearningRate, Cause: cause}
	if cause.Row >= 0 {
		e.SampleID = t.batches.split.id(t.batches.rows[cause.Row])
	}
	return e
}
