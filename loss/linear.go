package loss

import (
	"fmt"

	"github.com/logitscope/logitscope/internal/kernel"
)

// LinearCrossEntropy is a head and its loss in one: cross-entropy over the logits z = hidden·weightsᵀ + bias, with the
// gradients of all three. The logits [N,K] are never held: rows go through in blocks of at most 56 MiB of them, each turned
// into its gradient in place and multiplied on at once. So a head with 100,000 classes trains in the memory of its weights.
// (The idea: Liger Kernel's linear cross-entropy, Hsu et al., 2024, section 3.2.)
//
// The zero value is ready for use. It keeps its block between calls: one goroutine uses it at a time.
type LinearCrossEntropy[T Float] struct {
	// LabelSmoothing ε in [0,1] makes each target (1−ε)·onehot + ε/K. Szegedy et al., "Rethinking the Inception
	// Architecture", 2016, section 7. With a masked class (logit −Inf) the loss is then +Inf.
	LabelSmoothing float64
	// SoftCap, where it is not 0, replaces z by cap·tanh(z/cap). Gemma 2 technical report, 2024, section 2.
	SoftCap float64

	block, capped []T // [rows,K] logits, then their gradients; the capped logits
}

// blockLogits is how many logits are held at once: 56 MiB of float32, half of it where the capped ones are kept too.
var blockLogits = 14 << 20

// tileRows is a multiple of the rows of the kernel's tiles.
const tileRows = 42

// Linear is a linear layer's input and parameters. Bias may be nil.
type Linear[T Float] struct {
	Hidden  []T // [N,H]
	Weights []T // [K,H]
	Bias    []T // [K] or nil
}

// Loss returns the mean cross-entropy over the samples that are not Ignored, and where they are not nil writes each
// sample's loss to perSample [N] and the gradients of the mean to those of grad: Hidden [N,H], Weights [K,H], Bias [K];
// those of grad are overwritten and no input. It panics on lengths that do not fit and on labels outside [0,K).
func (l *LinearCrossEntropy[T]) Loss(perSample []T, grad, x Linear[T], h int, labels []int32) float64 {
	n, k := l.check("LinearCrossEntropy.Loss", x, h)
	checkLen("LinearCrossEntropy.Loss", "labels", len(labels), n)
	checkGrad("grad.Hidden", grad.Hidden, x.Hidden)
	checkGrad("grad.Weights", grad.Weights, x.Weights)
	checkGrad("grad.Bias", grad.Bias, x.Bias)
	if perSample == nil {
		places := takePlaces[T]()
		defer places.give()
		perSample = places.values(n)
	}
	checkLen("LinearCrossEntropy.Loss", "perSample", len(perSample), n)
	counted := countLabels("LinearCrossEntropy.Loss", labels, k)
	scale := T(1 / float64(max(counted, 1)))
	backward := grad.Hidden != nil || grad.Weights != nil || grad.Bias != nil
	each := l.reserve(n, k)
	for start := 0; start < n; start += each {
		rows := min(each, n-start)
		hidden := x.Hidden[start*h : (start+rows)*h]
		z := l.logits(hidden, x, rows, h, k)
		l.losses(perSample[start:start+rows], z, labels[start:start+rows], k, scale, backward)
		if grad.Hidden != nil {
			kernel.MatMul(kernel.NN, grad.Hidden[start*h:(start+rows)*h], z, x.Weights, rows, h, k, kernel.Epilogue[T]{})
		}
		if grad.Weights != nil {
			kernel.MatMul(kernel.TN, grad.Weights, z, hidden, k, h, rows, kernel.Epilogue[T]{Accumulate: start > 0})
		}
		if grad.Bias != nil {
			kernel.SumRows(grad.Bias, z, k, start > 0)
		}
	}
	if n == 0 {
		clear(grad.Weights)
		clear(grad.Bias)
	}
	return mean(kernel.Sum(perSample), counted)
}

