package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// floats are the float32 whose bits raw holds: NaN, infinities and subnormal numbers among them.
func floats(raw []byte, most int) []float32 {
	x := make([]float32, min(len(raw)/4, most))
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return x
}

// bytesOf is the contrary of floats, for seeds.
func bytesOf(x []float32) (raw []byte) {
	for _, v := range x {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
}

// onPaths runs a test on every path, with what is in guarded memory at its start and at its end.
func onPaths(t *testing.T, test func(atStart bool)) {
	t.Helper()
	chosen := active
	defer func() { active = chosen }()
	for _, active = range available() {
		for _, atStart := range []bool{true, false} {
			if test(atStart); t.Failed() {
				t.Fatalf("on %s, at the start of a page: %v", active.name, atStart)
			}
		}
	}
}

func nearRow(t *testing.T, what string, got []float32, want []float64, near func(got float32, want float64) bool) {
	t.Helper()
	for i, w := range want {
		if !near(got[i], w) {
			t.Errorf("%s[%d] = %v, want %v", what, i, got[i], w)
			return
		}
	}
}

func within1ULP(got float32, want float64) bool { return numtest.ULP32(got, want) <= 1 }

// within2ULPOf1 is the bound of logarithms: 2 ulp of themselves or of 1.
func within2ULPOf1(got float32, want float64) bool {
	return numtest.ULP32(got, want) <= 2 || numtest.Near(float64(got), want, 0x1p-22)
}

// Rows of any bits are those of float64, whatever the path.
func FuzzRows(f *testing.F) {
	for _, k := range []int{1, 3, 10, 17, 300, 5000} {
		z, _ := oddRows(uint64(k), 3, k)
		f.Add(bytesOf(z), uint16(k), uint64(k), float32(0.7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, k16 uint16, seed uint64, temperature32 float32) {
		k := 1 + int(k16)%6000
		z := floats(raw, 12000)
		n := len(z) / k
		z = z[:n*k]
		temperature := float64(temperature32)
		if !(temperature >= 1e-4 && temperature <= 1e4) {
			temperature = 1
		}
		rng := seeded(seed)
		labels := make([]int32, n)
		for i := range labels {
			if labels[i] = int32(rng.IntN(k)); rng.IntN(5) == 0 {
				labels[i] = Ignored
			}
		}
		wide := widen(z)
		p, logP, lse := make([]float64, n*k), make([]float64, n*k), make([]float64, n)
		Softmax(p, wide, k, temperature)
		LogSoftmax(logP, wide, k, temperature)
		LogSumExp(lse, wide, k, temperature)
		nll, grad := make([]float64, n), make([]float64, n*k)
		CrossEntropy(nll, grad, wide, labels, k, 0.5)
		smoothed, smoothedGrad := make([]float64, n), make([]float64, n*k)
		SmoothedCrossEntropy(smoothed, smoothedGrad, wide, labels, k, 0.5, 0.1)
		onPaths(t, func(atStart bool) {
			z, labels := guarded(t, z, atStart), guardedLabels(t, labels, atStart)
			got, each := guarded(t, make([]float32, n*k), atStart), guarded(t, make([]float32, n), atStart)
			Softmax(got, z, k, temperature)
			nearRow(t, "p", got, p, within1ULP)
			LogSoftmax(got, z, k, temperature)
			nearRow(t, "log p", got, logP, within2ULPOf1)
			LogSumExp(each, z, k, temperature)
			nearRow(t, "LSE", each, lse, within2ULPOf1)
			CrossEntropy(each, got, z, labels, k, 0.5)
			nearRow(t, "NLL", each, nll, within2ULPOf1)
			nearRow(t, "gradient", got, grad, within1ULP)
			SmoothedCrossEntropy(each, got, z, labels, k, 0.5, 0.1)
			nearRow(t, "smoothed NLL", each, smoothed, func(got float32, want float64) bool {
				return numtest.ULP32(got, want) <= 8 || numtest.Near(float64(got), want, 0x1p-20)
			})
			nearRow(t, "smoothed gradient", got, smoothedGrad, func(got float32, want float64) bool { return numtest.Near(float64(got), want, 1e-6) })
			stats := make([]Stat, n)
			RowStats(stats, z, k, labels, temperature)
			for i := range stats {
				sameStat(t, stats[i], statByDefinition(z[i*k:(i+1)*k], int(labels[i]), temperature), 1e-6)
			}
		})
	})
}

// The largest of any bits, on any path, are those of the portable code.
func FuzzTopK(f *testing.F) {
	f.Add(bytesOf(normal(seeded(1), 700)), uint8(20))
	f.Add(bytesOf([]float32{1, float32(math.NaN()), 1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1))}), uint8(5))
	f.Fuzz(func(t *testing.T, raw []byte, count8 uint8) {
		z := floats(raw, 4000)
		if len(z) == 0 {
			return
		}
		k := len(z)
		count := 1 + int(count8)%k
		values, classes := make([]float64, count), make([]int32, count)
		TopK(values, classes, widen(z), k, count)
		onPaths(t, func(atStart bool) {
			got, gotClasses := guarded(t, make([]float32, count), atStart), guardedLabels(t, make([]int32, count), atStart)
			TopK(got, gotClasses, guarded(t, z, atStart), k, count)
			if !slices.Equal(gotClasses, classes) {
				t.Errorf("classes %v, want %v", gotClasses, classes)
			}
			nearRow(t, "value", got, values, func(got float32, want float64) bool { return numtest.Near(float64(got), want, 0) })
		})
	})
}

