package nn

import (
	"fmt"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
)

// Network is a feed-forward classifier: layers, then a head that turns the last hidden values into logits. All its
// parameters lie in one slice and all their gradients in another, so that an optimiser's step is one pass over memory.
//
// A network's buffers are its own: one goroutine uses it at a time.
type Network[T Float] struct {
	// Loss is what Gradients takes, at first the head's own. Whoever sets another sees to it that it fits the head: loss.Fits.
	Loss loss.Loss[T]

	inputs        int
	layers        []layer[T]
	bag           *embeddingBag[T] // the first layer, or nil
	head          *denseLayer[T]
	params, grads []T
	named         []Param[T]
	owned         [][]Param[T] // by layer, the head's last; views into named

	capacity   int // rows that the buffers hold
	nll        []T // [capacity] of the last batch
	gradHidden []T // [capacity, width of the head's input]
	gradLogits []T // [rows, columns], where the fused loss does not serve
	fused      loss.LinearCrossEntropy[T]
}

// Batch is a number of samples, with what is right for them where a network is trained on it.
type Batch[T Float] struct {
	N        int
	Features []T // [N,inputs]
	// Sample i of a network that begins with an EmbeddingBag has the tokens Tokens[Offsets[i]:Offsets[i+1]]; Offsets is [N+1].
	Tokens, Offsets []int32
	Weights         []T // [len(Tokens)], or nil: see EmbeddingBag
	Targets         loss.Targets[T]
}

// Param is one weight matrix or bias vector of a network, as views into the network's own memory.
type Param[T Float] struct {
	Name  string // "dense1.weight", "head.bias", …
	Shape []int  // [out,in] or [out]
	Data  []T
	Grad  []T
}

// New builds a network of the given layers over rows of inputs features, ending in head. Starting values come from init,
// first layer first; rng serves it and then dropout's masks. Behind an EmbeddingBag inputs may be 0.
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

// bind gives each layer its part of the one parameter slice and of the one gradient slice, and starting values.
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
	at := 0
	for i, shapes := range each {
		first := len(net.named)
		for _, s := range shapes {
			end := at + product(s.dims)
			net.named = append(net.named, Param[T]{
				Name: net.layer(i).name() + "." + s.name, Shape: s.dims, Data: net.params[at:end:end], Grad: net.grads[at:end:end],
			})
			at = end
		}
		net.owned = append(net.owned, net.named[first:])
		if l, ok := net.layer(i).(parametric[T]); ok {
			l.bind(net.owned[i])
			l.start(init, rng)
		}
	}
}

// layer returns layer i, the head after the last.
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

// Columns returns the number of logits a sample has: K, or 1 for a binary head.
func (net *Network[T]) Columns() int { return net.head.out }

// Inputs returns how many features a sample has, and below what number the ids of its tokens are, 0 without an EmbeddingBag.
func (net *Network[T]) Inputs() (features, ids int) {
	if net.bag != nil {
		ids = net.bag.buckets
	}
	return net.inputs, ids
}

// Params returns every weight matrix and bias, first layer first, as views: writing to them changes the network.
func (net *Network[T]) Params() []Param[T] { return net.named }

// State returns what a trained network remembers beside its parameters, as views: the running statistics of BatchNorm.
func (net *Network[T]) State() []Param[T] {
	var state []Param[T]
	for _, l := range net.layers {
		if b, ok := l.(*batchNorm[T]); ok {
			state = append(state, b.state()...)
		}
	}
	return state
}

// Logits writes the logits of a batch's samples to dst [N,Columns], as the trained network gives them: without dropout. It
// panics when the lengths do not fit together.
func (net *Network[T]) Logits(dst []T, b Batch[T]) {
	columns := net.head.out
	net.check("Logits", b)
	if len(dst) != b.N*columns {
		panic(fmt.Sprintf("nn: Logits: dst holds %d values, want [N,%d], N = %d", len(dst), columns, b.N))
	}
	// Blocks of rows stay in cache from layer to layer.
	const block = 256
	net.reserve(min(b.N, block))
	for start := 0; start < b.N; start += block {
		end := min(start+block, b.N)
		hidden := net.hidden(b.rows(start, end, net.inputs), false)
		net.head.logits(dst[start*columns:end*columns], hidden, end-start)
	}
}

// rows returns samples [start,end) of a batch, without their targets.
func (b Batch[T]) rows(start, end, inputs int) Batch[T] {
	part := Batch[T]{N: end - start, Features: b.Features[start*inputs : end*inputs], Tokens: b.Tokens, Weights: b.Weights}
	if b.Offsets != nil {
		part.Offsets = b.Offsets[start : end+1]
	}
	return part
}

// Gradients runs one batch forward and backward. It returns the mean loss and leaves its gradient in every Param's Grad.
// Values that are not finite, in the loss or in a gradient, give a *NonFiniteError that says where they began. It panics
// when the lengths do not fit together, the batch is empty, or a label is out of range.
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
	for i := len(net.layers) - 1; i >= 0; i-- {
		grad = net.layers[i].backward(net.input(i, b.Features, b.N), grad, b.N, i > 0)
	}
	if !net.finiteGradients() {
		return mean, net.locate(b)
	}
	return mean, nil
}

// lossOf returns the mean loss and its gradient with respect to the head's input, and stores that of the head's parameters.
func (net *Network[T]) lossOf(hidden []T, b Batch[T]) (mean float64, gradHidden []T) {
	h := net.head
	nll := net.nll[:b.N]
	if len(net.layers) > 0 {
		gradHidden = net.gradHidden[:b.N*h.in]
	}
	// Plain cross-entropy and the head are done in blocks, so that no more than those of the logits are held.
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

func (net *Network[T]) finiteGradients() bool {
	if net.bag == nil {
		return kernel.AllFinite(net.grads)
	}
	return net.bag.finite() && kernel.AllFinite(net.grads[len(net.bag.table):])
}

// Step runs one batch as Gradients does, then has the optimiser update the parameters. On an error they stay as they were.
func (net *Network[T]) Step(b Batch[T], optimizer Optimizer[T]) (float64, error) {
	mean, err := net.Gradients(b)
	if err != nil {
		return mean, err
	}
	net.Update(optimizer)
	return mean, nil
}

// Update has the optimiser update the parameters by the gradients as they are: what Step does after Gradients.
func (net *Network[T]) Update(optimizer Optimizer[T]) {
	if net.bag != nil {
		optimizer.StepRows(net.params, net.grads, net.bag.rows())
	} else {
		optimizer.Step(net.params, net.grads)
	}
}

// hidden returns what the head is given, [n,width], a view into the last layer's buffer.
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

// input returns what layer i was given in the last forward pass.
func (net *Network[T]) input(i int, features []T, n int) []T {
	if i == 0 {
		return features
	}
	return net.layers[i-1].output(n)
}

// reserve makes room for batches of n rows; a training loop pays for it in its first step alone.
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

func (net *Network[T]) check(function string, b Batch[T]) {
	if b.N < 0 || len(b.Features) != b.N*net.inputs {
		panic(fmt.Sprintf("nn: %s: Features holds %d values, want [N,%d], N = %d", function, len(b.Features), net.inputs, b.N))
	}
	if net.bag != nil && len(b.Offsets) != b.N+1 {
		panic(fmt.Sprintf("nn: %s: Offsets holds %d values, want N+1, N = %d", function, len(b.Offsets), b.N))
	}
}
