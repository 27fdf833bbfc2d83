package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Classes are ranked by their log-odds against the rest, log p − log(1−p): the order of p, but p in float64 is 1 from log-odds of 37
// on, and 0 below −745. A key is a number of the same order that costs no logarithm a class: of K > 2 classes it is log p, which
// keeps apart what is near 0 and, taken from the sum of the others, what is near 1.

// key is that of a class with logit z in a row whose largest logit is largest; logSum is what the function of that name says, NaN for
// a row that takes no part.
func key(z, largest, scale, logSum float64) float64 {
	v := (z - largest) * scale
	if !(logSum <= 0) {
		v -= logSum
	} else if z == largest {
		v = -logSum
	}
	switch {
	case v < -beyond:
		return -beyond
	case v > beyond:
		return beyond
	}
	return v
}

// beyond stands for infinite log-odds: a class that is masked, and one whose others all are.
const beyond = 0x1p1000

// ranker finds logSum of one row after the other.
type ranker[T kernel.Float] struct{ others []T }

// logSum returns log Σ exp((z − largest)/temperature) of a row of which class top has the largest logit. Where its p leaves so little
// that float64 holds no log p but 0, it returns how sure the row is instead, as a number that is not above 0: less for more. Of
// two classes that is always so, and the number is their difference, which no temperature changes the order of. sum is Σ exp.
func (r *ranker[T]) logSum(z []T, top int, sum, temperature float64) float64 {
	if len(z) == 2 {
		return -math.Abs(float64(z[0]) - float64(z[1]))
	}
	const unsure = 0x1p-16 // a class, of a sum of terms of 2^-52
	if sum-1 >= unsure*float64(len(z)) {
		return math.Log(sum)
	}
	// The others have next to nothing: they are summed by themselves.
	r.others = append(append(r.others[:0], z[:top]...), z[top+1:]...)
	second := r.others[0]
	for _, v := range r.others[1:] {
		if v > second {
			second = v
		}
	}
	if math.IsInf(float64(second), -1) {
		return -beyond
	}
	lead := (float64(z[top]) - float64(second)) / temperature
	const farthest = 690 // log-odds, of which the others' sum is still far from the least float64
	odds := lead - math.Log(kernel.ExpSum(r.others, second, temperature))
	if odds >= farthest+1 {
		return farthest - odds
	}
	return math.Log1p(math.Exp(-odds))
}

// certainty tells rows apart whose class top was given p = 1: the less the others were given, the more. It is 0 where p < 1.
func certainty(logP []float64, top int) float64 {
	if logP[top] < 0 {
		return 0
	}
	others := 0.0
	for j, v := range logP {
		if j != top {
			others += math.Exp(v)
		}
	}
	return min(max(-math.Log(others), 0), beyond)
}

// LogOdds writes to dst [K] the log-odds of each class of a row of logits z [K] against the rest: z_j less the LSE of the others, infinite
// for a masked class and for one whose others all are. One column is its own. NaN where there is no softmax.
func LogOdds(dst, z []float64) {
	best := 0
	for j, v := range z {
		if v > z[best] || z[best] != z[best] {
			best = j
		}
	}
	largest := z[best]
	if math.IsInf(largest, 0) || math.IsNaN(largest) {
		fill(dst, math.NaN())
		return
	}
	switch len(z) {
	case 1:
		dst[0] = largest
		return
	case 2: // exact, where a logarithm is not
		dst[0], dst[1] = z[0]-z[1], z[1]-z[0]
		return
	}
	// The sum of all but the largest, and the largest, apart: p near 1 keeps its complement.
	second := math.Inf(-1)
	for j, v := range z {
		if j != best {
			second = max(second, v)
		}
	}
	if math.IsInf(second, -1) {
		fill(dst, second)
		dst[best] = math.Inf(1)
		return
	}
	others := 0.0 // Σ exp(z − second)
	for j, v := range z {
		if j != best {
			others += math.Exp(v - second)
		}
	}
	if math.IsNaN(others) {
		fill(dst, math.NaN())
		return
	}
	share := others * math.Exp(second-largest) // of them beside the largest's 1
	for j, v := range z {
		x := v - largest
		dst[j] = x - math.Log(1+max(share-math.Exp(x), 0))
	}
	dst[best] = largest - second - math.Log(others)
}

func fill(dst []float64, v float64) {
	for j := range dst {
		dst[j] = v
	}
}
