package summary

import (
	"fmt"

	"github.com/logitscope/logitscope/internal/parallel"
)

// stripes is the number of parts that rows are divided into. It does not depend on the number of processors, so that sums do not either.
const stripes = 32

// Fold divides the rows of b into count parts, adds each to an accumulator that fresh makes, on every processor, and returns the parts'
// accumulators merged in the order of the rows. count does not depend on the number of processors, so that the same rows give the same
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

// checkSameSize panics unless an accumulator with have classes is given rows with as many: sameSize has the message.
func checkSameSize(call, what string, have, given int) {
	if err := sameSize(call, what, have, given); err != nil {
		panic(err.Error())
	}
}

// sameSize returns an error unless have, a number of classes or bins of an accumulator, equals that of what it is given. what names what
// is counted, and call the method that was called.
func sameSize(call, what string, have, given int) error {
	if have != given {
		return fmt.Errorf("summary: %s: %d %s and %d: want the same", call, have, what, given)
	}
	return nil
}

// Slice returns the rows [start, end) of b. They share memory with b.
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

// row returns the logits [Columns] of row i of b, which are in Logits.
func (b Batch) row(i int) []float32 { return b.Logits[i*b.Columns : (i+1)*b.Columns] }

// wideOf returns the logits [Columns] of row i of b, which are in Wide.
func (b Batch) wideOf(i int) []float64 { return b.Wide[i*b.Columns : (i+1)*b.Columns] }
