package train

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/loss"
)

// Setting describes a field of Config. Flags, help, configuration files and Validate are made from it.
type Setting struct {
	Key     string            // the key in YAML and JSON and, with hyphens, the flag
	Group   string            // the heading in help: Model, Training or Loss
	Text    string            // what it is, for help
	Choices []string          // the texts that are allowed; nil where any is that Validate understands
	Range   *loss.Range       // the numbers that are allowed; nil where any is that Validate allows
	Field   func(*Config) any // returns a pointer to the field: a *string, *float64, *int or *uint64

	named   string            // what an error calls it, with %v for its value
	allowed string            // what an error says is allowed; "" for the words of Range
	shareOf string            // what an error says behind the range: what the setting is a share of
	when    func(Config) bool // whether the setting has an effect, else it is not checked; nil for always
}

// Allowed returns in words what the setting may be, or "" where Text says so.
func (s Setting) Allowed() string {
	switch {
	case s.Choices != nil:
		return either(s.Choices)
	case s.Range == nil:
		return ""
	case s.allowed != "":
		return s.allowed
	case math.IsInf(s.Range.High, 1) && !s.Range.LowOpen && s.Range.Low > 0:
		return fmt.Sprintf("at least %v", s.Range.Low)
	case math.IsInf(s.Range.High, 1) && s.Range.LowOpen:
		return "a number " + s.Range.String()
	}
	return s.Range.String()
}

// check returns an error that names the setting where its value is not allowed. One that has no meaning with the others may also be left at zero.
func (s Setting) check(c Config) error {
	if s.Idle(c) && reflect.ValueOf(s.Field(&c)).Elem().IsZero() {
		return nil
	}
	var value float64
	var shown any
	switch field := s.Field(&c).(type) {
	case *string:
		if s.Choices != nil && !slices.Contains(s.Choices, *field) {
			return fmt.Errorf("unknown %s %q: use %s", s.named, *field, either(s.Choices))
		}
		return nil
	case *float64:
		value, shown = *field, *field
	case *int:
		value, shown = float64(*field), *field
	}
	if s.Range == nil || s.Range.Contains(value) {
		return nil
	}
	if s.allowed == "" && !math.IsInf(s.Range.High, 1) {
		return fmt.Errorf(s.named+" is not in %v%s", shown, s.Range, s.shareOf)
	}
	return fmt.Errorf(s.named+": give %s", shown, s.Allowed())
}

