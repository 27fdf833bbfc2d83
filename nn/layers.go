package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Layer describes one layer of a network. It is plain data, made by a function of this package such as Dense; New makes the layer itself.
// New returns an error for numbers out of range.
type Layer struct {
	kind                    layerKind
	out                     int     // outputs of a dense layer, filters of a convolution, values of an embedding's vectors
	rate                    float64 // of dropout
	size, stride, pad       int     // of a convolution or pooling; size is also an embedding's number of buckets
	height, width, channels int     // of an image
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
	kindBins
)

// Dense is a fully connected layer with out outputs, 1 or more: y = x Wᵀ + b, with weights W [out,in] as in PyTorch's Linear.
func Dense(out int) Layer { return Layer{kind: kindDense, out: out} }

// ReLU is y = max(x, 0); its gradient at 0 is 0.
func ReLU() Layer { return Layer{kind: kindReLU} }

// GELU is y = x·Φ(x), Φ being the normal distribution function. It is computed by erf, not by the approximation with tanh. Hendrycks and
// Gimpel, "Gaussian Error Linear Units", 2016.
func GELU() Layer { return Layer{kind: kindGELU} }

// Dropout sets each value to 0 with probability rate while training, and divides the others by 1−rate. In a trained network it does
// nothing. rate is in [0,1) and is rounded to a multiple of 2⁻¹⁶. Srivastava et al., "Dropout", 2014.
func Dropout(rate float64) Layer { return Layer{kind: kindDropout, rate: rate} }

// Bins makes n values of each feature, one a bin: how far into the bin the feature is, 0 below it and 1 above. The first bin goes on below its
// lower edge and the last above its upper one, so that nothing of a feature is lost. Values are standardised as those of bins of equal counts
// are. Edges are quantiles once Network.FitBins has seen features, and kept in Network.State. It is the first layer. A network behind it learns
// thresholds as trees do. n is 1 or more. Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning", 2022, section 3.2.
func Bins(n int) Layer { return Layer{kind: kindBins, size: n} }

// Image says that the values which come in are an image [height,width,channels], channels last: pixel by pixel, all channels of a pixel side
// by side. It computes nothing. A Conv or MaxPool needs it somewhere before.
func Image(height, width, channels int) Layer {
	return Layer{kind: kindImage, height: height, width: width, channels: channels}
}

// Conv is a convolution of images with out filters of size×size pixels, weights [out,size,size,channels], moved by stride, with pad pixels of
// zeros around the image. It is PyTorch's Conv2d except for the order of the axes. pad is below size, the other numbers are 1 or more.
func Conv(out, size, stride, pad int) Layer {
	return Layer{kind: kindConv, out: out, size: size, stride: stride, pad: pad}
}

// MaxPool takes the largest value of each channel in squares of size×size pixels side by side. Pixels at the right and lower edges that do
// not fill a square are left out. size is 1 to 16.
func MaxPool(size int) Layer { return Layer{kind: kindMaxPool, size: size, stride: size} }

// LayerNorm gives each sample's values mean 0 and variance 1, and then multiplies each value by a weight and adds a bias; the values of an
// image have one weight and bias for each channel. Ba et al., "Layer Normalization", 2016.
func LayerNorm() Layer { return Layer{kind: kindLayerNorm} }

// BatchNorm gives each value, or each channel of an image, mean 0 and variance 1 over the batch, and then multiplies it by a weight and adds
// a bias. A trained network uses running statistics in place of the batch's; Network.State has them. Ioffe and Szegedy, "Batch
// Normalization", 2015.
func BatchNorm() Layer { return Layer{kind: kindBatchNorm} }

// EmbeddingBag turns a sample's tokens (Batch.Tokens, in [0,buckets)) into the mean of their vectors of dim values, or where Batch.Weights
// are given into the weighted sum. The sample's features, if it has any, follow behind. It must be the first layer. Its table of vectors
// starts as zeros, and a step changes only the rows of its batch's tokens: see Optimizer.StepRows. Joulin et al., "Bag of Tricks for
// Efficient Text Classification", 2017.
func EmbeddingBag(buckets, dim int) Layer {
	return Layer{kind: kindEmbedding, size: buckets, out: dim}
}

