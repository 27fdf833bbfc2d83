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
