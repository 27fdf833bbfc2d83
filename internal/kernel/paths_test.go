package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// onEveryPath runs a test on each path that this processor has.
func onEveryPath(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	chosen := active
	defer func() { active = chosen }()
	for _, active = range available() {
		t.Run(active.name, test)
	}
}

// guarded copies values to memory with a guard page behind or, every other time, before them.
func guarded(t *testing.T, values []float32, atStart bool) []float32 {
	t.Helper()
	g := numtest.Guarded[float32](t, len(values), atStart)
	copy(g, values)
	return g
}

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func widen(x []float32) []float64 {
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	return wide
}

// The lengths at which vector code goes wrong: around every multiple of a vector.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 47, 63, 64, 65, 100, 1000}

func TestChoose(t *testing.T) {
	one, two := &path{name: "avx2"}, &path{name: "avx512"}
	for _, c := range []struct {
		asked string
		paths []*path
		want  *path
		fails bool
	}{
		{"", []*path{portable, one, two}, two, false},
		{"", []*path{portable}, portable, false},
		{"generic", []*path{portable, one, two}, portable, false},
		{"avx2", []*path{portable, one, two}, one, false},
		{"avx512", []*path{portable, one}, one, true},
		{"sse", []*path{portable, one, two}, two, true},
	} {
		got, err := choose(c.asked, c.paths)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("asked for %q of up to %s: %s, %v", c.asked, c.paths[len(c.paths)-1].name, got.name, err)
		}
	}
	if _, err := Path(); err != nil {
		t.Error(err)
	}
}

// MatMul of every layout and epilogue against float64, over shapes around the tiles' edges.
func TestMatMulOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(1)
		shapes := [][3]int{{1, 1, 1}, {8, 32, 64}, {7, 33, 5}, {9, 31, 1}, {16, 10, 64}, {3, 17, 40}, {65, 65, 65}, {2, 48, 100}, {40, 300, 130}, {515, 70, 515}, {19, 70, 2053}}
		for range 40 {
			shapes = append(shapes, [3]int{1 + rng.IntN(40), 1 + rng.IntN(70), 1 + rng.IntN(70)})
		}
		for i, s := range shapes {
			m, n, k := s[0], s[1], s[2]
			if active == portable && m*n*k > 1<<20 {
				continue // how vector code cuts a large product
			}
			guard := func(values int) []float32 { return guarded(t, normal(rng, values), i%2 == 0) }
			a, b, bias, got, old := guard(m*k), guard(n*k), guard(n), guard(m*n), normal(rng, m*n)
			for layout := NN; layout <= TN; layout++ {
				product := make([]float64, m*n)
				MatMul(layout, product, widen(a), widen(b), m, n, k, Epilogue[float64]{})
				for option := range 8 {
					e := Epilogue[float32]{ReLU: option&1 != 0, Accumulate: option&2 != 0}
					want := slices.Clone(product)
					if option&4 != 0 {
						e.Bias = bias
					}
					for j := range want {
						if e.Accumulate {
							want[j] += float64(old[j])
						}
						if e.Bias != nil {
							want[j] += float64(bias[j%n])
						}
						if e.ReLU {
							want[j] = max(want[j], 0)
						}
					}
					copy(got, old)
					MatMul(layout, got, a, b, m, n, k, e)
					numtest.AllNear(t, fmt.Sprintf("layout %d, %d×%d×%d, option %d: C", layout, m, n, k, option), got, want, 1e-5*max(1, float64(k)/64))
					if t.Failed() {
						return
					}
				}
			}
		}
	})
}

// The portable NN and TN of float64, the oracle above, by the definition.
func TestMatMulIsTheSumOfProducts(t *testing.T) {
	rng := seeded(2)
	m, n, k := 3, 4, 5
	a, b := widen(normal(rng, m*k)), widen(normal(rng, k*n))
	at, bt := make([]float64, k*m), make([]float64, n*k)
	want := make([]float64, m*n)
	for i := range m {
		for j := range n {
			for p := range k {
				want[i*n+j] += a[i*k+p] * b[p*n+j]
				at[p*m+i], bt[j*k+p] = a[i*k+p], b[p*n+j]
			}
		}
	}
	for layout, operands := range map[Layout][2][]float64{NN: {a, b}, NT: {a, bt}, TN: {at, b}} {
		got := make([]float64, m*n)
		MatMul(layout, got, operands[0], operands[1], m, n, k, Epilogue[float64]{})
		numtest.AllNear(t, fmt.Sprintf("layout %d", layout), got, want, 1e-15)
	}
}