// validate returns what is wrong with the layer's numbers, or nil.
func (l Layer) validate() error {
	switch {
	case l.kind == 0:
		return errors.New("empty layer: use Dense, ReLU, Conv or another function of this package")
	case l.kind == kindDense && l.out < 1:
		return fmt.Errorf("a dense layer needs at least one output, not %d", l.out)
	case l.kind == kindBins && l.size < 1:
		return fmt.Errorf("%d bins", l.size)
	case l.kind == kindDropout && !(l.rate >= 0 && l.rate < 1):
		return fmt.Errorf("dropout rate %v is not in [0, 1)", l.rate)
	case l.kind == kindImage && (l.height < 1 || l.width < 1 || l.channels < 1):
		return fmt.Errorf("an image of %dx%dx%d has no pixels", l.height, l.width, l.channels)
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

// layer is a layer of a network with its memory. Its buffers have the rows of the last batch.
type layer[T Float] interface {
	// name returns the layer's name in the network, such as "dense1".
	name() string
	// reserve allocates the buffers for batches of up to rows rows.
	reserve(rows int)
	// forward computes the output [n,out] for the input x [n,in]. It returns a view that is overwritten by the next call.
	forward(x []T, n int, training bool) []T
	// output returns the output [n,out] of the last call of forward again.
	output(n int) []T
	// backward returns the gradient with respect to the input x [n,in], given the one with respect to the output [n,out], which it may
	// overwrite, and stores the gradients of the layer's parameters. Where inputGrad is false, what it returns is not used.
	backward(x, gradOut []T, n int, inputGrad bool) []T
}

// parametric is a layer with parameters.
type parametric[T Float] interface {
	layer[T]
	// shapes returns the names and shapes of the parameters, such as "weight" [out,in] and "bias" [out].
	shapes() []shape
	// bind gives the layer its parts of the network's parameters and gradients, in the order of shapes.
	bind(params []Param[T])
	// start writes starting values to the parameters, which are zeros.
	start(init Init[T], rng *rand.Rand)
}

// shape is the name and the shape of a parameter within its layer.
type shape struct {
	name string
	dims []int
}

// denseLayer is the layer of Dense: y [n,out] = x [n,in] Wᵀ + b, then a ReLU where relu is set.
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

// fuseReLU makes the layer do a ReLU that follows it, and reports whether it does: it can do only one.
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

// logits computes the output for x [n,in] in y [n,out], which need not be the layer's own buffer.
func (d *denseLayer[T]) logits(y, x []T, n int) {
	kernel.MatMul(kernel.NT, y, x, d.weights, n, d.out, d.in, kernel.Epilogue[T]{Bias: d.bias, ReLU: d.relu})
}

// backward computes dW = dyᵀ x, db = Σ rows of dy, and dx = dy W. A fused ReLU first sets dy to 0 where its output is not positive.
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

// reluLayer is a ReLU that no layer before it does.
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

// geluLayer is the layer of GELU.
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

// dropoutLayer is the layer of Dropout. While training it multiplies by 0 or by 1/(1−rate), at random, so that the expected value stays.
type dropoutLayer[T Float] struct {
	width   int
	rate    float64
	rng     *rand.Rand
	key     uint64 // of what the last training pass left out
	outputs []T    // [rows,width]
}

func (*dropoutLayer[T]) name() string { return "dropout" }

func (l *dropoutLayer[T]) reserve(rows int) { l.outputs = make([]T, rows*l.width) }

func (l *dropoutLayer[T]) output(n int) []T { return l.outputs[:n*l.width] }

func (l *dropoutLayer[T]) forward(x []T, n int, training bool) []T {
	y := l.output(n)
	if !training || l.rate == 0 {
		copy(y, x)
		return y
	}
	l.key = l.rng.Uint64()
	l.mask(y, x[:len(y)])
	return y
}

func (l *dropoutLayer[T]) backward(_, gradOut []T, _ int, _ bool) []T {
	if l.rate != 0 {
		l.mask(gradOut, gradOut)
	}
	return gradOut
}

// mask leaves out what the key says, of the same threshold going forth and back.
func (l *dropoutLayer[T]) mask(dst, x []T) {
	threshold := min(math.Round(l.rate*(1<<16)), 1<<16-1)
	kernel.Dropout(dst, x, l.key, uint16(threshold), T(1/(1-threshold/(1<<16))))
}
