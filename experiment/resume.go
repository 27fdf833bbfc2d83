package experiment

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/record"
)

// Resume goes on with the run in dir from its last checkpoint, to the same bits as if it had never stopped, whether Run or logitscope
// train began it. Epochs that were recorded beyond the checkpoint are trained again and must come out the same. A run whose
// settings or data have changed since it began, or that was trained on another kind of processor, is refused with a *ChangedError. events may
// be nil.
func Resume(ctx context.Context, dir string, events Events) (*Result, error) {
	warnOfFigures(dir, events)
	recorder, err := record.Resume(dir)
	if err != nil {
		return nil, err
	}
	s, err := resumed(ctx, dir, events)
	if err != nil {
		// Left as it was: nothing is known to be wrong with what is recorded.
		return nil, errors.Join(err, recorder.Close(record.StateInterrupted))
	}
	defer s.recorded.Close()
	s.recorder = recorder
	events.send(Resumed{dir, s.Experiment, s.trainer.Done()})
	return s.all(ctx)
}

// ChangedError says that a run cannot go on to the same bits: its settings, data or processor are others than it began with.
type ChangedError struct{ Err error }

func (e *ChangedError) Error() string { return e.Err.Error() }

func (e *ChangedError) Unwrap() error { return e.Err }

func changed(format string, args ...any) error { return &ChangedError{fmt.Errorf(format, args...)} }

// warnOfFigures says so where the figures of epochs that are not recorded are lost: those that come are written in their place.
func warnOfFigures(dir string, events Events) {
	run, err := record.Open(dir)
	if err != nil {
		return // whoever resumes it will say
	}
	defer run.Close()
	if _, err := run.Figures(); err != nil {
		events.send(Warning{fmt.Sprintf("%v; the curves lack the epochs so far that are not recorded", err)})
	}
}

// resumed makes of a run's own configuration, data and last checkpoint what goes on with it.
func resumed(ctx context.Context, dir string, events Events) (s *session, err error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			run.Close()
		}
	}()
	text, err := run.File(ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: only a run that logitscope train made can be resumed", err)
	}
	if err != nil { // edited or damaged: it is not what the run was begun with, and what comes would not be of one run
		return nil, changed("%w: a run goes on with the settings that it began with; train another with -c", err)
	}
	path, err := kernel.Path()
	if err != nil {
		return nil, err
	}
	if was := run.Manifest().Versions["kernel"]; was != path {
		return nil, changed("run %s was trained on the kernels of %s, this machine's are %s and give other bits; LOGITSCOPE_KERNEL=%s asks for them",
			dir, was, path, was)
	}
	c := Default()
	if err := c.merge(text, filepath.Join(dir, ConfigFile)); err != nil {
		return nil, err
	}
	data, err := c.load(ctx, events)
	if err != nil {
		return nil, err
	}
	e, err := c.divide(data)
	if err != nil {
		return nil, err
	}
	for _, p := range e.parts {
		samples, err := run.Samples(p.Name)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(samples.IDs, p.IDs) || !slices.Equal(samples.Labels, p.labels) {
			return nil, changed("the data has changed since run %s began: split %s has other samples or labels; train anew", dir, p.Name)
		}
	}
	if err := checkPipeline(run, dir, data.Pipeline); err != nil {
		return nil, err
	}
	if err := e.settle(c.defaults(data, e.parts)); err != nil {
		return nil, err
	}
	if s, err = e.session(dir, events); err != nil {
		return nil, err
	}
	s.recorded = run
	return s, s.restore()
}

// checkPipeline refuses to go on with other features than the run began with: its checkpoint, and predict, go by those.
func checkPipeline(run *record.Run, dir string, now *dataset.Pipeline) error {
	if now == nil {
		return nil
	}
	raw, err := run.File(dataset.PipelineFile)
	if err != nil {
		return err
	}
	was, err := dataset.ParsePipeline(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	a, err := was.Encode()
	b, err2 := now.Encode()
	if err := cmp.Or(err, err2); err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return changed("run %s began with other features than are made of its data now (%s): the data has changed, or another version of logitscope began it; train anew with -c %s",
			dir, dataset.PipelineFile, filepath.Join(dir, ConfigFile))
	}
	return nil
}

// restore takes over the newest checkpoint that can be read; without one training begins anew.
func (s *session) restore() error {
	if epochs := s.recorded.Epochs(); len(epochs) > 0 {
		s.upTo = epochs[len(epochs)-1]
	}
	epochs, err := s.recorded.Checkpoints()
	if err != nil {
		return err
	}
	for _, epoch := range slices.Backward(epochs) {
		if s.recording.lastDue(epoch) > s.upTo {
			continue // its epochs are not all recorded
		}
		c, err := s.recorded.Checkpoint(epoch)
		if err != nil {
			s.events.send(Warning{fmt.Sprintf("%v; an earlier checkpoint is taken", err)})
			continue
		}
		err = s.trainer.Restore(c.Files)
		return errors.Join(err, c.Close())
	}
	return nil
}

// keepDue keeps the next logits of an epoch if it is due.
func (s *session) keepDue(epoch, split int, logits []float32) error {
	if !s.recording.due(epoch) {
		return nil
	}
	return s.keep(epoch, split, logits)
}

// keep records the next logits of an epoch, or compares them where it is recorded.
func (s *session) keep(epoch, split int, logits []float32) (err error) {
	name := s.Splits[split].Name
	if epoch > s.upTo {
		return s.recorder.Append(epoch, name, logits)
	}
	if s.compared == nil {
		if s.compared, err = s.recorded.Logits(epoch, name); err != nil {
			return err
		}
		s.comparedUpTo = 0
	}
	end := s.comparedUpTo + len(logits)
	s.recordedLogits = s.rows().Keep(s.recordedLogits[:0], logits)
	same := slices.EqualFunc(s.compared.Values[s.comparedUpTo:end], s.recordedLogits, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
	s.comparedUpTo = end
	if !same || end == len(s.compared.Values) {
		err = s.compared.Close()
		s.compared = nil
	}
	if !same {
		return changed("epoch %d of split %s comes out with other logits than are recorded: another binary, processor or data; train anew", epoch, name)
	}
	return err
}
