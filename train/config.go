package train

import (
	"cmp"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/nn"
)

// Config says how to train. A run keeps it. Settings describes each field, Validate says which values can be trained with.
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
	// MinGain ends the schedule restarts early. Another cycle follows only where the next is expected to lower the validation NLL by more
	// than MinGain times that NLL, or times 0.01 where the NLL is less, and by more than the standard error of the last cycle's gain. 0
	// trains all epochs.
	MinGain float64 `json:"min_gain"`

	LossConfig `yaml:",inline"`

	StopOn   string `json:"stop_on"`  // the figure that says which epoch is best, such as val.nll
	Patience int    `json:"patience"` // epochs without a better one before training stops; 0: never

	Seed uint64 `json:"seed"`
}

// DefaultConfig returns the configuration that logitscope train begins with, before it looks at the data.
func DefaultConfig() Config {
	return Config{
		Model: "mlp:64", Activation: "relu", Init: "uniform", Epochs: 45, Batch: 32, Sampling: "shuffle",
		Optimizer: "adam", LearningRate: 0.001, Schedule: Schedule{Schedule: "constant", Factor: 0.1, Every: 10, RatePatience: 5}, Seed: 1,
	}
}

// Each kind of random decision draws from a stream of its own, so that a change in one leaves the numbers of the others as they are. These
// are the streams of the starting weights and dropout, of the order of the samples, and of mixup.
const (
	streamInit = iota + 1
	streamOrder
	streamMixup
)

// source returns the random stream with a number.
func (c Config) source(number uint64) *rand.PCG { return rand.NewPCG(c.Seed, number) }

// positive reports whether v is a number above 0 that can be calculated with.
func positive(v float64) bool { return v > 0 && v <= 1e30 }

var inits = map[string]nn.Init[float32]{"uniform": nn.Uniform[float32], "he": nn.He[float32], "xavier": nn.Xavier[float32]}

// layers returns the layers of Model, or of defaultModel where it is empty, with Activation and Dropout, for samples of this shape.
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

// defaultModel returns the model for samples of this shape where none is named.
func defaultModel(input nn.InputShape) string {
	if input.Buckets > 0 {
		return "text"
	}
	return "mlp:64"
}

// checkModel returns what is wrong with Model whatever the samples are, or nil.
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

// MLP returns the text of a model with hidden layers of these widths, for Config.Model: "mlp:256,128", or "linear" for no hidden layer.
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

// network builds the network that the configuration describes. Its starting weights, and later dropout, are drawn from source.
func (c Config) network(input nn.InputShape, head nn.Head, source rand.Source) (*nn.Network[float32], error) {
	layers, err := c.layers(input)
	if err != nil {
		return nil, err
	}
	return nn.New(input.Features, head, inits[c.Init], rand.New(source), layers...)
}
