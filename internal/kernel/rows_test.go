package kernel

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// rowKinds are rows at which softmax goes wrong, of any length.
var rowKinds = map[string]func(rng *rand.Rand, row []float32){
	"moderate": func(rng *rand.Rand, row []float32) { fill(row, func() float64 { return 4 * rng.NormFloat64() }) },
	"wide":     func(rng *rand.Rand, row []float32) { fill(row, func() float64 { return 60 * rng.NormFloat64() }) },
	"small":    func(rng *rand.Rand, row []float32) { fill(row, func() float64 { return 1e-3 * rng.NormFloat64() }) },
	"equal": func(rng *rand.Rand, row []float32) {
		v := 30 * rng.NormFloat64()
		fill(row, func() float64 { return v })
	},
	"far off": func(rng *rand.Rand, row []float32) { fill(row, func() float64 { return 1e4 + rng.NormFloat64() }) },
	"1e8":     func(_ *rand.Rand, row []float32) { fill(row, func() float64 { return 1e8 }) },
	"3e38": func(rng *rand.Rand, row []float32) {
		fill(row, func() float64 { return []float64{3e38, -3e38, 0}[rng.IntN(3)] })
	},
	"one above the rest": func(rng *rand.Rand, row []float32) {
		fill(row, func() float64 { return -3 })
		row[rng.IntN(len(row))] = 5.3
	},
	"masked": func(rng *rand.Rand, row []float32) {
		fill(row, func() float64 { return 2 * rng.NormFloat64() })
		for i := range row[:len(row)-1] {
			if i < rowBlockOfTest+rowBlockOfTest/2 || rng.IntN(2) == 0 { // whole blocks of masks come first
				row[i] = float32(math.Inf(-1))
			}
		}
	},
	"rising": func(_ *rand.Rand, row []float32) {
		for i := range row {
			row[i] = float32(i) / 40
		}
	},
}

const rowBlockOfTest = 4096

func fill(row []float32, value func() float64) {
	for i := range row {
		row[i] = float32(value())
	}
}

// Rows in float32 against the same in float64, on every path, over every kind, odd lengths and guarded memory: softmax and
// its gradient within 1 ulp, logarithms within 2 ulp of themselves or of 1.
func TestRowsOnEveryPath(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	var worst struct{ p, logP, lse, grad float64 }
	onEveryPath(t, func(t *testing.T) {
		near := func(what string, got float32, want float64, worst *float64) {
			t.Helper()
			d := numtest.ULP32(got, want)
			if t.Failed() {
				return
			}
			if (what == "log p" || what == "LSE") && d > 2 {
				d = min(d, math.Abs(float64(got)-want)/0x1p-23)
			} else if what == "p" || what == "gradient" {
				d *= 2 // 1 ulp is the bound
			}
			if !(d <= 2) {
				t.Errorf("%s = %v, want %v", what, got, want)
			}
			*worst = max(*worst, d)
		}
		for kind, make32 := range rowKinds {
			rng := seeded(11)
			for i, k := range append([]int{5000, 4096, 4111, 9001}, lengths[1:]...) {
				row := make([]float32, k)
				make32(rng, row)
				for _, temperature := range []float64{1, 0.7, 3} {
					atStart := i%2 == 0
					z, wide, want := guarded(t, row, atStart), widen(row), make([]float64, k)
					dst := guarded(t, row, !atStart)

					Softmax(want, wide, k, temperature)
					Softmax(dst, z, k, temperature)
					for j, v := range want {
						near("p", dst[j], v, &worst.p)
					}
					inPlace := guarded(t, row, atStart)
					Softmax(inPlace, inPlace, k, temperature)
					if !slices.Equal(inPlace, dst) {
						t.Errorf("in place other bits")
					}

					LogSoftmax(want, wide, k, temperature)
					LogSoftmax(dst, z, k, temperature)
					for j, v := range want {
						near("log p", dst[j], v, &worst.logP)
					}

					lse, wantLSE := make([]float32, 1), make([]float64, 1)
					LogSumExp(wantLSE, wide, k, temperature)
					LogSumExp(lse, z, k, temperature)
					near("LSE", lse[0], wantLSE[0], &worst.lse)
					if t.Failed() {
						t.Fatalf("%s, K = %d, T = %v", kind, k, temperature)
					}
				}
				for range 3 {
					label := []int32{int32(rng.IntN(k))}
					if rng.IntN(2) == 0 {
						label[0] = int32(slices.Index(row, slices.Max(row)))
					}
					nll, wantNLL, grad, want := make([]float32, 1), make([]float64, 1), guarded(t, row, i%2 == 0), make([]float64, k)
					CrossEntropy(wantNLL, want, widen(row), label, k, 0.25)
					CrossEntropy(nll, grad, grad, label, k, 0.25)
					// Of a small loss every digit counts: 2 ulp, not 2 ulp of 1.
					if want := wantNLL[0]; !(numtest.ULP32(nll[0], want) <= 2) && !(want > 0.5 && numtest.Near(float64(nll[0]), want, 0x1p-22)) {
						t.Errorf("NLL = %v, want %v", nll[0], want)
					}
					for j, v := range want {
						near("gradient", grad[j], v, &worst.grad)
					}
					alone := make([]float32, 1)
					CrossEntropy(alone, nil, row, label, k, 1)
					if alone[0] != nll[0] {
						t.Errorf("NLL %v alone, %v with its gradient", alone[0], nll[0])
					}
					if t.Failed() {
						t.Fatalf("%s, K = %d, label %d", kind, k, label)
					}
				}
			}
		}
	})
	t.Logf("worst, of 2: %+v", worst)
}

