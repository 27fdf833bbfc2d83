// Package outside is another's: it uses what this repository's packages show, and nothing else, to count something of its own over a run.
package outside

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Unsure counts the labelled rows whose entropy is above a threshold.
type Unsure struct {
	Above   float64 // nats
	N, Rows int
}

// It keeps to the contract: everything that takes an accumulator takes it.
var _ summary.Accumulator[*Unsure] = (*Unsure)(nil)

func (u *Unsure) Add(b summary.Batch) {
	b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
		for i, r := range stats {
			if rows.Labels[i] == logit.Ignored || math.IsNaN(r.Entropy) {
				continue
			}
			if u.Rows++; r.Entropy > u.Above {
				u.N++
			}
		}
	})
}

func (u *Unsure) Merge(other *Unsure) error {
	if u.Above != other.Above {
		return errors.New("outside: other thresholds")
	}
	u.N += other.N
	u.Rows += other.Rows
	return nil
}

func (u *Unsure) MarshalBinary() ([]byte, error) {
	return binary.Append(nil, binary.LittleEndian, []uint64{math.Float64bits(u.Above), uint64(u.N), uint64(u.Rows)})
}

func (u *Unsure) UnmarshalBinary(data []byte) error {
	var v [3]uint64
	if n, err := binary.Decode(data, binary.LittleEndian, &v); err != nil || n != len(data) || v[1] > v[2] {
		return errors.New("outside: no Unsure")
	}
	*u = Unsure{math.Float64frombits(v[0]), int(v[1]), int(v[2])}
	return nil
}

func TestOwnAccumulatorOverARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	const n = 100
	ids, labels, z := make([]int64, n), make([]int32, n), make([]float32, 3*n)
	for i := range labels {
		ids[i] = int64(i)
		labels[i] = int32(i % 3)
		z[3*i] = float32(i) / 10 // entropy falls from log 3 on
	}
	w, err := record.Create(dir, record.Manifest{
		Name: "run", Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3,
	}, map[string]record.Samples{"val": {IDs: ids, Labels: labels}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteEpoch(1, map[string][]float32{"val": z}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}

	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	rows, err := run.Rows(context.Background(), 1, "val")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := &Unsure{Above: 0.5}
	err = rows.Each(context.Background(), func(block record.Block) error {
		b := summary.Batch{Logits: block.Logits, Labels: block.Labels, Columns: 3, First: block.First}
		if err := b.Check(); err != nil {
			return err
		}
		part, err := summary.Count(b, func() *Unsure { return &Unsure{Above: 0.5} })
		if err != nil {
			return err
		}
		sent, err := part.MarshalBinary() // as from another machine
		if err != nil {
			return err
		}
		received := new(Unsure)
		if err := received.UnmarshalBinary(sent); err != nil {
			return err
		}
		return all.Merge(received)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for i := range n {
		e := math.Exp(float64(z[3*i]))
		p, q := e/(e+2), 1/(e+2)
		if -p*math.Log(p)-2*q*math.Log(q) > 0.5 {
			want++
		}
	}
	if all.Rows != n || all.N != want || want == 0 || want == n {
		t.Errorf("%d of %d rows are unsure, want %d of %d", all.N, all.Rows, want, n)
	}
}
