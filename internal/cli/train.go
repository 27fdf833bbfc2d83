package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// job is all that decides a training run; it is kept in the run's manifest.
type job struct {
	Data         dataset.Options `json:"data"`
	LabelNoise   float64         `json:"label_noise"` // share of the training labels that name a wrong class
	NoiseKind    string          `json:"label_noise_kind,omitempty"`
	Head         string          `json:"head,omitempty"`          // softmax asks for two logits where there are two classes
	Folds        int             `json:"folds,omitempty"`         // networks that say what they take the samples for that they never saw
	Teacher      string          `json:"teacher,omitempty"`       // run whose recorded logits are learnt from, instead of labels
	TeacherEpoch string          `json:"teacher_epoch,omitempty"` // of them
	Record       string          `json:"record"`                  // epochs whose logits are kept
	train.Config `yaml:",inline"`

	said io.Writer // what is said of the data before training; nil says nothing
}

func defaultJob() job {
	j := job{Data: dataset.Options{Path: "digits", ValFraction: 0.2}, Record: "all", Config: train.DefaultConfig()}
	j.Model, j.Epochs, j.Batch, j.Optimizer, j.LearningRate, j.Schedule.Schedule = "", 0, 0, "", 0, "" // left to the data: defaultsFor
	return j
}

func newTrain() *cobra.Command {
	j := defaultJob()
	var out, configFile, resume string
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a classifier and record every sample's logits at every epoch",
		Example: `  logitscope train
  logitscope train --model mlp:256,256 --batch 16 --train-size 400 --label-noise 0.2 --out runs/noisy
  logitscope train --optimizer sgd --lr 0.1 --momentum 0.9 --schedule cosine --warmup 0.05 --stop-on val.nll --patience 5
  logitscope train --model linear --teacher runs/noisy --teacher-temperature 2    # distillation
  logitscope train -c runs/noisy/config.yaml --out runs/again    # the same bits again
  logitscope train --resume runs/noisy                           # after Ctrl-C, a crash or a full disk`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			said := cmd.ErrOrStderr()
			if quiet {
				said = io.Discard
			}
			bar := func(epochs int) *progress { return newProgress(cmd.ErrOrStderr(), epochs, quiet) }
			if resume != "" {
				if err := onlyResume(cmd.Flags()); err != nil {
					return err
				}
				return printTrained(cmd, asJSON)(resumeRun(cmd.Context(), resume, said, bar))
			}
			if err := notZero(cmd.Flags()); err != nil {
				return err
			}
			if configFile != "" {
				fromFile, err := readConfig(configFile, cmd.Flags())
				if err != nil {
					return err
				}
				j = fromFile
			}
			out = cmp.Or(out, freeRun(dataset.Name(j.Data.Path)))
			j.said = said
			return printTrained(cmd, asJSON)(j.run(cmd.Context(), out, bar))
		},
	}
	flags := cmd.Flags()
	addJobFlags(flags, &j)
	flags.StringVarP(&configFile, "config", "c", "", "YAML file of settings, such as a run's config.yaml; flags win over it")
	flags.StringVar(&resume, "resume", "", "run to go on with where it ended")
	flags.StringVar(&out, "out", "", "run directory to make (default: the first free of runs/digits, runs/digits-2, …)")
	flags.BoolVar(&quiet, "quiet", false, "no progress")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// printTrained prints what a training ended with.
func printTrained(cmd *cobra.Command, asJSON bool) func(*trained, error) error {
	return func(result *trained, err error) error {
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
		}
		next := "see them with: logitscope view " + result.Run
		if result.Recorded == 0 {
			next = "use it with: logitscope predict " + result.Run + " --data …"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s trained and %d recorded in %s, the best is %d by %s; %s\n",
			plural(result.Epochs, "epoch"), result.Recorded, result.Run, result.Best, result.Figure, next)
		return nil
	}
}

// trained is what a finished run's command prints.
type trained struct {
	Run      string                  `json:"run"`
	Epochs   int                     `json:"epochs"`
	Recorded int                     `json:"recorded"` // epochs of them whose logits are kept
	Seconds  float64                 `json:"seconds"`
	Best     int                     `json:"best"`    // epoch, whose weights predict uses
	Figure   string                  `json:"best_by"` // the figure that says so
	Splits   map[string]splitFigures `json:"splits"`  // of the last epoch
}

type splitFigures struct {
	NLL      float64 `json:"nll"`
	Accuracy float64 `json:"accuracy"`
}

// session is a job whose run directory is made and whose data is ready.
type session struct {
	job       job    // with all that was left to the data
	chosen    string // what that is
	dir       string
	main      string // the run that dir is a part of, which is what is resumed
	head      nn.Head
	splits    []train.Split
	trainer   trainer
	recording recording
	recorder  *record.Writer
	recorded  *record.Run // where it is resumed: the epochs up to upTo are compared, not written
	upTo      int
	compared  *record.Logits // of the split that is being compared
	at        int            // up to where
}

// trainer is one network in training, or one for each fold.
type trainer interface {
	train.Trainee
	Run(ctx context.Context, observe func(train.Epoch) error) error
	Restore(files map[string][]byte) error
}

