package loss

import "github.com/logitscope/logitscope/internal/spare"

// scratch is the memory that a loss needs beside its arguments, such as each sample's loss where the caller wants only the mean. It is
// used again by later calls, so that a loss allocates nothing.
type scratch[T Float] struct {
	room   []T
	labels [blockRows]int32
	rows   [blockRows]rowTarget
}

var spareScratch = make(chan any, 16)

// takeScratch returns scratch memory. The caller gives it back by give.
func takeScratch[T Float]() *scratch[T] {
	if p, ok := spare.Take(spareScratch).(*scratch[T]); ok {
		return p
	}
	return new(scratch[T])
}

// values returns a slice of n values, which hold anything.
func (s *scratch[T]) values(n int) []T {
	if cap(s.room) < n {
		s.room = make([]T, n)
	}
	return s.room[:n]
}

func (s *scratch[T]) give() { spare.Give(spareScratch, any(s)) }
