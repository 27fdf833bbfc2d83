package nn

import (
	"math/bits"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// embeddingBag: y [n,dim+features] = the mean, or weighted sum, of the rows of a table [buckets,dim] that a sample's tokens name, then
// the sample's features. Only the rows of the last batch have a gradient; all others hold 0, and nothing passes over them.
type embeddingBag[T Float] struct {
	buckets, dim, features int
	table, gradTable       []T
	outputs                []T
	tokens, offsets        []int32  // of the batch in work
	weights                []T      // of its tokens, or nil
	touched                []int32  // rows of gradTable that are not 0, ascending
	seen                   []uint64 // a bit each, 0 between batches
}

func (*embeddingBag[T]) name() string      { return "embedding" }
func (e *embeddingBag[T]) shapes() []shape { return []shape{{"weight", []int{e.buckets, e.dim}}} }

func (e *embeddingBag[T]) bind(params []Param[T]) {
	e.table, e.gradTable = params[0].Data, params[0].Grad
	e.seen = make([]uint64, (e.buckets+63)/64)
}

// start leaves zeros, so that a token never trained on says nothing: the head's weights break the symmetry.
func (*embeddingBag[T]) start(Init[T], *rand.Rand) {}

func (e *embeddingBag[T]) width() int       { return e.dim + e.features }
func (e *embeddingBag[T]) reserve(rows int) { e.outputs = make([]T, rows*e.width()) }
func (e *embeddingBag[T]) output(n int) []T { return e.outputs[:n*e.width()] }
func (e *embeddingBag[T]) rows() Rows {
	return Rows{Width: e.dim, Count: e.buckets, Touched: e.touched}
}

func (e *embeddingBag[T]) take(b Batch[T]) {
	e.tokens, e.offsets, e.weights = b.Tokens, b.Offsets, b.Weights
}

func (e *embeddingBag[T]) row(row int32) []T { return e.gradTable[int(row)*e.dim : int(row+1)*e.dim] }

func (e *embeddingBag[T]) forward(x []T, n int, _ bool) []T {
	y := e.output(n)
	kernel.Bag(y, e.table, e.tokens, e.offsets, e.weights, e.dim, e.width())
	if e.features > 0 {
		for i := range n {
			copy(y[i*e.width()+e.dim:(i+1)*e.width()], x[i*e.features:])
		}
	}
	return y
}

func (e *embeddingBag[T]) backward(_, gradOut []T, n int, _ bool) []T {
	for _, row := range e.touched {
		clear(e.row(row))
	}
	e.touched = e.touched[:0]
	for _, token := range e.tokens[e.offsets[0]:e.offsets[n]] {
		e.seen[token>>6] |= 1 << (token & 63)
	}
	for i, word := range e.seen {
		for ; word != 0; word &= word - 1 {
			e.touched = append(e.touched, int32(64*i+bits.TrailingZeros64(word)))
		}
		e.seen[i] = 0
	}
	kernel.BagBackward(e.gradTable, gradOut, e.tokens, e.offsets, e.weights, e.dim, e.width())
	return nil
}

// finite looks at the rows that have a gradient.
func (e *embeddingBag[T]) finite() bool {
	for _, row := range e.touched {
		if !kernel.AllFinite(e.row(row)) {
			return false
		}
	}
	return true
}
