package loss

// places are what a loss needs beside its arguments: losses that nobody asked for, a row in float64. They are used again.
type places[T Float] struct {
	room   []T
	labels [blockRows]int32
	rows   [blockRows]rowTarget
}

// A channel holds them: unlike a pool it is not emptied by every collection, nor at random by the race detector.
var sparePlaces = make(chan any, 16)

func takePlaces[T Float]() *places[T] {
	select {
	case spare := <-sparePlaces:
		if p, ok := spare.(*places[T]); ok {
			return p
		}
	default:
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

func (p *places[T]) give() {
	select {
	case sparePlaces <- p:
	default:
	}
}
