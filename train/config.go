package train

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/nn"
)

// Config says how to train; it is kept with the run.
type Config struct {
	Model      string  `json:"model"`      // linear, mlp:256,128, cnn or text, with options: nn.ParseModel
	Activation string  `json:"activation"` // relu or gelu
	Dropout    float64 `json:"dropout"`    // after each hidden layer, [0, 1)
	Init       string  `json:"init"`       // uniform, he or xavier

	Epochs   int     `json:"epochs"`
	Batch    int     `json:"batch"`
	Sampling string  `json:"sampling"` // shuffle, or balanced: every class as often as any other
	Mixup    float64 `json:"mixup"`    // α of the Beta distribution; 0: none

	Optimizer    string  `json:"optimizer"` // adam, adamw or sgd
	LearningRate float64 `json:"lr"`
	Momentum     float64 `json:"momentum"` // sgd alone
	WeightDecay  float64 `json:"weight_decay"`
	ClipNorm     float64 `json:"clip_norm"` // largest norm of all gradients together; 0: no bound
	EMA          float64 `json:"ema"`       // decay of the moving average of the weights that is measured and kept; 0: none
	Schedule     `yaml:",inline"`

	LossConfig `yaml:",inline"`

	StopOn   string `json:"stop_on"`  // the figure that says which epoch is best, such as val.nll
	Patience int    `json:"patience"` // epochs without a better one before training stops; 0: never

	Seed uint64 `json:"seed"`
}

// DefaultConfig is what the program trains with where nothing else is asked for.
func DefaultConfig() Config {
	return Config{
		Model: "mlp:64", Activation: "relu", Init: "uniform", Epochs: 45, Batch: 32, Sampling: "shuffle",
		Optimizer: "adam", LearningRate: 0.001, Schedule: Schedule{Schedule: "constant", Factor: 0.1, Every: 10, RatePatience: 5}, Seed: 1,
	}
}

// What each random stream of a run is drawn for: a change in one leaves the others' numbers as they are.
const (
	streamInit = iota + 1
	streamOrder
	streamMixup
)

func (c Config) source(number uint64) *rand.PCG { return rand.NewPCG(c.Seed, number) }

func positive(v float64) bool { return v > 0 && v <= 1e30 }

// Validate names the first setting that cannot be trained with, and what it may be.
func (c Config) Validate() error {
	switch {
	case c.Epochs < 1:
		return fmt.Errorf("%d epochs: give at least 1", c.Epochs)
	case c.Batch < 1:
		return fmt.Errorf("batch of %d: give at least 1", c.Batch)
	case !positive(c.LearningRate):
		return fmt.Errorf("learning rate %v: give a number above 0", c.LearningRate)
	case !(c.WeightDecay >= 0 && c.WeightDecay <= 1e30):
		return fmt.Errorf("weight decay %v: give 0 or more", c.WeightDecay)
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("momentum %v is not in [0, 1)", c.Momentum)
	case c.Momentum != 0 && c.Optimizer != "sgd":
		return fmt.Errorf("momentum belongs to the optimizer sgd; %s has its own", c.Optimizer)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("dropout %v is not in [0, 1)", c.Dropout)
	case c.Activation != "relu" && c.Activation != "gelu":
		return fmt.Errorf("unknown activation %q: use relu or gelu", c.Activation)
	case inits[c.Init] == nil:
		return fmt.Errorf("unknown initialisation %q: use uniform, he or xavier", c.Init)
	case c.Optimizer != "adam" && c.Optimizer != "adamw" && c.Optimizer != "sgd":
		return fmt.Errorf("unknown optimizer %q: use adam, adamw or sgd", c.Optimizer)
	case c.Sampling != "" && c.Sampling != "shuffle" && c.Sampling != "balanced":
		return fmt.Errorf("unknown sampling %q: use shuffle or balanced", c.Sampling)
	case !(c.Mixup >= 0 && c.Mixup <= 1e3):
		return fmt.Errorf("mixup %v: give 0 (none) to 1000; 0.2 is usual", c.Mixup)
	case c.ClipNorm != 0 && !positive(c.ClipNorm):
		return fmt.Errorf("clip norm %v: give a number above 0, or 0 for no bound", c.ClipNorm)
	case !(c.EMA >= 0 && c.EMA < 1):
		return fmt.Errorf("decay of the moving average %v is not in [0, 1)", c.EMA)
	case !(c.TeacherTemperature >= 0 && c.TeacherTemperature <= 1e30):
		return fmt.Errorf("teacher temperature %v: give a number above 0; 2 to 5 are usual", c.TeacherTemperature)
	case c.Patience < 0:
		return fmt.Errorf("patience of %d epochs: give 0 or more", c.Patience)
	}
	if err := c.checkModel(); err != nil {
		return err
	}
	return c.Schedule.validate(c.LearningRate)
}

var inits = map[string]nn.Init[float32]{"uniform": nn.Uniform[float32], "he": nn.He[float32], "xavier": nn.Xavier[float32]}

// layers returns the layers that Model names, over samples of this shape; no Model is text for texts and mlp:64 for the rest.
func (c Config) layers(input nn.InputShape) ([]nn.Layer, error) {
	spec := cmp.Or(c.Model, defaultModel(input))
	if kind, _, _ := strings.Cut(spec, ":"); kind == "mlp" || strings.HasPrefix(kind, "cnn") {
		if c.Activation == "gelu" {
			spec += "+gelu"
		}
		if c.Dropout > 0 {
			spec += "+dropout=" + strconv.FormatFloat(c.Dropout, 'g', -1, 64)
		}
	}
	return nn.ParseModel(spec, input)
}

// defaultModel is the model for samples of this shape where none is named.
func defaultModel(input nn.InputShape) string {
	if input.Buckets > 0 {
		return "text"
	}
	return "mlp:64"
}

// checkModel returns what is wrong with Model whatever the samples are.
func (c Config) checkModel() error {
	input := nn.InputShape{Features: 1}
	kind, _, _ := strings.Cut(c.Model, "+")
	kind, _, _ = strings.Cut(kind, ":")
	switch kind {
	case "text":
		input = nn.InputShape{Buckets: 1}
	case "cnn":
		input = nn.InputShape{Features: 64, Height: 8, Width: 8, Channels: 1}
	}
	_, err := c.layers(input)
	return err
}

// MLP names the model with hidden layers of these widths.
func MLP(hidden []int) string {
	if len(hidden) == 0 {
		return "linear"
	}
	words := make([]string, len(hidden))
	for i, width := range hidden {
		words[i] = strconv.Itoa(width)
	}
	return "mlp:" + strings.Join(words, ",")
}

// network makes the network that the configuration describes; source serves its starting weights, then dropout.
func (c Config) network(input nn.InputShape, head nn.Head, source rand.Source) (*nn.Network[float32], error) {
	layers, err := c.layers(input)
	if err != nil {
		return nil, err
	}
	return nn.New(input.Features, head, inits[c.Init], rand.New(source), layers...)
}