// run is the main road: data, splits, a run directory, and every epoch's logits into it.
func (j job) run(ctx context.Context, out string, bar func(epochs int) *progress) (*trained, error) {
	s, err := j.prepare(out)
	if err != nil {
		return nil, err
	}
	result, err := s.train(ctx, bar(s.job.Epochs), nil)
	if err == nil && j.Folds > 0 {
		err = s.crossFit(ctx, j.said, bar)
	}
	return result, err
}

// prepare reads the data and makes the run directory; after it only training itself can fail.
func (j job) prepare(out string) (*session, error) {
	if err := j.validate(); err != nil {
		return nil, usageError{err}
	}
	if j.Head != "" && j.Head != "softmax" {
		return nil, usagef("unknown head %q: give softmax, or nothing for the one that fits the data", j.Head)
	}
	if err := j.resolveTeacher(); err != nil {
		return nil, err
	}
	data, err := j.load()
	if err != nil {
		return nil, err
	}
	parts, err := j.split(data)
	if err != nil {
		return nil, usageError{err}
	}
	s, err := j.session(out, data, parts)
	if err != nil {
		return nil, usageError{err}
	}
	if j.said != nil {
		s.warnOfSize(j.said)
	}
	if s.recorder, err = s.job.create(out, data, parts); err != nil {
		return nil, err
	}
	if j.said != nil {
		if s.chosen != "" {
			fmt.Fprintln(j.said, s.chosen)
		}
		fmt.Fprintln(j.said, j.sayLoss(s, len(data.Classes)))
	}
	return s, nil
}

// session makes all that trains the job; nothing is written.
func (j job) session(dir string, data *dataset.Dataset, parts []part) (*session, error) {
	d := ofDigits
	if j.Data.Path != "digits" {
		d = defaultsFor(data, len(parts[0].labels))
	}
	chosen := j.fill(d)
	s := &session{job: j, chosen: chosen, dir: dir, main: dir, head: j.headOf(data)}
	for _, p := range parts {
		s.splits = append(s.splits, p.of(data))
	}
	var err error
	if s.recording, err = j.recording(); err != nil {
		return nil, err
	}
	t, err := train.New(j.Config, s.head, s.splits)
	if err != nil {
		return nil, err
	}
	t.Sink = s.keepDue
	s.trainer = t
	return s, nil
}

// sayLoss says which loss is taken and why.
func (j job) sayLoss(s *session, classes int) string {
	if j.Teacher != "" {
		return fmt.Sprintf("loss: %s, towards what %s takes the training samples for at epoch %s", j.Loss, j.Teacher, j.TeacherEpoch)
	}
	if j.Loss != "" {
		return "loss: " + j.Loss + ", as asked for"
	}
	reason := fmt.Sprintf("a sample has exactly one of %d classes", classes)
	if s.head.Name() == "binary" {
		reason = "there are two classes, for which one logit is enough (two: --head softmax)"
	}
	if s.head.Name() == "sigmoid" {
		_, _, reason = loss.Choose(loss.Task{Classes: classes, MultiLabel: true})
	}
	return fmt.Sprintf("loss: %s on a %s head, since %s", j.LossName(s.head), s.head.Name(), reason)
}

// train trains and records until the job's epochs are done or ctx ends. after, where given, follows each epoch.
func (s *session) train(ctx context.Context, bar *progress, after func()) (*trained, error) {
	result := &trained{Run: s.dir, Splits: map[string]splitFigures{}, Epochs: s.trainer.Done()}
	saver := train.NewSaver(func(epoch int, files []train.File, best int) error {
		all := make([]record.File, len(files))
		for i, f := range files {
			all[i] = record.File(f)
		}
		return s.recorder.Checkpoint(epoch, all, best)
	})
	err := s.trainer.Run(ctx, func(e train.Epoch) error {
		figures := record.Figures{Epoch: e.Number}
		for i, r := range e.Splits {
			if r.Logits != nil && (s.recording.due(e.Number) || e.Stop || e.Number == s.job.Epochs) { // of folds
				if err := s.keep(e.Number, i, r.Logits); err != nil {
					return err
				}
			}
			result.Splits[r.Name] = splitFigures{NLL: r.NLL, Accuracy: r.Accuracy}
			figures.Splits = append(figures.Splits, record.SplitFigures{Name: s.splits[i].Name, NLL: r.NLL, Accuracy: r.Accuracy})
		}
		s.recorder.Figures(figures)
		if err := saver.Offer(s.trainer); err != nil {
			return err
		}
		result.Epochs, result.Seconds = e.Number, e.Elapsed.Seconds()
		bar.epoch(e)
		if after != nil {
			after()
		}
		return nil
	})
	bar.done()
	if saved := saver.Close(); err == nil {
		err = saved
	}
	result.Best, result.Figure, _ = s.trainer.Best()
	result.Recorded = s.recording.count(result.Epochs)
	if err == nil {
		err = s.recordEnd()
	}
	return result, s.close(result.Epochs, err)
}

