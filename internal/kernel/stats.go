package kernel

import "math"

// Stat has the statistics of a row of logits z, where p is softmax(z/temperature). For a row that has no softmax every number is NaN, Argmax is −1
// and Rank 0. For a row without a label what needs one is NaN, and Rank is 0.
type Stat struct {
	NLL        float64 // −log p of the label's class
	LSE        float64 // log Σ exp(z/temperature)
	Entropy    float64 // −Σ p·log p, in nats
	SumSquares float64 // Σ p²; the Brier score is 1 − 2·exp(−NLL) + Σ p²
	PMax       float64 // the largest p

	True, Largest, Least float64 // three logits: the label's, the largest and the least that is finite
	Margin               float64 // the label's logit minus the largest logit of the other classes

	Argmax int32 // the class of the largest logit, the lowest on a tie
	Rank   int32 // the rank of the label's class, 1 for the largest logit; on a tie the lower class comes first
}

// RowStats writes the statistics of each row of z [N,K] to out [N]. labels [N] may be nil, and an Ignored row has no label. Each row is read once.
// The vector code's numbers are within 1e-6 of those of float64, in absolute terms for numbers below 1 and else relative to them; an NLL
// has all digits of float32 however small it is. It panics on a label that is neither Ignored nor in [0,K), and unless temperature is
// finite and above 0.
func RowStats[T Float](out []Stat, z []T, k int, labels []int32, temperature float64) {
	n := rowsOf("RowStats", z, k)
	checkLen("RowStats", "out", len(out), n)
	if labels != nil {
		checkLen("RowStats", "labels", len(labels), n)
	}
	checkTemperature("RowStats", temperature)
	checkLabels("RowStats", labels, k)
	if r := sharedRows(z, k); r != nil {
		r.do, r.stats, r.labels, r.temperature = rowStatsPart, out, labels, temperature
		r.run()
		return
	}
	rowStats(out, z, k, labels, temperature)
}

// RowVariances does what RowStats does at temperature 1, and writes to variances [N] the variance of each row's logits under p, NaN where the row
// has no softmax. Each row is read once. A variance by vector code has a relative error of at most 1e-5, or an error of at most 1e-30. All is
// done by the caller's thread.
func RowVariances(out []Stat, variances []float64, z []float32, k int, labels []int32) {
	n := rowsOf("RowVariances", z, k)
	checkLen("RowVariances", "out", len(out), n)
	checkLen("RowVariances", "variances", len(variances), n)
	checkLen("RowVariances", "labels", len(labels), n)
	checkLabels("RowVariances", labels, k)
	if rowStatsAcross(out, variances, z, k, labels, 1) || rowStatsAlong(out, variances, z, k, labels, 1) {
		return
	}
	for i := range out {
		row := z[i*k : (i+1)*k]
		out[i] = rowStat(row, int(labels[i]), 1)
		variances[i] = variance(row, &out[i])
	}
}

// variance returns the variance of a row's logits under p, by the portable code. r has the row's statistics at temperature 1. Distances from the
// largest logit are summed, so that an offset that all logits share costs no digits.
func variance(row []float32, r *Stat) float64 {
	if r.Argmax < 0 {
		return math.NaN()
	}
	var sum, first, second float64
	for _, z := range row {
		d := float64(z) - r.Largest
		if p := math.Exp(d); p > 0 { // where p is 0, d may be −Inf, and p·d NaN
			sum, first, second = sum+p, first+p*d, second+p*d*d
		}
	}
	mean := first / sum
	return max(0, second/sum-mean*mean)
}

// rowStats is RowStats by the caller's thread.
func rowStats[T Float](out []Stat, z []T, k int, labels []int32, temperature float64) {
	if z32, ok := any(z).([]float32); ok && (rowStatsAcross(out, nil, z32, k, labels, temperature) || rowStatsAlong(out, nil, z32, k, labels, temperature)) {
		return
	}
	for i := range out {
		label := Ignored
		if labels != nil {
			label = int(labels[i])
		}
		out[i] = rowStat(z[i*k:(i+1)*k], label, temperature)
	}
}

// rowStat is RowStats of a row, by the portable code. As in crossEntropy the label's class is kept out of the sums over the others, so that
// all their terms have one sign.
func rowStat[T Float](row []T, label int, temperature float64) Stat {
	order := orderOf(row, label)
	largest := T(order.Largest)
	sums := rowSums{from: order.Largest / temperature, top: 1}
	for j, v := range row {
		x := shifted(v, largest, temperature)
		e := math.Exp(x)
		if j == label {
			sums.own = e
			continue
		}
		sums.others += e
		if e > 0 {
			sums.moment -= e * x
			sums.squares += e * e
		}
	}
	own := math.NaN()
	if label >= 0 {
		own = shifted(row[label], largest, temperature) // a difference of quotients would lose digits to an offset that the logits share
	}
	return order.with(sums, own)
}

// orderOf returns the statistics that follow from comparisons alone, with the others unset.
func orderOf[T Float](row []T, label int) Stat {
	s := Stat{Largest: float64(greatest(row)), Least: math.NaN(), True: math.NaN(), Margin: math.NaN(), Argmax: -1}
	least, other := math.Inf(1), math.Inf(-1)
	for j, v := range row {
		z := float64(v)
		if s.Argmax < 0 && z == s.Largest {
			s.Argmax = int32(j)
		}
		if z < least && z >= -maxFloat64 {
			least = z
		}
		if j != label && z > other {
			other = z
		}
	}
	if least <= maxFloat64 {
		s.Least = least
	}
	if label >= 0 {
		own := row[label]
		s.True, s.Margin, s.Rank = float64(own), float64(own)-other, 1
		for j, v := range row {
			if v > own || v == own && j < label {
				s.Rank++
			}
		}
	}
	return s
}

// rowSums are sums over a row of e = exp(z/temperature − from). The others are all classes but the label's.
type rowSums struct {
	others  float64 // Σ e over the others
	own     float64 // the label's e, 0 without a label
	top     float64 // the largest logit's e
	moment  float64 // −Σ e·log e over the others
	squares float64 // Σ e² over the others
	from    float64
}

// with returns s with the statistics that follow from sums. own is the label's z/temperature − from.
func (s Stat) with(sums rowSums, own float64) Stat {
	sum := sums.others + sums.own
	if !(sum > 0 && sum <= maxFloat64) {
		nan := math.NaN()
		return Stat{nan, nan, nan, nan, nan, nan, nan, nan, nan, -1, 0}
	}
	logSum, nll := math.Log(sum), math.NaN()
	if s.Rank > 0 {
		if ratio := sums.others / sum; ratio < 0.5 {
			nll = -math.Log1p(-ratio)
		} else {
			nll = logSum - own
		}
	}
	return s.withNLL(sums, logSum, nll)
}

// withNLL does what with does, where logSum, the logarithm of all e, and the NLL are known.
func (s Stat) withNLL(sums rowSums, logSum, nll float64) Stat {
	rate := 1 / (sums.others + sums.own)
	s.NLL, s.LSE = nll, sums.from+logSum
	s.Entropy = max(0, (sums.others*logSum+sums.moment)*rate) // rounding may give a number below 0
	if sums.own > 0 {
		s.Entropy += sums.own * rate * nll
	}
	s.SumSquares = (sums.squares + sums.own*sums.own) * rate * rate
	s.PMax = sums.top * rate
	return s
}
