package summary

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Log-odds are z_j less the LSE of the others, near p = 1 and beyond it too, and masks are infinite.
func TestLogOdds(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct{ z, want []float64 }{
		{[]float64{3}, []float64{3}},
		{[]float64{1e7 + 1, 1e7}, []float64{1, -1}},
		{[]float64{0, 0, 0}, []float64{-math.Ln2, -math.Ln2, -math.Ln2}},
		{[]float64{800, 0, 0}, []float64{800 - math.Ln2, -800, -800}},
		{[]float64{-5e8, 5e8, 0}, []float64{-1e9, 5e8, -5e8}},
		{[]float64{1, -inf, 0}, []float64{1, -inf, -1}},
		{[]float64{1, -inf, -inf}, []float64{inf, -inf, -inf}},
		{[]float64{1, nan, 0}, []float64{nan, nan, nan}},
		{[]float64{nan, 1, 0}, []float64{nan, nan, nan}},
		{[]float64{inf, 1, 0}, []float64{nan, nan, nan}},
		{[]float64{-inf, -inf, -inf}, []float64{nan, nan, nan}},
	} {
		got := make([]float64, len(c.z))
		LogOdds(got, c.z)
		for j, want := range c.want {
			if !numtest.Near(got[j], want, 1e-12*max(1, math.Abs(want))) {
				t.Errorf("log-odds of %v are %v, want %v", c.z, got, c.want)
				break
			}
		}
	}
}

// Numbers are sorted by their bits as by themselves.
func TestSortNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	v := []float64{math.Inf(-1), -beyond, beyond, 0, -5e-324, 5e-324}
	for range 5000 {
		v = append(v, rng.NormFloat64()*math.Exp(100*rng.NormFloat64()))
	}
	want := slices.Clone(v)
	slices.Sort(want)
	if sortNumbers(v); !slices.Equal(v, want) {
		t.Error("not in order")
	}
}

// The order of three classes whose largest logit leads by 10 to 20,000 is that of the lead, where p has been 1 since 37; and
// float32 and float64 rank alike.
func TestRankingDoesNotSaturate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 2))
	const n = 3000
	b := Batch{Columns: 3, Logits: make([]float32, 3*n), Labels: make([]int32, n)}
	for i := range n {
		lead := float32(10 * math.Exp(7.6*rng.Float64()))
		b.Logits[3*i], b.Logits[3*i+1] = lead, float32(rng.NormFloat64())
		b.Logits[3*i+2] = b.Logits[3*i+1] - 1
		if b.Logits[3*i] += b.Logits[3*i+1]; lead < 200 { // class 0 in the rows that are surer
			b.Labels[i] = int32(1 + rng.IntN(2))
		}
	}
	wide := b
	wide.Logits, wide.Wide = nil, make([]float64, len(b.Logits))
	for i, z := range b.Logits {
		wide.Wide[i] = float64(z)
	}
	figures := func(b Batch) (auc, ap float64) {
		r := newPlacement(b)
		TableOf(b, 15, r.addStats)
		r.order()
		auc, ap, ok := r.classes[0].figures(r.n)
		if !ok {
			t.Error("no figures")
		}
		return auc, ap
	}
	for _, temperature := range []float64{1e-300, 0.01, 1, 3} {
		b.Temperature, wide.Temperature = temperature, temperature
		for name, rows := range map[string]Batch{"float32": b, "float64": wide} {
			if auc, ap := figures(rows); auc != 1 || !numtest.Near(ap, 1, 1e-12) {
				t.Errorf("%s at T %v: AUC %v, average precision %v, want 1, 1", name, temperature, auc, ap)
			}
		}
	}
}

// Wide rows have the figures of the same rows in float32, where float32 holds them.
func TestWideIsFloat32(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, k := range []int{1, 2, 5, 40} {
		const n = 700
		b := Batch{Columns: k, Logits: make([]float32, n*k), Labels: make([]int32, n), Temperature: 1.5}
		for i := range b.Logits {
			b.Logits[i] = float32(math.Round(rng.NormFloat64()*8) / 4)
		}
		for i := range b.Labels {
			b.Labels[i] = int32(rng.IntN(b.Classes()))
		}
		wide := b
		wide.Logits, wide.Wide = nil, make([]float64, len(b.Logits))
		for i, z := range b.Logits {
			wide.Wide[i] = float64(z)
		}
		if err := wide.Check(); err != nil {
			t.Fatal(err)
		}
		both := [2][]float64{}
		for i, rows := range []Batch{b, wide} {
			r := newPlacement(rows)
			table, classBins := TableOf(rows, 15, r.addStats)
			r.order()
			auc, ap, _ := r.curves()
			both[i] = []float64{
				auc, ap, r.adaptiveECE(15), table.Scores.NLL, table.Scores.Brier, table.Scores.Entropy, table.Scores.LSE, table.Bins.ECE(), table.Bins.MCE(),
				classBins.ECE(), float64(table.Scores.Right), float64(table.Scores.Top5),
			}
		}
		for i, got := range both[1] {
			if !numtest.Near(got, both[0][i], 1e-5*max(1, math.Abs(got))) {
				t.Errorf("K = %d: figure %d is %v in float64, %v in float32", k, i, got, both[0][i])
			}
		}
	}
	if err := (Batch{Columns: 1, Logits: []float32{1}, Wide: []float64{1}, Labels: []int32{0, 0}}).Check(); err == nil {
		t.Error("logits in both are taken")
	}
}
