package experiment

import (
	"context"
	"errors"
	"io/fs"

	"github.com/logitscope/logitscope/record"
)

// refit trains a second run, on the validation rows too, with the settings and for the number of epochs that validation chose in the first.
// It records it beside the first, whose figures are the only ones known for it, and returns its directory. Where this run exists already, it
// is resumed, or left alone if it is complete.
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
	_, err = Run(ctx, c, dir, s.events.ofTraining()) // the events of the data were sent already
	return dir, err
}
