package numtest

import (
	"os"
	"testing"
)

// InMemory returns a folder on a disk in memory where there is one, as t.TempDir is on another: what is written and read is the same,
// also after a process was killed, and nothing waits for a sync.
func InMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "logitscope-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
