// Package spare keeps what is needed for a moment, to be used again and again. A channel holds it: unlike a pool it is not
// emptied by every collection, nor at random by the race detector.
package spare

// Take returns one of what from holds, or T's zero value where there is none.
func Take[T any](from chan T) (t T) {
	select {
	case t = <-from:
	default:
	}
	return t
}

// Give keeps t in to, unless that is full.
func Give[T any](to chan T, t T) {
	select {
	case to <- t:
	default:
	}
}
