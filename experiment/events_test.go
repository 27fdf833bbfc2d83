package experiment

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// What happens is told in order, a run's training between its beginning and its end; of the refit's data nothing is told again.
func TestEvents(t *testing.T) {
	folder := t.TempDir()
	config := Default()
	config.Data.Path, config.Folds, config.Refit = "testdata/t.csv", 2, true
	var told []string
	epochs := 0
	result, err := Run(t.Context(), config, filepath.Join(folder, "run"), func(event Event) {
		what := fmt.Sprintf("%T", event)[len("experiment."):]
		switch e := event.(type) {
		case TrainingBegan:
			what += " " + filepath.Base(e.Dir)
		case TrainingEnded:
			what += " " + filepath.Base(e.Dir)
		case EpochDone:
			if epochs++; told[len(told)-1] == what {
				return
			}
		case Raced:
			if len(e.Race.Entrants) == 0 || e.Race.Chosen >= len(e.Race.Entrants) {
				t.Errorf("%+v", e.Race)
			}
		case Created:
			for _, c := range e.Experiment.Choices {
				if c.Setting == "" || c.Value == nil || c.Why == "" {
					t.Errorf("%+v", c)
				}
			}
		}
		told = append(told, what)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DataRead", "Raced", "Created", "TrainingBegan run", "EpochDone", "TrainingEnded run", "TrainingBegan folds", "EpochDone", "TrainingEnded folds",
		"Refitting", "TrainingBegan run-refit", "EpochDone", "TrainingEnded run-refit",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if result.Refit != filepath.Join(folder, "run-refit") || epochs != 2*result.Epochs+result.Best {
		t.Errorf("%d epochs told; %+v", epochs, result)
	}
}