// Rows shared among threads have the bits that they have alone.
func TestSharedRows(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		defer func(n int) { streamedLogits = n }(streamedLogits)
		streamedLogits = 0 // the vector code that goes past the caches
		rng := seeded(12)
		for _, k := range []int{3, 1000, sharedLogits + 7} {
			n := sharedLogits/k + 2
			z, labels := normal(rng, n*k), make([]int32, n)
			for i := range labels {
				labels[i] = int32(rng.IntN(k))
			}
			labels[n/2] = Ignored
			want := make([][]float32, 5)
			for i := range want {
				want[i] = make([]float32, n*k)
			}
			softmax(want[0], z, k, 2, false)
			logSoftmax(want[1], z, k, 1)
			logSumExp(want[2][:n], z, k, 1)
			crossEntropies(want[3][:n], want[4], z, labels, k, 0.5, false)
			for _, procs := range []int{1, 2, 4, 8} {
				runtime.GOMAXPROCS(procs)
				got := make([][]float32, 5)
				for i := range got {
					got[i] = make([]float32, n*k)
				}
				Softmax(got[0], z, k, 2)
				LogSoftmax(got[1], z, k, 1)
				LogSumExp(got[2][:n], z, k, 1)
				CrossEntropy(got[3][:n], got[4], z, labels, k, 0.5)
				for i := range want {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("K = %d, GOMAXPROCS=%d: call %d has other bits", k, procs, i)
					}
				}
				alone := make([]float32, n)
				CrossEntropy(alone, nil, z, labels, k, 0.5)
				if !slices.Equal(alone, want[3][:n]) {
					t.Errorf("K = %d, GOMAXPROCS=%d: other NLL without the gradient", k, procs)
				}
			}
		}
	})
}

// Short rows are worked across: each has the values of float64 and the bits that it has alone, whatever its neighbours hold,
// NaN, masks and Ignored among them.
func TestShortRowsOnEveryPath(t *testing.T) {
	kinds := slices.Sorted(maps.Keys(rowKinds))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(13)
		for k := 1; k <= maxShort+1; k++ {
			if k > 70 && k%8 > 1 {
				continue
			}
			n := 1 + rng.IntN(50)
			z, labels := make([]float32, n*k), make([]int32, n)
			for i := range n {
				row := z[i*k : (i+1)*k]
				rowKinds[kinds[rng.IntN(len(kinds))]](rng, row)
				switch at := rng.IntN(k); rng.IntN(12) {
				case 0:
					row[at] = []float32{nan, inf, -inf}[rng.IntN(3)]
				case 1:
					fill(row, func() float64 { return math.Inf(-1) })
				}
				labels[i] = int32(rng.IntN(k))
				if rng.IntN(6) == 0 {
					labels[i] = Ignored
				}
			}
			same := func(what string, got, want []float32) {
				t.Helper()
				for i, v := range want {
					if got[i] != v && (got[i] == got[i] || v == v) {
						t.Fatalf("K = %d: %s[%d] = %v, alone %v", k, what, i, got[i], v)
					}
				}
			}
			// Softmax, log-softmax and LSE of all rows at once, in place, against each row alone and in float64.
			for what, f := range map[string]struct {
				narrow func(dst, z []float32, k int)
				wide   func(dst, z []float64, k int)
				width  int
			}{
				"p":     {func(dst, z []float32, k int) { Softmax(dst, z, k, 0.8) }, func(dst, z []float64, k int) { Softmax(dst, z, k, 0.8) }, k},
				"log p": {func(dst, z []float32, k int) { LogSoftmax(dst, z, k, 0.8) }, func(dst, z []float64, k int) { LogSoftmax(dst, z, k, 0.8) }, k},
				"LSE":   {func(dst, z []float32, k int) { LogSumExp(dst, z, k, 0.8) }, func(dst, z []float64, k int) { LogSumExp(dst, z, k, 0.8) }, 1},
			} {
				got := guarded(t, z, k%2 == 0)[:n*f.width]
				f.narrow(got, guarded(t, z, k%2 == 0), k)
				alone, want := make([]float32, f.width), make([]float64, f.width)
				for i := range n {
					row := z[i*k : (i+1)*k]
					f.narrow(alone, row, k)
					same(what, got[i*f.width:], alone)
					f.wide(want, widen(row), k)
					for j, v := range want {
						if bound := 0x1p-22 * max(1, math.Abs(v)); !(numtest.ULP32(alone[j], v) <= 1) && (what == "p" || !(math.Abs(float64(alone[j])-v) <= bound)) {
							t.Fatalf("K = %d: %s of row %d is %v, want %v", k, what, i, alone[j], v)
						}
					}
				}
			}
			grad, nll := guarded(t, z, k%2 == 0), guarded(t, make([]float32, n), k%2 == 0)
			CrossEntropy(nll, grad, grad, guardedLabels(t, labels, k%2 == 0), k, 0.25)
			only := make([]float32, n)
			CrossEntropy(only, nil, z, labels, k, 0.25)
			same("NLL without the gradient", only, nll)
			for i := range n {
				row := z[i*k : (i+1)*k]
				aloneNLL, alone, wantNLL, want := make([]float32, 1), make([]float32, k), make([]float64, 1), make([]float64, k)
				CrossEntropy(aloneNLL, alone, row, labels[i:i+1], k, 0.25)
				same("NLL", nll[i:], aloneNLL)
				same("gradient", grad[i*k:], alone)
				CrossEntropy(wantNLL, want, widen(row), labels[i:i+1], k, 0.25)
				if want := wantNLL[0]; !(numtest.ULP32(nll[i], want) <= 2) && !(want > 0.5 && numtest.Near(float64(nll[i]), want, 0x1p-22)) {
					t.Fatalf("K = %d: NLL of row %d = %v, want %v", k, i, nll[i], want)
				}
				for j, v := range want {
					if !(numtest.ULP32(alone[j], v) <= 1) {
						t.Fatalf("K = %d: gradient of row %d, class %d = %v, want %v", k, i, j, alone[j], v)
					}
				}
			}
		}
	})
}

