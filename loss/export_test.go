package loss

// SetBlockLogits makes blocks of so many logits, that tests see several, and returns what sets it back.
func SetBlockLogits(n int) (back func()) {
	was := blockLogits
	blockLogits = n
	return func() { blockLogits = was }
}
