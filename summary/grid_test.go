package summary

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
)

// What a grid says is off by no more than it says, on rows of every kind: ties, masks, a temperature, classes that are seldom and rows so
// sure that p is 1; and it says little where logits are like those of networks.
func TestGridIsWithinItsBounds(t *testing.T) {
	for seed := range numtest.CasesOf(30) {
		rng := rand.New(rand.NewPCG(seed, 5))
		k, n := []int{1, 2, 3, 10, 40}[rng.IntN(5)], 1+rng.IntN(3000)
		b := Batch{Columns: k, Logits: make([]float32, n*k), Labels: make([]int32, n), Temperature: math.Exp(rng.NormFloat64())}
		spread, whole := math.Exp(2*rng.NormFloat64()), rng.IntN(2) == 0
		for i := range b.Logits {
			v := rng.NormFloat64() * spread
			if whole {
				v = math.Round(v)
			}
			b.Logits[i] = float32(v)
		}
		for i := range b.Labels {
			b.Labels[i] = int32(rng.IntN(max(k, 2)))
			if k > 1 {
				b.Logits[i*k+int(b.Labels[i])] += float32(spread)
			}
			switch rng.IntN(30) {
			case 0:
				b.Labels[i] = loss.Ignored
			case 1:
				b.Logits[i*k] = float32(math.Inf(-1))
			}
		}
		exact, few := NewRanking(b.Classes()), NewRanking(b.Classes())
		few.Limit = 10
		exact.Add(b)
		few.Add(b)
		want, got := exact.Figures(15), few.Figures(15)
		if few.n+few.grid0() != exact.n-undefined(b) || n > 20 && few.grid == nil {
			t.Fatalf("seed %d: %d rows kept, %d counted, of %d", seed, few.n, few.grid0(), exact.n)
		}
		if got.Classes != want.Classes {
			t.Errorf("seed %d: %d classes, want %d", seed, got.Classes, want.Classes)
		}
		for name, e := range map[string][2]Estimate{"AUC": {got.AUC, want.AUC}, "AP": {got.AP, want.AP}, "adaptive ECE": {got.AdaptiveECE, want.AdaptiveECE}} {
			g, w := e[0], e[1]
			if math.IsNaN(w.Value) && math.IsNaN(g.Value) {
				continue
			}
			if w.Bound != 0 || !(math.Abs(g.Value-w.Value) <= g.Bound+1e-12) {
				t.Errorf("seed %d, %d rows of %d columns: %s is %v ± %v, exactly %v", seed, n, k, name, g.Value, g.Bound, w.Value)
			}
			if !whole && n > 1000 && spread < 10*b.Temperature && spread > b.Temperature/3 && name == "AUC" && !(g.Bound < 1e-3) {
				t.Errorf("seed %d, %d rows of %d columns: AUC is within %v", seed, n, k, g.Bound)
			}
		}
		// Counted in place, and in parts, it is the same.
		totals, err := totalsOf(context.Background(), b, 15, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		inPlace := totals.Ranking.Figures(15)
		parts := NewRanking(b.Classes())
		parts.Limit = 10
		for start := 0; start < n; start += 7 {
			other := NewRanking(b.Classes())
			other.Limit = 10
			other.Add(b.Slice(start, min(start+7, n)))
			if err := parts.Merge(other); err != nil {
				t.Fatal(err)
			}
		}
		for name, r := range map[string]Ranks{"in place": inPlace, "in parts": parts.Figures(15)} {
			if r != got && got.AUC.Value == got.AUC.Value && got.AdaptiveECE.Value == got.AdaptiveECE.Value {
				t.Errorf("seed %d: %s %+v, want %+v", seed, name, r, got)
			}
		}
	}
}

// grid0 is how many rows the grid has.
func (r *Ranking) grid0() int {
	if r.grid == nil {
		return 0
	}
	return r.grid.n
}

func undefined(b Batch) int {
	_, n, _ := UndefinedRows(context.Background(), b, 0)
	return n
}

// Cells rise with what they hold.
func TestGridCellsRise(t *testing.T) {
	g := newGrid(Batch{Columns: 3}, 3)
	last := -1
	for _, v := range []float64{
		math.Inf(-1), -beyond, -1e9, -0x1p20, -0x1p19, -4096, -4095, -700, -1.01, -1, -0.5, -1e-10, -0x1p-53, -0x1p-60, -1e-300, -5e-324, 0, 5e-324, 0x1p-60, 0x1p-53, 1e-10, 0.5, 1, 1.01, 700, 4095, 4096, 0x1p19, 0x1p20, beyond,
	} {
		at := g.cellOf(v)
		if at < last || v > -0x1p20 && v < -0x1p-16 && at == last || at >= g.cellsPerClass() {
			t.Errorf("%v is in cell %d, behind %d", v, at, last)
		}
		last = at
	}
}
