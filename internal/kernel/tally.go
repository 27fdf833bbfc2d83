package kernel

import (
	"math"
	"math/bits"
)

// AddSoftmax adds the probabilities exp((z − largest)/temperature)·top of a row z [K] to sums [K]; largest is the row's largest logit
// and top its probability, both finite. float32 on vector code: each within 1e-6 of itself. Panics unless temperature is
// finite and above 0.
func AddSoftmax(sums []float64, z []float32, largest, top, temperature float64) {
	checkLen("AddSoftmax", "sums", len(sums), len(z))
	checkTemperature("AddSoftmax", temperature)
	done := addSoftmax32(sums, z, largest, top, temperature)
	for j, v := range z[done:] {
		sums[done+j] += top * math.Exp((float64(v)-largest)/temperature)
	}
}

// MorePlaces is how many places Above wants more than it may find.
const MorePlaces = 16

// Above writes to at [K + MorePlaces] the places j in rising order at which z [K] is thresholds[j] + offset or more, and
// returns their number. The sum is of float32. What is in at behind them is undefined.
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

// ExpSum returns Σ exp((z − largest)/temperature) of a row z [K] that has no NaN nor +Inf; largest is its largest logit. Each term is
// rounded to 2^-52 and the sum of these is exact, so that it is the same to the last bit in any order of the classes: rows of
// the same logits are ties.
func ExpSum(z []float32, largest float32, temperature float64) float64 {
	checkTemperature("ExpSum", temperature)
	var low, high, carry uint64
	for start := 0; start < len(z); start += exactBlock {
		low, carry = bits.Add64(low, exactSum(z[start:min(start+exactBlock, len(z))], float64(largest), temperature), 0)
		high += carry
	}
	return math.Ldexp(float64(high), 64-exactBits) + math.Ldexp(float64(low), -exactBits)
}

const (
	exactBits  = 52      // of the unit of ExpSum
	exactBlock = 1 << 10 // terms of at most 2^52 that an integer holds the sum of
)

func exactSum(z []float32, largest, temperature float64) uint64 {
	sum, done := exactSum32(z, largest, temperature)
	for _, v := range z[done:] {
		sum += uint64(math.RoundToEven(math.Ldexp(math.Exp((float64(v)-largest)/temperature), exactBits)))
	}
	return sum
}
