package nn

import "github.com/logitscope/logitscope/internal/kernel"

// Optimizer changes parameters by their gradients, one call a step. It keeps state for each parameter, so one optimiser
// belongs to one network.
type Optimizer[T Float] interface {
	Step(params, grads []T)
	// StepRows is Step where the first Count·Width parameters are a table of which only the rows in Touched have a gradient.
	// The others stay as they are, and so does what the optimiser remembers of them: momentum, means and weight decay go on in
	// the steps that touch a row (PyTorch's SparseAdam), while bias correction counts all steps.
	StepRows(params, grads []T, rows Rows)
	State() OptimizerState[T]
	SetState(s OptimizerState[T], params int) error
}

// Rows names the rows of a table that a step touches, each once.
type Rows struct {
	Width, Count int
	Touched      []int32
}

// SGD is stochastic gradient descent with momentum, as PyTorch defines it: g ← g + decay·w; v ← momentum·v + g (v starts
// as g); w ← w − lr·v, or w − lr·(g + momentum·v) with Nesterov. Sutskever et al., "On the importance of initialization
// and momentum in deep learning", 2013.
type SGD[T Float] struct {
	LearningRate, Momentum, WeightDecay float64
	Nesterov                            bool

	velocity []T
	steps    int
}

// Step updates params by grads, both [P].
func (o *SGD[T]) Step(params, grads []T) { o.StepRows(params, grads, Rows{}) }

// StepRows implements Optimizer.
func (o *SGD[T]) StepRows(params, grads []T, rows Rows) {
	if o.velocity == nil && o.Momentum != 0 {
		o.velocity = make([]T, len(params))
	}
	o.steps++
	step := kernel.SGDStep{
		LR: o.LearningRate, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov, Step: o.steps,
	}
	update := func(from, to int) {
		var velocity []T
		if o.velocity != nil {
			velocity = o.velocity[from:to]
		}
		kernel.SGD(params[from:to], grads[from:to], velocity, step)
	}
	for _, row := range rows.Touched {
		update(int(row)*rows.Width, int(row+1)*rows.Width)
	}
	update(rows.Width*rows.Count, len(params))
}

// Adam keeps running means of each gradient and of its square and divides the one by the root of the other. Kingma and
// Ba, "Adam", 2015, algorithm 1. WeightDecay is added to the gradient; with Decoupled set it shrinks the weights
// directly: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (AdamW), 2019, algorithm 2.
type Adam[T Float] struct {
	LearningRate, Beta1, Beta2, Epsilon, WeightDecay float64
	Decoupled                                        bool

	mean, square []T
	steps        int
}

// NewAdam returns Adam with the paper's constants: β₁ 0.9, β₂ 0.999, ε 1e-8.
func NewAdam[T Float](learningRate float64) *Adam[T] {
	return &Adam[T]{LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
}

// NewAdamW returns Adam with decoupled weight decay.
func NewAdamW[T Float](learningRate, weightDecay float64) *Adam[T] {
	o := NewAdam[T](learningRate)
	o.WeightDecay, o.Decoupled = weightDecay, true
	return o
}

// Step updates params by grads, both [P].
func (o *Adam[T]) Step(params, grads []T) { o.StepRows(params, grads, Rows{}) }

// StepRows implements Optimizer.
func (o *Adam[T]) StepRows(params, grads []T, rows Rows) {
	if o.mean == nil {
		o.mean, o.square = make([]T, len(params)), make([]T, len(params))
	}
	o.steps++
	step := kernel.AdamStep{
		LR: o.LearningRate, Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Epsilon,
		WeightDecay: o.WeightDecay, Decoupled: o.Decoupled, Step: o.steps,
	}
	table := rows.Width * rows.Count
	if table > 0 {
		kernel.AdamRows(params[:table], grads[:table], o.mean[:table], o.square[:table], rows.Width, rows.Touched, step)
	}
	kernel.Adam(params[table:], grads[table:], o.mean[table:], o.square[table:], step)
}
