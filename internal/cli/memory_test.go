package cli

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/npy"
)

// Training on many samples of many classes never holds an epoch's logits, which are 160 MB here.
func TestTrainingsMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 160 MB")
	}
	const n, width, classes = 40_000, 4, 1000
	features, labels := make([]float32, n*width), make([]int32, n)
	for i := range n {
		labels[i] = int32(i % classes)
		features[i*width+i%width] = float32(i % 7)
	}
	folder := t.TempDir()
	j := defaultJob()
	j.Data.Path, j.Data.Labels = filepath.Join(folder, "x.npy"), filepath.Join(folder, "y.npy")
	j.Model, j.Batch, j.Epochs = "linear", 512, 1
	for path, write := range map[string]func(io.Writer) error{
		j.Data.Path:   func(w io.Writer) error { return npy.Write(w, features, n, width) },
		j.Data.Labels: func(w io.Writer) error { return npy.Write(w, labels, n) },
	} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := j.prepare(filepath.Join(folder, "run"))
	if err != nil {
		t.Fatal(err)
	}
	used := heapDuring(func() { _, err = s.train(t.Context(), newProgress(io.Discard, j.Epochs, true), nil) })
	if err != nil || used > 120<<20 {
		t.Errorf("%v; %d MiB of heap were used beyond the data", err, used>>20)
	} else {
		t.Logf("%d MiB of heap were used beyond the data", used>>20)
	}
}

// heapDuring returns how many bytes of heap are in use at most, while something is done, beyond those before it.
func heapDuring(do func()) uint64 {
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	before, most, ended := memory.HeapInuse, make(chan uint64), make(chan struct{})
	go func() {
		high := uint64(0)
		for {
			runtime.ReadMemStats(&memory)
			high = max(high, memory.HeapInuse)
			select {
			case <-ended:
				most <- high
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	do()
	close(ended)
	return max(<-most, before) - before
}

// Scoring an array takes memory for rows and for classes, not for the logits, which are 100 MB here.
func TestScoresMemory(t *testing.T) {
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
	used := heapDuring(func() { succeed(t, "score", "--logits", z, "--labels", y) })
	if t.Logf("%d MiB of heap were used", used>>20); used > 64<<20 {
		t.Error("want at most 64 MiB")
	}
}
