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
	inputs, outputs int
	head            Head
	layers          []layer[T] // the head's dense layer is the last
	params, grads   []T
	named           []Param[T]

	capacity   int // rows that the buffers hold
	nll        []T // [capacity] of the last batch
	gradLogits []T // [capacity, outputs]
}

// Param is one weight matrix or bias vector of a network, as views into the network's own memory.
type Param[T Float] struct {
	Name  string // "dense1.weight", "head.bias", …
	Shape []int  // [out,in] or [out]
	Data  []T
	Grad  []T
}

// New builds a network of the given layers over rows of inputs features, ending in head. Starting values come from init,
// first layer first; rng serves it and then dropout's masks.
func New[T Float](inputs int, head Head, init Init[T], rng *rand.Rand, layers ...Layer) (*Network[T], error) {
	if inputs < 1 {
		return nil, fmt.Errorf("a network needs at least one input feature, not %d", inputs)
	}
	if err := head.validate(); err != nil {
		return nil, err
	}
	net := &Network[T]{inputs: inputs, outputs: head.Columns(), head: head}
	width := inputs
	var dense []*denseLayer[T]
	for i, l := range layers {
		if err := l.validate(); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		switch l.kind {
		case kindDense:
			d := &denseLayer[T]{label: fmt.Sprintf("dense%d", len(dense)+1), in: width, out: l.out}
			dense = append(dense, d)
			net.layers = append(net.layers, d)
			width = l.out
		case kindReLU:
			// A ReLU after a dense layer is done while the product's tile is still in registers.
			if n := len(net.layers); n > 0 {
				if d, ok := net.layers[n-1].(*denseLayer[T]); ok && !d.relu {
					d.relu = true
					continue
				}
			}
			net.layers = append(net.layers, &reluLayer[T]{width: width})
		case kindGELU:
			net.layers = append(net.layers, &geluLayer[T]{width: width})
		case kindDropout:
			net.layers = append(net.layers, &dropoutLayer[T]{width: width, rate: l.rate, rng: rng})
		}
	}
	last := &denseLayer[T]{label: "head", in: width, out: net.outputs}
	dense = append(dense, last)
	net.layers = append(net.layers, last)
	net.bind(dense)
	for _, d := range dense {
		init(d.weights, d.bias, d.in, d.out, rng)
	}
	return net, nil
}

// bind gives each dense layer its part of the one parameter slice and of the one gradient slice.
func (net *Network[T]) bind(dense []*denseLayer[T]) {
	total := 0
	for _, d := range dense {
		total += d.in*d.out + d.out
	}
	net.params, net.grads = make([]T, total), make([]T, total)
	at := 0
	take := func(name string, shape []int, n int) (data, grad []T) {
		data, grad = net.params[at:at+n:at+n], net.grads[at:at+n:at+n]
		at += n
		net.named = append(net.named, Param[T]{Name: name, Shape: shape, Data: data, Grad: grad})
		return data, grad
	}
	for _, d := range dense {
		d.weights, d.gradWeights = take(d.label+".weight", []int{d.out, d.in}, d.in*d.out)
		d.bias, d.gradBias = take(d.label+".bias", []int{d.out}, d.out)
	}
}

// Columns returns the number of logits a sample has: K for a softmax head, 1 for a binary one.
func (net *Network[T]) Columns() int { return net.outputs }

// Params returns every weight matrix and bias, first layer first, as views: writing to them changes the network.
func (net *Network[T]) Params() []Param[T] { return net.named }

// Logits writes the logits of the samples in features [N,inputs] to dst [N,Columns], as the trained network gives them:
// without dropout. It panics when the lengths do not fit together.
func (net *Network[T]) Logits(dst, features []T) {
	n := len(features) / net.inputs
	if n*net.inputs != len(features) || len(dst) != n*net.outputs {
		panic(fmt.Sprintf("nn: Logits: dst holds %d values and features %d, want [N,%d] and [N,%d]",
			len(dst), len(features), net.outputs, net.inputs))
	}
	// Blocks of rows stay in cache from layer to layer.
	const block = 256
	net.reserve(min(n, block))
	for start := 0; start < n; start += block {
		end := min(start+block, n)
		logits := net.forward(features[start*net.inputs:end*net.inputs], end-start, false)
		copy(dst[start*net.outputs:], logits)
	}
}

// Gradients runs one batch forward and backward: features [N,inputs], labels [N] (classes for a softmax head, 0 or 1 for
// a binary one, loss.Ignored for a sample to leave out). It returns the mean loss and leaves its gradient in every
// Param's Grad. Values that are not finite, in the loss or in a gradient, give a *NonFiniteError that says where they
// began. It panics when the lengths do not fit together or a label is out of range.
func (net *Network[T]) Gradients(features []T, labels []int32) (float64, error) {
	n := len(labels)
	if n == 0 || len(features) != n*net.inputs {
		panic(fmt.Sprintf("nn: Gradients: features holds %d values and labels %d, want [N,%d] and [N], N > 0",
			len(features), n, net.inputs))
	}
	net.reserve(n)
	logits := net.forward(features, n, true)
	nll, gradLogits := net.nll[:n], net.gradLogits[:n*net.outputs]
	var mean float64
	if net.head.binary {
		mean = loss.BinaryCrossEntropy(nll, gradLogits, logits, labels)
	} else {
		mean = loss.CrossEntropy(nll, gradLogits, logits, net.outputs, labels)
	}
	if !finite(mean) {
		return mean, net.locate(features, n)
	}
	grad := gradLogits
	for i := len(net.layers) - 1; i >= 0; i-- {
		grad = net.layers[i].backward(net.input(i, features, n), grad, n, i > 0)
	}
	if !kernel.AllFinite(net.grads) {
		return mean, net.locate(features, n)
	}
	return mean, nil
}

// Step runs one batch as Gradients does, then has the optimiser update the parameters. On an error they stay as they were.
func (net *Network[T]) Step(features []T, labels []int32, optimizer Optimizer[T]) (float64, error) {
	mean, err := net.Gradients(features, labels)
	if err != nil {
		return mean, err
	}
	optimizer.Step(net.params, net.grads)
	return mean, nil
}

// forward returns the logits [n,outputs], a view into the head's buffer.
func (net *Network[T]) forward(features []T, n int, training bool) []T {
	x := features
	for _, l := range net.layers {
		x = l.forward(x, n, training)
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
	net.gradLogits = make([]T, n*net.outputs)
	for _, l := range net.layers {
		l.reserve(n)
	}
}
