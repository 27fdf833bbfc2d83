package kernel

import "testing"

// Without the instruction that counts bits.
func TestCountBinsOneByOne(t *testing.T) {
	for _, p := range available() {
		defer func(had func(*uint64, *uint8, int)) { p.countBins = had }(p.countBins)
		p.countBins = nil
	}
	TestCountBinsOnEveryPath(t)
}
