package experiment

import (
	"context"
	"errors"
	"io/fs"

	"github.com/logitscope/logitscope/record"
)

// refit trains on the validation rows too, by the settings and for the epochs that validation chose, and records it as a run of its
// own beside the first, whose figures stay what is known of it. One that is complete is left alone, one that has begun goes on.
func (s *session) refit(ctx context.Context, first *Result) (string, error) {
	dir := s.dir + "-refit"
	run, err := record.Open(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	default:
		state := run.State()
		run.Close()
		if state != record.StateComplete {
			_, err = Resume(ctx, dir, s.events)
		}
		return dir, err
	}
	c := s.Config
	c.Refit, c.AllRows, c.Folds = false, true, 0
	c.Epochs, c.MinGain, c.Patience, c.StopOn, c.Budget = first.Best, 0, 0, "", 0
	if c.Record == "best" {
		c.Record = "last"
	}
	s.events.send(Refitting{dir, first.Best})
	_, err = Run(ctx, c, dir, s.events.ofTraining()) // of the data all is said
	return dir, err
}
