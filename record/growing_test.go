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
	report, err := check(t.Context(), root, "run")
	if err != nil || len(report.Missing) != 1 || len(report.Damaged) != 1 || report.Damaged[0].Epoch != 2 {
		t.Errorf("%v %+v", err, report)
	}
}

// An epoch whose samples are its own has rows of no others, and is whole with these; where its samples lie among all is told.
func TestSamplesOfEachEpoch(t *testing.T) {
	dir := t.TempDir() + "/run"
	m, samples := run3(0, 3, "float32")
	m.Splits[0].Samples = SamplesOfEachEpoch
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	z := map[int][]float32{}
	for epoch := 1; epoch <= 3; epoch++ {
		n := 3 + epoch
		s := samplesOf(100*epoch, n, 3)
		z[epoch] = wideLogits(n, 3, uint64(epoch))
		p := Part{}
		for i := range s.IDs {
			at := (i + 2) % n // not in their order
			p.IDs, p.Logits = append(p.IDs, s.IDs[at]), append(p.Logits, z[epoch][3*at:3*at+3]...)
		}
		if err := errors.Join(w.AddSamples(epoch, "train", s), w.AppendPart(epoch, "train", p), w.Commit(epoch, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	r := openDir(t, dir)
	if m := r.Manifest(); m.Follows("train") || !m.Follows("val") || m.Follows("test") {
		t.Errorf("%+v", m)
	}
	for _, epoch := range []int{3, 1, 2} {
		if got := rowsByID(t, r, epoch, "train"); len(got) != 3+epoch {
			t.Errorf("epoch %d: %v", epoch, got)
		}
		info, err := r.Epoch(epoch)
		if err != nil || info[0].N != 3+epoch || info[0].Of != 3+epoch {
			t.Errorf("epoch %d: %+v, %v", epoch, info, err)
		}
		if l, err := r.Logits(epoch, "train"); err != nil || !slices.Equal(l.IDs, samplesOf(100*epoch, 3+epoch, 3).IDs) || !sameBits(l.Values, z[epoch]) {
			t.Errorf("in the order of the samples: %+v, %v", l, err)
		}
	}
	if s, err := r.Samples("train"); err != nil || len(s.IDs) != 4+5+6 {
		t.Errorf("%+v, %v", s, err)
	}
	if report, err := Check(t.Context(), dir); err != nil || len(report.Damaged) > 0 || len(report.Missing) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// What says that its samples are of each epoch, and has rows of another's, is refused by who writes it and by who reads it.
func TestSamplesOfEachEpochRefused(t *testing.T) {
	m, samples := run3(2, 3, "float32")
	m.Splits[0].Samples = SamplesOfEachEpoch
	if _, err := Create(t.TempDir()+"/run", m, samples); err == nil || !strings.Contains(err.Error(), "2 samples are known at the start") {
		t.Errorf("%v", err)
	}
	m, samples = run3(0, 3, "float32")
	m.Splits[0].Samples = SamplesOfEachEpoch
	w, err := Create(t.TempDir()+"/run", m, samples)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(StateFailed)
	first := Samples{IDs: []int64{1}, Labels: []int32{0}}
	row := Part{IDs: []int64{1}, Logits: []float32{1, 2, 3}}
	if err := errors.Join(w.AddSamples(1, "train", first), w.AppendPart(1, "train", row), w.Commit(1, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.AppendPart(2, "train", row); err == nil || !strings.Contains(err.Error(), "id 1, which is no sample of it") {
		t.Errorf("%v", err)
	}

	is := Manifest{FormatVersion: 3, Columns: 3, Splits: []SplitInfo{{Name: "train", Samples: SamplesOfEachEpoch}}}
	file := &content{}
	for text, s := range map[string]epochSplit{
		"":                              {N: 2, Of: 5, Samples: &grownFile{N: 2}, Parts: []partInfo{{N: 2, Rows: file}}},
		"2 rows of the 1 samples":       {N: 2, Of: 5, Samples: &grownFile{N: 1}, Parts: []partInfo{{N: 2, Rows: file}}},
		"2 rows of the 0 samples":       {N: 2, Of: 5, Parts: []partInfo{{N: 2, Rows: file}}},
		"brings samples that it cannot": {N: 2, Of: 5, Samples: &grownFile{N: 6}, Parts: []partInfo{{N: 2, Rows: file}}},
	} {
		err := s.validate(&is, 0)
		if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
