//go:build !noasm

package kernel

import "testing"

// Without the instruction that counts bits.
func TestCountBinsOneByOne(t *testing.T) {
	defer func(had bool) { popcounts = had }(popcounts)
	popcounts = false
	TestCountBinsOnEveryPath(t)
}
