package kernel

import (
	"math"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Rows of every length between guard pages, of any size and with masks.
func TestAddSoftmaxOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(1)
		for i, k := range lengths[1:] {
			for _, temperature := range []float64{1, 0.3, 25, 1e-4} {
				row := normal(rng, k)
				scale := float32(math.Exp(rng.NormFloat64() * 3))
				for j := range row {
					if row[j] *= scale; k > 3 && rng.IntN(20) == 0 && j > 0 {
						row[j] = float32(math.Inf(-1))
					}
				}
				p := make([]float64, k)
				Softmax(p, widen(row), k, temperature)
				sums, want := make([]float64, k), make([]float64, k)
				for j := range sums {
					sums[j] = float64(j)
					want[j] = sums[j] + p[j]
				}
				AddSoftmax(sums, guarded(t, row, i%2 == 0), float64(slices.Max(row)), slices.Max(p), temperature)
				for j, sum := range sums {
					if !(math.Abs(sum-want[j]) <= 1e-6*p[j]+1e-15*want[j]+0x1p-41) {
						t.Fatalf("K %d, T %v, class %d: %v is added, want %v", k, temperature, j, sum-float64(j), p[j])
					}
				}
			}
		}
	})
}

func TestAboveOnEveryPath(t *testing.T) {
	inf := float32(math.Inf(1))
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(2)
		for i, k := range lengths {
			z, thresholds, offset := normal(rng, k), normal(rng, k), float32(rng.NormFloat64())
			for j := range z {
				switch rng.IntN(8) {
				case 0:
					z[j] = thresholds[j] + offset
				case 1:
					z[j] = []float32{inf, -inf, float32(math.NaN())}[rng.IntN(3)]
				case 2:
					thresholds[j] = []float32{inf, -inf}[rng.IntN(2)]
				}
			}
			var want []int32
			for j := range z {
				if z[j] >= thresholds[j]+offset {
					want = append(want, int32(j))
				}
			}
			at := numtest.Guarded[int32](t, k+MorePlaces, i%2 == 0)
			if got := at[:Above(at, guarded(t, z, i%2 == 0), guarded(t, thresholds, i%2 == 0), offset)]; !slices.Equal(got, want) {
				t.Errorf("K %d: places %v, want %v", k, got, want)
			}
		}
	})
}

// In any order the sum is the same bits, and it is that of float64.
func TestExpSumOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(3)
		for i, k := range append([]int{1023, 1024, 1025, 5000}, lengths[1:]...) {
			for _, temperature := range []float64{1, 0.01, 7} {
				row := normal(rng, k)
				if k > 2 {
					row[1] = float32(math.Inf(-1))
				}
				largest := slices.Max(row)
				want := 0.0
				for _, v := range row {
					want += math.Exp((float64(v) - float64(largest)) / temperature)
				}
				got := ExpSum(guarded(t, row, i%2 == 0), largest, temperature)
				if !(math.Abs(got-want) <= 1e-13*want) {
					t.Errorf("K %d, T %v: %v, want %v", k, temperature, got, want)
				}
				rng.Shuffle(k, func(i, j int) { row[i], row[j] = row[j], row[i] })
				if again := ExpSum(row, largest, temperature); again != got {
					t.Errorf("K %d, T %v: %v, and in another order %v", k, temperature, got, again)
				}
			}
		}
		if got := ExpSum([]float32{0, 1, 2, 2, 0, 0, 0, 0, 0}, 2, 5e-324); got != 2 {
			t.Errorf("T 5e-324: %v, want the number of the largest logits", got)
		}
		equal := make([]float32, 1<<17+3)
		if got := ExpSum(equal, 0, 1); got != float64(len(equal)) {
			t.Errorf("of %d equal logits: %v", len(equal), got)
		}
	})
}

// What is not named as near an edge is in the bin that float64 puts it into, edges at whole numbers, at both ends and beyond them.
func TestIndexOnEveryPath(t *testing.T) {
	inf := float32(math.Inf(1))
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(4)
		for i, n := range append([]int{5000}, lengths...) {
			b := Binning{Scale: math.Exp(rng.NormFloat64() * 3), Offset: rng.NormFloat64() * 50, Bins: 1 + rng.IntN(64)}
			z := make([]float32, n)
			for j := range z {
				// Most lie in the bins, some on an edge as near as float32 has it, some beyond.
				at := rng.Float64()*1.2*float64(b.Bins) - 0.1*float64(b.Bins)
				if rng.IntN(4) == 0 {
					at = math.Round(at)
				}
				z[j] = float32((at - b.Offset) / b.Scale)
				if rng.IntN(30) == 0 {
					z[j] = []float32{inf, -inf}[rng.IntN(2)]
				}
			}
			dst, near := numtest.Guarded[uint8](t, n, i%2 == 0), numtest.Guarded[int32](t, n+MorePlaces, i%2 == 0)
			near = near[:b.Index(dst, near, guarded(t, z, i%2 == 0))]
			if !slices.IsSorted(near) || len(near) > n/2 && n > 100 {
				t.Errorf("%d of %d are near an edge: %v", len(near), n, near)
			}
			for j, v := range z {
				want := min(max(math.Floor(float64(v)*b.Scale+b.Offset), 0), float64(b.Bins-1))
				off := math.Abs(float64(dst[j]) - want)
				if _, found := slices.BinarySearch(near, int32(j)); off > 1 || off == 1 && !found {
					t.Fatalf("%+v: %v is in bin %d, want %v", b, v, dst[j], want)
				}
			}
		}
	})
}

func TestCountBinsOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(5)
		for i, n := range append([]int{511, 512, 513, 5000, 20480}, lengths...) {
			bins := 1 + rng.IntN(64)
			indices, counts, want := numtest.Guarded[uint8](t, n, i%2 == 0), make([]int, bins), make([]int, bins)
			for j := range indices {
				indices[j] = uint8(rng.IntN(bins))
				want[indices[j]]++
			}
			for j := range counts {
				counts[j] = j
				want[j] += j
			}
			if CountBins(counts, indices); !slices.Equal(counts, want) {
				t.Errorf("%d of %d bins: %v, want %v", n, bins, counts, want)
			}
		}
	})
}

// Sums of rows are the same to the last bit in any order, on every path.
func TestAddSoftmaxInAnyOrder(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		const n, k = 8000, 37
		rng := seeded(9)
		z := make([][]float32, n)
		for i := range z {
			z[i] = normal(rng, k)
			for j := range z[i] {
				z[i][j] *= float32(i%40) / 4
			}
		}
		var want []float64
		for range 3 {
			sums, p := make([]float64, k), make([]float64, k)
			for _, row := range z {
				Softmax(p, widen(row), k, 1)
				AddSoftmax(sums, row, float64(slices.Max(row)), slices.Max(p), 1)
			}
			if want != nil && !slices.Equal(sums, want) {
				t.Fatal("another order gives other bits")
			}
			want = sums
			rng.Shuffle(n, func(i, j int) { z[i], z[j] = z[j], z[i] })
		}
	})
}