// NaN and infinities go through a product and a ReLU as the arithmetic has it, on every path.
func TestMatMulNaN(t *testing.T) {
	nan := float32(math.NaN())
	onEveryPath(t, func(t *testing.T) {
		const m, n, k = 9, 40, 20
		a, b := make([]float32, m*k), make([]float32, k*n)
		for i := range a {
			a[i] = 1
		}
		for i := range b {
			b[i] = -1
		}
		a[3*k+7] = nan
		c := make([]float32, m*n)
		MatMul(NN, c, a, b, m, n, k, Epilogue[float32]{ReLU: true})
		for i, v := range c {
			if (v != v) != (i/n == 3) || v == v && v != 0 {
				t.Fatalf("C[%d,%d] = %v: only row 3 is NaN, the rest is stopped at 0", i/n, i%n, v)
			}
		}
	})
}

// The bits do not depend on how many threads share a product, nor on where a tile's edge lies.
func TestMatMulIsDeterministic(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		rng := seeded(3)
		const m, n, k = 130, 300, 96
		a, b := normal(rng, m*k), normal(rng, n*k)
		var want []float32
		for _, procs := range []int{1, 2, 4, 8} {
			runtime.GOMAXPROCS(procs)
			c := make([]float32, m*n)
			MatMul(NT, c, a, b, m, n, k, Epilogue[float32]{})
			if want == nil {
				want = c
			} else if !slices.Equal(c, want) {
				t.Errorf("GOMAXPROCS=%d gives other bits", procs)
			}
		}
		// A row alone has the bits that it has among others.
		alone := make([]float32, n)
		MatMul(NT, alone, a[77*k:78*k], b, 1, n, k, Epilogue[float32]{})
		if !slices.Equal(alone, want[77*n:78*n]) {
			t.Error("a row alone has other bits than among others")
		}
	})
}

// AVX2 and AVX-512 multiply and add in the same order: they give the same bits.
func TestVectorPathsAgree(t *testing.T) {
	paths := available()[1:]
	if len(paths) < 2 {
		t.Skip("this processor or build has no two vector paths")
	}
	chosen := active
	defer func() { active = chosen }()
	rng := seeded(6)
	for range 50 {
		m, n, k := 1+rng.IntN(40), 1+rng.IntN(70), 1+rng.IntN(70)
		a, b, bias := normal(rng, m*k), normal(rng, n*k), normal(rng, n)
		for layout := NN; layout <= TN; layout++ {
			var c [2][]float32
			for i, p := range paths[:2] {
				active, c[i] = p, make([]float32, m*n)
				MatMul(layout, c[i], a, b, m, n, k, Epilogue[float32]{Bias: bias})
			}
			if !slices.Equal(c[0], c[1]) {
				t.Fatalf("layout %d, %d×%d×%d: the bits differ", layout, m, n, k)
			}
		}
	}
}

func TestElementsOnEveryPath(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(4)
		for i, n := range lengths {
			atStart := i%2 == 0
			x, dy := normal(rng, n), normal(rng, n)
			y := slices.Clone(x)
			ReLU(y, x)
			for j := range n {
				if rng.IntN(20) == 0 {
					y[j] = nan
				}
			}
			dx := guarded(t, make([]float32, n), atStart)
			ReLUBackward(dx, guarded(t, dy, atStart), guarded(t, y, atStart))
			for j := range n {
				want := dy[j]
				if y[j] == 0 {
					want = 0
				}
				if dx[j] != want && !(y[j] != y[j] && dx[j] != dx[j]) {
					t.Fatalf("n %d: ReLU's gradient at y = %v is %v, dy = %v", n, y[j], dx[j], dy[j])
				}
			}
			if n == 0 {
				continue
			}
			rows := normal(rng, 5*n)
			sums, wide := guarded(t, x, atStart), widen(x)
			SumRows(sums, guarded(t, rows, atStart), n, true)
			SumRows(wide, widen(rows), n, true)
			numtest.AllNear(t, "sum of rows", sums, wide, 1e-6)
			finite := guarded(t, x, atStart)
			if !AllFinite(finite) {
				t.Errorf("n %d: finite numbers are not", n)
			}
			for _, bad := range []float32{nan, inf, -inf} {
				at := rng.IntN(n)
				kept := finite[at]
				finite[at] = bad
				if AllFinite(finite) {
					t.Errorf("n %d: %v at %d is not seen", n, bad, at)
				}
				finite[at] = kept
			}
			finite[n-1] = math.MaxFloat32
			if !AllFinite(finite) {
				t.Errorf("n %d: the largest number is not finite", n)
			}
		}
	})
}

