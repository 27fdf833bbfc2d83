package train

import (
	"math"

	"github.com/logitscope/logitscope/nn"
)

// stepper is the optimiser of a run. Beside what the nn.Optimizer does, it bounds the norm of the gradients and keeps a moving average of
// the weights.
type stepper struct {
	nn.Optimizer[float32]
	setRate func(float64) // sets the learning rate of the next step
	clip    float64       // the largest norm of the gradients; 0 for no bound
	decay   float64       // of the moving average; 0 for none
	average []float32     // [P], the moving average; nil before the first step and where there is none
	steps   int           // the number of steps that were taken
}

// newStepper returns the optimiser that a configuration names.
func newStepper(c Config) *stepper {
	s := &stepper{clip: c.ClipNorm, decay: c.EMA}
	if c.Optimizer == "sgd" {
		sgd := &nn.SGD[float32]{LearningRate: c.LearningRate, Momentum: c.Momentum, WeightDecay: c.WeightDecay}
		s.Optimizer, s.setRate = sgd, func(rate float64) { sgd.LearningRate = rate }
		return s
	}
	adam := nn.NewAdam[float32](c.LearningRate)
	adam.WeightDecay, adam.Decoupled = c.WeightDecay, c.Optimizer == "adamw"
	s.Optimizer, s.setRate = adam, func(rate float64) { adam.LearningRate = rate }
	return s
}

// Step implements nn.Optimizer. It may scale grads.
func (s *stepper) Step(params, grads []float32) { s.StepRows(params, grads, nn.Rows{}) }

// StepRows implements nn.Optimizer.
func (s *stepper) StepRows(params, grads []float32, rows nn.Rows) {
	if s.clip != 0 {
		clipNorm(grads, s.clip)
	}
	s.Optimizer.StepRows(params, grads, rows)
	s.steps++
	if s.decay != 0 {
		s.updateAverage(params)
	}
}

// updateAverage moves the average a towards the weights w: a ← d·a + (1−d)·w, where d = min(decay, (1+t)/(10+t)) after t steps. The smaller
// d of the first steps lets the average forget them soon, as in TensorFlow's ExponentialMovingAverage. Polyak and Juditsky, "Acceleration
// of Stochastic Approximation by Averaging", 1992.
func (s *stepper) updateAverage(params []float32) {
	if s.average == nil {
		s.average = make([]float32, len(params))
	}
	d := min(s.decay, float64(1+s.steps)/float64(10+s.steps))
	if s.steps == 1 {
		d = 0
	}
	keep := float32(d)
	for i, w := range params {
		s.average[i] = keep*s.average[i] + (1-keep)*w
	}
}

// clipNorm scales grads so that their Euclidean norm is at most limit, as PyTorch's clip_grad_norm_ does. Pascanu et al.,
// "On the difficulty of training recurrent neural networks", 2013, algorithm 1.
func clipNorm(grads []float32, limit float64) {
	var sums [4]float64 // in a fixed order, so that a step gives the same bits everywhere
	for i := 0; i+4 <= len(grads); i += 4 {
		g := grads[i : i+4 : i+4]
		sums[0] += float64(g[0]) * float64(g[0])
		sums[1] += float64(g[1]) * float64(g[1])
		sums[2] += float64(g[2]) * float64(g[2])
		sums[3] += float64(g[3]) * float64(g[3])
	}
	for _, g := range grads[len(grads)&^3:] {
		sums[0] += float64(g) * float64(g)
	}
	norm := math.Sqrt(sums[0] + sums[1] + sums[2] + sums[3])
	if scale := limit / (norm + 1e-6); scale < 1 {
		for i := range grads {
			grads[i] *= float32(scale)
		}
	}
}
