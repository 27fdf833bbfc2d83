package experiment

import (
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/train"
)

// Events is told what happens, one Event at a time and in order; training waits until it returns. nil hears nothing.
type Events func(Event)

func (e Events) send(event Event) {
	if e != nil {
		e(event)
	}
}

// ofTraining passes on how training goes and nothing else.
func (e Events) ofTraining() Events {
	return func(event Event) {
		switch event.(type) {
		case TrainingBegan, EpochDone, TrainingEnded:
			e.send(event)
		}
	}
}

// Event is one of the types of this package below.
type Event interface{ event() }

type (
	// DataRead comes when the data is read and checked: its notes and warnings are for the user.
	DataRead struct {
		Path string // as the Config has it
		Data *dataset.Dataset
	}
	// Raced comes when the validation rows have chosen between settings.
	Raced struct{ Race *Race }
	// RunIsLarge warns, before a run is made, that it takes more than 4 GiB or more than the disk has room for.
	RunIsLarge struct {
		Epochs          int   // whose logits are kept
		PerEpoch, Bytes int64 // of an epoch, and of all with those of folds
		Free            int64 // bytes on the disk; -1: not known
	}
	// Created comes when the run directory is made, before training.
	Created struct {
		Dir        string
		Experiment *Experiment
	}
	// Resumed comes when a run goes on.
	Resumed struct {
		Dir        string
		Experiment *Experiment
		Done       int // epochs
	}
	// Warning is something of a run that is resumed that could not be used, and what is done in its place.
	Warning struct{ Text string }
	// Refitting comes before the run of all rows is trained.
	Refitting struct {
		Dir    string
		Epochs int
	}
	// TrainingBegan comes before the first epoch of a run, of its folds and of its refit. What began is written in good
	// order when the context ends, and ends with TrainingEnded.
	TrainingBegan struct {
		Dir    string
		Epochs int // at most
	}
	// EpochDone comes after each epoch, when its logits are on their way to the disk. The Epoch's slices hold until Events returns.
	EpochDone struct{ train.Epoch }
	// TrainingEnded comes when training and recording have ended, for whatever reason.
	TrainingEnded struct{ Dir string }
	// TrialDone comes when a trial of Sweep is trained; Err says why it is not.
	TrialDone struct {
		Dir string
		Err error
	}
)

func (DataRead) event()      {}
func (Raced) event()         {}
func (RunIsLarge) event()    {}
func (Created) event()       {}
func (Resumed) event()       {}
func (Warning) event()       {}
func (Refitting) event()     {}
func (TrainingBegan) event() {}
func (EpochDone) event()     {}
func (TrainingEnded) event() {}
func (TrialDone) event()     {}
