package kernel

import (
	"math"
	"math/bits"
)

// AddSoftmax adds the probabilities exp((z − largest)/temperature)·top of a row z [K] to sums [K]. largest is the row's largest logit and top its
// probability, both finite. A probability by vector code has a relative error of at most 1e-6. Each is rounded to a multiple of 2^-40 (Grain),
// so that sums that begin at 0 are exact for up to 8192 rows, in whatever order these come. It panics unless temperature is finite and above 0.
func AddSoftmax(sums []float64, z []float32, largest, top, temperature float64) {
	checkLen("AddSoftmax", "sums", len(sums), len(z))
	checkTemperature("AddSoftmax", temperature)
	done := addSoftmax32(sums, z, largest, top, temperature)
	for j, v := range z[done:] {
		sums[done+j] += (float64(top*math.Exp((float64(v)-largest)/temperature)) + Grain) - Grain
	}
}

// MorePlaces is the number of places by which the result of Above and of Index must be longer than the input, since vectors are written whole.
const MorePlaces = 16

// Above writes to at [K + MorePlaces], in rising order, the places j at which z[j] ≥ thresholds[j] + offset, and returns their number. The sum is
// taken in float32. What at holds behind these places is undefined.
func Above(at []int32, z, thresholds []float32, offset float32) int {
	checkLen("Above", "thresholds", len(thresholds), len(z))
	if len(at) < len(z)+MorePlaces {
		checkLen("Above", "at", len(at), len(z)+MorePlaces)
	}
	done, n := above32Each(at, z, thresholds, offset)
	for j := done; j < len(z); j++ {
		if z[j] >= thresholds[j]+offset {
			at[n] = int32(j)
			n++
		}
	}
	return n
}

// ExpSum returns Σ exp((z − largest)/temperature) of a row z [K], which must hold neither NaN nor +Inf. largest is its largest logit. Each term is
// rounded to a multiple of 2^-52, and the sum of these is exact. So the result has the same bits in any order of the classes, and rows of the
// same logits are ties.
func ExpSum[T Float](z []T, largest T, temperature float64) float64 {
	checkTemperature("ExpSum", temperature)
	var low, high, carry uint64
	for start := 0; start < len(z); start += exactBlock {
		low, carry = bits.Add64(low, exactSum(z[start:min(start+exactBlock, len(z))], float64(largest), temperature), 0)
		high += carry
	}
	return math.Ldexp(float64(high), 64-exactBits) + math.Ldexp(float64(low), -exactBits)
}

const (
	exactBits  = 52      // ExpSum counts in units of 2^-exactBits
	exactBlock = 1 << 10 // the number of terms, of at most 2^52 units each, whose sum an integer of 64 bits holds
)

// exactSum returns the sum of ExpSum over at most exactBlock logits, in units of 2^-exactBits.
func exactSum[T Float](z []T, largest, temperature float64) (sum uint64) {
	done := 0
	if z32, ok := any(z).([]float32); ok {
		sum, done = exactSum32(z32, largest, temperature)
	}
	for _, v := range z[done:] {
		sum += uint64(math.RoundToEven(math.Ldexp(math.Exp((float64(v)-largest)/temperature), exactBits)))
	}
	return sum
}

// Binning puts values into Bins bins of equal width, at most 64. The bin of v is floor(v·Scale + Offset); what lies below the first bin or above
// the last is put into that one.
type Binning struct {
	Scale, Offset float64
	Bins          int
}

// Index writes the bin of each of z [N] to dst [N]. To near [N + MorePlaces] it writes the places of those whose bin may be off by one, since they
// are so near to an edge that float32 does not tell the side, and it returns their number. The bin of NaN is undefined.
func (b Binning) Index(dst []uint8, near []int32, z []float32) int {
	checkLen("Index", "dst", len(dst), len(z))
	if len(near) < len(z)+MorePlaces {
		checkLen("Index", "near", len(near), len(z)+MorePlaces)
	}
	e := b.edges()
	done, n := index32(dst, near, z, &e)
	for j := done; j < len(z); j++ {
		t := min(max(z[j]*e.scale+e.offset, 0.5), e.last)
		dst[j] = uint8(t)
		if math.Abs(float64(t)-math.Round(float64(t))) < float64(e.near) {
			near[n] = int32(j)
			n++
		}
	}
	return n
}

// edges returns b in float32.
func (b Binning) edges() edges {
	// In float32 the scale, the offset and the product have an error of half a unit in the last place each, and the sum one of a whole unit. The
	// numbers are no larger than the offset and the bins together.
	near := (2*math.Abs(b.Offset) + 2*float64(b.Bins)) * 0x1p-23
	return edges{float32(b.Scale), float32(b.Offset), float32(b.Bins) - 0.5, float32(near)}
}

// CountBins adds to each element of counts, of which there are at most 64, how often its place is among indices. The effect of an index outside
// counts is undefined.
func CountBins(counts []int, indices []uint8) {
	done := countBins8(counts, indices)
	// A bin has several counters, so that an addition need not wait for the one before.
	var several [4][256]uint32
	rest := indices[done:]
	for ; len(rest) >= 4; rest = rest[4:] {
		several[0][rest[0]]++
		several[1][rest[1]]++
		several[2][rest[2]]++
		several[3][rest[3]]++
	}
	for _, i := range rest {
		several[0][i]++
	}
	for i := range counts {
		counts[i] += int(several[0][i]) + int(several[1][i]) + int(several[2][i]) + int(several[3][i])
	}
}
