package summary

import (
	"context"
	"fmt"

	"github.com/logitscope/logitscope/internal/parallel"
)

// stripes is in how many parts rows are worked on, whatever the processors.
const stripes = 32

// Fold takes the rows of b into accumulators on every processor and returns the accumulator of all. The rows are cut into
// count stripes, a number of the caller's and not of the processors', and merged in order: the same input gives the same
// bits on any machine.
func Fold[A any](b Batch, count int, fresh func() A, add func(A, Batch), merge func(into, from A)) A {
	all, _ := foldUntil(context.Background(), b, count, fresh, add, merge) // which never ends
	return all
}

// foldUntil is Fold, which stops, with the error of ctx, where that ends.
func foldUntil[A any](ctx context.Context, b Batch, count int, fresh func() A, add func(A, Batch), merge func(into, from A)) (A, error) {
	n := len(b.Labels)
	count = max(1, min(count, n))
	parts := make([]A, count)
	err := parallel.Until(ctx, count, func(i int) error {
		parts[i] = fresh()
		add(parts[i], b.Slice(i*n/count, (i+1)*n/count))
		return nil
	})
	if err != nil {
		return parts[0], err
	}
	for _, part := range parts[1:] {
		merge(parts[0], part)
	}
	return parts[0], nil
}

// checkSameSize panics where an accumulator has other classes than the rows that it is to take in.
func checkSameSize(call, what string, own, other int) {
	if err := sameSize(call, what, own, other); err != nil {
		panic(err.Error())
	}
}

// sameSize returns an error where an accumulator has other classes or bins than what it is to take in.
func sameSize(call, what string, own, other int) error {
	if own != other {
		return fmt.Errorf("summary: %s: %d %s and %d: want the same", call, own, what, other)
	}
	return nil
}

// Slice is the rows [start, end) of b.
func (b Batch) Slice(start, end int) Batch {
	if b.Wide != nil {
		b.Wide = b.Wide[start*b.Columns : end*b.Columns]
	} else {
		b.Logits = b.Logits[start*b.Columns : end*b.Columns]
	}
	b.Labels = b.Labels[start:end]
	b.First += start
	return b
}

// row is the logits of row i of b.
func (b Batch) row(i int) []float32 { return b.Logits[i*b.Columns : (i+1)*b.Columns] }

// wide is the same where they are wide.
func (b Batch) wideOf(i int) []float64 { return b.Wide[i*b.Columns : (i+1)*b.Columns] }
