package nn

import (
	"fmt"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
)

// Network is a feed-forward classifier: layers, and a head that turns the last layer's values into logits. All parameters lie in one slice
// and all gradients in another, so that an optimiser's step is one pass over memory.
//
// A network computes in buffers that it keeps, so that only one goroutine may use it at a time.
type Network[T Float] struct {
	// Loss is the loss of which Gradients computes the gradients. New sets the head's default; loss.Fits says whether another fits.
	Loss loss.Loss[T]

	inputs        int // the number of features
	layers        []layer[T]
	bag           *embeddingBag[T] // the first layer where it is an EmbeddingBag, or nil
	head          *denseLayer[T]
	params, grads []T          // all parameters and their gradients
	named         []Param[T]   // views of params and grads
	ofLayer       [][]Param[T] // the part of named of each layer, and behind them of the head

	capacity   int                        // the number of rows that the buffers have room for
	nll        []T                        // [capacity], each sample's loss in the last batch
	gradHidden []T                        // [capacity, width of the head's input]
	gradLogits []T                        // [rows, columns]; nil while fused is used
	fused      loss.LinearCrossEntropy[T] // the head and plain cross-entropy in one
}

// Batch is a number of samples. It needs Targets only where a network is trained on it.
type Batch[T Float] struct {
	N        int // the number of samples
	Features []T // [N,inputs]
	// Sample i of a network that begins with an EmbeddingBag has the tokens Tokens[Offsets[i]:Offsets[i+1]]. Offsets is [N+1].
	Tokens, Offsets []int32
	Weights         []T // [len(Tokens)], the weights of the tokens, or nil for their mean: see EmbeddingBag
	Targets         loss.Targets[T]
}

// Param is a parameter of a network, such as a weight matrix or a bias vector. Data and Grad are views of the network's memory: writing to
// them changes the network.
type Param[T Float] struct {
	Name  string // such as "dense1.weight" or "head.bias"
	Shape []int  // such as [out,in] or [out]
	Data  []T    // the values, row-major
	Grad  []T    // the gradients of the last batch; nil in Network.State
}

