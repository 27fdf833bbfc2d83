package analysis

import (
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/parallel"
)

const (
	// nearShare of the root mean square distance between two samples is how far apart near-identical ones are at most: noise of
	// two in 255, not another picture of the same class.
	nearShare = 1. / 32

	// fewestValues that a sample has, for few to be near one another by chance.
	fewestValues = 16

	// Locality-sensitive hashing (M. Datar et al., "Locality-sensitive hashing scheme based on p-stable distributions", SoCG 2004)
	// by sums of a sixteenth of the values each, with random signs. Of two samples so near, the sums differ by a quarter of their
	// distance, in root mean square; with cells eight times as wide one table of four sums misses them once in three times.
	nearTables, nearSums = 4, 4

	// fewNear pairs in a split are no longer chance.
	fewNear = 3

	// mostInCell are looked at: what so many share (a blank picture) is near more than one.
	mostInCell = 256
)

// near returns the pairs (i,j) for which sample j of other, where wanted, is near sample i of train and no other of train. Samples
// are size values each.
func near(train, other []byte, size int, wanted func(j int) bool) (pairs [][2]int) {
	spread := variance(train, size)
	if size < fewestValues || spread == 0 {
		return nil
	}
	// The square of the distance between two samples is 2·size·spread in the mean.
	limit := nearShare * nearShare * 2 * float64(size) * spread
	width := 2 * math.Sqrt(limit)
	rng := rand.New(rand.NewPCG(1, 2))
	sum, sign := make([]uint8, size), make([]int, size)
	for i, at := range rng.Perm(size) {
		sum[at], sign[at] = uint8(i%(nearTables*nearSums)), 1-2*rng.IntN(2)
	}
	var shift [nearTables * nearSums]float64
	for i := range shift {
		shift[i] = rng.Float64()
	}
	cells := func(values []byte) [][nearTables]uint64 {
		out := make([][nearTables]uint64, len(values)/size)
		const each = 256
		parallel.Each((len(out)+each-1)/each, func(part int) {
			for i := part * each; i < min((part+1)*each, len(out)); i++ {
				var sums [nearTables * nearSums]int
				for at, v := range values[i*size : (i+1)*size] {
					sums[sum[at]] += sign[at] * int(v)
				}
				for k, s := range sums {
					h := &out[i][k/nearSums]
					*h = (*h ^ uint64(int64(math.Floor(float64(s)/width+shift[k])))) * 0x9E3779B97F4A7C15
					*h ^= *h >> 29
				}
			}
		})
		return out
	}
	ofTrain, ofOther := cells(train), cells(other)
	var in [nearTables]map[uint64][]int32
	for t := range in {
		in[t] = make(map[uint64][]int32, len(ofTrain))
		for i := range ofTrain {
			if cell := ofTrain[i][t]; len(in[t][cell]) < mostInCell {
				in[t][cell] = append(in[t][cell], int32(i))
			}
		}
	}
	const none, several = -1, -2
	found := make([]int, len(ofOther))
	parallel.Each(len(ofOther), func(j int) {
		found[j] = none
		if !wanted(j) {
			return
		}
		for t := range in {
			for _, i := range in[t][ofOther[j][t]] {
				if int(i) == found[j] || !within(train[int(i)*size:][:size], other[j*size:][:size], limit) {
					continue
				}
				if found[j] != none {
					found[j] = several
					return
				}
				found[j] = int(i)
			}
		}
	})
	for j, i := range found {
		if i >= 0 {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// within reports whether the squared distance of two samples is at most limit.
func within(a, b []byte, limit float64) bool {
	const each = 64
	sum := 0
	for len(a) > 0 && float64(sum) <= limit {
		n := min(each, len(a))
		for i, v := range a[:n] {
			d := int(v) - int(b[i])
			sum += d * d
		}
		a, b = a[n:], b[n:]
	}
	return float64(sum) <= limit
}

// variance is that of a value over the samples, averaged over the values; of some thousand samples at most.
func variance(values []byte, size int) float64 {
	const most = 4096
	samples := len(values) / size
	step := max(samples/most, 1)
	n, sums, squares := 0.0, make([]float64, size), make([]float64, size)
	for i := 0; i < samples; i += step {
		n++
		for at, v := range values[i*size : (i+1)*size] {
			sums[at] += float64(v)
			squares[at] += float64(v) * float64(v) // whole numbers: exact
		}
	}
	total := 0.0
	for at, s := range sums {
		total += squares[at]/n - s/n*(s/n)
	}
	if n < 2 {
		return 0
	}
	return total / float64(size)
}
