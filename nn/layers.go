package nn

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Layer describes one layer of a network: Dense, ReLU, GELU or Dropout. It is plain data; New gives it weights and buffers.
type Layer struct {
	kind layerKind
	out  int
	rate float64
}

type layerKind uint8

const (
	kindDense layerKind = iota + 1
	kindReLU
	kindGELU
	kindDropout
)

// Dense is a fully connected layer with out outputs: y = x Wᵀ + b, W [out,in] as PyTorch has it.
func Dense(out int) Layer { return Layer{kind: kindDense, out: out} }

// ReLU is y = max(x, 0); its gradient at 0 is 0.
func ReLU() Layer { return Layer{kind: kindReLU} }

// GELU is y = x·Φ(x), Φ the normal distribution function, computed by erf and not by its tanh approximation.
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
func GELU() Layer { return Layer{kind: kindGELU} }

// Dropout sets each value to 0 with probability rate while training and divides the others by 1−rate; it does nothing
// afterwards. Srivastava et al., "Dropout", 2014.
func Dropout(rate float64) Layer { return Layer{kind: kindDropout, rate: rate} }

func (l Layer) validate() error {
	switch {
	case l.kind == 0:
		return errors.New("empty layer: use Dense, ReLU, GELU or Dropout")
	case l.kind == kindDense && l.out < 1:
		return fmt.Errorf("a dense layer needs at least one output, not %d", l.out)
	case l.kind == kindDropout && !(l.rate >= 0 && l.rate < 1):
		return fmt.Errorf("dropout rate %v is not in [0, 1)", l.rate)
	}
	return nil
}

// layer is what a network runs. Its buffers hold the rows of the last batch.
type layer[T Float] interface {
	name() string
	reserve(rows int)
	// forward maps x [n,in] to its output [n,out], a view that lives until the next call.
	forward(x []T, n int, training bool) []T
	// output returns the last output [n,out] again.
	output(n int) []T
	// backward turns the gradient of the output [n,out], which it may overwrite, into that of the input x [n,in] and
	// stores the gradients of its own parameters. The first layer need not give its input's gradient.
	backward(x, gradOut []T, n int, inputGrad bool) []T
}

// parametric is a layer with parameters of its own.
type parametric[T Float] interface {
	layer[T]
	// shapes names the parameters within the layer: "weight" [out,in], "bias" [out].
	shapes() []shape
	// bind gives the layer its places in the network's parameters and gradients, in the order of shapes.
	bind(own []Param[T])
	// start writes starting values; the parameters come as zeros.
	start(init Init[T], rng *rand.Rand)
}

type shape struct {
	name string
	dims []int
}

// denseLayer: y [n,out] = x [n,in] Wᵀ + b, then ReLU where relu is set.
type denseLayer[T Float] struct {
	label                 string
	in, out               int
	relu                  bool
	weights, gradWeights  []T // [out,in]
	bias, gradBias        []T // [out]
	outputs, gradOfInputs []T // [rows,out], [rows,in]
}

func (d *denseLayer[T]) name() string { return d.label }

func (d *denseLayer[T]) shapes() []shape {
	return []shape{{"weight", []int{d.out, d.in}}, {"bias", []int{d.out}}}
}

func (d *denseLayer[T]) bind(own []Param[T]) {
	d.weights, d.gradWeights = own[0].Data, own[0].Grad
	d.bias, d.gradBias = own[1].Data, own[1].Grad
}

func (d *denseLayer[T]) start(init Init[T], rng *rand.Rand) {
	init(d.weights, d.bias, d.in, d.out, rng)
}

func (d *denseLayer[T]) reserve(rows int) {
	if len(d.outputs) < rows*d.out {
		d.outputs = make([]T, rows*d.out)
		d.gradOfInputs = make([]T, rows*d.in)
	}
}

func (d *denseLayer[T]) output(n int) []T { return d.outputs[:n*d.out] }

func (d *denseLayer[T]) forward(x []T, n int, _ bool) []T {
	y := d.output(n)
	d.logits(y, x, n)
	return y
}

