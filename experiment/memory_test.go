package experiment

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/logitscope/logitscope/internal/npy"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Training on many samples of many classes never holds an epoch's logits, which are 240 MB here: 64 MiB of them may wait for the
// disk, and a part of each split is in memory with its statistics.
func TestTrainingsMemory(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	if testing.Short() {
		t.Skip("writes 240 MB")
	}
	const n, width, classes = 60_000, 4, 1000
	features, labels := make([]float32, n*width), make([]int32, n)
	for i := range n {
		labels[i] = int32(i % classes)
		features[i*width+i%width] = float32(i % 7)
	}
	folder := t.TempDir()
	c := Default()
	c.Data.Path, c.Data.Labels = filepath.Join(folder, "x.npy"), filepath.Join(folder, "y.npy")
	c.Model, c.Batch, c.Epochs = "linear", 512, 1
	for path, write := range map[string]func(io.Writer) error{
		c.Data.Path:   func(w io.Writer) error { return npy.Write(w, features, n, width) },
		c.Data.Labels: func(w io.Writer) error { return npy.Write(w, labels, n) },
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
	e, err := Plan(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(folder, "run")
	s, err := e.session(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.recorder, err = e.create(dir); err != nil {
		t.Fatal(err)
	}
	used := numtest.HeapDuring(func() { _, err = s.train(t.Context()) })
	if err != nil || used > 160<<20 {
		t.Errorf("%v; %d MiB of heap were used beyond the data", err, used>>20)
	} else {
		t.Logf("%d MiB of heap were used beyond the data", used>>20)
	}
}
