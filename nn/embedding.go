package nn

import (
	"math/bits"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// embeddingBag is the layer of EmbeddingBag. A row of its output [n,dim+features] is the mean, or the weighted sum, of the table's rows that
// the sample's tokens name, followed by the sample's features. Only the table's rows that the last batch named have a gradient. All other
// rows of gradTable are 0, and a step does not read them.
type embeddingBag[T Float] struct {
	buckets, dim, features int
	table, gradTable       []T      // [buckets,dim]
	outputs                []T      // [rows,dim+features]
	tokens, offsets        []int32  // Tokens and Offsets of the batch that is being worked on
	weights                []T      // Weights of that batch, or nil
	touched                []int32  // the rows of gradTable that may not be 0, ascending
	inBatch                []uint64 // a bit for each row of the table: whether the batch names it; all 0 between batches
}

func (*embeddingBag[T]) name() string      { return "embedding" }
func (e *embeddingBag[T]) shapes() []shape { return []shape{{"weight", []int{e.buckets, e.dim}}} }

func (e *embeddingBag[T]) bind(params []Param[T]) {
	e.table, e.gradTable = params[0].Data, params[0].Grad
	e.inBatch = make([]uint64, (e.buckets+63)/64)
}

// start leaves the table at 0, so that a token which is never trained on adds nothing. The random weights of the layers behind it make the
// gradients of different rows differ.
func (*embeddingBag[T]) start(Init[T], *rand.Rand) {}

func (e *embeddingBag[T]) width() int       { return e.dim + e.features }
func (e *embeddingBag[T]) reserve(rows int) { e.outputs = make([]T, rows*e.width()) }
func (e *embeddingBag[T]) output(n int) []T { return e.outputs[:n*e.width()] }
func (e *embeddingBag[T]) rows() Rows {
	return Rows{Width: e.dim, Count: e.buckets, Touched: e.touched}
}

// take keeps the tokens of a batch for forward and backward.
func (e *embeddingBag[T]) take(b Batch[T]) {
	e.tokens, e.offsets, e.weights = b.Tokens, b.Offsets, b.Weights
}

// row returns a row of gradTable.
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
		e.inBatch[token>>6] |= 1 << (token & 63)
	}
	for i, word := range e.inBatch {
		for ; word != 0; word &= word - 1 {
			e.touched = append(e.touched, int32(64*i+bits.TrailingZeros64(word)))
		}
		e.inBatch[i] = 0
	}
	kernel.BagBackward(e.gradTable, gradOut, e.tokens, e.offsets, e.weights, e.dim, e.width())
	return nil
}

// finite reports whether every gradient is finite.
func (e *embeddingBag[T]) finite() bool {
	for _, row := range e.touched {
		if !kernel.AllFinite(e.row(row)) {
			return false
		}
	}
	return true
}
