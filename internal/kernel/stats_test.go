package kernel

import (
	"cmp"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// statByDefinition is a Stat from probabilities in float64 and from a stable sort.
func statByDefinition(row []float32, label int, temperature float64) Stat {
	k := len(row)
	logP, lse := make([]float64, k), make([]float64, 1)
	LogSoftmax(logP, widen(row), k, temperature)
	LogSumExp(lse, widen(row), k, temperature)
	nan := math.NaN()
	s := Stat{nan, nan, nan, nan, nan, nan, nan, nan, nan, -1, 0}
	if lse[0] != lse[0] {
		return s
	}
	order := make([]int32, k)
	for j := range order {
		order[j] = int32(j)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(row[b], row[a]) })
	s.LSE, s.Entropy, s.SumSquares = lse[0], 0, 0
	for j, v := range logP {
		p := math.Exp(v)
		if p > 0 {
			s.Entropy -= p * v
		}
		s.SumSquares += p * p
		if !math.IsInf(float64(row[j]), 0) && !(float64(row[j]) >= s.Least) {
			s.Least = float64(row[j])
		}
	}
	s.Argmax = order[0]
	s.Largest, s.PMax = float64(row[order[0]]), math.Exp(logP[order[0]])
	if label < 0 {
		return s
	}
	s.Rank = int32(slices.Index(order, int32(label))) + 1
	s.True = float64(row[label])
	s.NLL = -logP[label]
	if odds := 0.0; s.NLL < 1 { // with all digits also where it is small
		for j, v := range row {
			if j != label {
				odds += math.Exp((float64(v) - s.True) / temperature)
			}
		}
		s.NLL = math.Log1p(odds)
	}
	other := math.Inf(-1)
	for _, j := range order {
		if int(j) != label {
			other = float64(row[j])
			break
		}
	}
	s.Margin = s.True - other
	return s
}

// sameStat fails the test unless two Stats agree: comparisons exactly, numbers to within tolerance of themselves or of 1, and a
// small NLL of itself.
func sameStat(t *testing.T, got, want Stat, tolerance float64) {
	t.Helper()
	if got.Argmax != want.Argmax || got.Rank != want.Rank {
		t.Errorf("argmax %d, rank %d; want %d, %d", got.Argmax, got.Rank, want.Argmax, want.Rank)
	}
	for what, v := range map[string][2]float64{
		"largest": {got.Largest, want.Largest}, "least": {got.Least, want.Least}, "true": {got.True, want.True}, "margin": {got.Margin, want.Margin},
	} {
		if v[0] != v[1] && (v[0] == v[0] || v[1] == v[1]) {
			t.Errorf("%s = %v, want %v", what, v[0], v[1])
		}
	}
	for what, v := range map[string][2]float64{
		"NLL": {got.NLL, want.NLL}, "LSE": {got.LSE, want.LSE}, "entropy": {got.Entropy, want.Entropy},
		"Σp²": {got.SumSquares, want.SumSquares}, "p of the largest": {got.PMax, want.PMax},
	} {
		if !numtest.Near(v[0], v[1], tolerance) {
			t.Errorf("%s = %v, want %v", what, v[0], v[1])
		}
	}
	if small := want.NLL; small < 1 && small > 1e-40 && !(math.Abs(got.NLL-small) <= tolerance*small) {
		t.Errorf("NLL = %v, want %v", got.NLL, small)
	}
}

// oddRows are rows of every kind, NaN, masks and Ignored among them.
func oddRows(seed uint64, n, k int) (z []float32, labels []int32) {
	rng := seeded(seed)
	kinds := slices.Sorted(maps.Keys(rowKinds))
	z, labels = make([]float32, n*k), make([]int32, n)
	for i := range n {
		row := z[i*k : (i+1)*k]
		rowKinds[kinds[rng.IntN(len(kinds))]](rng, row)
		switch at := rng.IntN(k); rng.IntN(12) {
		case 0:
			row[at] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[rng.IntN(3)]
		case 1:
			fill(row, func() float64 { return math.Inf(-1) })
		case 2:
			for j := range row {
				row[j] = float32(rng.IntN(4)) // ties
			}
		}
		switch rng.IntN(6) {
		case 0:
			labels[i] = Ignored
		case 1:
			labels[i] = int32(slices.Index(row, slices.Max(row)))
			labels[i] = max(labels[i], 0)
		default:
			labels[i] = int32(rng.IntN(k))
		}
	}
	return z, labels
}

