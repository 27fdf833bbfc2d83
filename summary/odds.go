package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
)

// A Ranking orders rows by the log-odds of a class against the rest, log p − log(1−p). That is the order of p, but p in float64 is 1 for
// log-odds of 37 and more, and 0 below −745, where log-odds still differ. In place of the log-odds, rows are compared by a key: a number
// of the same order that takes no logarithm for each class. For K > 2 classes the key is log p, worked out from the sum of the other
// classes where p is near 1; from log-odds of 691 on, where log p would round to 0, it is the log-odds less 690. For two classes it is
// the difference of the two logits.

// key returns the key of a class with logit z, in a row whose largest logit is largest. scale is 1/temperature, or 1 for two classes.
// logSum is what logSummer.logSum returns for the row. It may be NaN, for a row that takes no part; then the key is NaN.
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

// beyond stands for infinite log-odds: −beyond for a class that is masked, beyond for a class of which all others are masked.
const beyond = 0x1p1000

// logSummer works out logSum of one row after the other, in memory that it keeps.
type logSummer[T kernel.Float] struct{ others []T }

// logSum returns log Σ exp((z − largest)/temperature) of a row z [K] in which class top has the largest logit; sum is the Σ exp.
//
// In two cases it returns minus the key of class top instead, which is not above 0: where the log-odds of class top are 691 or more, and
// for two classes, where it is −|z₀ − z₁|. No temperature changes the order of those.
func (r *logSummer[T]) logSum(z []T, top int, sum, temperature float64) float64 {
	if len(z) == 2 {
		return -math.Abs(float64(z[0]) - float64(z[1]))
	}
	// The sum has a relative error of about 2^-52 a term. Where the other classes add more than this for each class, the logarithm of
	// the sum is exact enough.
	const unsure = 0x1p-16
	if sum-1 >= unsure*float64(len(z)) {
		return math.Log(sum)
	}
	// The other classes add little beside the 1 of class top, and are summed apart from it.
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
	const farthest = 690 // for these log-odds exp(−odds) is still far above the smallest float64
	odds := lead - math.Log(kernel.ExpSum(r.others, second, temperature))
	if odds >= farthest+1 {
		return farthest - odds
	}
	return math.Log1p(math.Exp(-odds))
}

// certainty tells rows apart in which class top was given the probability 1. It returns −log of the sum of the other classes'
// probabilities, at most beyond, and 0 for a row in which class top has less than 1. logP [K] are the logarithms that were given.
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

// LogOdds writes to dst [K] the log-odds of each class of a row of logits z [K] against the rest, log p_j − log(1−p_j), which is z_j less
// the LSE of the other classes. It is −Inf for a masked class, and +Inf for a class of which all others are masked. The single logit of a
// binary head is its own log-odds. Of a row that has no softmax all are NaN.
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
	case 2: // a difference is exact, a logarithm is not
		dst[0], dst[1] = z[0]-z[1], z[1]-z[0]
		return
	}
	// The largest is kept apart from the sum of the others, so that 1−p keeps its digits where p is near 1.
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
	share := others * math.Exp(second-largest) // Σ exp(z − largest) over the others; the largest adds 1
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