// logits writes the output to y [n,out], which need not be the layer's own.
func (d *denseLayer[T]) logits(y, x []T, n int) {
	kernel.MatMul(kernel.NT, y, x, d.weights, n, d.out, d.in, kernel.Epilogue[T]{Bias: d.bias, ReLU: d.relu})
}

// dW = dyᵀ x, db = Σ rows of dy, dx = dy W; a fused ReLU first stops dy where its output is not positive.
func (d *denseLayer[T]) backward(x, gradOut []T, n int, inputGrad bool) []T {
	if d.relu {
		kernel.ReLUBackward(gradOut, gradOut, d.output(n))
	}
	kernel.MatMul(kernel.TN, d.gradWeights, gradOut, x, d.out, d.in, n, kernel.Epilogue[T]{})
	kernel.SumRows(d.gradBias, gradOut, d.out, false)
	if !inputGrad {
		return nil
	}
	gradIn := d.gradOfInputs[:n*d.in]
	kernel.MatMul(kernel.NN, gradIn, gradOut, d.weights, n, d.in, d.out, kernel.Epilogue[T]{})
	return gradIn
}

// reluLayer is a ReLU that does not follow a dense layer.
type reluLayer[T Float] struct {
	width   int
	outputs []T // [rows,width]
}

func (*reluLayer[T]) name() string       { return "relu" }
func (l *reluLayer[T]) reserve(rows int) { l.outputs = make([]T, rows*l.width) }
func (l *reluLayer[T]) output(n int) []T { return l.outputs[:n*l.width] }
func (l *reluLayer[T]) forward(x []T, n int, _ bool) []T {
	y := l.output(n)
	kernel.ReLU(y, x)
	return y
}

func (l *reluLayer[T]) backward(_, gradOut []T, n int, _ bool) []T {
	kernel.ReLUBackward(gradOut, gradOut, l.output(n))
	return gradOut
}

type geluLayer[T Float] struct {
	width   int
	outputs []T // [rows,width]
}

func (*geluLayer[T]) name() string       { return "gelu" }
func (l *geluLayer[T]) reserve(rows int) { l.outputs = make([]T, rows*l.width) }
func (l *geluLayer[T]) output(n int) []T { return l.outputs[:n*l.width] }
func (l *geluLayer[T]) forward(x []T, n int, _ bool) []T {
	y := l.output(n)
	kernel.GELU(y, x)
	return y
}

func (l *geluLayer[T]) backward(x, gradOut []T, _ int, _ bool) []T {
	kernel.GELUBackward(gradOut, gradOut, x)
	return gradOut
}

// dropoutLayer multiplies by a mask of 0 and 1/(1−rate), so that the expected value stays.
type dropoutLayer[T Float] struct {
	width   int
	rate    float64
	rng     *rand.Rand
	mask    []T // [rows,width] of the last training pass
	outputs []T // [rows,width]
}

func (*dropoutLayer[T]) name() string { return "dropout" }

func (l *dropoutLayer[T]) reserve(rows int) {
	l.mask = make([]T, rows*l.width)
	l.outputs = make([]T, rows*l.width)
}

func (l *dropoutLayer[T]) output(n int) []T { return l.outputs[:n*l.width] }

func (l *dropoutLayer[T]) forward(x []T, n int, training bool) []T {
	y := l.output(n)
	if !training || l.rate == 0 {
		copy(y, x)
		return y
	}
	keep := T(1 / (1 - l.rate))
	mask := l.mask[:len(y)]
	for i := range y {
		mask[i] = 0
		if l.rng.Float64() >= l.rate {
			mask[i] = keep
		}
		y[i] = x[i] * mask[i]
	}
	return y
}

func (l *dropoutLayer[T]) backward(_, gradOut []T, _ int, _ bool) []T {
	if l.rate == 0 {
		return gradOut
	}
	for i := range gradOut {
		gradOut[i] *= l.mask[i]
	}
	return gradOut
}
