// Package spare keeps values that are needed for a short time, such as buffers, so that they are used again and not allocated anew. They
// are kept in a buffered channel, which unlike a sync.Pool is not emptied by a garbage collection, nor at random by the race detector.
package spare

// Take returns a value that from holds, or the zero value of T where it holds none.
func Take[T any](from chan T) (t T) {
	select {
	case t = <-from:
	default:
	}
	return t
}

// Give puts t into to, unless that is full.
func Give[T any](to chan T, t T) {
	select {
	case to <- t:
	default:
	}
}
