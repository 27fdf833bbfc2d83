package summary

import (
	"encoding"
	"math"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Accumulator is what everything that counts rows is, A being the type itself: *Scores is an Accumulator[*Scores]. Rows that were
// divided in any way, counted on any machines and merged in any order and bracketing are counted as at once.
type Accumulator[A any] interface {
	// Add takes the rows of a batch in. It panics where Batch.Check finds something wrong and where the batch has other classes: who
	// reads a file checks what was read.
	Add(Batch)
	// Merge takes in what another has counted, and changes nothing where it is an error: the two are of other classes, bins or edges.
	Merge(A) error
	// MarshalBinary writes what UnmarshalBinary reads: docs/summary-format.md. Whatever the bytes are, they are read in memory of
	// their own size, and are an error unless MarshalBinary may have written them.
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// Count takes the rows of b into accumulators that fresh makes, on every processor, and returns that of all. The same rows give the
// same bits on any machine. The error is of Merge: those that fresh makes are not alike.
func Count[A Accumulator[A]](b Batch, fresh func() A) (A, error) {
	n := len(b.Labels)
	parts := make([]A, max(1, min(stripes, n)))
	parallel.Each(len(parts), func(i int) {
		parts[i] = fresh()
		parts[i].Add(b.Slice(i*n/len(parts), (i+1)*n/len(parts)))
	})
	for _, part := range parts[1:] {
		if err := parts[0].Merge(part); err != nil {
			return parts[0], err
		}
	}
	return parts[0], nil
}

// Sums are kept in two float64s, the second what rounding took from the first. Together they have twice the digits, so that the order
// and the bracketing in which values are added change the last bit of a sum about once in 2^40 sums, and never more.

// addTo adds v to a sum of two parts. Parts that are not finite are put right by settle.
func addTo(sum, rest *float64, v float64) {
	s := *sum + v
	added := s - *sum
	*rest += (*sum - (s - added)) + (v - added)
	*sum = s
}

// settle makes the first part the float64 nearest to the sum.
func settle(sum, rest *float64) {
	if math.IsInf(*sum, 0) || *sum != *sum {
		*rest = 0
		return
	}
	s := *sum + *rest
	*rest -= s - *sum
	*sum = s
}

// mergeSum adds a sum of two parts to another.
func mergeSum(sum, rest *float64, from, fromRest float64) {
	addTo(sum, rest, from)
	*rest += fromRest
	settle(sum, rest)
}
