// Package experiment does a whole training run. It reads and divides the data, chooses by the data the settings that were left open, trains a
// classifier, and records every sample's logits, so that the run can be looked at, resumed and used for predictions.
//
//	config := experiment.Default()
//	config.Data.Path = "t.csv"
//	plan, err := experiment.Plan(ctx, config, nil)      // what would be done, every default with its reason
//	result, err := plan.Run(ctx, "runs/t", nil)         // the run directory, as logitscope train makes it
//	result, err = experiment.Resume(ctx, "runs/t", nil) // after an interruption, to the same bits
//
// [Run] is the first two in one. A [Config] has the settings, and [Settings] describes each. The same Config, data, kind of processor and
// binary give the same bits, whatever the number of threads, except with a Budget, which goes by the clock. Nothing here prints: what happens
// is reported as an [Event]. When a context ends, training stops after the step; what was recorded by then is whole, and [Resume] goes on.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// Experiment is what Plan returns: data that was read and divided, and a Config that leaves nothing open.
type Experiment struct {
	Config  Config           // with what was chosen filled in: training by it again gives the same bits
	Data    *dataset.Dataset // all samples of all splits
	Splits  []train.Split    // rows of Data; the first split is trained on, the others are only measured
	Head    nn.Head
	Loss    Choice   // the loss that is minimised, whether it was chosen or given
	Kind    string   // the kind of the data, by which the defaults were chosen: a table, texts, images, …
	Choices []Choice // the settings that the Config left open, in the order of Settings
	Race    *Race    // how the validation rows chose between settings; nil where they did not

	raced     time.Duration  // how long the race took, which counts towards the budget
	winner    *train.Entrant // of the race, whose first epochs are trained already; nil once the trainer has them
	parts     []labelledPart
	recording recording
	trainer   atomic.Pointer[train.Trainer] // made to see whether the settings fit; the first Run uses it
}

// Choice is a setting that was left open, and what was chosen for it.
type Choice struct {
	Setting string // its key in the configuration
	Value   any    // what was chosen
	Why     string // the reason, in words
}

// Plan reads the data and decides what would be done. It writes nothing. Where the validation rows choose between settings, networks are
// trained for that, which takes most of Plan's time. events may be nil. A *ConfigError says which setting cannot be followed, and what it may
// be; other errors are those of reading files, or the cause of ctx where that ends.
func Plan(ctx context.Context, config Config, events Events) (*Experiment, error) {
	return plan(ctx, config, true, events)
}

// plan is Plan, except that where race is false no race is run.
func plan(ctx context.Context, c Config, race bool, events Events) (*Experiment, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := c.resolveTeacher(ctx); err != nil {
		return nil, err
	}
	data, err := c.load(ctx, events)
	if err != nil {
		return nil, err
	}
	e, err := c.divide(data)
	if err != nil {
		return nil, &ConfigError{err}
	}
	if c.Refit && !slices.ContainsFunc(e.parts, func(p labelledPart) bool { return p.Name == record.ValSplit }) {
		return nil, configErrorf("--refit: no rows are kept for validation, so a run of all rows would train the same again: " +
			"leave out --refit, or keep rows with --val-fraction or --val")
	}
	d, began := c.defaults(e.Data, e.parts), time.Now()
	if race {
		if d, e.Race, err = e.race(ctx, d); err != nil {
			return nil, err
		}
		e.raced = time.Since(began)
		if e.Race != nil {
			events.send(Raced{e.Race})
		}
	}
	return e, asConfigError(e.settle(d))
}

// divide returns the experiment with its data divided and its settings still open.
func (c Config) divide(data *dataset.Dataset) (*Experiment, error) {
	parts, err := c.split(data)
	if err != nil {
		return nil, err
	}
	e := &Experiment{Config: c, Data: data, Head: c.headOf(data), parts: parts}
	for _, p := range parts {
		e.Splits = append(e.Splits, p.trainSplit(data))
	}
	return e, nil
}

// load reads the data, unless ctx ends before it is read.
func (c Config) load(ctx context.Context, events Events) (*dataset.Dataset, error) {
	data, err := dataset.Load(ctx, c.Data, rand.New(rand.NewPCG(c.Seed, streamSplit)))
	if option := (dataset.OptionError{}); errors.As(err, &option) {
		return nil, &ConfigError{err}
	}
	if err == nil {
		events.send(DataRead{c.Data.Path, data})
	}
	return data, err
}

// settle fills in the open settings from the defaults d, and makes the trainer. Nothing is written.
func (e *Experiment) settle(d defaults) (err error) {
	e.Kind, e.Choices = d.data, e.Config.fill(d)
	e.Loss = e.lossChoice()
	if e.recording, err = e.Config.recording(); err != nil {
		return err
	}
	t, err := train.New(e.Config.Config, e.Head, e.Splits)
	if err == nil && e.winner != nil {
		t.Follow(e.winner)
		e.winner = nil
	}
	e.trainer.Store(t)
	return err
}

// planned returns the number of epochs for a run's manifest: 0 where validation decides, so that Epochs is only the largest number.
func (c Config) planned() int {
	if c.MinGain > 0 && c.Schedule.Schedule == "restarts" {
		return 0
	}
	return c.Epochs
}

// headOf returns the head that fits the data's classes. For two classes it has a single logit, unless Head asks for two or the loss is one of
// a softmax head.
func (c Config) headOf(data *dataset.Dataset) nn.Head {
	ofSoftmax := c.Head == string(logit.HeadSoftmax) || !c.LossConfig.Fits(logit.HeadBinary)
	switch {
	case data.Targets != nil:
		return nn.Sigmoid(len(data.Classes))
	case len(data.Classes) == 2 && !ofSoftmax:
		return nn.Binary()
	}
	return nn.Softmax(len(data.Classes))
}

// lossChoice returns the loss that is minimised, and why.
func (e *Experiment) lossChoice() Choice {
	c := e.Config
	choice := Choice{Setting: "loss", Value: c.LossName(e.Head)}
	classes := len(e.Data.Classes)
	switch {
	case c.Teacher != "":
		choice.Why = fmt.Sprintf("towards what %s takes the training samples for at epoch %s", c.Teacher, c.TeacherEpoch)
	case c.Loss != "":
		choice.Why = "as asked for"
	case e.Head.Kind() == logit.HeadBinary:
		choice.Why = "there are two classes, for which one logit is enough (two: --head softmax)"
	case e.Head.Kind().MultiLabel():
		_, _, choice.Why = loss.Choose(loss.Task{Classes: classes, MultiLabel: true})
	default:
		choice.Why = fmt.Sprintf("a sample has exactly one of %d classes", classes)
	}
	return choice
}
