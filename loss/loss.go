// Package loss computes losses over logits, each with its gradient in the same call.
//
// The loss of N samples is the mean of the samples' losses, in nats where it is a log-likelihood, and is returned as float64. Where
// perSample [N] is not nil, each sample's loss is written to it. Where grad is not nil, the gradient of the mean with respect to the
// logits is written to it; grad may be the slice of the logits itself. The mean is over the samples that are not Ignored, and is weighted
// where the loss says so. The mean over no samples is NaN.
//
// Nothing is allocated once memory was allocated for a first call. Lengths that do not fit, labels out of range and settings out of range
// are the caller's mistakes and panic, with a message that names the argument, the shape and the row.
//
// A row of logits that has no softmax (it has a NaN or +Inf, or nothing but −Inf) has a loss of NaN.
package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
)

// Float is the element type of logits and gradients.
type Float interface{ float32 | float64 }

// Ignored is the label of a sample that takes no part: its loss and its gradient are exactly 0, whatever its logits are, and the mean is
// over the other samples. PyTorch calls it ignore_index.
const Ignored = logit.Ignored

// Targets are the right answers for N samples.
type Targets[T Float] struct {
	// Labels [N] are classes in [0,K), or 0 and 1 for a single logit; or Ignored. Where Soft is set too, they only say which samples are
	// Ignored.
	Labels []int32
	// Soft [N,K], where it is not nil, has a weight for each class of each sample: a distribution over the classes (a teacher's
	// probabilities, mixed labels) for a softmax, or the probability of yes of each column for independent sigmoids.
	Soft []T
}

// Loss is a loss over logits z [N,K]. The type behind it has the loss's settings as its fields.
type Loss[T Float] interface {
	// Loss returns the mean loss of the N samples, N being len(z)/k, and writes to perSample and grad as the package's comment says.
	Loss(perSample, grad, z []T, k int, t Targets[T]) float64
}

// FromLogits returns the mean cross-entropy of class labels [N] over logits z [N,K], without any setting: by CrossEntropy, or where k is 1
// by BinaryCrossEntropy of labels 0 and 1. It writes to perSample and grad as the package's comment says.
func FromLogits[T Float](perSample, grad, z []T, k int, labels []int32) float64 {
	if k == 1 {
		return BinaryCrossEntropy[T]{}.Loss(perSample, grad, z, 1, Targets[T]{Labels: labels})
	}
	return CrossEntropy[T]{}.Loss(perSample, grad, z, k, Targets[T]{Labels: labels})
}

// NLL returns the mean negative log-likelihood −log p[label] of class labels [N] over log-probabilities [N,K], such as a log-softmax. It
// writes to perSample and grad as the package's comment says: the gradient with respect to logProbs is −1/N at the label and 0 elsewhere.
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

// countLabels returns how many labels are not Ignored. It panics where one of these is not in [0, k).
func countLabels(function string, labels []int32, k int) int {
	counted, wrong := kernel.CountLabels(labels, k)
	if wrong >= 0 {
		panic(fmt.Sprintf("loss: %s: label %d of row %d is not in [0, %d)", function, labels[wrong], wrong, k))
	}
	return counted
}

// mean returns total/n. The mean of no sample is NaN, as PyTorch has it, so that it is not taken for a result.
func mean(total float64, n int) float64 { return total / float64(n) }

// rowsOf returns the number of rows of k values, and panics where the values are no whole rows.
func rowsOf[T Float](function, argument string, rows []T, k int) int {
	if k < 1 || len(rows)%k != 0 {
		panic(fmt.Sprintf("loss: %s: %s holds %d values, want rows of K = %d", function, argument, len(rows), k))
	}
	return len(rows) / k
}

// check returns N and how many samples are not Ignored. It panics where lengths do not fit or a label is not in [0, classes).
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

// checkWeights panics unless weights is nil or has K numbers that are finite and 0 or above.
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

// ignored reports whether sample i is Ignored.
func (t Targets[T]) ignored(i int) bool { return t.Labels != nil && t.Labels[i] == Ignored }

// checkOutputs panics unless perSample is nil or has n values, and grad is nil or has size values.
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