// losses writes the losses of a block's rows and, where backward is set, turns its logits into their gradient.
func (l *LinearCrossEntropy[T]) losses(perSample, z []T, labels []int32, k int, scale T, backward bool) {
	if l.SoftCap != 0 {
		kernel.SoftCap(z, z, l.SoftCap)
		if backward {
			copy(l.capped, z)
		}
	}
	smoothing := T(l.LabelSmoothing)
	if smoothing == 0 {
		var grad []T
		if backward {
			grad = z
		}
		kernel.CrossEntropy(perSample, grad, z, labels, k, scale)
	} else {
		kernel.SmoothedCrossEntropy(perSample, z, z, labels, k, scale, smoothing)
	}
	if l.SoftCap != 0 && backward {
		kernel.SoftCapBackward(z, z, l.capped[:len(z)], l.SoftCap)
	}
}

// TopK writes each sample's count largest logits to values [N,count], in falling order, their classes to classes [N,count]
// (of equal logits the lower class first), and its log-sum-exp to lse [N], so that log p is a value less lse. It holds the
// logits as Loss does.
func (l *LinearCrossEntropy[T]) TopK(values []T, classes []int32, lse []T, x Linear[T], h, count int) {
	n, k := l.check("LinearCrossEntropy.TopK", x, h)
	if count < 1 || count > k {
		panic(fmt.Sprintf("loss: LinearCrossEntropy.TopK: count %d is not in [1, %d]", count, k))
	}
	checkLen("LinearCrossEntropy.TopK", "values", len(values), n*count)
	checkLen("LinearCrossEntropy.TopK", "classes", len(classes), n*count)
	checkLen("LinearCrossEntropy.TopK", "lse", len(lse), n)
	each := l.reserve(n, k)
	for start := 0; start < n; start += each {
		rows := min(each, n-start)
		z := l.logits(x.Hidden[start*h:(start+rows)*h], x, rows, h, k)
		if l.SoftCap != 0 {
			kernel.SoftCap(z, z, l.SoftCap)
		}
		kernel.LogSumExp(lse[start:start+rows], z, k, 1)
		kernel.TopK(values[start*count:(start+rows)*count], classes[start*count:(start+rows)*count], z, k, count)
	}
}

func (l *LinearCrossEntropy[T]) logits(hidden []T, x Linear[T], rows, h, k int) []T {
	z := l.block[:rows*k]
	kernel.MatMul(kernel.NT, z, hidden, x.Weights, rows, k, h, kernel.Epilogue[T]{Bias: x.Bias})
	return z
}

// reserve makes room for a block and returns how many rows it has.
func (l *LinearCrossEntropy[T]) reserve(n, k int) (rows int) {
	rows = blockLogits / k
	if l.SoftCap != 0 {
		rows /= 2
	}
	rows = max(1, min(rows, n))
	// As few blocks as that takes, all of about as many rows, in whole tiles where they fit.
	if blocks := (n + rows - 1) / rows; blocks > 1 {
		even := (n + blocks - 1) / blocks
		rows = min(rows, (even+tileRows-1)/tileRows*tileRows)
	}
	if len(l.block) < rows*k {
		l.block = make([]T, rows*k)
	}
	if l.SoftCap != 0 && len(l.capped) < rows*k {
		l.capped = make([]T, rows*k)
	}
	return rows
}

func (l *LinearCrossEntropy[T]) check(function string, x Linear[T], h int) (n, k int) {
	if !(l.LabelSmoothing >= 0 && l.LabelSmoothing <= 1) {
		panic(fmt.Sprintf("loss: %s: LabelSmoothing %v is not in [0, 1]", function, l.LabelSmoothing))
	}
	if !(l.SoftCap >= 0) {
		panic(fmt.Sprintf("loss: %s: SoftCap %v is not 0 or above", function, l.SoftCap))
	}
	for _, m := range [2][]T{x.Hidden, x.Weights} {
		if h < 1 || len(m)%h != 0 {
			panic(fmt.Sprintf("loss: %s: Hidden and Weights hold %d and %d values, want rows of H = %d", function, len(x.Hidden), len(x.Weights), h))
		}
	}
	n, k = len(x.Hidden)/h, len(x.Weights)/h
	if k < 1 {
		panic(fmt.Sprintf("loss: %s: Weights is empty", function))
	}
	if x.Bias != nil {
		checkLen(function, "Bias", len(x.Bias), k)
	}
	return n, k
}

func checkGrad[T Float](name string, grad, like []T) {
	if grad != nil {
		checkLen("LinearCrossEntropy.Loss", name, len(grad), len(like))
	}
}
