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

// Resume goes on with the run in dir from its last checkpoint, to the same bits as if it had never stopped, whether Run or logitscope train
// began it. Epochs that were recorded beyond the checkpoint are trained again and must come out the same. Where the settings or the data have
// changed since the run began, or it was trained on another kind of processor, Resume returns a *ChangedError. events may be nil.
func Resume(ctx context.Context, dir string, events Events) (*Result, error) {
	warnOfFigures(dir, events)
	recorder, err := record.Resume(dir)
	if err != nil {
		return nil, err
	}
	s, err := resumed(ctx, dir, events)
	if err != nil {
		// The run stays as it was, because nothing is known to be wrong with what is recorded.
		return nil, errors.Join(err, recorder.Close(record.StateInterrupted))
	}
	defer s.recorded.Close()
	s.recorder = recorder
	events.send(Resumed{dir, s.Experiment, s.trainer.Done()})
	return s.all(ctx)
}

// ChangedError says why a run cannot go on to the same bits: its settings, its data or the processor are not those that it began with.
type ChangedError struct{ Err error }

// Error implements error.
func (e *ChangedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ChangedError) Unwrap() error { return e.Err }

// changed returns a *ChangedError.
func changed(format string, args ...any) error { return &ChangedError{fmt.Errorf(format, args...)} }

// warnOfFigures sends a Warning where the figures of the epochs that are not recorded cannot be read. The figures of further epochs replace
// them.
func warnOfFigures(dir string, events Events) {
	run, err := record.Open(dir)
	if err != nil {
		return // Resume returns the error
	}
	defer run.Close()
	if _, err := run.Figures(); err != nil {
		events.send(Warning{fmt.Sprintf("%v; the curves lack the epochs so far that are not recorded", err)})
	}
}

// resumed returns the session that goes on with a run: that of its own configuration, data and last checkpoint.
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
	if err != nil { // the file was edited or damaged, and is not what the run began with
		return nil, changed("%w: a run goes on with the settings that it began with; train another with -c", err)
	}
	path, err := kernel.Path()
	if err != nil {
		return nil, err
	}
	if recorded := run.Manifest().Versions["kernel"]; recorded != path {
		return nil, changed("run %s was trained on the kernels of %s, this machine's are %s and give other bits; LOGITSCOPE_KERNEL=%s asks for them",
			dir, recorded, path, recorded)
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

// checkPipeline returns a *ChangedError where the features are not made as when the run began: its checkpoint and its predictions need the
// same ones.
func checkPipeline(run *record.Run, dir string, now *dataset.Pipeline) error {
	if now == nil {
		return nil
	}
	raw, err := run.File(dataset.PipelineFile)
	if err != nil {
		return err
	}
	recorded, err := dataset.ParsePipeline(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	a, err := recorded.Encode()
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

// restore sets the trainer to the newest checkpoint that can be read. Without one, training begins anew.
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
			continue // not all epochs up to it are recorded
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

// keepDue is keep where the epoch is due; otherwise it does nothing.
func (s *session) keepDue(epoch, split int, logits []float32) error {
	if !s.recording.due(epoch) {
		return nil
	}
	return s.keep(epoch, split, logits)
}

// keep records the next logits of an epoch and split, or where the epoch is recorded already compares them with those.
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
