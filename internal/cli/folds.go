package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// crossFit trains a network for each of the job's folds of the training split and records every sample's logits by the one
// that never saw it, as a run of its own in RUN/folds.
func (s *session) crossFit(ctx context.Context, bar *progress) error {
	run, err := record.Open(s.dir)
	if err != nil {
		return err
	}
	defer run.Close()
	split := s.splits[0]
	samples, err := run.Samples(split.Name)
	if err != nil {
		return err
	}
	samples.Previews = nil
	m := *run.Manifest()
	m.Name, m.Preview, m.PlannedEpochs = record.FoldsDir, nil, s.job.Epochs
	m.Splits = slices.DeleteFunc(slices.Clone(m.Splits), func(info record.SplitInfo) bool { return info.Name != split.Name })
	if m.Config, err = json.Marshal(map[string]int{"folds": s.job.Folds}); err != nil {
		return err
	}
	dir := filepath.Join(s.dir, record.FoldsDir)
	recorder, err := record.Create(dir, m, map[string]record.Samples{split.Name: *samples})
	if err != nil {
		return err
	}
	fit := &session{job: s.job, dir: dir, recorder: recorder}
	epochs := 0
	err = train.CrossFit(ctx, s.job.Config, s.head, split, s.job.Folds, func(e train.Epoch) error {
		if err := recorder.Write(e.Number, map[string][]float32{split.Name: e.Splits[0].Logits}); err != nil {
			return err
		}
		epochs = e.Number
		e.Splits[0].Name = "out of fold"
		bar.epoch(e)
		return nil
	})
	bar.done()
	return fit.close(epochs, err)
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
