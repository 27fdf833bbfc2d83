package kernel

import (
	"math"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// geluULPs is how far GELU may be from float64's, in steps of float32 (5.1 was found); where Φ(x) is a subnormal
// number it may be 16 of the least. Its gradient may be off by geluSlope of dy (1.12e-7 was found, and the product's rounding).
const (
	geluULPs  = 6
	geluSlope = 1.9e-7
)

func nearGELU(got float32, want float64) bool {
	return numtest.ULP32(got, want) <= geluULPs || math.Abs(float64(got)-want) <= 0x1p-145 ||
		math.Abs(want) > math.MaxFloat32 && math.IsInf(float64(got), 0)
}

// GELU over floats of every size, and the bits of each alone, in guarded memory.
func TestGELUOnEveryPath(t *testing.T) {
	x := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, -math.MaxFloat32, math.MaxFloat32}
	for bits := uint32(0); bits < 0x7f800000; bits += 9973 {
		x = append(x, math.Float32frombits(bits), -math.Float32frombits(bits))
	}
	rng := seeded(5)
	for range 50000 {
		x = append(x, float32(20*rng.Float64()-10))
	}
	ones := slices.Repeat([]float32{1}, len(x))
	want, slope := make([]float64, len(x)), make([]float64, len(x))
	GELU(want, widen(x))
	GELUBackward(slope, widen(ones), widen(x))
	onEveryPath(t, func(t *testing.T) {
		got, gotSlope := make([]float32, len(x)), make([]float32, len(x))
		GELU(got, x)
		GELUBackward(gotSlope, ones, x)
		worst, worstSlope := 0.0, 0.0
		for i, v := range x {
			if !nearGELU(got[i], want[i]) {
				t.Fatalf("GELU(%v) = %v, want %v", v, got[i], want[i])
			}
			if !numtest.Near(float64(gotSlope[i]), slope[i], geluSlope) {
				t.Fatalf("the gradient at %v is %v, want %v", v, gotSlope[i], slope[i])
			}
			if math.Abs(want[i]) > 1e-37 && math.Abs(want[i]) < 1e38 {
				worst = max(worst, numtest.ULP32(got[i], want[i]))
			}
			if slope[i] == slope[i] {
				worstSlope = max(worstSlope, math.Abs(float64(gotSlope[i])-slope[i]))
			}
		}
		t.Logf("largest errors: %.2f ulp, and of the gradient %.3g", worst, worstSlope)
		for i, n := range lengths {
			own, dx := guarded(t, x[3:3+n], i%2 == 0), guarded(t, ones[:n], i%2 == 0)
			GELUBackward(dx, dx, own)
			GELU(own, own)
			if !slices.Equal(own, got[3:3+n]) || !slices.Equal(dx, gotSlope[3:3+n]) {
				t.Errorf("%d elements have other bits than among many", n)
			}
		}
	})
}

func BenchmarkGELU(b *testing.B) {
	x, dy := normal(seeded(1), 1<<14), normal(seeded(2), 1<<14)
	dst := make([]float32, len(x))
	for _, c := range []struct {
		name string
		do   func()
	}{{"forward", func() { GELU(dst, x) }}, {"backward", func() { GELUBackward(dst, dy, x) }}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.do()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(x)), "ns/element")
		})
	}
}
