// Package experiment is a whole training run: it reads and divides the data, chooses by the data what nobody chose, trains a
// classifier, and records every sample's logits, so that the run can be looked at, resumed and used.
//
//	config := experiment.Default()
//	config.Data.Path = "t.csv"
//	plan, err := experiment.Plan(ctx, config, nil)      // what would be done, every default with its reason
//	result, err := plan.Run(ctx, "runs/t", nil)         // the run directory, as logitscope train makes it
//	result, err = experiment.Resume(ctx, "runs/t", nil) // after an interruption, to the same bits
//
// [Run] is the first two in one. A [Config] is the settings; [Settings] describes each. The same Config, data, processor and binary give the same bits,
// whatever the number of threads, but for a Budget, which is by the clock. Nothing here prints: what happens is told as
// an [Event]. A context that ends stops training after the step; what is recorded by then is whole, and [Resume] goes on.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// An Experiment is what Plan found: data that is read and divided, and a Config that leaves nothing open.
type Experiment struct {
	Config  Config           // with what was chosen by the data filled in: it trains the same bits again
	Data    *dataset.Dataset // all samples of all splits
	Splits  []train.Split    // rows of Data; the first is trained on, the others are measured
	Head    nn.Head
	Loss    Choice   // what is minimised, chosen or asked for
	Kind    string   // of the data, by which the defaults were chosen: a table, texts, images, …
	Choices []Choice // what the Config left open, in the order of its settings
	Race    *Race    // how some of it was decided by the validation rows; nil where nothing was raced

	raced     time.Duration  // which counts towards the budget
	winner    *train.Entrant // of the race, which has trained some epochs already; nil once they are handed on
	parts     []labelledPart
	recording recording
	trainer   atomic.Pointer[train.Trainer] // that was made to see whether the settings fit, for the first Run
}

// A Choice is a setting that was left open and what was chosen for it.
type Choice struct {
	Setting string // its key in the configuration
	Value   any
	Why     string
}

// Plan reads the data and decides what would be done, and writes nothing. Where the validation rows choose between settings,
// networks are trained for it, which is most of Plan's time. events may be nil. A *ConfigError says which setting cannot be
// followed and what it may be; other errors are of the files.
func Plan(ctx context.Context, config Config, events Events) (*Experiment, error) {
	return plan(ctx, config, true, events)
}

// plan is Plan, or without a race takes what would start last in it.
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

// divide is the experiment with the data, all that is open left so.
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

// settle fills in what is open and makes all that trains; nothing is written.
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

// planned is how many epochs there will be, as a run's manifest has it: 0 where validation decides, and Epochs is the most.
func (c Config) planned() int {
	if c.MinGain > 0 && c.Schedule.Schedule == "restarts" {
		return 0
	}
	return c.Epochs
}

// headOf is the head that fits the data's classes: for two of them a single logit, unless two are asked for or the loss is one
// of a softmax.
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

// lossChoice is which loss is taken and why.
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