// What is left out is what the portable code leaves out, to the same bits, in the share that the threshold says and with nothing in common
// from key to key; a NaN that is left out stays one.
func TestDropoutOnEveryPath(t *testing.T) {
	const threshold = 13107 // 0.2
	nan := float32(math.NaN())
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(6)
		for i, n := range lengths {
			x, key := guarded(t, normal(rng, n), i%2 == 0), rng.Uint64()
			want, got := widen(x), guarded(t, make([]float32, n), i%2 == 0)
			Dropout(want, want, key, threshold, 1.25)
			Dropout(got, x, key, threshold, 1.25)
			Dropout(x, x, key, threshold, 1.25)
			for j := range n {
				if got[j] != float32(want[j]) || x[j] != got[j] {
					t.Fatalf("n %d: element %d is %v, in place %v, want %v", n, j, got[j], x[j], want[j])
				}
			}
			for j := range n {
				x[j] = nan
			}
			Dropout(x, x, key, threshold, 1.25)
			if slices.ContainsFunc(x, func(v float32) bool { return v == v }) {
				t.Errorf("n %d: a NaN is left out", n)
			}
		}
		const n = 1 << 20
		ones, first, second := slices.Repeat([]float32{1}, n), make([]float32, n), make([]float32, n)
		for _, keys := range [][2]uint64{{1, 2}, {rng.Uint64(), rng.Uint64()}, {rng.Uint64(), rng.Uint64()}} {
			Dropout(first, ones, keys[0], threshold, 1)
			Dropout(second, ones, keys[1], threshold, 1)
			var counts [4]float64 // of the first, of the second, of both, of neighbours in the first
			for i := range n {
				counts[0] += float64(1 - first[i])
				counts[1] += float64(1 - second[i])
				counts[2] += float64((1 - first[i]) * (1 - second[i]))
				counts[3] += float64((1 - first[i]) * (1 - first[(i+1)%n]))
			}
			for i, p := range []float64{0.2, 0.2, 0.04, 0.04} {
				if off := math.Abs(counts[i]/n - p); off > 5*math.Sqrt(p*(1-p)/n) {
					t.Errorf("keys %v: share %d is %v, want %v", keys, i, counts[i]/n, p)
				}
			}
		}
	})
}

// Steps with no square to divide by, with a tiny and with a huge one, and of a NaN.
func TestAdamAtTheEdges(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		s := AdamStep{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}
		grad := slices.Repeat([]float32{0, 1e-30, 1e-20, 1e18, 1e25, -1e38, float32(math.NaN()), 1}, 2)
		w, m, v := make([]float32, 16), make([]float32, 16), make([]float32, 16)
		Adam(w, grad, m, v, s)
		for i, want := range []float64{0, -1e-24, -1e-14, -0.01, -0.01, 0.01, math.NaN(), -0.01} {
			// Beyond what float32 holds of its square a gradient is to move no weight far, and that is all.
			if beyond := math.Abs(float64(grad[i])) > 1e20; beyond && !(math.Abs(float64(w[i])) < 1e20) {
				t.Errorf("gradient %v: step of %v", grad[i], w[i])
			} else if off := math.Abs(float64(w[i]) - want); !beyond && !(off <= 2e-5*math.Abs(want)) && want == want || (want == want) != (w[i] == w[i]) {
				t.Errorf("gradient %v: step of %v, want %v", grad[i], w[i], want)
			}
		}
	})
}

// Ten steps of each kind of Adam against float64.
func TestAdamOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(5)
		for i, n := range lengths {
			for _, s := range []AdamStep{
				{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
				{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1},
				{LR: 0.01, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, Decoupled: true},
			} {
				w, m, v := guarded(t, normal(rng, n), i%2 == 0), guarded(t, make([]float32, n), i%2 == 0), guarded(t, make([]float32, n), i%2 == 0)
				wideW, wideM, wideV := widen(w), widen(m), widen(v)
				for step := 1; step <= 10; step++ {
					s.Step = step
					grad := normal(rng, n)
					Adam(w, guarded(t, grad, i%2 == 0), m, v, s)
					Adam(wideW, widen(grad), wideM, wideV, s)
				}
				numtest.AllNear(t, fmt.Sprintf("%d weights, decay %v", n, s.WeightDecay), w, wideW, 1e-5)
				numtest.AllNear(t, "mean", m, wideM, 1e-6)
				numtest.AllNear(t, "square", v, wideV, 1e-6)
			}
		}
	})
}