// RowStats on every path against probabilities in float64, in guarded memory: rows long and short, with and without labels, and
// each with the numbers that it has alone.
func TestRowStatsOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		ks := append([]int{257, 400, 4096, 5003, 9001}, lengths[1:]...)
		for k := 2; k <= maxShort; k += 9 {
			ks = append(ks, k)
		}
		for i, k := range ks {
			atStart, n := i%2 == 0, 1+37%(i+1)
			z, labels := oddRows(uint64(i), n, k)
			for _, temperature := range []float64{1, 0.7, 30} {
				out := make([]Stat, n)
				RowStats(out, guarded(t, z, atStart), k, guardedLabels(t, labels, atStart), temperature)
				without, alone := make([]Stat, n), make([]Stat, 1)
				RowStats(without, guarded(t, z, !atStart), k, nil, temperature)
				for i := range n {
					row := z[i*k : (i+1)*k]
					sameStat(t, out[i], statByDefinition(row, int(labels[i]), temperature), 1e-6)
					sameStat(t, without[i], statByDefinition(row, Ignored, temperature), 1e-6)
					RowStats(alone, row, k, labels[i:i+1], temperature)
					if a, b := alone[0], out[i]; a != b && a.LSE == a.LSE && a.Rank > 0 {
						t.Errorf("alone %+v, among others %+v", a, b)
					}
					if t.Failed() {
						t.Fatalf("row %d of K = %d, label %d, T = %v", i, k, labels[i], temperature)
					}
				}
			}
		}
	})
}

// Shared among threads the rows have the numbers that they have alone.
func TestRowStatsShared(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		for _, k := range []int{10, 3000} {
			n := sharedLogits/k + 2
			z, labels := oddRows(uint64(k), n, k)
			want, got := make([]Stat, n), make([]Stat, n)
			rowStats(want, z, k, labels, 2)
			for _, procs := range []int{1, 2, 4} {
				runtime.GOMAXPROCS(procs)
				clear(got)
				RowStats(got, z, k, labels, 2)
				for i := range got {
					sameStat(t, got[i], want[i], 0)
				}
			}
		}
	})
}

func BenchmarkRowStats(b *testing.B) {
	for _, k := range []int{10, 100, 1000, 32000, 128256} {
		b.Run("K="+strconv.Itoa(k), func(b *testing.B) {
			n := 1 << 25 / k // 128 MB, beyond the caches
			z := normal(seeded(1), n*k)
			labels, out := make([]int32, n), make([]Stat, n)
			b.SetBytes(int64(4 * n * k))
			for b.Loop() {
				RowStats(out, z, k, labels, 1)
			}
		})
	}
}

// RowVariances on every path: its statistics are those of RowStats, and variances those of p in float64 by two passes. Rows are of every
// kind, and such that float32 would lose the variance: alike but for one.
func TestRowVariancesOnEveryPath(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		for i, k := range []int{1, 2, 3, 17, 100, 255, 1000, 4096, 4097, 20_011} {
			const n = 60
			z, labels := oddRows(uint64(i), n, k)
			for r := n - 8; r < n; r++ {
				row := z[r*k : (r+1)*k]
				for j := range row {
					row[j] = float32(r)
				}
				row[r*7919%k] += float32(r-n+5) * 1.7
				labels[r] = int32(r * 31 % k)
			}
			out, want, variances := make([]Stat, n), make([]Stat, n), make([]float64, n)
			RowVariances(out, variances, guarded(t, z, i%2 == 0), k, guardedLabels(t, labels, i%2 == 0))
			RowStats(want, z, k, labels, 1)
			p := make([]float64, n*k)
			Softmax(p, widen(z), k, 1)
			for r := range n {
				sameStat(t, out[r], want[r], 2e-6)
				row, mean, by := z[r*k:(r+1)*k], 0.0, 0.0
				for j, v := range row {
					if q := p[r*k+j]; q != 0 {
						mean += q * float64(v)
					}
				}
				for j, v := range row {
					if q := p[r*k+j]; q != 0 {
						by += q * (float64(v) - mean) * (float64(v) - mean)
					}
				}
				if got := variances[r]; want[r].Argmax < 0 && got == got || want[r].Argmax >= 0 && !(math.Abs(got-by) <= 1e-5*by+1e-13*mean*mean+1e-30) {
					t.Errorf("K = %d, row %d, label %d: variance %v, want %v", k, r, labels[r], got, by)
				}
			}
			if t.Failed() {
				return
			}
		}
	})
}

func BenchmarkRowVariances(b *testing.B) {
	for _, k := range []int{17, 100, 1000, 32000} {
		b.Run("K="+strconv.Itoa(k), func(b *testing.B) {
			n := 1 << 25 / k
			z := normal(seeded(1), n*k)
			labels, out, variances := make([]int32, n), make([]Stat, n), make([]float64, n)
			b.SetBytes(int64(4 * n * k))
			for b.Loop() {
				RowVariances(out, variances, z, k, labels)
			}
		})
	}
}
