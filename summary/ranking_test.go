package summary

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// A temperature beyond what float32 or a reciprocal holds orders as any other does that makes the same ties.
func TestCurvesOfExtremeTemperatures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, k = 400, 40
	b := Batch{Columns: k, Logits: make([]float32, n*k), Labels: make([]int32, n)}
	for i := range b.Logits {
		b.Logits[i] = float32(rng.NormFloat64()) * 1e37
	}
	for i := range b.Labels {
		b.Labels[i] = int32(rng.IntN(k))
		b.Logits[i*k+int(b.Labels[i])] += 1e37
	}
	curves := func(temperature, scale float64) [2]float64 {
		b := b
		b.Temperature, b.Logits = temperature, slices.Clone(b.Logits)
		for i := range b.Logits {
			b.Logits[i] *= float32(scale)
		}
		r := newPlacement(b)
		table, _ := TableOf(b, 15, r.addStats)
		r.order()
		auc, ap, _ := r.curves()
		if sum := table.Bins[14].N; temperature < 1 && sum != n {
			t.Errorf("T %v: %d of %d rows are sure", temperature, sum, n)
		}
		return [2]float64{auc, ap}
	}
	for _, c := range [][2]float64{{1e-250, 5e-324}, {1e-250, 1e-310}, {1, 1e-20}} {
		if got, want := curves(c[1], 1), curves(c[0], 1); got != want {
			t.Errorf("T %v: AUC and average precision %v, at T %v %v", c[1], got, c[0], want)
		}
	}
	// Scaled by powers of two, so that z/T is the same number.
	if got, want := curves(0x1p127, 1), curves(0x1p7, 0x1p-120); got != want {
		t.Errorf("T 2^127: AUC and average precision %v, of z/2^120 at T 128 %v", got, want)
	}
}

// curvesByDefinition ranks the probabilities of a class, the sums of which are taken in the order of size so that the same logits have
// the same: every pair of a row of the class and another, and precision at every distinct probability.
func curvesByDefinition(b Batch, class int) (auc, ap float64) {
	type row struct {
		p   float64
		own bool
	}
	var rows []row
	for i, label := range b.Labels {
		z := slices.Clone(b.row(i))
		slices.Sort(z)
		sum := 0.0
		for _, v := range z {
			sum += math.Exp(float64(v) - float64(z[len(z)-1]))
		}
		rows = append(rows, row{math.Exp(float64(b.row(i)[class])-float64(z[len(z)-1])) / sum, int(label) == class})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(b.p, a.p) })
	positives, negatives, all := 0.0, 0.0, 0.0
	for _, r := range rows {
		if r.own {
			all++
		}
	}
	for i := 0; i < len(rows); {
		own, others := 0.0, 0.0
		for p := rows[i].p; i < len(rows) && rows[i].p == p; i++ {
			if rows[i].own {
				own++
			} else {
				others++
			}
		}
		auc += others * (positives + own/2)
		positives += own
		negatives += others
		ap += own / all * positives / (positives + negatives)
	}
	return auc / (all * negatives), ap
}

// Classes of many rows and of few, ties and masks among them.
func TestCurves(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for _, c := range []struct {
		n, k  int
		whole bool // logits are whole numbers
	}{{40_000, 3, false}, {40_000, 2, true}, {3000, 40, false}, {3000, 40, true}, {200, 300, false}} {
		rng := rand.New(rand.NewPCG(uint64(c.n), uint64(c.k)))
		b := Batch{Columns: c.k, Logits: make([]float32, c.n*c.k), Labels: make([]int32, c.n)}
		for i := range b.Logits {
			if b.Logits[i] = float32(rng.NormFloat64() * 2); c.whole {
				b.Logits[i] = float32(math.Round(float64(b.Logits[i])))
			}
		}
		for i := range b.Labels {
			b.Labels[i] = int32(rng.IntN(c.k))
			b.Logits[i*c.k+int(b.Labels[i])] += 2
			if other := rng.IntN(c.k); i%7 == 0 && other != int(b.Labels[i]) {
				b.Logits[i*c.k+other] = float32(math.Inf(-1))
			}
		}
		r := newPlacement(b)
		TableOf(b, 15, r.addStats)
		r.order()
		auc, ap, classes := 0.0, 0.0, 0
		for j := range c.k {
			if a, p := curvesByDefinition(b, j); a == a {
				auc += a
				ap += p
				classes++
			}
		}
		gotAUC, gotAP, n := r.curves()
		if n != classes || !numtest.Near(gotAUC, auc/float64(classes), 1e-12) || !numtest.Near(gotAP, ap/float64(classes), 1e-12) {
			t.Errorf("%+v: AUC %v, average precision %v of %d classes, want %v, %v of %d", c, gotAUC, gotAP, n, auc/float64(classes), ap/float64(classes), classes)
		}
	}
}
