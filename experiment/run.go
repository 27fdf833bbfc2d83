package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// Result is the result of a run.
type Result struct {
	Run      string             `json:"run"`             // the run directory
	Epochs   int                `json:"epochs"`          // the number of epochs that were trained
	Recorded int                `json:"recorded"`        // the number of epochs whose logits are recorded
	Seconds  float64            `json:"seconds"`         // the time that training took
	Best     int                `json:"best"`            // the best epoch, whose weights are used for predictions
	Figure   string             `json:"best_by"`         // the name of the figure by which it is the best
	Splits   map[string]Figures `json:"splits"`          // of the last epoch, by the names of the splits
	Refit    string             `json:"refit,omitempty"` // the directory of the run that was trained on the validation rows too; "" for none

	Experiment *Experiment  `json:"-"` // what was trained; nil for a result of Sweep
	LastCycle  *train.Cycle `json:"-"` // the last cycle of the learning rate, where validation decides how many there are
	OutOfTime  bool         `json:"-"` // whether training ended because its Budget did
}

// Figures are means over the labelled samples of a split.
type Figures struct {
	NLL      float64 `json:"nll"`
	Accuracy float64 `json:"accuracy"`
}

// BrokenOff is the error of a run that ended before all its epochs were trained. It says what is left of the run.
type BrokenOff struct {
	Run    string // the directory that Resume goes on with
	Dir    string // the directory that has the epochs: for folds a folder in Run
	Epoch  int    // the last epoch that was trained
	Intact bool   // whether any epoch is recorded
	Ended  bool   // whether the context ended; otherwise training failed
	Err    error  // the reason: the cause of the context, a *train.DivergedError, or an error of the disk

	planned string // the number of epochs in words
}

// Error implements error. The text says how to go on.
func (e *BrokenOff) Error() string {
	left := "what was recorded is whole, see it with: logitscope view " + e.Dir
	if !e.Intact {
		left = "no epoch is recorded yet"
	}
	if e.Ended {
		return fmt.Sprintf("stopped after epoch %d of %s; %s; go on with: logitscope train --resume %s", e.Epoch, e.planned, left, e.Run)
	}
	return fmt.Sprintf("%v; %s", e.Err, left)
}

// Unwrap returns Err.
func (e *BrokenOff) Unwrap() error { return e.Err }

// Run plans a run by Plan, and then trains and records it in dir by Experiment.Run. Its errors are those of both.
func Run(ctx context.Context, config Config, dir string, events Events) (*Result, error) {
	e, err := Plan(ctx, config, events)
	if err != nil {
		return nil, err
	}
	return e.Run(ctx, dir, events)
}

// session is an Experiment whose run directory is made.
type session struct {
	*Experiment
	events   Events
	dir      string
	main     string // the run that dir is part of, which is the one to resume
	trainer  trainer
	recorder *record.Writer
	recorded *record.Run    // the run that is resumed; nil for a new run
	upTo     int            // epochs up to this one are recorded: they are compared and not written
	compared *record.Logits // the recorded logits of the split that is being compared

	recordedLogits []float32 // the values of compared
	comparedUpTo   int       // how many of them have been compared
}

// trainer is one network in training, or one for each fold.
type trainer interface {
	train.Trainee
	Run(ctx context.Context, observe func(train.Epoch) error) error
	Restore(files map[string][]byte) error
}

// Run trains the experiment and records it in dir, a directory that must not exist yet. Where the Config says so, it then trains the folds,
// which it records in dir/folds, and the run of all rows, in dir-refit. Where training ends early, as when ctx ends, it returns a *BrokenOff,
// and Resume goes on. An Experiment may be run again, into another directory, with the same bits. events may be nil.
func (e *Experiment) Run(ctx context.Context, dir string, events Events) (*Result, error) {
	s, err := e.session(dir, events)
	if err != nil {
		return nil, err
	}
	s.warnOfSize()
	if s.recorder, err = e.create(dir); err != nil {
		return nil, err
	}
	events.send(Created{dir, e})
	return s.all(ctx)
}

// session returns a session of the experiment in dir, with the trainer that Plan made, or a new one.
func (e *Experiment) session(dir string, events Events) (*session, error) {
	s := &session{Experiment: e, dir: dir, main: dir, events: events}
	t := e.trainer.Swap(nil)
	if t == nil {
		var err error
		if t, err = train.New(e.Config.Config, e.Head, e.Splits); err != nil {
			return nil, err
		}
	}
	t.Sink = s.keepDue
	s.trainer = t
	return s, nil
}

