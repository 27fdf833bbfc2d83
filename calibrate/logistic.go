package calibrate

import (
	"context"
	"math"

	"github.com/logitscope/logitscope/summary"
)

// platt fits a and b of sigmoid(a·s + b), the probability that an observation of log-odds s is a yes, by Newton's method with a line search.
// The targets are Platt's, (n₊ + 1)/(n₊ + 2) for yes and 1/(n₋ + 2) for no, with which there is always a finite optimum: H.-T. Lin, C.-J.
// Lin, R. Weng, "A note on Platt's probabilistic outputs for support vector machines", Machine Learning 68, 2007.
func platt(obs []observation) (a, b float64) {
	positives := 0.0
	for _, o := range obs {
		if o.yes {
			positives++
		}
	}
	negatives := float64(len(obs)) - positives
	high, low := (positives+1)/(positives+2), 1/(negatives+2)
	target := func(i int) float64 {
		if obs[i].yes {
			return high
		}
		return low
	}
	value := func(a, b float64) (sum float64) {
		for i, o := range obs {
			x := a*o.s + b
			sum += softplus(x) - target(i)*x
		}
		return sum
	}
	a, b = 0, math.Log((positives+1)/(negatives+1))
	least := value(a, b)
	const ridge = 1e-12
	for range 100 {
		var ga, gb float64
		haa, hbb, hab := ridge, ridge, 0.0
		for i, o := range obs {
			v := o.s
			p := sigmoid(a*v + b)
			d, w := p-target(i), p*(1-p)
			ga += d * v
			gb += d
			haa += w * v * v
			hbb += w
			hab += w * v
		}
		determinant := haa*hbb - hab*hab
		da, db := -(hbb*ga-hab*gb)/determinant, -(haa*gb-hab*ga)/determinant
		slope := ga*da + gb*db
		if !(slope < -1e-14*math.Abs(least)) {
			break
		}
		step := 1.0
		for ; step > 1e-10; step /= 2 {
			if next := value(a+step*da, b+step*db); next < least+1e-4*step*slope {
				a, b, least = a+step*da, b+step*db, next
				break
			}
		}
		if step <= 1e-10 {
			break
		}
	}
	return a, b
}

// vector fits w and b of softmax(w∘z + b) by L-BFGS: D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization",
// Mathematical Programming 45, 1989. It starts from the best temperature, so that its NLL is never above that temperature's. NLL and
// gradient are computed in float64. What it returns is of no use where ctx has ended.
func vector(ctx context.Context, b summary.Batch, start float64) (weights, biases []float64, verdict Verdict) {
	k := b.Columns
	x := make([]float64, 2*k)
	for j := range k {
		x[j] = 1 / start
	}
	verdict = AtBound
	if minimise(x, func(x, grad []float64) float64 { return vectorNLL(ctx, b, x, grad) }, 200, 1e-6) {
		verdict = Converged
	}
	if ctx.Err() == nil && separates(b, x) {
		verdict = Separable
	}
	return x[:k], x[k:], verdict
}

// separates reports whether x = (w, b) gives the label of every row a larger logit than all other classes.
func separates(b summary.Batch, x []float64) bool {
	k := b.Columns
	z := make([]float64, k)
	for i, label := range b.Labels {
		if label < 0 {
			continue
		}
		b.Row(z, i)
		ofLabel := z[label]*x[label] + x[k+int(label)]
		for j, v := range z {
			if j != int(label) && !math.IsInf(v, -1) && !(v*x[j]+x[k+j] < ofLabel) {
				return false
			}
		}
	}
	return true
}