// New builds a network of layers over samples of inputs features, which ends in head. init draws the starting values from rng, first layer
// first; later rng serves dropout's masks. inputs may be 0 where the first layer is an EmbeddingBag. New returns an error where a layer, the
// head or inputs is out of range, or where layers do not fit behind each other.
func New[T Float](inputs int, head Head, init Init[T], rng *rand.Rand, layers ...Layer) (*Network[T], error) {
	if inputs < 0 {
		return nil, fmt.Errorf("a network needs at least one input feature, not %d", inputs)
	}
	if err := head.validate(); err != nil {
		return nil, err
	}
	net := &Network[T]{Loss: lossOf[T](head), inputs: inputs}
	build := builder[T]{net: net, width: inputs, rng: rng, numbers: map[string]int{}}
	for i, l := range layers {
		if err := l.validate(); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if err := build.add(l); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	if build.width < 1 {
		return nil, fmt.Errorf("a network needs at least one input feature, not %d", inputs)
	}
	net.head = &denseLayer[T]{label: "head", in: build.width, out: head.Columns()}
	net.bind(init, rng)
	return net, nil
}

// bind allocates the parameters and gradients, and gives each layer its part of them and starting values.
func (net *Network[T]) bind(init Init[T], rng *rand.Rand) {
	each := make([][]shape, len(net.layers)+1)
	total, count := 0, 0
	for i := range each {
		if l, ok := net.layer(i).(parametric[T]); ok {
			each[i] = l.shapes()
		}
		for _, s := range each[i] {
			total += product(s.dims)
			count++
		}
	}
	net.params, net.grads = make([]T, total), make([]T, total)
	net.named = make([]Param[T], 0, count)
	start := 0
	for i, shapes := range each {
		first := len(net.named)
		for _, s := range shapes {
			end := start + product(s.dims)
			net.named = append(net.named, Param[T]{
				Name: net.layer(i).name() + "." + s.name, Shape: s.dims, Data: net.params[start:end:end], Grad: net.grads[start:end:end],
			})
			start = end
		}
		net.ofLayer = append(net.ofLayer, net.named[first:])
		if l, ok := net.layer(i).(parametric[T]); ok {
			l.bind(net.ofLayer[i])
			l.start(init, rng)
		}
	}
}

// layer returns layer i, or the head where i is the number of layers.
func (net *Network[T]) layer(i int) layer[T] {
	if i == len(net.layers) {
		return net.head
	}
	return net.layers[i]
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// Columns returns the number of logits that a sample has: K, or 1 for a binary head.
func (net *Network[T]) Columns() int { return net.head.out }

// Inputs returns the number of features that a sample has, and the number of buckets that its tokens are in, which is 0 without an
// EmbeddingBag.
func (net *Network[T]) Inputs() (features, buckets int) {
	if net.bag != nil {
		buckets = net.bag.buckets
	}
	return net.inputs, buckets
}

// Params returns every parameter, first layer first.
func (net *Network[T]) Params() []Param[T] { return net.named }

// State returns what a trained network needs beside its parameters, without gradients: the running statistics of BatchNorm, the edges of Bins.
func (net *Network[T]) State() []Param[T] {
	var state []Param[T]
	for _, l := range net.layers {
		if s, ok := l.(interface{ state() []Param[T] }); ok {
			state = append(state, s.state()...)
		}
	}
	return state
}

// Logits writes the logits of a batch's samples to dst [N,Columns], as the trained network gives them: without dropout, and with BatchNorm's
// running statistics. It panics where lengths do not fit or a token is out of range.
func (net *Network[T]) Logits(dst []T, b Batch[T]) {
	columns := net.head.out
	net.check("Logits", b)
	if len(dst) != b.N*columns {
		panic(fmt.Sprintf("nn: Logits: dst holds %d values, want [N,%d], N = %d", len(dst), columns, b.N))
	}
	// A block of so many rows stays in the cache from one layer to the next.
	const block = 256
	net.reserve(min(b.N, block))
	for start := 0; start < b.N; start += block {
		end := min(start+block, b.N)
		hidden := net.hidden(b.rows(start, end, net.inputs), false)
		net.head.logits(dst[start*columns:end*columns], hidden, end-start)
	}
}

// rows returns the samples [start,end) of a batch, without their targets.
func (b Batch[T]) rows(start, end, inputs int) Batch[T] {
	part := Batch[T]{N: end - start, Features: b.Features[start*inputs : end*inputs], Tokens: b.Tokens, Weights: b.Weights}
	if b.Offsets != nil {
		part.Offsets = b.Offsets[start : end+1]
	}
	return part
}

// Gradients runs a batch forward and backward. It returns the mean loss and writes its gradient to every Param's Grad. Where the loss or a
// gradient is not finite, it returns a *NonFiniteError that says where that began. It panics where lengths do not fit, the batch is empty
// or a label or token is out of range.
func (net *Network[T]) Gradients(b Batch[T]) (float64, error) {
	net.check("Gradients", b)
	if b.N == 0 {
		panic("nn: Gradients: the batch is empty")
	}
	net.reserve(b.N)
	hidden := net.hidden(b, true)
	mean, grad := net.lossOf(hidden, b)
	if !finite(mean) {
		return mean, net.locate(b)
	}
	first := 0 // that learns
	if len(net.layers) > 0 {
		if _, ok := net.layers[0].(*binsLayer[T]); ok {
			first = 1
		}
	}
	for i := len(net.layers) - 1; i >= first; i-- {
		grad = net.layers[i].backward(net.input(i, b.Features, b.N), grad, b.N, i > first)
	}
	if !net.finiteGradients() {
		return mean, net.locate(b)
	}
	return mean, nil
}

// lossOf returns the mean loss and its gradient with respect to the head's input, and stores the gradient of the head's parameters.
func (net *Network[T]) lossOf(hidden []T, b Batch[T]) (mean float64, gradHidden []T) {
	h := net.head
	nll := net.nll[:b.N]
	if len(net.layers) > 0 {
		gradHidden = net.gradHidden[:b.N*h.in]
	}
	// Plain cross-entropy and the head are computed together, a block of rows at a time, so that the logits are never in memory as a whole.
	if ce, ok := net.Loss.(loss.CrossEntropy[T]); ok && ce.Plain() && b.Targets.Soft == nil {
		net.fused.LabelSmoothing = ce.LabelSmoothing
		return net.fused.Loss(nll, loss.Linear[T]{Hidden: gradHidden, Weights: h.gradWeights, Bias: h.gradBias},
			loss.Linear[T]{Hidden: hidden, Weights: h.weights, Bias: h.bias}, h.in, b.Targets.Labels), gradHidden
	}
	h.reserve(b.N)
	logits := h.forward(hidden, b.N, true)
	if len(net.gradLogits) < len(logits) {
		net.gradLogits = make([]T, len(logits))
	}
	gradLogits := net.gradLogits[:len(logits)]
	mean = net.Loss.Loss(nll, gradLogits, logits, h.out, b.Targets)
	return mean, h.backward(hidden, gradLogits, b.N, gradHidden != nil)
}

// finiteGradients reports whether every gradient is finite.
func (net *Network[T]) finiteGradients() bool {
	if net.bag == nil {
		return kernel.AllFinite(net.grads)
	}
	return net.bag.finite() && kernel.AllFinite(net.grads[len(net.bag.table):])
}

// Step computes the gradients of a batch, as Gradients does, and updates the parameters by the optimiser. It returns the mean loss. Where
// Gradients returns an error, so does Step, and the parameters stay as they were.
func (net *Network[T]) Step(b Batch[T], optimizer Optimizer[T]) (float64, error) {
	mean, err := net.Gradients(b)
	if err != nil {
		return mean, err
	}
	net.Update(optimizer)
	return mean, nil
}

// Update updates the parameters by the optimiser and the gradients of the last batch: what Step does after Gradients.
func (net *Network[T]) Update(optimizer Optimizer[T]) {
	if net.bag != nil {
		optimizer.StepRows(net.params, net.grads, net.bag.rows())
	} else {
		optimizer.Step(net.params, net.grads)
	}
}

// hidden computes the head's input [n,width], and returns it as a view of the last layer's buffer.
func (net *Network[T]) hidden(b Batch[T], training bool) []T {
	if net.bag != nil {
		net.bag.take(b)
	}
	x := b.Features
	for _, l := range net.layers {
		x = l.forward(x, b.N, training)
	}
	return x
}

// input returns the input of layer i in the last forward pass.
func (net *Network[T]) input(i int, features []T, n int) []T {
	if i == 0 {
		return features
	}
	return net.layers[i-1].output(n)
}

// reserve makes room for batches of n rows. In a training loop it allocates in the first step alone.
func (net *Network[T]) reserve(n int) {
	if n <= net.capacity {
		return
	}
	net.capacity = n
	net.nll = make([]T, n)
	net.gradHidden = make([]T, n*net.head.in)
	for _, l := range net.layers {
		l.reserve(n)
	}
}

// check panics unless the batch's features and offsets have the right lengths.
func (net *Network[T]) check(function string, b Batch[T]) {
	if b.N < 0 || len(b.Features) != b.N*net.inputs {
		panic(fmt.Sprintf("nn: %s: Features holds %d values, want [N,%d], N = %d", function, len(b.Features), net.inputs, b.N))
	}
	if net.bag != nil && len(b.Offsets) != b.N+1 {
		panic(fmt.Sprintf("nn: %s: Offsets holds %d values, want N+1, N = %d", function, len(b.Offsets), b.N))
	}
}
