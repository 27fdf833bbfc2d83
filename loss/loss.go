// Package loss holds losses over logits, each with its gradient in the same call.
//
// A loss of N samples is the mean of theirs, returned in float64. Where perSample [N] is not nil it receives each sample's
// loss; where grad is not nil it receives the gradient of the mean with respect to the first input, which it may overwrite.
// Nothing is allocated. Lengths that do not fit and labels out of range panic, naming the argument, the shape and the row.
//
// Logits that have no softmax (NaN or +Inf in the row, or −Inf alone) give a loss of NaN. The mean of no sample is NaN.
package loss

import (
	"fmt"
	"math"
	"sync"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Float is the element type of logits and gradients.
type Float = kernel.Float

// Ignored is the label of a sample that takes no part: its loss is 0, its gradient exactly 0 whatever its logits hold, and
// the mean is taken over the others (PyTorch's ignore_index).
const Ignored = kernel.Ignored

// CrossEntropy is softmax and negative log-likelihood in one: NLL_i = LSE(z_i) − z_i[label], over logits z [N,K] and class
// labels [N]; grad [N,K] is (p − y)/N, y one-hot. Bishop, "Pattern Recognition and Machine Learning", 2006, equations
// 4.108 and 4.109.
//
// The true class's logit at −Inf gives +Inf.
func CrossEntropy[T Float](perSample, grad, z []T, k int, labels []int32) float64 {
	n := rowsOf("CrossEntropy", "z", z, k)
	checkLen("CrossEntropy", "labels", len(labels), n)
	checkOutputs("CrossEntropy", perSample, n, grad, n*k)
	counted := countLabels(labels)
	scale := T(1 / float64(max(counted, 1)))
	if perSample == nil {
		places := takePlaces[T](n)
		defer places.give()
		perSample = places.values
	}
	kernel.CrossEntropy(perSample, grad, z, labels, k, scale)
	return mean(kernel.Sum(perSample), counted)
}

// places hold losses that nobody asked for, to be used again.
type places[T Float] struct{ room, values []T }

var sparePlaces sync.Pool

func takePlaces[T Float](n int) *places[T] {
	p, ok := sparePlaces.Get().(*places[T])
	if !ok {
		p = new(places[T])
	}
	if cap(p.room) < n {
		p.room = make([]T, n)
	}
	p.values = p.room[:n]
	return p
}

func (p *places[T]) give() { sparePlaces.Put(p) }

// CrossEntropySoft is the cross-entropy against a distribution a sample: −Σ_j t_ij·log p_ij over logits z [N,K] and
// targets [N,K], one-hot or soft (smoothed labels, a teacher's probabilities). grad [N,K] is (p·Σ_j t_ij − t)/N, which is
// (p − t)/N where targets sum to 1; they need not. A target of 0 takes no part, so masked classes with target 0 are well;
// a masked class with a target above 0 gives +Inf.
func CrossEntropySoft[T Float](perSample, grad, z, targets []T, k int) float64 {
	n := rowsOf("CrossEntropySoft", "z", z, k)
	checkLen("CrossEntropySoft", "targets", len(targets), n*k)
	checkOutputs("CrossEntropySoft", perSample, n, grad, n*k)
	total := 0.0
	for i := range n {
		row, target := z[i*k:(i+1)*k], targets[i*k:(i+1)*k]
		largest, lse := logSumExp(row)
		own, mass := 0.0, 0.0
		for j, t := range target {
			if t != 0 {
				own += float64(t) * (lse - (float64(row[j]) - largest))
				mass += float64(t)
			}
		}
		if mass == 0 && math.IsNaN(lse) {
			own = lse
		}
		total += own
		if perSample != nil {
			perSample[i] = T(own)
		}
		if grad == nil {
			continue
		}
		out := grad[i*k : (i+1)*k]
		for j, v := range row {
			p := math.Exp(float64(v) - largest - lse)
			out[j] = T((p*mass - float64(target[j])) / float64(n))
		}
	}
	return mean(total, n)
}

// NLL is the negative log-likelihood −log p[label] over log-probabilities [N,K], as a log-softmax gives them, and class
// labels [N]. grad [N,K] is −1/N at the label and 0 elsewhere, with respect to logProbs.
func NLL[T Float](perSample, grad, logProbs []T, k int, labels []int32) float64 {
	n := rowsOf("NLL", "logProbs", logProbs, k)
	checkLen("NLL", "labels", len(labels), n)
	checkOutputs("NLL", perSample, n, grad, n*k)
	counted := countLabels(labels)
	total := 0.0
	for i, label := range labels {
		if label != Ignored && uint(label) >= uint(k) {
			panic(fmt.Sprintf("loss: NLL: label %d of row %d is not in [0, %d)", label, i, k))
		}
		own := 0.0
		if label != Ignored {
			own = -float64(logProbs[i*k+int(label)])
		}
		total += own
		if perSample != nil {
			perSample[i] = T(own)
		}
		if grad != nil {
			clear(grad[i*k : (i+1)*k])
			if label != Ignored {
				grad[i*k+int(label)] = T(-1 / float64(counted))
			}
		}
	}
	return mean(total, counted)
}

// BinaryCrossEntropy is the cross-entropy of two classes with a single logit a sample, z [N], that of class 1 against class
// 0, and labels 0 or 1: log(1 + exp(−z)) for class 1 and log(1 + exp(z)) for class 0. It equals CrossEntropy over the
// logits [0, z]. grad [N] is (σ(z) − label)/N. ±Inf is certainty: a loss of 0 when right, +Inf when wrong.
func BinaryCrossEntropy[T Float](perSample, grad, z []T, labels []int32) float64 {
	n := len(z)
	checkLen("BinaryCrossEntropy", "labels", len(labels), n)
	checkOutputs("BinaryCrossEntropy", perSample, n, grad, n)
	counted := countLabels(labels)
	total := 0.0
	for i, label := range labels {
		own, gradient := 0.0, 0.0
		if label != Ignored {
			if label != 0 && label != 1 {
				panic(fmt.Sprintf("loss: BinaryCrossEntropy: label %d of row %d is not 0 or 1", label, i))
			}
			// The loss depends on the margin alone: how far z is on the right side.
			margin := float64(z[i])
			if label == 0 {
				margin = -margin
			}
			own = softplus(-margin)
			// σ(z) − label is −σ(−margin), signed as the label asks: no difference of near-equal numbers.
			gradient = sigmoid(-margin) / float64(counted)
			if label == 1 {
				gradient = -gradient
			}
		}
		total += own
		if perSample != nil {
			perSample[i] = T(own)
		}
		if grad != nil {
			grad[i] = T(gradient)
		}
	}
	return mean(total, counted)
}

// softplus is log(1 + exp(x)), without overflow for large x and without losing small results.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// sigmoid is 1/(1 + exp(−x)); exp is taken of a number that is not above 0.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// logSumExp returns the largest logit m of a row and log Σ exp(z − m).
func logSumExp[T Float](row []T) (largest, logSum float64) {
	m := row[0]
	for _, v := range row[1:] {
		if v > m {
			m = v
		}
	}
	largest = float64(m)
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v) - largest)
	}
	return largest, math.Log(sum)
}

func countLabels(labels []int32) int {
	counted := 0
	for _, label := range labels {
		if label != Ignored {
			counted++
		}
	}
	return counted
}

// mean of no sample is NaN, as PyTorch has it: a visible result.
func mean(total float64, n int) float64 { return total / float64(n) }

func rowsOf[T Float](function, argument string, rows []T, k int) int {
	if k < 1 || len(rows)%k != 0 {
		panic(fmt.Sprintf("loss: %s: %s holds %d values, want rows of K = %d", function, argument, len(rows), k))
	}
	return len(rows) / k
}

func checkOutputs[T Float](function string, perSample []T, n int, grad []T, size int) {
	if perSample != nil {
		checkLen(function, "perSample", len(perSample), n)
	}
	if grad != nil {
		checkLen(function, "grad", len(grad), size)
	}
}

func checkLen(function, argument string, have, want int) {
	if have != want {
		panic(fmt.Sprintf("loss: %s: %s holds %d values, want %d", function, argument, have, want))
	}
}
