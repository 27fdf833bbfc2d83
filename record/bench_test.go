package record

import (
	"fmt"
	"path/filepath"
	"testing"
)

// benchmarkRun creates a run of two splits with k columns.
func benchmarkRun(b *testing.B, train, val, k int) (dir string, w *Writer, logits map[string][]float32) {
	b.Helper()
	dir = filepath.Join(b.TempDir(), "run")
	m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k}
	samples, logits := map[string]Samples{}, map[string][]float32{}
	for split, n := range map[string]int{"train": train, "val": val} {
		s := Samples{IDs: make([]int64, n), Labels: make([]int32, n)}
		for i := range s.IDs {
			s.IDs[i] = int64(i)
		}
		samples[split], logits[split] = s, make([]float32, n*k)
	}
	w, err := Create(dir, m, samples)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.Close(StateComplete); err != nil {
			b.Error(err)
		}
	})
	b.SetBytes(int64(4 * (train + val) * k))
	return dir, w, logits
}

var sizes = []struct{ train, val, k int }{{400, 360, 10}, {1437, 360, 10}, {50_000, 10_000, 100}}

func BenchmarkCreate(b *testing.B) {
	m, samples := sampleRun()
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		w, err := Create(filepath.Join(dir, fmt.Sprint(i)), m, samples)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Close(StateComplete); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteEpoch(b *testing.B) {
	for _, s := range sizes {
		b.Run(fmt.Sprintf("%d+%dx%d", s.train, s.val, s.k), func(b *testing.B) {
			_, w, logits := benchmarkRun(b, s.train, s.val, s.k)
			for epoch := 0; b.Loop(); epoch++ {
				if err := w.WriteEpoch(epoch, logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLogits(b *testing.B) {
	for _, s := range sizes {
		b.Run(fmt.Sprintf("%dx%d", s.train, s.k), func(b *testing.B) {
			dir, w, logits := benchmarkRun(b, s.train, s.val, s.k)
			if err := w.WriteEpoch(1, logits); err != nil {
				b.Fatal(err)
			}
			r, err := Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			b.SetBytes(int64(4 * s.train * s.k))
			for b.Loop() {
				l, err := r.Logits(1, "train")
				if err != nil {
					b.Fatal(err)
				}
				l.Close()
			}
		})
	}
}