// vectorNLL returns the mean NLL at x = (w, b) and writes its gradient to grad. Where ctx has ended, it writes a gradient of 0, which ends the
// search.
func vectorNLL(ctx context.Context, b summary.Batch, x, grad []float64) float64 {
	k := b.Columns
	type sums struct {
		n    int
		nll  float64
		grad []float64
	}
	total, err := summary.FoldRows(ctx, b, k, stripes, func() *sums { return &sums{grad: make([]float64, 2*k)} }, func(s *sums, part summary.Batch) {
		p, z := make([]float64, k), make([]float64, k)
		for i, label := range part.Labels {
			if label < 0 {
				continue
			}
			part.Row(z, i)
			largest := math.Inf(-1)
			for j, v := range z {
				p[j] = math.Inf(-1)
				if !math.IsInf(v, -1) {
					p[j] = v*x[j] + x[k+j]
				}
				largest = max(largest, p[j])
			}
			sum, ofLabel := 0.0, p[label]-largest
			for j, v := range p {
				p[j] = math.Exp(v - largest)
				sum += p[j]
			}
			if math.IsNaN(sum) || math.IsInf(ofLabel, -1) {
				continue // no softmax, or a label that is masked at any w and b
			}
			s.n++
			s.nll += math.Log(sum) - ofLabel
			for j, e := range p {
				if e == 0 && j != int(label) {
					continue
				}
				d := e / sum
				if j == int(label) {
					d--
				}
				s.grad[j] += d * z[j]
				s.grad[k+j] += d
			}
		}
	}, func(into, from *sums) {
		into.n += from.n
		into.nll += from.nll
		for j, g := range from.grad {
			into.grad[j] += g
		}
	})
	if err != nil {
		clear(grad)
		return 0
	}
	for j, g := range total.grad {
		grad[j] = g / float64(max(total.n, 1))
	}
	return total.nll / float64(max(total.n, 1))
}

// minimise moves x to a minimum of a smooth convex function, in at most so many steps. function returns its value at x and writes its
// gradient. minimise reports whether x is a minimum: whether the norm of the gradient is at most tolerance, or no step lowers the value.
func minimise(x []float64, function func(x, grad []float64) float64, steps int, tolerance float64) bool {
	const memory = 10
	n := len(x)
	grad, next, nextGrad, direction := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	var moves, changes [][]float64
	value := function(x, grad)
	for range steps {
		if norm(grad) <= tolerance {
			return true
		}
		copy(direction, grad)
		factors := make([]float64, len(moves))
		for i := len(moves) - 1; i >= 0; i-- {
			factors[i] = dot(moves[i], direction) / dot(moves[i], changes[i])
			axpy(direction, -factors[i], changes[i])
		}
		if last := len(moves) - 1; last >= 0 {
			scale(direction, dot(moves[last], changes[last])/dot(changes[last], changes[last]))
		} else {
			scale(direction, 1/max(norm(grad), 1))
		}
		for i := range moves {
			axpy(direction, factors[i]-dot(changes[i], direction)/dot(moves[i], changes[i]), moves[i])
		}
		slope := -dot(direction, grad)
		if !(slope < 0) {
			return false
		}
		step, after := 1.0, 0.0
		for ; step > 1e-12; step /= 2 {
			copy(next, x)
			axpy(next, -step, direction)
			if after = function(next, nextGrad); after <= value+1e-4*step*slope {
				break
			}
		}
		if step <= 1e-12 || value-after <= 1e-15*math.Abs(value) {
			return true
		}
		move, change := make([]float64, n), make([]float64, n)
		for j := range x {
			move[j], change[j] = next[j]-x[j], nextGrad[j]-grad[j]
		}
		if dot(move, change) > 1e-300 {
			moves, changes = append(moves, move), append(changes, change)
			if len(moves) > memory {
				moves, changes = moves[1:], changes[1:]
			}
		}
		copy(x, next)
		copy(grad, nextGrad)
		value = after
	}
	return norm(grad) <= tolerance
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

// axpy adds factor·a to dst.
func axpy(dst []float64, factor float64, a []float64) {
	for i, v := range a {
		dst[i] += factor * v
	}
}

func scale(dst []float64, factor float64) {
	for i := range dst {
		dst[i] *= factor
	}
}
