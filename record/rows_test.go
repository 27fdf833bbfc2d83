package record

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// wideRun writes a run of one split whose rows fill several blocks, and returns the logits of its one epoch.
func wideRun(t *testing.T, dir string, n, k int) (ids []int64, labels []int32, logits []float32) {
	t.Helper()
	m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k}
	s := Samples{IDs: make([]int64, n), Labels: make([]int32, n)}
	logits = make([]float32, n*k)
	for i := range n {
		s.IDs[i], s.Labels[i] = int64(3*i+1), int32(i%(k+1))
		if int(s.Labels[i]) == k {
			s.Labels[i] = Ignored
		}
	}
	for i := range logits {
		logits[i] = float32(i%1013)/64 - 8
	}
	w, err := Create(dir, m, map[string]Samples{"val": s})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteEpoch(1, map[string][]float32{"val": logits}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	return s.IDs, s.Labels, logits
}

// All rows come once and in order, with what belongs to them, whatever the size of the last block.
func TestRowsEach(t *testing.T) {
	const k = 1000
	step := blockValues / k
	for _, n := range []int{0, 1, step - 1, step, step + 1, 3*step + 7} {
		dir := t.TempDir() + "/run"
		ids, labels, logits := wideRun(t, dir, n, k)
		r := openDir(t, dir)
		rows, err := r.Rows(t.Context(), 1, "val")
		if err != nil {
			t.Fatal(err)
		}
		next, blocks := 0, 0
		err = rows.Each(t.Context(), func(b Block) error {
			end := next + len(b.IDs)
			if b.First != next || !slices.Equal(b.IDs, ids[next:end]) || !slices.Equal(b.Labels, labels[next:end]) || !sameBits(b.Logits, logits[next*k:end*k]) {
				t.Errorf("n %d: the block at %d of %d rows differs", n, b.First, len(b.IDs))
			}
			next = end
			blocks++
			return nil
		})
		if err != nil || next != n || rows.N != n || blocks != (n+step-1)/step {
			t.Errorf("n %d: %d rows in %d blocks, %v", n, next, blocks, err)
		}
		if err := errors.Join(rows.Close(), rows.Close()); err != nil {
			t.Error(err)
		}
	}
}

// Who stops listening is not read to any longer, and nothing is opened for them.
func TestRowsStop(t *testing.T) {
	dir := t.TempDir() + "/run"
	wideRun(t, dir, 2000, 1000)
	r := openDir(t, dir)
	rows, err := r.Rows(t.Context(), 1, "val")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	err = rows.Each(ctx, func(Block) error { calls++; stop(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d blocks", err, calls)
	}
	if _, err := r.Rows(ctx, 1, "val"); !errors.Is(err, context.Canceled) {
		t.Errorf("opened under a context that had ended: %v", err)
	}
	sentinel := errors.New("enough")
	if err := rows.Each(t.Context(), func(Block) error { return sentinel }); !errors.Is(err, sentinel) {
		t.Errorf("got %v", err)
	}
}

func openDir(t *testing.T, dir string) *Run {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
