package kernel

import (
	"math"
	"runtime"

	"github.com/logitscope/logitscope/internal/spare"
)

// AdamStep holds the settings of one step of Adam. Step is the number of the step, counted from 1.
type AdamStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Decoupled                          bool // whether weight decay shrinks w, as in AdamW, rather than being added to the gradient
	Step                               int
}

// Adam updates the weights w, the running mean m of their gradients and the running mean v of the gradients' squares, all [P], as PyTorch does:
// g ← grad + decay·w (or w ← w·(1 − lr·decay) where decoupled), m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²,
// w ← w − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), where t is the number of the step. The sources are Kingma and Ba, 2015, algorithm 1, and
// Loshchilov and Hutter, 2019, algorithm 2.
func Adam[T Float](w, grad, m, v []T, s AdamStep) {
	checkLen("Adam", "grad", len(grad), len(w))
	checkLen("Adam", "m", len(m), len(w))
	checkLen("Adam", "v", len(v), len(w))
	constants := adamConstants[T](s)
	if len(w) < 2*adamPart || runtime.GOMAXPROCS(0) == 1 {
		adam(w, grad, m, v, &constants)
		return
	}
	shareAdam(w, grad, m, v, constants, adamPart, nil)
}

// shareAdam does Adam with several threads: of all parameters, of which a thread takes width at a time, or where rows is not nil of these rows of
// width parameters.
func shareAdam[T Float](w, grad, m, v []T, constants [9]T, width int, rows []int32) {
	a, ok := any(spare.Take(spareAdams)).(*adamTask[T])
	if !ok || a == nil {
		a = new(adamTask[T])
	}
	a.w, a.grad, a.m, a.v, a.constants, a.width, a.rows = w, grad, m, v, constants, width, rows
	if rows != nil {
		a.start((len(rows) + adamRows - 1) / adamRows)
	} else {
		a.start((len(w) + width - 1) / width)
	}
	share(a)
	a.w, a.grad, a.m, a.v, a.rows = nil, nil, nil, nil, nil
	spare.Give(spareAdams, task(a))
}

// AdamRows does what Adam does, for the given rows of a table w [M,width] alone.
func AdamRows[T Float](w, grad, m, v []T, width int, rows []int32, s AdamStep) {
	checkLen("AdamRows", "grad", len(grad), len(w))
	checkLen("AdamRows", "m", len(m), len(w))
	checkLen("AdamRows", "v", len(v), len(w))
	if len(rows) == 0 {
		return
	}
	shareAdam(w, grad, m, v, adamConstants[T](s), width, rows)
}

// adamConstants returns the constants of a step, in the order in which adam and the vector code read them.
func adamConstants[T Float](s AdamStep) [9]T {
	rate := T(s.LR / (1 - math.Pow(s.Beta1, float64(s.Step))))
	inverseRoot := T(1 / math.Sqrt(1-math.Pow(s.Beta2, float64(s.Step))))
	beta1, beta2, eps := T(s.Beta1), T(s.Beta2), T(s.Eps)
	rest1, rest2 := T(1-s.Beta1), T(1-s.Beta2)
	keep, decay := T(1), T(s.WeightDecay)
	if s.Decoupled {
		keep, decay = T(1-s.LR*s.WeightDecay), 0
	}
	return [9]T{beta1, rest1, beta2, rest2, rate, inverseRoot, eps, decay, keep}
}

// A thread takes adamPart parameters at a time or, in AdamRows, adamRows rows.
const (
	adamPart = 1 << 14
	adamRows = 1 << 8
)

// adamTask is a step that several threads share.
type adamTask[T Float] struct {
	parts
	w, grad, m, v []T
	constants     [9]T
	width         int
	rows          []int32
}

var spareAdams = make(chan task, 16)

func (a *adamTask[T]) work() {
	for part := range a.taken {
		if a.rows == nil {
			a.update(part)
			continue
		}
		for _, row := range a.rows[part*adamRows : min((part+1)*adamRows, len(a.rows))] {
			a.update(int(row))
		}
	}
}

// update updates the parameters of one row.
func (a *adamTask[T]) update(row int) {
	start, end := row*a.width, min((row+1)*a.width, len(a.w))
	adam(a.w[start:end], a.grad[start:end], a.m[start:end], a.v[start:end], &a.constants)
}

// adam updates w, m and v by the constants of adamConstants.
func adam[T Float](w, grad, m, v []T, constants *[9]T) {
	beta1, rest1, beta2, rest2, rate, inverseRoot, eps, decay, keep := constants[0], constants[1], constants[2], constants[3],
		constants[4], constants[5], constants[6], constants[7], constants[8]
	done := 0
	if c, ok := any(constants).(*[9]float32); ok {
		done = adam32(any(w).([]float32), any(grad).([]float32), any(m).([]float32), any(v).([]float32), c)
	}
	for i := done; i < len(w); i++ {
		g := grad[i] + decay*w[i]
		m[i] = beta1*m[i] + rest1*g
		v[i] = beta2*v[i] + rest2*(g*g)
		root := T(math.Sqrt(float64(v[i])))
		w[i] = keep*w[i] - rate*m[i]/(root*inverseRoot+eps)
	}
}

// SGDStep holds the settings of one step of SGD. Step is the number of the step, counted from 1.
type SGDStep struct {
	LR, Momentum, Dampening, WeightDecay float64
	Nesterov                             bool
	Step                                 int
}

// SGD updates the weights w and their velocity, both [P], as PyTorch does: g ← grad + decay·w, velocity ← momentum·velocity + (1−dampening)·g,
// which in the first step is g, and w ← w − lr·velocity, or with Nesterov w ← w − lr·(g + momentum·velocity). velocity may be nil where
// Momentum is 0.
func SGD[T Float](w, grad, velocity []T, s SGDStep) {
	checkLen("SGD", "grad", len(grad), len(w))
	rate, decay, momentum := T(s.LR), T(s.WeightDecay), T(s.Momentum)
	if s.Momentum == 0 {
		for i, g := range grad {
			w[i] -= rate * (g + decay*w[i])
		}
		return
	}
	checkLen("SGD", "velocity", len(velocity), len(w))
	keep, add := momentum, T(1-s.Dampening)
	if s.Step == 1 {
		keep, add = 0, 1
	}
	for i, g := range grad {
		g += decay * w[i]
		velocity[i] = keep*velocity[i] + add*g
		step := velocity[i]
		if s.Nesterov {
			step = g + momentum*step
		}
		w[i] -= rate * step
	}
}
