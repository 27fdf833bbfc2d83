package experiment

import (
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/train"
)

// Events is a function that is called with what happens, one Event at a time and in order. Training waits until it returns. It may be nil.
type Events func(Event)

// send calls e, unless it is nil.
func (e Events) send(event Event) {
	if e != nil {
		e(event)
	}
}

// ofTraining returns Events that pass on to e how training goes, and nothing else.
func (e Events) ofTraining() Events {
	return func(event Event) {
		switch event.(type) {
		case TrainingBegan, EpochDone, TrainingEnded:
			e.send(event)
		}
	}
}

// Event is something that happened: one of the types DataRead to TrialDone of this package.
type Event interface{ event() }

type (
	// DataRead is sent when the data was read and checked. Its notes and warnings are for the user.
	DataRead struct {
		Path string // that of the Config
		Data *dataset.Dataset
	}
	// Raced is sent when the validation rows have chosen between settings.
	Raced struct{ Race *Race }
	// RunIsLarge is sent before a run is made that takes more than 4 GiB, or more than the disk has room for.
	RunIsLarge struct {
		Epochs          int   // the number of epochs whose logits are recorded
		PerEpoch, Bytes int64 // the bytes of an epoch, and of all epochs with those of folds
		Free            int64 // the bytes that are free on the disk; -1 where that is not known
	}
	// Created is sent when the run directory was made, before training.
	Created struct {
		Dir        string
		Experiment *Experiment
	}
	// Resumed is sent when a run goes on.
	Resumed struct {
		Dir        string
		Experiment *Experiment
		Done       int // the number of epochs that are trained already
	}
	// Warning is sent when something of a run that is resumed cannot be used. Text says what, and what is done instead.
	Warning struct{ Text string }
	// Refitting is sent before the run of all rows is trained.
	Refitting struct {
		Dir    string
		Epochs int
	}
	// TrainingBegan is sent before the first epoch of a run, of its folds and of its refit. TrainingEnded follows in any case; when the
	// context ends before, what was recorded is completed first.
	TrainingBegan struct {
		Dir    string
		Epochs int // the largest number of epochs
	}
	// EpochDone is sent after each epoch, when its logits are being written. The slices of the Epoch are overwritten when Events returns.
	EpochDone struct{ train.Epoch }
	// TrainingEnded is sent when training and recording have ended, for whatever reason.
	TrainingEnded struct{ Dir string }
	// TrialDone is sent when a trial of Sweep has ended. Err says why it was not trained, or is nil.
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
