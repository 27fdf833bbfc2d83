package train

import (
	"fmt"
	"math/rand/v2"

	"github.com/logitscope/logitscope/nn"
)

// Config says how to train; it is kept with the run.
type Config struct {
	Hidden       []int   `json:"hidden"`     // outputs of each hidden layer
	Activation   string  `json:"activation"` // relu or gelu
	Dropout      float64 `json:"dropout"`    // after each hidden layer, [0, 1)
	Init         string  `json:"init"`       // uniform, he or xavier
	Epochs       int     `json:"epochs"`
	Batch        int     `json:"batch"`
	Optimizer    string  `json:"optimizer"` // adam, adamw or sgd
	LearningRate float64 `json:"lr"`
	Momentum     float64 `json:"momentum"` // sgd alone
	WeightDecay  float64 `json:"weight_decay"`
	Seed         uint64  `json:"seed"`
}

// What each random stream of a run is drawn for: a change in one leaves the others' numbers as they are.
const (
	streamInit = iota + 1
	streamOrder
)

func (c Config) stream(number uint64) *rand.Rand { return rand.New(rand.NewPCG(c.Seed, number)) }

// Validate names the first setting that cannot be trained with, and what it may be.
func (c Config) Validate() error {
	for _, width := range c.Hidden {
		if width < 1 {
			return fmt.Errorf("hidden layer of %d: give a positive number of units", width)
		}
	}
	positive := func(v float64) bool { return v > 0 && v <= 1e30 }
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
	}
	return nil
}

var inits = map[string]nn.Init[float32]{"uniform": nn.Uniform[float32], "he": nn.He[float32], "xavier": nn.Xavier[float32]}

// build makes the network and its optimiser as the configuration describes them.
func (c Config) build(inputs int, head nn.Head) (*nn.Network[float32], nn.Optimizer[float32], error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	var layers []nn.Layer
	for _, width := range c.Hidden {
		layers = append(layers, nn.Dense(width))
		if c.Activation == "gelu" {
			layers = append(layers, nn.GELU())
		} else {
			layers = append(layers, nn.ReLU())
		}
		if c.Dropout > 0 {
			layers = append(layers, nn.Dropout(c.Dropout))
		}
	}
	net, err := nn.New(inputs, head, inits[c.Init], c.stream(streamInit), layers...)
	if err != nil {
		return nil, nil, err
	}
	switch c.Optimizer {
	case "sgd":
		return net, &nn.SGD[float32]{LearningRate: c.LearningRate, Momentum: c.Momentum, WeightDecay: c.WeightDecay}, nil
	case "adamw":
		return net, nn.NewAdamW[float32](c.LearningRate, c.WeightDecay), nil
	default:
		adam := nn.NewAdam[float32](c.LearningRate)
		adam.WeightDecay = c.WeightDecay
		return net, adam, nil
	}
}