// either returns choices as text: "a, b or c".
func either(choices []string) string {
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

var (
	share    = &loss.Range{Low: 0, High: 1, HighOpen: true}
	atLeast0 = &loss.Range{Low: 0, High: math.Inf(1)}
	atLeast1 = &loss.Range{Low: 1, High: math.Inf(1)}
	above0   = &loss.Range{Low: 0, High: math.Inf(1), LowOpen: true}
)

// settings are all settings except the seed and those of the loss, in the order of help.
var settings = []Setting{
	{
		Key: "model", Group: "Model", Field: func(c *Config) any { return &c.Model },
		Text: "linear, mlp:256,128 (units of each hidden layer), cnn or text:16 (values a token); options follow: +layernorm+gelu+dropout=0.2, of mlp and linear +bins=16 (default: by the data)",
	},
	{
		Key: "activation", Group: "Model", Choices: []string{"relu", "gelu"}, named: "activation", Field: func(c *Config) any { return &c.Activation },
		Text: "after each hidden layer: relu or gelu",
	},
	{
		Key: "init", Group: "Model", Choices: []string{"uniform", "he", "xavier"}, named: "initialisation", Field: func(c *Config) any { return &c.Init },
		Text: "starting weights: uniform (as PyTorch's), he or xavier",
	},
	{
		Key: "dropout", Group: "Model", Range: share, named: "dropout %v", Field: func(c *Config) any { return &c.Dropout },
		Text: "share of hidden values dropped while training",
	},

	{
		Key: "epochs", Group: "Training", Range: atLeast1, named: "%v epochs", Field: func(c *Config) any { return &c.Epochs },
		Text: "passes over the training set (default: by the data)",
	},
	{
		Key: "batch", Group: "Training", Range: atLeast1, named: "batch of %v", Field: func(c *Config) any { return &c.Batch },
		Text: "samples a step (default: by the data)",
	},
	{
		Key: "sampling", Group: "Training", Choices: []string{"shuffle", "balanced"}, named: "sampling", when: func(c Config) bool { return c.Sampling != "" }, Field: func(c *Config) any { return &c.Sampling },
		Text: "shuffle, or balanced: every class as often as any other",
	},
	{
		Key: "mixup", Group: "Training", Range: &loss.Range{Low: 0, High: 1e3}, named: "mixup %v", allowed: "0 (none) to 1000; 0.2 is usual", Field: func(c *Config) any { return &c.Mixup },
		Text: "mix pairs of samples by shares from Beta(α,α); 0: none, 0.2 is usual",
	},
	{
		Key: "optimizer", Group: "Training", Choices: []string{"adam", "adamw", "sgd"}, named: "optimizer", Field: func(c *Config) any { return &c.Optimizer },
		Text: "adam, adamw or sgd (default: by the data)",
	},
	{
		Key: "lr", Group: "Training", Range: above0, named: "learning rate %v", Field: func(c *Config) any { return &c.LearningRate },
		Text: "learning rate (default: by the data)",
	},
	{
		Key: "momentum", Group: "Training", Range: share, named: "momentum %v", Field: func(c *Config) any { return &c.Momentum },
		Text: "momentum of sgd",
	},
	{
		Key: "weight_decay", Group: "Training", Range: atLeast0, named: "weight decay %v", Field: func(c *Config) any { return &c.WeightDecay },
		Text: "weight decay; decoupled with adamw",
	},
	{
		Key: "schedule", Group: "Training", Choices: []string{"constant", "cosine", "restarts", "step", "plateau"}, named: "schedule", when: func(c Config) bool { return c.Schedule.Schedule != "" }, Field: func(c *Config) any { return &c.Schedule.Schedule },
		Text: "of the learning rate: constant, cosine, restarts (cycles of cosine, each twice as long), step or plateau (default: by the data)",
	},
	{
		Key: "warmup", Group: "Training", Range: share, named: "warm-up %v", shareOf: ", a share of all steps", Field: func(c *Config) any { return &c.Warmup },
		Text: "share of all steps over which the learning rate rises",
	},
	{
		Key: "lr_min", Group: "Training", Field: func(c *Config) any { return &c.Min },
		Text: "lowest learning rate of cosine and plateau",
	},
	{
		Key: "lr_cycle", Group: "Training", Range: atLeast1, named: "first cycle of %v epochs", when: scheduled("restarts"), Field: func(c *Config) any { return &c.Cycle },
		Text: "epochs of the first cycle of restarts",
	},
	{
		Key: "min_gain", Group: "Training", Range: share, named: "least gain of a cycle %v", shareOf: ", a share of the validation NLL", Field: func(c *Config) any { return &c.MinGain },
		Text: "restarts: share of the validation NLL that a cycle must gain on the one before for another to follow; 0: all epochs",
	},
	{
		Key: "lr_factor", Group: "Training", Range: &loss.Range{Low: 0, High: 1, LowOpen: true, HighOpen: true}, named: "learning rate factor %v", when: scheduled("step", "plateau"), Field: func(c *Config) any { return &c.Factor },
		Text: "what step and plateau multiply the learning rate by",
	},
	{
		Key: "lr_every", Group: "Training", Range: atLeast1, named: "learning rate changed every %v epochs", when: scheduled("step"), Field: func(c *Config) any { return &c.Every },
		Text: "epochs between two steps of the schedule step",
	},
	{
		Key: "lr_patience", Group: "Training", Range: atLeast0, named: "learning rate patience of %v epochs", when: scheduled("plateau"), Field: func(c *Config) any { return &c.RatePatience },
		Text: "epochs without a better figure that plateau bears",
	},
	{
		Key: "clip_norm", Group: "Training", Range: atLeast0, named: "clip norm %v", allowed: "a number above 0, or 0 for no bound", Field: func(c *Config) any { return &c.ClipNorm },
		Text: "largest norm of all gradients together; 0: no bound",
	},
	{
		Key: "ema", Group: "Training", Range: share, named: "decay of the moving average %v", Field: func(c *Config) any { return &c.EMA },
		Text: "decay of a moving average of the weights, which is then measured and kept; 0: none",
	},
	{
		Key: "stop_on", Group: "Training", Field: func(c *Config) any { return &c.StopOn },
		Text: "figure that says which epoch is best: SPLIT.nll, .accuracy, .brier, .p_true or .margin, or train.loss (default val.nll)",
	},
	{
		Key: "patience", Group: "Training", Range: atLeast0, named: "patience of %v epochs", Field: func(c *Config) any { return &c.Patience },
		Text: "epochs without a better one before training stops; 0: never",
	},
}

// scheduled returns a Setting.when for settings of the named schedules.
func scheduled(names ...string) func(Config) bool {
	return func(c Config) bool { return slices.Contains(names, c.Schedule.Schedule) }
}

// Idle reports whether the setting has no effect beside the others of c, such as the factor of the schedule step where another is followed.
func (s Setting) Idle(c Config) bool { return s.when != nil && !s.when(c) }

// Settings describes every field of Config, in the order of help. Those of the losses are package loss's.
func Settings() []Setting {
	all := slices.Clone(settings)
	all = append(all, Setting{
		Key: "loss", Group: "Loss", Field: func(c *Config) any { return &c.Loss },
		Text: "what is minimised: " + loss.Names() + "; settings may follow, as in focal:gamma=2; see logitscope losses (default: what the task asks for)",
	})
	for _, s := range loss.AllSettings() {
		if s.Key == "" {
			continue
		}
		if new(LossConfig).Beside()[s.Key] == nil || slices.ContainsFunc(all, func(other Setting) bool { return other.Key == s.Key }) {
			panic(fmt.Sprintf("the setting %s of a loss has the Key %q, for which LossConfig has no field, or which is another's: leave Key empty, and LOSS:%s=value sets it", s.Name, s.Key, s.Name))
		}
		r := &s.Range
		all = append(all, Setting{Key: s.Key, Group: "Loss", Text: s.Text, Range: r, Field: func(c *Config) any { return c.Beside()[s.Key] }})
	}
	return append(all, Setting{Key: "seed", Text: "seed of everything random", Field: func(c *Config) any { return &c.Seed }})
}

// Validate returns an error that names the first setting which cannot be trained with, and says what it may be.
func (c Config) Validate() error {
	for _, s := range settings {
		if err := s.check(c); err != nil {
			return err
		}
	}
	switch {
	case c.Momentum != 0 && c.Optimizer != "sgd":
		return fmt.Errorf("momentum belongs to the optimizer sgd; %s has its own", c.Optimizer)
	case !(c.Min >= 0 && c.Min <= c.LearningRate):
		return fmt.Errorf("lowest learning rate %v is not in [0, %v]", c.Min, c.LearningRate)
	case c.TeacherTemperature != 0 && !above0.Contains(c.TeacherTemperature):
		return fmt.Errorf("teacher temperature %v: give a number above 0; 2 to 5 are usual", c.TeacherTemperature)
	}
	return c.checkModel()
}
