package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// crossFit trains a network for each of the job's folds of the training split and records every sample's logits by the one
// that never saw it, as a run of its own in RUN/folds. One that has begun goes on.
func (s *session) crossFit(ctx context.Context, said io.Writer, bar func(epochs int) *progress) (err error) {
	fit := &session{job: s.job, dir: filepath.Join(s.dir, record.FoldsDir), main: s.dir, head: s.head, splits: s.splits[:1], recording: s.recording}
	fit.recorded, err = record.Open(fit.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		defer fit.recorded.Close()
		if fit.recorded.State() == record.StateComplete {
			return nil
		}
	}
	if fit.trainer, err = train.NewFolds(s.job.Config, s.head, s.splits[0], s.job.Folds); err != nil {
		return err
	}
	if fit.recorded == nil {
		fit.recorder, err = s.createFolds(fit.dir)
	} else if fit.recorder, err = record.Resume(fit.dir); err == nil {
		if err = fit.restore(said); err != nil {
			err = errors.Join(err, fit.recorder.Close(record.StateInterrupted))
		}
	}
	if err != nil {
		return err
	}
	_, err = fit.train(ctx, bar(s.job.Epochs), nil)
	return err
}

// createFolds makes the run of the folds: that of the training split alone.
func (s *session) createFolds(dir string) (*record.Writer, error) {
	run, err := record.Open(s.dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	name := s.splits[0].Name
	samples, err := run.Samples(name)
	if err != nil {
		return nil, err
	}
	samples.Previews = nil
	m := *run.Manifest()
	m.Name, m.Preview, m.PlannedEpochs = record.FoldsDir, nil, s.job.Epochs
	m.Splits = slices.DeleteFunc(slices.Clone(m.Splits), func(info record.SplitInfo) bool { return info.Name != name })
	if m.Config, err = json.Marshal(map[string]int{"folds": s.job.Folds}); err != nil {
		return nil, err
	}
	return record.Create(dir, m, map[string]record.Samples{name: *samples})
}

// checkFolds refuses a number of folds that n training samples cannot be cut into.
func (j job) checkFolds(n int) error {
	if j.Folds != 0 && (j.Folds < 2 || j.Folds > n) {
		return fmt.Errorf("%d folds: give 2 to %d, the number of training samples, or 0 for none", j.Folds, n)
	}
	return nil
}

// plant returns labels with the job's share of wrong ones.
func (j job) plant(labels []int32, classes int, rng *rand.Rand) ([]int32, error) {
	switch j.NoiseKind {
	case "", "uniform":
		return dataset.PlantWrongLabels(labels, classes, j.LabelNoise, rng)
	case "confused":
		return dataset.PlantConfused(labels, classes, j.LabelNoise, rng)
	}
	return nil, fmt.Errorf("unknown kind of label noise %q: use uniform or confused", j.NoiseKind)
}
