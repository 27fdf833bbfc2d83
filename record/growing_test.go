package record

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Who has a run open sees the samples that an epoch brings, and reads the epochs before as they were.
func TestGrowingWhileRead(t *testing.T) {
	dir := t.TempDir() + "/run"
	m, samples := run3(0, 3, "float32")
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	r := openDir(t, dir) // live before the first epoch
	if s, err := r.Samples("train"); err != nil || len(s.IDs) != 0 || r.State() != StateRunning {
		t.Fatalf("%+v, %v, %s", s, err, r.State())
	}
	for epoch := 1; epoch <= 3; epoch++ {
		s := samplesOf(100*epoch, 4, 3)
		z := wideLogits(4, 3, uint64(epoch))
		// All rows, but in another order than that of the samples.
		order := []int{2, 0, 3, 1}
		p := Part{}
		for _, i := range order {
			p.IDs, p.Logits = append(p.IDs, s.IDs[i]), append(p.Logits, z[3*i:3*i+3]...)
		}
		if err := errors.Join(w.AddSamples(epoch, "train", s), w.AppendPart(epoch, "train", p), w.Commit(epoch, nil), w.Flush(), r.Refresh()); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Samples("train"); err != nil || len(got.IDs) != 4*epoch {
			t.Errorf("epoch %d: %+v, %v", epoch, got, err)
		}
		if got := r.Splits()[0]; got.Name != "train" || got.N != 4*epoch {
			t.Errorf("epoch %d: %+v", epoch, got)
		}
		for e := 1; e <= epoch; e++ {
			if got := rowsByID(t, r, e, "train"); len(got) != 4 {
				t.Errorf("epoch %d after %d: %v", e, epoch, got)
			}
		}
		if epoch == 1 {
			if l, err := r.Logits(1, "train"); err != nil || !slices.Equal(l.IDs, s.IDs) || !sameBits(l.Values, z) {
				t.Errorf("in the order of the samples: %+v, %v", l, err)
			}
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
}

// Where an epoch is lost that brought samples, it is missed, what knows of its samples says so, and the rows of others are read.
func TestLostSamples(t *testing.T) {
	_, root := smallDisk3(t)
	if err := root.RemoveAll("epochs/000001"); err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, root)
	var damage *Damage
	if _, err := r.Samples("train"); !errors.As(err, &damage) || damage.Epoch != 2 || !strings.Contains(damage.What, "an epoch that brought samples is lost") {
		t.Errorf("samples: %v", err)
	}
	if _, err := allRows(r, 2, "train"); err != nil {
		t.Error(err)
	}
	if _, err := allRows(r, 2, "val"); err != nil {
		t.Error(err)
	}
	report, err := check(root, "run")
	if err != nil || len(report.Missing) != 1 || len(report.Damaged) != 1 || report.Damaged[0].Epoch != 2 {
		t.Errorf("%v %+v", err, report)
	}
}
