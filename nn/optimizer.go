package nn

import "github.com/logitscope/logitscope/internal/kernel"

// Optimizer changes parameters by their gradients, once a step. It keeps numbers for each parameter, so that one optimiser belongs to one
// network.
type Optimizer[T Float] interface {
	// Step updates params by grads, both [P].
	Step(params, grads []T)
	// StepRows is Step where the first Count·Width parameters are a table, of whose rows only those in Touched have a gradient. The other
	// rows stay as they are, and so do the numbers that the optimiser keeps for them: momentum, running means and weight decay of a row
	// go on in the steps that touch it, as in PyTorch's SparseAdam. Bias correction counts all steps.
	StepRows(params, grads []T, rows Rows)
	// State returns what the optimiser keeps between steps.
	State() OptimizerState[T]
	// SetState copies a state that State returned for a network of params parameters. It returns an error where the state is another
	// optimiser's or of another number of parameters, and then changes nothing.
	SetState(s OptimizerState[T], params int) error
}

// Rows names the rows of a table that a step changes. The zero Rows stands for no table.
type Rows struct {
	Width, Count int     // the table is [Count,Width]
	Touched      []int32 // the rows that have a gradient, each once
}

// SGD is stochastic gradient descent with momentum, as PyTorch defines it: g ← g + decay·w; v ← momentum·v + g (v is g in the first step);
// w ← w − lr·v, or w − lr·(g + momentum·v) with Nesterov. Sutskever et al., "On the importance of initialization and momentum in deep
// learning", 2013.
type SGD[T Float] struct {
	LearningRate, Momentum, WeightDecay float64
	Nesterov                            bool

	velocity []T // v [P]; nil before the first step and without momentum
	steps    int
}

// Step implements Optimizer.
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

// Adam keeps running means of each gradient and of its square, and divides the first by the root of the second. Kingma and Ba, "Adam",
// 2015, algorithm 1. WeightDecay times the weight is added to the gradient, or where Decoupled is set, taken off the weight directly:
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (AdamW), 2019, algorithm 2.
type Adam[T Float] struct {
	LearningRate, Beta1, Beta2, Epsilon, WeightDecay float64
	Decoupled                                        bool

	mean, square []T // [P]; nil before the first step
	steps        int
}

// NewAdam returns Adam with the paper's constants, β₁ = 0.9, β₂ = 0.999 and ε = 1e-8, and without weight decay.
func NewAdam[T Float](learningRate float64) *Adam[T] {
	return &Adam[T]{LearningRate: learningRate, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
}

// NewAdamW returns Adam with decoupled weight decay.
func NewAdamW[T Float](learningRate, weightDecay float64) *Adam[T] {
	o := NewAdam[T](learningRate)
	o.WeightDecay, o.Decoupled = weightDecay, true
	return o
}

// Step implements Optimizer.
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
