package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/train"
)

// configName is the file of a run that holds its whole configuration.
const configName = "config.yaml"

// addJobFlags adds the flags that change a job; each has the name of its key in the configuration, with hyphens.
func addJobFlags(flags *pflag.FlagSet, j *job) {
	flags.SortFlags = false
	addDataFlags(flags, &j.Data)
	under(flags, "Data")
	flags.StringVar(&j.Model, "model", j.Model, "linear, mlp:256,128 (units of each hidden layer), cnn or text:16 (values a token); options follow: +layernorm+gelu+dropout=0.2 (default: by the data)")
	flags.StringVar(&j.Head, "head", j.Head, "softmax: two logits for two classes (default: one logit for two, else softmax)")
	flags.Var(hiddenFlag{&j.Model}, "hidden", "units of each hidden layer, as in 256,128: short for --model mlp:256,128")
	flags.StringVar(&j.Activation, "activation", j.Activation, "after each hidden layer: relu or gelu")
	flags.StringVar(&j.Init, "init", j.Init, "starting weights: uniform (as PyTorch's), he or xavier")
	flags.Float64Var(&j.Dropout, "dropout", j.Dropout, "share of hidden values dropped while training")
	under(flags, "Model")
	flags.IntVar(&j.Epochs, "epochs", j.Epochs, "passes over the training set (default: by the data)")
	flags.IntVar(&j.Batch, "batch", j.Batch, "samples a step (default: by the data)")
	flags.StringVar(&j.Sampling, "sampling", j.Sampling, "shuffle, or balanced: every class as often as any other")
	flags.Float64Var(&j.Mixup, "mixup", j.Mixup, "mix pairs of samples by shares from Beta(α,α); 0: none, 0.2 is usual")
	flags.StringVar(&j.Optimizer, "optimizer", j.Optimizer, "adam, adamw or sgd (default: by the data)")
	flags.Float64Var(&j.LearningRate, "lr", j.LearningRate, "learning rate (default: by the data)")
	flags.Float64Var(&j.Momentum, "momentum", j.Momentum, "momentum of sgd")
	flags.Float64Var(&j.WeightDecay, "weight-decay", j.WeightDecay, "weight decay; decoupled with adamw")
	flags.StringVar(&j.Schedule.Schedule, "schedule", j.Schedule.Schedule, "of the learning rate: constant, cosine, step or plateau (default: by the data)")
	flags.Float64Var(&j.Warmup, "warmup", j.Warmup, "share of all steps over which the learning rate rises")
	flags.Float64Var(&j.Min, "lr-min", j.Min, "lowest learning rate of cosine and plateau")
	flags.Float64Var(&j.Factor, "lr-factor", j.Factor, "what step and plateau multiply the learning rate by")
	flags.IntVar(&j.Every, "lr-every", j.Every, "epochs between two steps of the schedule step")
	flags.IntVar(&j.RatePatience, "lr-patience", j.RatePatience, "epochs without a better figure that plateau bears")
	flags.Float64Var(&j.ClipNorm, "clip-norm", j.ClipNorm, "largest norm of all gradients together; 0: no bound")
	flags.Float64Var(&j.EMA, "ema", j.EMA, "decay of a moving average of the weights, which is then measured and kept; 0: none")
	flags.StringVar(&j.StopOn, "stop-on", j.StopOn, "figure that says which epoch is best: SPLIT.nll, .accuracy, .brier, .p_true or .margin, or train.loss (default val.nll)")
	flags.IntVar(&j.Patience, "patience", j.Patience, "epochs without a better one before training stops; 0: never")
	under(flags, "Training")
	flags.StringVar(&j.Loss, "loss", j.Loss, "what is minimised, see logitscope losses (default: what the task asks for)")
	flags.Float64Var(&j.LabelSmoothing, "label-smoothing", j.LabelSmoothing, "share of each target spread over all classes")
	flags.StringVar(&j.ClassWeights, "class-weights", j.ClassWeights, "balanced, or one number a class: 1,2,0.5")
	flags.StringVar(&j.PosWeights, "pos-weights", j.PosWeights, "of the yes of each label: balanced, or one number each")
	flags.Float64Var(&j.ZLoss, "z-loss", j.ZLoss, "λ of the z-loss, which holds LSE near 0")
	flags.Float64Var(&j.FocalGamma, "focal-gamma", j.FocalGamma, "γ of the focal loss")
	flags.StringVar(&j.Teacher, "teacher", j.Teacher, "run whose recorded logits are learnt from instead of the labels (distillation)")
	flags.StringVar(&j.TeacherEpoch, "teacher-epoch", j.TeacherEpoch, "epoch of the teacher: a number, last, or best by validation NLL (default last)")
	flags.Float64Var(&j.TeacherTemperature, "teacher-temperature", j.TeacherTemperature, "T that the teacher's logits and the learner's are divided by (default 1; 2 to 5 show what the teacher thinks of the wrong classes)")
	under(flags, "Loss")
	flags.Float64Var(&j.LabelNoise, "label-noise", j.LabelNoise, "share of training labels to replace by a wrong class")
	flags.StringVar(&j.NoiseKind, "label-noise-kind", cmp.Or(j.NoiseKind, "uniform"), "uniform: any wrong class; confused: the one that its class is mistaken for")
	flags.IntVar(&j.Folds, "folds", j.Folds, "train as many networks more, each without a fold of the training samples, for logitscope labels")
	flags.Uint64Var(&j.Seed, "seed", j.Seed, "seed of everything random")
	flags.StringVar(&j.Record, "record", j.Record, "epochs whose logits are kept: all, every:N (and the last), last, best or none")
}

