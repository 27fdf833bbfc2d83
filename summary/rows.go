package summary

import (
	"context"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Rows are labelled rows that are read in parts: a Batch, or the rows of a run. Several goroutines may read them at once.
type Rows interface {
	Len() int                // how many there are
	Part(first, n int) Batch // n of them from the first on; First of the Batch is the number of its first row
}

// Len is the number of rows.
func (b Batch) Len() int { return len(b.Labels) }

// Part is n rows from the first on.
func (b Batch) Part(first, n int) Batch { return b.Slice(first, first+n) }

// partBlocks is how many blocks of an accumulator are read at a time: 2 MiB of float32.
const partBlocks = 64

// Parts hands the rows from first to end to use, in order and some at a time. It stops where ctx ends, and where use fails.
// columns is that of the rows. An accumulator that is given them comes to the same bits as from all at once.
func Parts(ctx context.Context, rows Rows, columns, first, end int, use func(Batch) error) error {
	each := partBlocks * max(1, blockLogits/max(columns, 2))
	for ; first < end; first += each {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := use(rows.Part(first, min(each, end-first))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// FoldRows is Fold over rows that are read some at a time: to the same bits as those of one Batch, without holding them all. It
// stops, with the error of ctx, where that ends.
func FoldRows[A any](ctx context.Context, rows Rows, columns, count int, fresh func() A, add func(A, Batch), merge func(into, from A)) (A, error) {
	n := rows.Len()
	count = max(1, min(count, n))
	parts := make([]A, count)
	err := parallel.Until(ctx, count, func(i int) error {
		parts[i] = fresh()
		return Parts(ctx, rows, columns, i*n/count, (i+1)*n/count, func(b Batch) error {
			add(parts[i], b)
			return nil
		})
	})
	if err != nil {
		return parts[0], err
	}
	for _, part := range parts[1:] {
		merge(parts[0], part)
	}
	return parts[0], nil
}
