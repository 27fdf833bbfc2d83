package summary

import (
	"fmt"

	"github.com/logitscope/logitscope/internal/parallel"
)

// stripes is in how many parts rows are worked on, whatever the processors.
const stripes = 32

// Fold takes the rows of b into accumulators on every processor and returns the accumulator of all. The rows are cut into
// count stripes, a number of the caller's and not of the processors', and merged in order: the same input gives the same
// bits on any machine.
func Fold[A any](b Batch, count int, fresh func() A, add func(A, Batch), merge func(into, from A)) A {
	n := len(b.Labels)
	count = max(1, min(count, n))
	parts := make([]A, count)
	parallel.Each(count, func(i int) {
		parts[i] = fresh()
		add(parts[i], b.Slice(i*n/count, (i+1)*n/count))
	})
	for _, part := range parts[1:] {
		merge(parts[0], part)
	}
	return parts[0]
}

// checkSame panics where an accumulator has other classes or bins than what it is to take in.
func checkSame(call, what string, own, other int) {
	if own != other {
		panic(fmt.Sprintf("summary: %s: %d %s and %d: want the same", call, own, what, other))
	}
}

// Slice is the rows [start, end) of b.
func (b Batch) Slice(start, end int) Batch {
	b.Logits = b.Logits[start*b.Columns : end*b.Columns]
	b.Labels = b.Labels[start:end]
	b.First += start
	return b
}

// row is the logits of row i of b.
func (b Batch) row(i int) []float32 { return b.Logits[i*b.Columns : (i+1)*b.Columns] }