// Element-wise steps over any bits are those of float64.
func FuzzElements(f *testing.F) {
	for _, n := range []int{1, 7, 33, 130} {
		f.Add(bytesOf(normal(seeded(uint64(n)), n)), uint8(3))
	}
	f.Add(bytesOf([]float32{float32(math.NaN()), 1, float32(math.Inf(1)), 0, float32(math.Inf(-1)), 1e-45}), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, columns uint8) {
		x := floats(raw, 4000)
		n := len(x)
		dy := slices.Clone(x)
		slices.Reverse(dy)
		wide, wideDy := widen(x), widen(dy)
		want, wantDx, gelu, geluDx := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		ReLU(want, wide)
		ReLUBackward(wantDx, wideDy, want)
		GELU(gelu, wide)
		GELUBackward(geluDx, wideDy, wide)
		m := 1 + int(columns)
		rows := x[:n/m*m]
		sums, sizes := make([]float64, m), make([]float64, m)
		for i, v := range rows {
			sums[i%m] += float64(v)
			sizes[i%m] += math.Abs(float64(v))
		}
		exact := func(got float32, want float64) bool { return numtest.Near(float64(got), want, 0) }
		onPaths(t, func(atStart bool) {
			x, dy, got := guarded(t, x, atStart), guarded(t, dy, atStart), guarded(t, make([]float32, n), atStart)
			if finite := AllFinite(x); finite != AllFinite(wide) {
				t.Errorf("all finite: %v", finite)
			}
			GELU(got, x)
			nearRow(t, "GELU", got, gelu, nearGELU)
			GELUBackward(got, dy, x)
			for i, want := range geluDx {
				size := math.Abs(wideDy[i])
				if off := math.Abs(float64(got[i]) - want); size < math.MaxFloat32/2 && off > geluSlope*size+0x1p-149 || (want != want) != (got[i] != got[i]) {
					t.Errorf("GELU's gradient at %v, dy %v: %v, want %v", x[i], dy[i], got[i], want)
				}
			}
			ReLU(got, x)
			nearRow(t, "ReLU", got, want, exact)
			ReLUBackward(dy, dy, got)
			nearRow(t, "ReLU's gradient", dy, wantDx, exact)
			sum := guarded(t, make([]float32, m), atStart)
			SumRows(sum, guarded(t, rows, atStart), m, false)
			for j, v := range sums {
				if size := sizes[j]; size < math.MaxFloat32 && !(math.Abs(float64(sum[j])-v) <= 0x1p-23*float64(n/m+1)*size) || v != v && sum[j] == sum[j] {
					t.Errorf("sum[%d] = %v, want %v", j, sum[j], v)
				}
			}
		})
	})
}

// A step of an optimiser with any constants and values is that of float64, and NaN in a gradient stays with its weight.
func FuzzOptimizers(f *testing.F) {
	for seed, n := range []uint16{1, 15, 16, 33, 300} {
		f.Add(uint64(seed), n, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n16 uint16, option uint8) {
		rng := seeded(seed)
		n := int(n16) % 3000
		w, grad, m, v := normal(rng, n), normal(rng, n), normal(rng, n), normal(rng, n)
		for i := range v {
			v[i] *= v[i]
		}
		bad := -1
		if option&8 != 0 && n > 0 {
			bad = rng.IntN(n)
			grad[bad] = float32(math.NaN())
		}
		adam := AdamStep{
			LR: rng.Float64() / 10, Beta1: rng.Float64() * 0.99, Beta2: rng.Float64() * 0.999, Eps: math.Pow(10, -1-7*rng.Float64()),
			WeightDecay: rng.Float64() / 10 * float64(option&1), Decoupled: option&2 != 0, Step: 1 + rng.IntN(1000),
		}
		sgd := SGDStep{
			LR: rng.Float64(), Momentum: rng.Float64() * float64(option&1), Dampening: rng.Float64() / 2, WeightDecay: rng.Float64() / 10,
			Nesterov: option&2 != 0, Step: 1 + rng.IntN(3),
		}
		wantW, wantM, wantV, sgdW, sgdM := widen(w), widen(m), widen(v), widen(w), widen(m)
		Adam(wantW, widen(grad), wantM, wantV, adam)
		SGD(sgdW, widen(grad), sgdM, sgd)
		onPaths(t, func(atStart bool) {
			grad := guarded(t, grad, atStart)
			gotW, gotM, gotV := guarded(t, w, atStart), guarded(t, m, atStart), guarded(t, v, atStart)
			Adam(gotW, grad, gotM, gotV, adam)
			what := fmt.Sprintf("%+v: ", adam)
			numtest.AllNear(t, what+"w", gotW, wantW, 1e-5)
			numtest.AllNear(t, what+"m", gotM, wantM, 1e-6)
			numtest.AllNear(t, what+"v", gotV, wantV, 2e-6)
			gotW, gotM = guarded(t, w, atStart), guarded(t, m, atStart)
			SGD(gotW, grad, gotM, sgd)
			what = fmt.Sprintf("%+v: ", sgd)
			numtest.AllNear(t, what+"w", gotW, sgdW, 2e-6)
			numtest.AllNear(t, what+"velocity", gotM, sgdM, 2e-6)
			for i, x := range gotW {
				if (x != x) != (i == bad) {
					t.Errorf("w[%d] = %v where the gradient of %d is NaN", i, x, bad)
				}
			}
		})
	})
}