// A product of any shape and values is that of float64, whatever the path.
func FuzzMatMul(f *testing.F) {
	f.Add(uint64(1), uint8(8), uint8(32), uint8(64), uint8(0))
	f.Add(uint64(2), uint8(1), uint8(17), uint8(3), uint8(15))
	f.Fuzz(func(t *testing.T, seed uint64, m8, n8, k8, option uint8) {
		m, n, k := 1+int(m8), 1+int(n8), 1+int(k8)
		rng := seeded(seed)
		a, b, old := normal(rng, m*k), normal(rng, n*k), normal(rng, m*n)
		layout := Layout(option % 3)
		accumulate, relu := option&4 != 0, option&8 != 0
		want := widen(old)
		MatMul(layout, want, widen(a), widen(b), m, n, k, Epilogue[float64]{Accumulate: accumulate, ReLU: relu})
		chosen := active
		defer func() { active = chosen }()
		for _, active = range available() {
			got := slices.Clone(old)
			MatMul(layout, got, a, b, m, n, k, Epilogue[float32]{Accumulate: accumulate, ReLU: relu})
			numtest.AllNear(t, active.name, got, want, 1e-4)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		const m, n, k = 130, 300, 96
		c, a, b, bias := make([]float32, m*n), make([]float32, m*k), make([]float32, n*k), make([]float32, n)
		work := func() {
			MatMul(NT, c, a, b, m, n, k, Epilogue[float32]{Bias: bias, ReLU: true})
			MatMul(NN, c[:32*10], a[:32*64], b[:64*10], 32, 10, 64, Epilogue[float32]{})
			SumRows(bias, c, n, false)
			Adam(a, a, a, a, AdamStep{LR: 0.1, Beta1: 0.9, Beta2: 0.99, Eps: 1, Step: 1})
			AllFinite(c)
			ReLUBackward(c, c, c)
		}
		work()
		if n := testing.AllocsPerRun(50, work); n >= 1 { // a pool may be emptied by a collection now and then
			t.Errorf("%v allocations, want 0", n)
		}
	})
}

// Sums of numbers that do not cancel exactly show any other order.
func TestSumIsTheSameOnEveryPath(t *testing.T) {
	for _, n := range lengths {
		x := normal(seeded(uint64(n)), n)
		exact, size, want := 0.0, 0.0, [16]float64{}
		for i, v := range x {
			exact += float64(v)
			size += math.Abs(float64(v))
			want[i%16] += float64(v)
		}
		for half := 8; half > 0; half /= 2 {
			for i := range half {
				want[i] += want[i+half]
			}
		}
		if !(math.Abs(want[0]-exact) <= 1e-14*size) {
			t.Fatalf("n %d: sum %v, want %v", n, want[0], exact)
		}
		onEveryPath(t, func(t *testing.T) {
			if got := Sum(guarded(t, x, n%2 == 0)); got != want[0] {
				t.Errorf("n %d: sum %v, want %v", n, got, want[0])
			}
		})
	}
}

func TestPanicsNameTheArgument(t *testing.T) {
	x := make([]float32, 12)
	for _, c := range []struct {
		want string
		call func()
	}{
		{"MatMul: c holds 12 values, want 6", func() { MatMul(NN, x, x[:6], x[:4], 3, 2, 2, Epilogue[float32]{}) }},
		{"MatMul: a holds 5 values, want 6", func() { MatMul(NN, x[:6], x[:5], x[:4], 3, 2, 2, Epilogue[float32]{}) }},
		{"MatMul: Bias holds 3 values, want 2", func() { MatMul(TN, x[:6], x[:6], x[:4], 3, 2, 2, Epilogue[float32]{Bias: x[:3]}) }},
		{"Adam: m holds 3 values, want 12", func() { Adam(x, x, x[:3], x, AdamStep{}) }},
		{"SGD: velocity holds 0 values, want 12", func() { SGD(x, x, nil, SGDStep{Momentum: 0.9}) }},
		{"ReLU: dst holds 3 values, want 12", func() { ReLU(x[:3], x) }},
		{"SumRows: dst holds 3 values, want 4", func() { SumRows(x[:3], x, 4, false) }},
		{"Softmax: z holds 12 values, want rows of K = 5", func() { Softmax(x, x, 5, 1) }},
		{"Softmax: temperature -1 is not finite and above 0", func() { Softmax(x, x, 4, -1) }},
		{"Softmax: temperature NaN is not finite and above 0", func() { Softmax(x, x, 4, math.NaN()) }},
		{"LogSoftmax: dst holds 11 values, want 12", func() { LogSoftmax(x[:11], x, 4, 1) }},
		{"LogSumExp: dst holds 4 values, want 3", func() { LogSumExp(x[:4], x, 4, 1) }},
		{"CrossEntropy: labels holds 2 values, want 3", func() { CrossEntropy(x[:3], nil, x, make([]int32, 2), 4, 1) }},
		{"CrossEntropy: grad holds 4 values, want 12", func() { CrossEntropy(x[:3], x[:4], x, make([]int32, 3), 4, 1) }},
		{"SmoothedCrossEntropy: nll holds 2 values, want 3", func() { SmoothedCrossEntropy(x[:2], nil, x, make([]int32, 3), 4, 1, 0.1) }},
		{"RowStats: z holds 12 values, want rows of K = 0", func() { RowStats(nil, x, 0, nil, 1) }},
		{"RowStats: out holds 2 values, want 3", func() { RowStats(make([]Stat, 2), x, 4, nil, 1) }},
		{"RowStats: labels holds 2 values, want 3", func() { RowStats(make([]Stat, 3), x, 4, make([]int32, 2), 1) }},
		{"RowStats: label 4 of row 1 is not in [0, 4)", func() { RowStats(make([]Stat, 3), x, 4, []int32{0, 4, 0}, 1) }},
		{"RowStats: temperature 0 is not finite and above 0", func() { RowStats(make([]Stat, 3), x, 4, nil, 0) }},
		{"AddSoftmax: sums holds 3 values, want 12", func() { AddSoftmax(make([]float64, 3), x, 0, 1, 1) }},
		{"AddSoftmax: temperature 0 is not finite and above 0", func() { AddSoftmax(make([]float64, 12), x, 0, 1, 0) }},
		{"Above: thresholds holds 3 values, want 12", func() { Above(make([]int32, 28), x, x[:3], 0) }},
		{"Above: at holds 12 values, want 28", func() { Above(make([]int32, 12), x, x, 0) }},
		{"ExpSum: temperature +Inf is not finite and above 0", func() { ExpSum(x, 0, math.Inf(1)) }},
		{"Index: dst holds 3 values, want 12", func() { Binning{1, 0, 4}.Index(make([]uint8, 3), make([]int32, 28), x) }},
		{"Index: near holds 12 values, want 28", func() { Binning{1, 0, 4}.Index(make([]uint8, 12), make([]int32, 12), x) }},
		{"TopK: count 5 is not in [1, 4]", func() { TopK(x, nil, x, 4, 5) }},
		{"TopK: classes holds 0 values, want 6", func() { TopK(x[:6], nil, x, 4, 2) }},
		{"Sample: u holds 1 values, want 3", func() { Sample(make([]int32, 3), nil, nil, make([]float64, 1), x, 4, nil) }},
		{"Sample: after holds 1 values, want 3", func() { Sample(make([]int32, 3), nil, make([]float64, 1), make([]float64, 3), x, 4, nil) }},
	} {
		numtest.Panics(t, c.want, c.call)
	}
}

func TestEveryWrongLabelIsFound(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		const k = 7
		for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 40} {
			labels := make([]int32, n)
			for i := range labels {
				labels[i] = []int32{0, k - 1, Ignored, 3}[i%4]
			}
			want := 0
			for i := range labels {
				if i%4 != 2 {
					want++
				}
			}
			if counted, wrong := CountLabels(labels, k); counted != want || wrong != -1 {
				t.Errorf("n %d: %d labels are counted and row %d is wrong, want %d and -1", n, counted, wrong, want)
			}
			for i, right := range labels {
				for _, wrong := range []int32{k, -1, Ignored - 1, Ignored + 1, math.MaxInt32, math.MinInt32} {
					labels[i] = wrong
					want := fmt.Sprintf("Test: label %d of row %d is not in [0, 7)", wrong, i)
					numtest.Panics(t, want, func() { checkLabels("Test", labels, k) })
				}
				labels[i] = right
			}
		}
	})
}
