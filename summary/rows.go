package summary

import (
	"context"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Rows are labelled rows of logits that are read in parts: a Batch, or the rows of a run. Several goroutines may read them at once.
type Rows interface {
	Len() int // the number of rows

	// Part returns the n rows from row first on; the Batch's First is the number of its first row. Part(0, 0) has no row, and tells of what
	// kind all rows are: it has their Columns, Temperature, Normal and Slack.
	Part(first, n int) Batch
}

// AtTemperature returns the rows with their logits divided by a temperature, which takes the place of one that they have.
func AtTemperature(rows Rows, temperature float64) Rows {
	if b, ok := rows.(Batch); ok {
		b.Temperature = temperature
		return b
	}
	return tempered{rows, temperature}
}

// tempered are rows that AtTemperature returns.
type tempered struct {
	Rows
	temperature float64
}

func (t tempered) Part(first, n int) Batch {
	b := t.Rows.Part(first, n)
	b.Temperature = t.temperature
	return b
}

// Len returns the number of rows.
func (b Batch) Len() int { return len(b.Labels) }

// Part returns the n rows from row first on. They share memory with b.
func (b Batch) Part(first, n int) Batch { return b.Slice(first, first+n) }

// partBlocks is the number of an accumulator's blocks that are read at a time: together 2 MiB of float32.
const partBlocks = 64

// Parts calls use with the rows [first, end), in order and some at a time. It stops when ctx ends or use fails, and returns that error.
// columns is the number of logits in a row. An accumulator that adds the parts holds the same bits as one that adds all rows at once.
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

// FoldRows is Fold over rows that are read some at a time, so that they are never all in memory. The result has the same bits as Fold's
// of one Batch of all rows. It stops when ctx ends, and returns the context's error.
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
