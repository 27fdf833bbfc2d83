package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// crossFit trains a network for each of the Config's folds of the training split, and records the logits that each sample gets from the
// network that was not trained on it, as a run in RUN/folds. Where this run exists already, it is resumed.
func (s *session) crossFit(ctx context.Context, epochs int) (err error) {
	c := s.Config
	if c.planned() == 0 || c.Budget > 0 {
		c.Epochs, c.MinGain, c.Budget = epochs, 0, 0 // as many epochs as validation chose
	}
	of := &Experiment{Config: c, Data: s.Data, Splits: s.Splits[:1], Head: s.Head, recording: s.recording}
	fit := &session{Experiment: of, dir: filepath.Join(s.dir, record.FoldsDir), main: s.dir, events: s.events}
	run, err := record.Open(s.dir)
	if err != nil {
		return err
	}
	fit.recorded, err = run.Folds()
	run.Close()
	if err != nil {
		return err
	}
	if fit.recorded != nil {
		defer fit.recorded.Close()
		if fit.recorded.State() == record.StateComplete {
			return nil
		}
	}
	if fit.trainer, err = train.NewFolds(c.Config, s.Head, s.Splits[0], c.Folds); err != nil {
		return err
	}
	if fit.recorded == nil {
		fit.recorder, err = s.createFolds(fit.dir, c.Epochs)
	} else if fit.recorder, err = record.Resume(fit.dir); err == nil {
		if err = fit.restore(); err != nil {
			err = errors.Join(err, fit.recorder.Close(record.StateInterrupted))
		}
	}
	if err != nil {
		return err
	}
	_, err = fit.train(ctx)
	return err
}

// createFolds makes the run directory of the folds, which has the training split alone.
func (s *session) createFolds(dir string, epochs int) (*record.Writer, error) {
	run, err := record.Open(s.dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	name := s.Splits[0].Name
	samples, err := run.Samples(name)
	if err != nil {
		return nil, err
	}
	samples.Previews = nil
	m := *run.Manifest()
	m.Name, m.Preview, m.PlannedEpochs, m.PartOf = record.FoldsDir, nil, epochs, m.ID
	m.Splits = slices.DeleteFunc(slices.Clone(m.Splits), func(info record.SplitInfo) bool { return info.Name != name })
	if m.Config, err = json.Marshal(map[string]int{"folds": s.Config.Folds}); err != nil {
		return nil, err
	}
	return record.Create(dir, m, map[string]record.Samples{name: *samples})
}
