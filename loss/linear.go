package loss

import (
	"fmt"

	"github.com/logitscope/logitscope/internal/kernel"
)

// LinearCrossEntropy is a linear head and its loss in one: cross-entropy over the logits z = hidden·weightsᵀ + bias, with the gradients of
// all three. The logits [N,K] are never in memory as a whole: they are computed in blocks of rows of at most 56 MiB, each of which is
// turned into its gradient in place and multiplied on at once. A head with 100,000 classes trains in little more memory than its weights
// take. The idea is that of Liger Kernel's linear cross-entropy, Hsu et al., 2024, section 3.2.
//
// The zero value is ready for use. It keeps its block between calls, so that only one goroutine may use it at a time.
type LinearCrossEntropy[T Float] struct {
	// LabelSmoothing is ε, in [0,1]: each target is (1−ε)·onehot + ε/K. Szegedy et al., "Rethinking the Inception Architecture", 2016,
	// section 7. With smoothing, a masked class (logit −Inf) makes the loss +Inf.
	LabelSmoothing float64
	// SoftCap, where it is not 0, replaces each z by cap·tanh(z/cap). Gemma 2 technical report, 2024, section 2.
	SoftCap float64

	block  []T // [rows,K], the logits of a block, then their gradient
	capped []T // [rows,K], a copy of the capped logits, where SoftCap is set
}

// blockLogits is the number of logits in a block: 56 MiB of float32. With a SoftCap, half as many, since they are held twice.
var blockLogits = 14 << 20

// tileRows is a multiple of the number of rows in a tile of every kernel.
const tileRows = 42

// Linear is a linear layer's input and parameters. Bias may be nil.
type Linear[T Float] struct {
	Hidden  []T // [N,H]
	Weights []T // [K,H]
	Bias    []T // [K] or nil
}

// Loss returns the mean cross-entropy of labels [N] over the samples that are not Ignored. h is H, the width of a row of Hidden. Where they
// are not nil, it writes each sample's loss to perSample [N], and the gradients of the mean to grad's slices: Hidden [N,H], Weights [K,H],
// Bias [K]. It panics for lengths that do not fit, labels outside [0,K) and settings out of range.
func (l *LinearCrossEntropy[T]) Loss(perSample []T, grad, x Linear[T], h int, labels []int32) float64 {
	n, k := l.check("LinearCrossEntropy.Loss", x, h)
	checkLen("LinearCrossEntropy.Loss", "labels", len(labels), n)
	checkGrad("grad.Hidden", grad.Hidden, x.Hidden)
	checkGrad("grad.Weights", grad.Weights, x.Weights)
	checkGrad("grad.Bias", grad.Bias, x.Bias)
	if perSample == nil {
		room := takeScratch[T]()
		defer room.give()
		perSample = room.values(n)
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

// losses writes the losses of a block's rows to perSample and, where backward is set, turns the block's logits z into their gradient.
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

// TopK writes each sample's count largest logits to values [N,count] in descending order, their classes to classes [N,count] (of equal
// logits the lower class first), and its log-sum-exp to lse [N], so that log p of a class is its value less lse. Like Loss it computes the
// logits in blocks. It panics for lengths that do not fit, and unless count is in [1,K].
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

// logits computes the logits of a block of rows, [rows,K].
func (l *LinearCrossEntropy[T]) logits(hidden []T, x Linear[T], rows, h, k int) []T {
	z := l.block[:rows*k]
	kernel.MatMul(kernel.NT, z, hidden, x.Weights, rows, k, h, kernel.Epilogue[T]{Bias: x.Bias})
	return z
}

// reserve allocates a block and returns its number of rows.
func (l *LinearCrossEntropy[T]) reserve(n, k int) (rows int) {
	rows = blockLogits / k
	if l.SoftCap != 0 {
		rows /= 2
	}
	rows = max(1, min(rows, n))
	// The rows are divided evenly among as few blocks as possible, and rounded up to whole tiles where those fit.
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

// check returns N and K. It panics for lengths that do not fit and settings out of range.
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

// checkGrad panics unless grad is nil or has the length of the slice that it is the gradient of.
func checkGrad[T Float](name string, grad, like []T) {
	if grad != nil {
		checkLen("LinearCrossEntropy.Loss", name, len(grad), len(like))
	}
}