const maxShort = 256

func guardedLabels(t *testing.T, labels []int32, atStart bool) []int32 {
	t.Helper()
	g := numtest.Guarded[int32](t, len(labels), atStart)
	copy(g, labels)
	return g
}

// TopK against a stable sort, ties, NaN and infinities among the logits.
func TestTopKOnEveryPath(t *testing.T) {
	nan := float32(math.NaN())
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(14)
		for range 300 {
			k := 1 + rng.IntN(700)
			row := normal(rng, k)
			for i := range row {
				switch rng.IntN(8) {
				case 0:
					row[i] = float32(rng.IntN(3)) // ties
				case 1:
					row[i] = []float32{nan, float32(math.Inf(1)), float32(math.Inf(-1))}[rng.IntN(3)]
				}
			}
			order := make([]int32, k)
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortStableFunc(order, func(a, b int32) int { return -cmp.Compare(row[a], row[b]) }) // NaN is the least
			count := 1 + rng.IntN(min(k, 40))
			values, classes := guarded(t, make([]float32, count), k%2 == 0), make([]int32, count)
			TopK(values, classes, guarded(t, row, k%2 == 0), k, count)
			if !slices.Equal(classes, order[:count]) {
				t.Fatalf("K = %d, %d of them: %v, want %v", k, count, classes, order[:count])
			}
			for i, j := range classes {
				if values[i] != row[j] && row[j] == row[j] {
					t.Fatalf("value %v of class %d, want %v", values[i], j, row[j])
				}
			}
		}
	})
}

// A row that holds NaN has no softmax, also where all that comes before its numbers is masked.
func TestRowsWithNaNOnEveryPath(t *testing.T) {
	nan, masked := float32(math.NaN()), float32(math.Inf(-1))
	onEveryPath(t, func(t *testing.T) {
		for _, k := range []int{2, 20, 300, 5000, 9000} {
			for _, at := range []int{0, k / 2, k - 1} {
				z, lse, nll := make([]float32, k), make([]float32, 1), make([]float32, 1)
				for i := range z {
					z[i] = masked
				}
				z[k-1-at/2], z[at] = 1, nan
				LogSumExp(lse, z, k, 1)
				CrossEntropy(nll, nil, z, []int32{int32(k-1) / 2}, k, 1)
				for what, f := range map[string]func(dst, z []float32, k int, temperature float64){"softmax": Softmax[float32], "log-softmax": LogSoftmax[float32]} {
					dst := make([]float32, k)
					f(dst, z, k, 1)
					if i := slices.IndexFunc(dst, func(v float32) bool { return v == v }); i >= 0 {
						t.Errorf("K = %d, NaN at %d: %s[%d] = %v", k, at, what, i, dst[i])
					}
				}
				if lse[0] == lse[0] || nll[0] == nll[0] {
					t.Errorf("K = %d, NaN at %d: LSE %v, NLL %v", k, at, lse[0], nll[0])
				}
			}
		}
	})
}
