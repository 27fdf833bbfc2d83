package summary

import (
	"encoding"
	"math"

	"github.com/logitscope/logitscope/internal/parallel"
)

// Accumulator is the contract of every type of this package that counts rows. A is the type itself: *Scores is an
// Accumulator[*Scores]. Rows may be divided in any way, counted on any machines and merged in any order: the result is the same as that
// of counting them all at once.
type Accumulator[A any] interface {
	// Add counts the rows of a batch. It panics where Batch.Check finds something wrong, and where the batch has another number of
	// classes than the accumulator: a program that reads batches from a file calls Batch.Check first.
	Add(Batch)
	// Merge adds what another accumulator has counted. It returns an error, and changes nothing, where the two differ in their number
	// of classes, in their bins or in their edges.
	Merge(A) error
	// MarshalBinary writes the bytes that UnmarshalBinary reads; docs/summary-format.md specifies them. UnmarshalBinary takes bytes
	// from anywhere: it allocates memory in proportion to their number, and returns an error for bytes that MarshalBinary cannot
	// have written.
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// Count divides the rows of b among accumulators that fresh makes, adds them on every processor, and returns the merged accumulator. The
// same rows give the same bits on any machine. It returns the error of Merge where fresh makes accumulators that differ.
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

// A sum is kept in two float64s: the sum as rounded, and the rest that rounding took from it. Together they have twice the digits of one,
// so that the order in which values are added changes the last bit of a sum about once in 2^40 sums, and never more.

// addTo adds v to the sum whose parts are *sum and *rest, by Knuth's TwoSum. A rest that is NaN because the sum is not finite is put right
// by settle.
func addTo(sum, rest *float64, v float64) {
	s := *sum + v
	added := s - *sum
	*rest += (*sum - (s - added)) + (v - added)
	*sum = s
}

// settle moves what the rest holds into the sum, so that *sum is the float64 nearest to *sum + *rest. The rest of a sum that is not
// finite becomes 0.
func settle(sum, rest *float64) {
	if math.IsInf(*sum, 0) || *sum != *sum {
		*rest = 0
		return
	}
	s := *sum + *rest
	*rest -= s - *sum
	*sum = s
}

// mergeSum adds the sum with parts from and fromRest to the one with parts *sum and *rest.
func mergeSum(sum, rest *float64, from, fromRest float64) {
	addTo(sum, rest, from)
	*rest += fromRest
	settle(sum, rest)
}
