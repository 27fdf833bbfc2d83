package train

import (
	"math/rand/v2"

	"github.com/logitscope/logitscope/nn"
)

// Rate is the learning rate of a step.
func (s Schedule) Rate(base float64, step, all, perEpoch int, plateau float64) float64 {
	return s.rate(base, step, all, perEpoch, plateau)
}

// Plateaus returns what the learning rate is multiplied by before each of an epoch's figures is seen.
func Plateaus(s Schedule, figure string, values []float64) []float64 {
	m := monitor{Figure: figure, Plateau: 1}
	factors := make([]float64, len(values))
	for i, v := range values {
		factors[i] = m.Plateau
		m.endEpoch(i+1, v, s)
	}
	return factors
}

var ClipNorm = clipNorm

// Beta draws from Beta(α,α).
func Beta(alpha float64, rng *rand.Rand) float64 { return beta(alpha, rng) }

// Weights returns the trainer's parameters one behind the other, and their average.
func (t *Trainer) Weights() (params, average []float32) {
	for _, p := range t.net.Params() {
		params = append(params, p.Data...)
	}
	return params, t.optimizer.average
}

// Batches returns the labels of every batch of an epoch, and what they are trained on.
func (t *Trainer) Batches() (labels [][]int32, features, soft [][]float32) {
	t.batches.shuffle()
	for t.batches.next() {
		labels = append(labels, append([]int32(nil), t.batches.labels...))
		features = append(features, append([]float32(nil), t.batches.features...))
		soft = append(soft, append([]float32(nil), t.batches.soft...))
	}
	return labels, features, soft
}

var (
	BalancedClasses   = balancedClasses
	BalancedPositives = balancedPositives
)

// FoldsOf is foldsOf.
var FoldsOf = foldsOf

// planting is an optimiser that spoils a parameter after a step.
type planting struct {
	nn.Optimizer[float32]
	left  int
	plant func()
}

// StepRows implements nn.Optimizer.
func (p *planting) StepRows(params, grads []float32, rows nn.Rows) {
	p.Optimizer.StepRows(params, grads, rows)
	if p.left--; p.left == 0 {
		p.plant()
	}
}

// PlantAfter has a value of a parameter spoilt after so many steps of training.
func (t *Trainer) PlantAfter(steps, param int, value float32) (name string) {
	p := t.net.Params()[param]
	t.optimizer.Optimizer = &planting{t.optimizer.Optimizer, steps, func() { p.Data[0] = value }}
	return p.Name
}

// StepsAnEpoch is how many steps an epoch has.
func (t *Trainer) StepsAnEpoch() int { return t.batches.perEpoch() }

// Params is how many parameters the network has.
func (t *Trainer) Params() int { return len(t.net.Params()) }

// Trained is how many epochs of an entrant need not be trained again.
func (e *Entrant) Trained() int { return len(e.epochs) }

// Ahead is how many epochs a trainer follows.
func (t *Trainer) Ahead() int { return len(t.raced) }

// GainOrZero is the gain of a cycle, 0 where none ended.
func (c *Cycle) GainOrZero() float64 {
	if c == nil {
		return 0
	}
	return c.Gain
}