// close ends the recording and says, where training broke off, what is left of it.
func (s *session) close(epochs int, err error) error {
	left := "what was recorded is whole, see it with: logitscope view " + s.dir
	if s.upTo == 0 && s.recording.lastDue(epochs) == 0 {
		left = "no epoch is recorded yet"
	}
	state := "complete"
	switch {
	case errors.Is(err, context.Canceled):
		state = "interrupted"
		err = fmt.Errorf("stopped after epoch %d of %d; %s; go on with: logitscope train --resume %s", epochs, s.job.Epochs, left, s.main)
	case err != nil:
		state = "failed"
		err = fmt.Errorf("%w; %s", err, left)
	}
	return cmp.Or(err, s.recorder.Close(state))
}

// part is a split as the job made it: which samples of the data, with which labels.
type part struct {
	dataset.Part
	labels []int32   // as trained on
	clean  []int32   // before wrong labels were planted; nil where none were
	soft   []float32 // [N,K] where a sample may have several classes, or where there is a teacher
}

// The random streams of a job; train.Config has its own.
const (
	streamSplit = 100 + iota
	streamNoise
)

// split takes the parts of the data, and plants wrong labels among those trained on.
func (j job) split(data *dataset.Dataset) (parts []part, err error) {
	for _, p := range data.Parts {
		labels, soft := make([]int32, len(p.Rows)), []float32(nil)
		for i, row := range p.Rows {
			labels[i] = data.Labels[row]
			if data.Targets != nil {
				for _, on := range data.Target(int(row)) {
					soft = append(soft, float32(on))
				}
			}
		}
		parts = append(parts, part{Part: p, labels: labels, soft: soft})
	}
	if j.LabelNoise != 0 {
		p := &parts[0]
		p.clean = p.labels
		if p.labels, err = j.plant(p.clean, len(data.Classes), rand.New(rand.NewPCG(j.Seed, streamNoise))); err != nil {
			return nil, err
		}
	}
	if j.Teacher != "" {
		if parts[0].soft, err = j.teach(&parts[0], data.Classes, j.headOf(data)); err != nil {
			return nil, err
		}
	}
	return parts, j.checkFolds(len(parts[0].labels))
}

// of is the split as it is trained on: in place, in the data's own matrix.
func (p part) of(data *dataset.Dataset) train.Split {
	return train.Split{
		Name: p.Name, Features: data.Features, Width: data.Columns, Tokens: data.Tokens, Offsets: data.Offsets, Weights: data.Weights,
		Rows: p.Rows, Labels: p.labels, Soft: p.soft, IDs: p.IDs, Input: inputOf(data),
	}
}

// inputOf says what a sample of the data is beside its features.
func inputOf(data *dataset.Dataset) nn.InputShape {
	var input nn.InputShape
	if p := data.Pipeline; p != nil && p.Tokens != nil {
		input.Buckets = p.Tokens.IDs()
	}
	if m := data.Image; m != nil && m.Height*m.Width*max(m.Channels, 1) == data.Columns {
		input.Height, input.Width, input.Channels = m.Height, m.Width, max(m.Channels, 1)
	}
	return input
}

// create makes the run directory with its manifest and samples.
func (j job) create(out string, data *dataset.Dataset, parts []part) (*record.Writer, error) {
	config, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	path, err := kernel.Path() // the same seed gives the same bits on the same path
	if err != nil {
		return nil, err
	}
	manifest := record.Manifest{
		Name: filepath.Base(out), Created: time.Now().UTC(), Classes: data.Classes, Head: j.headOf(data).Name(), Columns: j.headOf(data).Columns(),
		PlannedEpochs: j.Epochs, Seed: j.Seed, Config: config,
		Versions: map[string]string{
			"logitscope": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "kernel": path,
		},
	}
	if data.Image != nil {
		manifest.Preview = &record.Preview{
			Kind: "image", Height: data.Image.Height, Width: data.Image.Width, Channels: data.Image.Channels, Max: data.Image.Max,
		}
	}
	samples := make(map[string]record.Samples, len(parts))
	for _, p := range parts {
		manifest.Splits = append(manifest.Splits, record.SplitInfo{Name: p.Name, N: len(p.Rows)})
		s := record.Samples{IDs: p.IDs, Labels: p.labels, CleanLabels: p.clean}
		for _, row := range p.Rows {
			if data.Image != nil {
				s.Previews = append(s.Previews, data.Image.At(int(row))...)
			}
			if data.Targets != nil {
				s.Targets = append(s.Targets, data.Target(int(row))...)
			}
		}
		samples[p.Name] = s
	}
	text, err := j.yaml()
	if err != nil {
		return nil, err
	}
	files := []record.File{{Name: configName, Data: text}}
	if data.Pipeline != nil {
		pipeline, err := data.Pipeline.Encode()
		if err != nil {
			return nil, err
		}
		files = append(files, record.File{Name: dataset.PipelineFile, Data: pipeline})
	}
	return record.Create(out, manifest, samples, files...)
}

// freeRun returns the first of runs/NAME, runs/NAME-2, … that does not exist.
func freeRun(name string) string {
	for i := 1; ; i++ {
		dir := filepath.Join("runs", name)
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
}