// all trains the run, and then its folds and its refit.
func (s *session) all(ctx context.Context) (*Result, error) {
	result, err := s.train(ctx)
	if err == nil && s.Config.Folds > 0 {
		err = s.crossFit(ctx, result.Epochs)
	}
	if err == nil && s.Config.Refit {
		result.Refit, err = s.refit(ctx, result)
	}
	return result, err
}

// train trains and records until training is finished or ctx ends.
func (s *session) train(ctx context.Context) (*Result, error) {
	s.events.send(TrainingBegan{s.dir, s.Config.Epochs})
	defer s.events.send(TrainingEnded{s.dir})
	result := &Result{Run: s.dir, Splits: map[string]Figures{}, Epochs: s.trainer.Done(), Experiment: s.Experiment}
	saver := train.NewSaver(func(epoch int, files []train.File, best int) error {
		all := make([]record.File, len(files))
		for i, f := range files {
			all[i] = record.File(f)
		}
		return s.recorder.Checkpoint(epoch, all, best)
	})
	cycleBegan := time.Duration(0)
	err := s.trainer.Run(ctx, func(e train.Epoch) error {
		figures := record.Figures{Epoch: e.Number}
		for i, r := range e.Splits {
			if r.Logits != nil && (s.recording.due(e.Number) || e.Stop || e.Number == s.Config.Epochs) { // of folds
				if err := s.keep(e.Number, i, r.Logits); err != nil {
					return err
				}
			}
			result.Splits[r.Name] = Figures{NLL: r.NLL, Accuracy: r.Accuracy}
			figures.Splits = append(figures.Splits, record.SplitFigures{Name: s.Splits[i].Name, NLL: r.NLL, Accuracy: r.Accuracy})
		}
		s.recorder.Figures(figures)
		if e.Cycle != nil {
			result.LastCycle = e.Cycle
		}
		if s.Config.Budget > 0 && !e.Stop && s.overBudget(&e, &cycleBegan) {
			if t, ok := s.trainer.(*train.Trainer); ok {
				t.End()
				result.OutOfTime, e.Ahead = true, e.Number
			}
		}
		if err := saver.Offer(s.trainer); err != nil {
			return err
		}
		result.Epochs, result.Seconds = e.Number, e.Elapsed.Seconds()
		s.events.send(EpochDone{e})
		return nil
	})
	if saved := saver.Close(); err == nil {
		err = saved
	}
	result.Best, result.Figure, _ = s.trainer.Best()
	result.Recorded = s.recording.count(result.Epochs)
	if err == nil {
		err = s.recordEnd(ctx)
	}
	return result, s.close(ctx, result.Epochs, err)
}

// overBudget reports, after an epoch, whether the budget is used up, or where a cycle ends, whether the next does not fit into it. The next
// cycle is twice as long, and training a part of it would gain nothing, because the learning rate rises first.
func (s *session) overBudget(e *train.Epoch, cycleBegan *time.Duration) bool {
	end := e.Elapsed
	if e.Cycle != nil {
		end += 2 * (e.Elapsed - *cycleBegan)
		*cycleBegan = e.Elapsed
	}
	return s.raced+end > s.Config.Budget
}

// close ends the recording. It returns err, the error of training, as a *BrokenOff.
func (s *session) close(ctx context.Context, epochs int, err error) error {
	state := record.StateComplete
	if err != nil {
		b := &BrokenOff{Run: s.main, Dir: s.dir, Epoch: epochs, planned: s.Config.EpochsInWords(), Err: err}
		b.Intact = s.upTo > 0 || s.recording.lastDue(epochs) > 0
		b.Ended = ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
		state = record.StateFailed
		if b.Ended {
			state = record.StateInterrupted
		}
		err = b
	}
	return cmp.Or(err, s.recorder.Close(state))
}

// EpochsInWords returns the number of epochs in words: "20", or "at most 620".
func (c Config) EpochsInWords() string {
	if c.planned() == 0 {
		return fmt.Sprintf("at most %d", c.Epochs)
	}
	return strconv.Itoa(c.Epochs)
}
