package cli

import (
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Scoring an array takes memory for rows and for classes, not for the logits, which are 100 MB here.
func TestScoresMemory(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	const n, k = 25_000, 1000
	labels, logits := make([]int64, n), make([]float32, n*k)
	for i := range labels {
		labels[i] = int64(i % k)
		logits[i*k+i%k] = 5
		logits[i*k+i%7] = float32(i % 11)
	}
	z, y := save(t, "z", logits, n, k), save(t, "y", labels, n)
	logits = nil
	used := numtest.HeapDuring(func() { succeed(t, "score", "--logits", z, "--labels", y) })
	if t.Logf("%d MiB of heap were used", used>>20); used > 64<<20 {
		t.Error("want at most 64 MiB")
	}
}