// hiddenFlag writes widths of hidden layers to a model.
type hiddenFlag struct{ model *string }

func (f hiddenFlag) Type() string { return "ints" }

func (f hiddenFlag) String() string {
	if f.model == nil {
		return ""
	}
	return strings.TrimPrefix(*f.model, "mlp:")
}

func (f hiddenFlag) Set(text string) error {
	var hidden []int
	for word := range strings.SplitSeq(text, ",") {
		if text == "" {
			break // no hidden layer
		}
		width, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return fmt.Errorf("%q is not a whole number", word)
		}
		hidden = append(hidden, width)
	}
	*f.model = train.MLP(hidden)
	return nil
}

// yaml is the whole configuration, from which the same bits are trained again.
func (j job) yaml() ([]byte, error) { return yaml.Marshal(j) }

// merge reads a configuration over the job: what it does not name stays. An unknown key is an error with its place.
func (j *job) merge(text []byte, name string) error { return mergeYAML(text, name, j) }

func mergeYAML(text []byte, name string, into any) error {
	err := yaml.UnmarshalWithOptions(text, into, yaml.Strict())
	var at yaml.Error
	if errors.As(err, &at) {
		place := name
		if token := at.GetToken(); token != nil && token.Position != nil {
			place = fmt.Sprintf("%s:%d:%d", name, token.Position.Line, token.Position.Column)
		}
		message := at.GetMessage()
		if wrong := (*yaml.TypeError)(nil); errors.As(err, &wrong) && at.GetToken() != nil {
			message = fmt.Sprintf("%q is no %s", at.GetToken().Value, kindOf(wrong.DstType))
		}
		return usagef("%s: %s", place, message)
	}
	if err != nil {
		return usagef("%s: %w", name, err)
	}
	return nil
}

// kindOf names what a setting of a type is.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "group of settings"
	}
	return "text"
}

// readConfig reads a job from a file; the flags that were given win over it.
func readConfig(path string, given *pflag.FlagSet) (job, error) {
	j := defaultJob()
	text, err := os.ReadFile(path)
	if err != nil {
		return j, err
	}
	if err := j.merge(text, path); err != nil {
		return j, err
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addJobFlags(flags, &j)
	given.Visit(func(f *pflag.Flag) {
		own := flags.Lookup(f.Name)
		if own == nil || err != nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = own.Value.(pflag.SliceValue).Replace(list.GetSlice())
			return
		}
		text := f.Value.String()
		if f.Value.Type() == "stringToString" {
			text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
		}
		err = own.Value.Set(text)
	})
	return j, err
}
