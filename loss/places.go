package loss

import "github.com/logitscope/logitscope/internal/spare"

// places are what a loss needs beside its arguments: losses that nobody asked for, a row in float64. They are used again.
type places[T Float] struct {
	room   []T
	labels [blockRows]int32
	rows   [blockRows]rowTarget
}

var sparePlaces = make(chan any, 16)

func takePlaces[T Float]() *places[T] {
	if p, ok := spare.Take(sparePlaces).(*places[T]); ok {
		return p
	}
	return new(places[T])
}

// values returns n places, which hold anything.
func (p *places[T]) values(n int) []T {
	if cap(p.room) < n {
		p.room = make([]T, n)
	}
	return p.room[:n]
}

func (p *places[T]) give() { spare.Give(sparePlaces, any(p)) }
