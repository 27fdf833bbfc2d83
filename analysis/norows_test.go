package analysis_test

import (
	"cmp"
	"errors"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// An epoch without rows of the split that is to be scored or calibrated is an error that names the epochs which have some.
func TestScoreOfASplitThatIsNotThere(t *testing.T) {
	m := record.Manifest{FormatVersion: 3, Name: "some", Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2}
	samples := map[string]record.Samples{
		"train": {IDs: []int64{1, 2}, Labels: []int32{0, 1}}, "val": {IDs: []int64{3, 4}, Labels: []int32{0, 1}}, "test": {IDs: []int64{5}, Labels: []int32{0}},
	}
	run, _ := runtest.Write(t, m, samples, func(w *record.Writer) error {
		for epoch := 1; epoch <= 4; epoch++ {
			err := w.AppendPart(epoch, "train", record.Part{IDs: []int64{1, 2}, Logits: []float32{1, 0, 0, 1}})
			if err == nil && epoch%2 == 0 {
				err = w.AppendPart(epoch, "val", record.Part{IDs: []int64{3, 4}, Logits: []float32{1, 0, 1, 0}})
			}
			if err = cmp.Or(err, w.Commit(epoch, nil)); err != nil {
				return err
			}
		}
		return nil
	})
	a := analysis.New(run)
	for _, c := range []struct {
		epoch       int
		split, want string
	}{
		{2, "val", ""},
		{3, "train", ""},
		{3, "val", "epoch 3 of some has no rows of split val: the run has them at epochs 2 and 4"},
		{3, "test", ""}, // has none at any epoch: a score of no row
	} {
		var missing *analysis.NotFoundError
		_, err := a.Score(t.Context(), c.epoch, c.split, analysis.ScoreOptions{})
		if (c.want == "") != (err == nil) || err != nil && (err.Error() != c.want || !errors.As(err, &missing)) {
			t.Errorf("score of epoch %d, split %s: %v, want %q", c.epoch, c.split, err, c.want)
		}
		if _, err := a.Calibrate(t.Context(), c.epoch, c.split, calibrate.ByTemperature, calibrate.Options{}); c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("calibration of epoch %d, split %s: %v, want %q", c.epoch, c.split, err, c.want)
		}
	}
}
