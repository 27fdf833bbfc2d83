package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Layer describes one layer of a network. It is plain data; New gives it weights and buffers.
type Layer struct {
	kind                layerKind
	out                 int
	rate                float64
	size, stride, pad   int
	height, width, deep int
}

type layerKind uint8

const (
	kindDense layerKind = iota + 1
	kindReLU
	kindGELU
	kindDropout
	kindImage
	kindConv
	kindMaxPool
	kindLayerNorm
	kindBatchNorm
	kindEmbedding
)

// Dense is a fully connected layer with out outputs: y = x Wᵀ + b, W [out,in] as PyTorch has it.
func Dense(out int) Layer { return Layer{kind: kindDense, out: out} }

// ReLU is y = max(x, 0); its gradient at 0 is 0.
func ReLU() Layer { return Layer{kind: kindReLU} }

// GELU is y = x·Φ(x), Φ the normal distribution function, computed by erf and not by its tanh approximation.
// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
func GELU() Layer { return Layer{kind: kindGELU} }

// Dropout sets each value to 0 with probability rate, in steps of 2⁻¹⁶, while training and divides the others by 1−rate; it
// does nothing afterwards. Srivastava et al., "Dropout", 2014.
func Dropout(rate float64) Layer { return Layer{kind: kindDropout, rate: rate} }

// Image says that what comes in is images [height,width,channels], channels last: pixel by pixel, all channels of one
// together. It does nothing itself.
func Image(height, width, channels int) Layer {
	return Layer{kind: kindImage, height: height, width: width, deep: channels}
}

// Conv is a convolution of images with out filters of size×size, W [out,size,size,channels], by stride, with pad pixels of
// zeros around: PyTorch's Conv2d but for the order of the axes. Channels last let a window's values be copied in long runs
// and the product write images as they are.
func Conv(out, size, stride, pad int) Layer {
	return Layer{kind: kindConv, out: out, size: size, stride: stride, pad: pad}
}

// MaxPool takes the largest of each channel in squares of size×size side by side; what does not fill one is left out.
func MaxPool(size int) Layer { return Layer{kind: kindMaxPool, size: size, stride: size} }

// LayerNorm makes each sample's values mean 0 and variance 1, then scales and shifts each (each channel of an image). Ba et
// al., "Layer Normalization", 2016.
func LayerNorm() Layer { return Layer{kind: kindLayerNorm} }

// BatchNorm makes each value (each channel of an image) mean 0 and variance 1 over the batch, then scales and shifts it;
// afterwards by running statistics, which Network.State has. Ioffe and Szegedy, "Batch Normalization", 2015.
func BatchNorm() Layer { return Layer{kind: kindBatchNorm} }

// EmbeddingBag turns a sample's tokens (Batch.Tokens, in [0,buckets)) into the mean of their vectors of dim values, or where
// Batch.Weights are given into their weighted sum, followed by its features, if it has any. It comes first. Its table begins at 0, and a step touches the rows of its own
// tokens alone: see Optimizer.StepRows. Joulin et al., "Bag of Tricks for Efficient Text Classification", 2017.
func EmbeddingBag(buckets, dim int) Layer {
	return Layer{kind: kindEmbedding, size: buckets, out: dim}
}

func (l Layer) validate() error {
	switch {
	case l.kind == 0:
		return errors.New("empty layer: use Dense, ReLU, Conv or another function of this package")
	case l.kind == kindDense && l.out < 1:
		return fmt.Errorf("a dense layer needs at least one output, not %d", l.out)
	case l.kind == kindDropout && !(l.rate >= 0 && l.rate < 1):
		return fmt.Errorf("dropout rate %v is not in [0, 1)", l.rate)
	case l.kind == kindImage && (l.height < 1 || l.width < 1 || l.deep < 1):
		return fmt.Errorf("an image of %dx%dx%d has no pixels", l.height, l.width, l.deep)
	case l.kind == kindConv && (l.out < 1 || l.size < 1 || l.stride < 1 || l.pad < 0 || l.pad >= l.size):
		return fmt.Errorf("a convolution of %d filters of %d, stride %d, padding %d: give at least 1, and less padding than the filter's size",
			l.out, l.size, l.stride, l.pad)
	case l.kind == kindMaxPool && (l.size < 1 || l.size > 16):
		return fmt.Errorf("max-pooling of %d: give 1 to 16", l.size)
	case l.kind == kindEmbedding && (l.size < 1 || l.out < 1 || l.size > math.MaxInt32/l.out):
		return fmt.Errorf("an embedding of %d buckets of %d values", l.size, l.out)
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
	bind(params []Param[T])
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

func (d *denseLayer[T]) bind(params []Param[T]) {
	d.weights, d.gradWeights = params[0].Data, params[0].Grad
	d.bias, d.gradBias = params[1].Data, params[1].Grad
}

func (d *denseLayer[T]) start(init Init[T], rng *rand.Rand) {
	init(d.weights, d.bias, d.in, d.out, rng)
}

func (d *denseLayer[T]) fuseReLU() bool {
	was := d.relu
	d.relu = true
	return !was
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
	// A mask is drawn in 16 bits, four to a random number.
	threshold := uint64(math.Round(l.rate * (1 << 16)))
	values := [2]T{T(1 / (1 - float64(threshold)/(1<<16))), 0}
	mask, x := l.mask[:len(y)], x[:len(y)]
	i := 0
	for ; i+4 <= len(mask); i += 4 {
		bits := l.rng.Uint64()
		m, from, to := mask[i:i+4:i+4], x[i:i+4:i+4], y[i:i+4:i+4]
		m[0] = values[(bits&0xffff-threshold)>>63]
		m[1] = values[(bits>>16&0xffff-threshold)>>63]
		m[2] = values[(bits>>32&0xffff-threshold)>>63]
		m[3] = values[(bits>>48-threshold)>>63]
		to[0], to[1], to[2], to[3] = from[0]*m[0], from[1]*m[1], from[2]*m[2], from[3]*m[3]
	}
	if i < len(mask) {
		for bits := l.rng.Uint64(); i < len(mask); i++ {
			mask[i] = values[(bits&0xffff-threshold)>>63]
			y[i] = x[i] * mask[i]
			bits >>= 16
		}
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
