package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/record"
)

// onlyResume refuses flags that would change a run that is resumed.
func onlyResume(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != "resume" && f.Name != "quiet" && f.Name != "json" {
			err = usagef("--%s beside --resume: a run goes on as it was begun; for another one use -c RUN/%s --%s …", f.Name, configName, f.Name)
		}
	})
	return err
}

// resumeRun goes on with the run in dir from its last checkpoint, to the same bits as if it had never stopped. Epochs that
// were recorded beyond the checkpoint are trained again and must come out the same.
func resumeRun(ctx context.Context, dir string, said io.Writer, bar func(epochs int) *progress) (*trained, error) {
	recorder, err := record.Resume(dir)
	if err != nil {
		return nil, err
	}
	s, err := resumeSession(dir, said)
	if err != nil {
		// Left as it was: nothing is known to be wrong with what is recorded.
		return nil, errors.Join(err, recorder.Close(record.StateInterrupted))
	}
	defer s.recorded.Close()
	s.recorder = recorder
	fmt.Fprintf(said, "%s: going on after epoch %d of %d\n", dir, s.trainer.Done(), s.job.Epochs)
	result, err := s.train(ctx, bar(s.job.Epochs), nil)
	if err == nil && s.job.Folds > 0 {
		err = s.crossFit(ctx, said, bar)
	}
	return result, err
}

// resumeSession makes of a run's own configuration, data and last checkpoint what goes on with it.
func resumeSession(dir string, said io.Writer) (s *session, err error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			run.Close()
		}
	}()
	text, err := run.File(configName)
	if err != nil {
		return nil, fmt.Errorf("%w: only a run that logitscope train made can be resumed", err)
	}
	path, err := kernel.Path()
	if err != nil {
		return nil, err
	}
	if was := run.Manifest().Versions["kernel"]; was != path {
		return nil, fmt.Errorf("run %s was trained on the kernels of %s, this machine's are %s and give other bits; LOGITSCOPE_KERNEL=%s asks for them",
			dir, was, path, was)
	}
	j := defaultJob()
	if err := j.merge(text, filepath.Join(dir, configName)); err != nil {
		return nil, err
	}
	j.said = said
	data, err := j.load()
	if err != nil {
		return nil, err
	}
	parts, err := j.split(data)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		samples, err := run.Samples(p.Name)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(samples.IDs, p.IDs) || !slices.Equal(samples.Labels, p.labels) {
			return nil, fmt.Errorf("the data has changed since run %s began: split %s has other samples or labels; train anew", dir, p.Name)
		}
	}
	if err := checkPipeline(run, dir, data.Pipeline); err != nil {
		return nil, err
	}
	if s, err = j.session(dir, data, parts); err != nil {
		return nil, err
	}
	s.recorded = run
	return s, s.restore(said)
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
		return fmt.Errorf("run %s began with other features than are made of its data now (%s): the data has changed, or another version of logitscope began it; train anew with -c %s",
			dir, dataset.PipelineFile, filepath.Join(dir, configName))
	}
	return nil
}

// restore takes over the newest checkpoint that can be read; without one training begins anew.
func (s *session) restore(said io.Writer) error {
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
			fmt.Fprintf(said, "warning: %v; an earlier checkpoint is taken\n", err)
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
	name := s.splits[split].Name
	if epoch > s.upTo {
		return s.recorder.Append(epoch, name, logits)
	}
	if s.compared == nil {
		if s.compared, err = s.recorded.Logits(epoch, name); err != nil {
			return err
		}
		s.at = 0
	}
	end := s.at + len(logits)
	same := slices.EqualFunc(s.compared.Values[s.at:end], logits, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
	s.at = end
	if !same || end == len(s.compared.Values) {
		err = s.compared.Close()
		s.compared = nil
	}
	if !same {
		return fmt.Errorf("epoch %d of split %s comes out with other logits than are recorded: another binary, processor or data; train anew", epoch, name)
	}
	return err
}
