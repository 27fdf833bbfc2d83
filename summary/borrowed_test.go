package summary_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// readAnew are rows that are not in memory: each part is copied, as where it is decoded.
type readAnew struct{ b summary.Batch }

func (r readAnew) Len() int { return r.b.Len() }

func (r readAnew) Part(first, n int) summary.Batch {
	b := r.b.Part(first, n)
	b.Logits, b.Wide, b.Labels = slices.Clone(b.Logits), slices.Clone(b.Wide), slices.Clone(b.Labels)
	return b
}

// Rows that are read some at a time have the totals of the same rows in memory: the figures of their ranking, what is merged with them,
// and the bytes. There are more of them than are read at once, few classes with many rows and many with few.
func TestTotalsOfRowsThatAreRead(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for _, c := range []struct {
		n, k int
		wide bool
	}{{150_000, 10, false}, {14_000, 80, false}, {1_200_000, 1, false}, {14_000, 80, true}} {
		rng := rand.New(rand.NewPCG(uint64(c.n), uint64(c.k)))
		b := summary.Batch{Columns: c.k, Temperature: 1.5, First: 7}
		for i := range c.n {
			label := int32(rng.IntN(b.Classes()))
			if i%100 == 3 {
				label = loss.Ignored
			}
			b.Labels = append(b.Labels, label)
		}
		for range c.n * c.k {
			if z := float32(rng.NormFloat64()); c.wide {
				b.Wide = append(b.Wide, float64(z))
			} else {
				b.Logits = append(b.Logits, z)
			}
		}
		want, err := summary.TotalsOf(t.Context(), b, 15, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := summary.TotalsOf(t.Context(), readAnew{b}, 15, nil)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := got.Ranking.Figures(15), want.Ranking.Figures(15); g != w || g.Classes == 0 {
			t.Errorf("%+v: %+v, want %+v", c, g, w)
		}
		if !reflect.DeepEqual(got.Table, want.Table) {
			t.Errorf("%+v: the tables differ", c)
		}
		if c.n > 20_000 { // the bytes have every row
			continue
		}
		few := b.Part(0, 500)
		for _, totals := range []*summary.Totals{got, want} {
			more, err := summary.TotalsOf(t.Context(), few, 15, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := totals.Merge(more); err != nil {
				t.Fatal(err)
			}
		}
		if g, w := got.Ranking.Figures(15), want.Ranking.Figures(15); g != w {
			t.Errorf("%+v, merged: %+v, want %+v", c, g, w)
		}
		gotBytes, err := got.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if wantBytes, err := want.MarshalBinary(); err != nil || !slices.Equal(gotBytes, wantBytes) {
			t.Errorf("%+v: other bytes, %v", c, err)
		}
	}
}
