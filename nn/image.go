package nn

import (
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// convLayer is the layer of Conv: each window of x [n,H,W,C] times weights [out,size,size,C], plus bias, then a ReLU where relu is set, and
// then max-pooling of 2×2 where pooled is set.
type convLayer[T Float] struct {
	label                string
	window               kernel.Window // of the convolution; H, W and C are those of the input
	out                  int           // the number of filters
	relu, pooled         bool
	maxPlaces            []int32 // [rows,OH,OW,out] where pooled: which of the four values kernel.ConvPool took
	weights, gradWeights []T     // [out,size,size,C]
	bias, gradBias       []T     // [out]
	outputs              []T     // [rows,OH,OW,out]
	gradOfInputs         []T     // [rows,H,W,C]
}

func (c *convLayer[T]) name() string { return c.label }

// sizes returns the number of values of a sample's input and output.
func (c *convLayer[T]) sizes() (in, out int) {
	h, w := c.window.Out()
	if c.pooled {
		h, w = c.window.Pooled()
	}
	return c.window.H * c.window.W * c.window.C, h * w * c.out
}

func (c *convLayer[T]) shapes() []shape {
	w := c.window
	return []shape{{"weight", []int{c.out, w.Size, w.Size, w.C}}, {"bias", []int{c.out}}}
}

func (c *convLayer[T]) bind(params []Param[T]) {
	c.weights, c.gradWeights = params[0].Data, params[0].Grad
	c.bias, c.gradBias = params[1].Data, params[1].Grad
}

func (c *convLayer[T]) start(init Init[T], rng *rand.Rand) {
	init(c.weights, c.bias, len(c.weights)/c.out, c.out, rng)
}

func (c *convLayer[T]) reserve(rows int) {
	in, out := c.sizes()
	c.outputs, c.gradOfInputs = make([]T, rows*out), make([]T, rows*in)
	if c.pooled {
		c.maxPlaces = make([]int32, rows*out)
	}
}

func (c *convLayer[T]) output(n int) []T {
	_, out := c.sizes()
	return c.outputs[:n*out]
}

// fuseReLU makes the layer do a ReLU that follows it, and reports whether it does: it can do only one.
func (c *convLayer[T]) fuseReLU() bool {
	was := c.relu
	c.relu = true
	return !was
}

// fusePool makes the layer do the max-pooling of 2 that follows it, where it can, and reports whether it does.
func (c *convLayer[T]) fusePool() bool {
	was := c.pooled
	c.pooled = c.window.CanPool()
	return c.pooled && !was
}

func (c *convLayer[T]) forward(x []T, n int, _ bool) []T {
	y := c.output(n)
	if c.pooled {
		kernel.ConvPool(y, c.maxPlaces[:len(y)], x, c.weights, c.bias, n, c.out, c.window, c.relu)
	} else {
		kernel.Conv(y, x, c.weights, c.bias, n, c.out, c.window, c.relu)
	}
	return y
}

func (c *convLayer[T]) backward(x, gradOut []T, n int, inputGrad bool) []T {
	var gradIn, y []T
	if inputGrad {
		in, _ := c.sizes()
		gradIn = c.gradOfInputs[:n*in]
	}
	if c.relu {
		y = c.output(n)
	}
	if c.pooled {
		kernel.ConvPoolBackward(gradIn, c.gradWeights, c.gradBias, gradOut, c.maxPlaces[:len(gradOut)], x, y, c.weights, n, c.out, c.window)
		return gradIn
	}
	kernel.ConvBackward(gradIn, c.gradWeights, c.gradBias, gradOut, x, y, c.weights, n, c.out, c.window)
	return gradIn
}

// poolLayer is a max-pooling that no convolution does: the largest value of each channel in each window.
type poolLayer[T Float] struct {
	window       kernel.Window
	outputs      []T     // [rows,OH,OW,C]
	gradOfInputs []T     // [rows,H,W,C]
	maxPlaces    []int32 // [rows,OH,OW,C]: which value of its window each output is
}

func (*poolLayer[T]) name() string { return "maxpool" }

// sizes returns the number of values of a sample's input and output.
func (p *poolLayer[T]) sizes() (in, out int) {
	h, w := p.window.Out()
	return p.window.H * p.window.W * p.window.C, h * w * p.window.C
}

func (p *poolLayer[T]) reserve(rows int) {
	in, out := p.sizes()
	p.outputs, p.gradOfInputs, p.maxPlaces = make([]T, rows*out), make([]T, rows*in), make([]int32, rows*out)
}

func (p *poolLayer[T]) output(n int) []T {
	_, out := p.sizes()
	return p.outputs[:n*out]
}

func (p *poolLayer[T]) forward(x []T, n int, _ bool) []T {
	y := p.output(n)
	kernel.MaxPool(y, p.maxPlaces[:len(y)], x, n, p.window)
	return y
}

func (p *poolLayer[T]) backward(_, gradOut []T, n int, _ bool) []T {
	in, _ := p.sizes()
	gradIn := p.gradOfInputs[:n*in]
	kernel.MaxPoolBackward(gradIn, gradOut, p.maxPlaces[:len(gradOut)], n, p.window)
	return gradIn
}
