package numtest

import "testing"

// WithoutRaceDetector skips a test that takes the race detector minutes and starts nothing side by side: `make test` runs it again
// without it.
func WithoutRaceDetector(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("is run without the race detector")
	}
}

// CasesOf is how many of a test's random cases are tried: all, but a fifth under the race detector, without which `make test` runs the
// test again.
func CasesOf(all uint64) uint64 {
	if raced {
		return (all + 4) / 5
	}
	return all
}
