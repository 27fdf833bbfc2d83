// Package loss holds losses over logits, each with its gradient in the same call.
//
// A loss of N samples is the mean of theirs, returned in float64. Where perSample [N] is not nil it receives each sample's
// loss; where grad is not nil it receives the gradient of the mean with respect to the first input, which it may overwrite.
// Nothing is allocated. Lengths that do not fit and labels out of range panic, naming the argument, the shape and the row.
//
// The mean is over the samples that are not Ignored, and weighted where the loss says so.
//
// Logits that have no softmax (NaN or +Inf in the row, or −Inf alone) give a loss of NaN. The mean of no sample is NaN.
package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
)

// Float is the element type of logits and gradients.
type Float interface{ float32 | float64 }

// Ignored is the label of a sample that takes no part: its loss is 0, its gradient exactly 0 whatever its logits hold, and
// the mean is taken over the others (PyTorch's ignore_index).
const Ignored = logit.Ignored

// Targets says what is right for each of N samples.
type Targets[T Float] struct {
	// Labels [N] are classes, or 0 and 1 for a single logit. Beside Soft they only say which samples are Ignored.
	Labels []int32
	// Soft [N,K], where it is not nil, weighs the classes of each sample: a distribution (mixed labels, a teacher's
	// probabilities) for a softmax, a probability each for independent sigmoids.
	Soft []T
}

// Loss is a loss over logits z [N,K], its settings the fields of the type behind it. See the package's comment for
// perSample, grad and what is returned.
type Loss[T Float] interface {
	Loss(perSample, grad, z []T, k int, t Targets[T]) float64
}

// FromLogits is the plain case in one call: the negative log-likelihood of class labels [N] over logits z [N,K] by
// CrossEntropy, or where k is 1 that of labels 0 and 1 by BinaryCrossEntropy.
func FromLogits[T Float](perSample, grad, z []T, k int, labels []int32) float64 {
	if k == 1 {
		return BinaryCrossEntropy[T]{}.Loss(perSample, grad, z, 1, Targets[T]{Labels: labels})
	}
	return CrossEntropy[T]{}.Loss(perSample, grad, z, k, Targets[T]{Labels: labels})
}

// NLL is the negative log-likelihood −log p[label] over log-probabilities [N,K], as a log-softmax gives them, and class
// labels [N]. grad [N,K] is −1/N at the label and 0 elsewhere, with respect to logProbs.
func NLL[T Float](perSample, grad, logProbs []T, k int, labels []int32) float64 {
	n := rowsOf("NLL", "logProbs", logProbs, k)
	checkLen("NLL", "labels", len(labels), n)
	checkOutputs("NLL", perSample, n, grad, n*k)
	counted := countLabels("NLL", labels, k)
	total := 0.0
	for i, label := range labels {
		sampleLoss := 0.0
		if label != Ignored {
			sampleLoss = -float64(logProbs[i*k+int(label)])
		}
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
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

// countLabels returns how many labels are not Ignored, after it has seen to it that they are in [0, k).
func countLabels(function string, labels []int32, k int) int {
	counted, wrong := kernel.CountLabels(labels, k)
	if wrong >= 0 {
		panic(fmt.Sprintf("loss: %s: label %d of row %d is not in [0, %d)", function, labels[wrong], wrong, k))
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

// check returns N, and how many samples are not Ignored, after it has seen to it that everything fits, labels being in
// [0, classes).
func check[T Float](function string, perSample, grad, z []T, k, classes int, t Targets[T]) (n, counted int) {
	n = rowsOf(function, "z", z, k)
	checkOutputs(function, perSample, n, grad, n*k)
	if t.Soft != nil {
		checkLen(function, "Targets.Soft", len(t.Soft), n*k)
	}
	if t.Labels == nil && t.Soft != nil {
		return n, n
	}
	checkLen(function, "Targets.Labels", len(t.Labels), n)
	if t.Soft != nil {
		counted, _ = kernel.CountLabels(t.Labels, k)
		return n, counted
	}
	return n, countLabels(function, t.Labels, classes)
}

// checkWeights sees to it that weights, where there are any, are K numbers that are finite and not below 0.
func checkWeights(function, argument string, weights []float64, k int) {
	if weights == nil {
		return
	}
	checkLen(function, argument, len(weights), k)
	for j, w := range weights {
		if !(w >= 0 && w <= math.MaxFloat64) {
			panic(fmt.Sprintf("loss: %s: %s[%d] = %v is not finite and 0 or above", function, argument, j, w))
		}
	}
}

func (t Targets[T]) ignored(i int) bool { return t.Labels != nil && t.Labels[i] == Ignored }

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
