package kernel

import "math"

// Stat is what RowStats says of a row of logits, p being softmax(z/temperature). A row that has no softmax has NaN in every
// number, Argmax −1 and Rank 0; a row without a label, NaN in what needs one, and Rank 0.
type Stat struct {
	NLL        float64 // −log p of the label's class
	LSE        float64 // log Σ exp(z/temperature)
	Entropy    float64 // −Σ p·log p, in nats
	SumSquares float64 // Σ p²; the Brier score is 1 − 2·exp(−NLL) + Σ p²
	PMax       float64 // the largest p

	True, Largest, Least float64 // logits: the label's, the largest, the smallest finite one
	Margin               float64 // the label's logit less the largest of the others

	Argmax int32 // the class of the largest logit, the lowest on a tie
	Rank   int32 // of the label's class, 1 for the largest logit; on a tie the lower class comes first
}

// RowStats writes to out [N] what the rows of z [N,K] say of themselves and of their labels [N], which may be nil for none;
// an Ignored row has no label. Each row is read once. float32 on vector code: numbers within 1e-6 of float64's, or of 1 where
// they are larger, and the NLL with all the digits of float32 also where it is small. Panics on another label outside [0,K),
// and unless temperature is finite and above 0.
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

// RowVariances is RowStats at temperature 1 that also writes to variances [N] the variance of each row's logits under p, NaN where the
// row has no softmax. Each row is read once. On vector code a variance is within 1e-5 of itself, or
// of 1e-30. The caller's thread does it all.
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

// variance is the variance of a row's logits under p, r being its statistics at temperature 1. Sums from the largest logit on lose no
// digits to an offset that all share.
func variance(row []float32, r *Stat) float64 {
	if r.Argmax < 0 {
		return math.NaN()
	}
	var sum, first, second float64
	for _, z := range row {
		d := float64(z) - r.Largest
		if p := math.Exp(d); p > 0 { // else the logit may be −Inf
			sum, first, second = sum+p, first+p*d, second+p*d*d
		}
	}
	mean := first / sum
	return max(0, second/sum-mean*mean)
}

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

// rowStat is RowStats of a row. As in crossEntropy the true class is kept out of the sums over the others, whose terms are
// all positive.
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
		own = shifted(row[label], largest, temperature) // exact, where the quotients' difference loses a common offset
	}
	return order.with(sums, own)
}

// orderOf returns what needs comparisons alone.
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

// rowSums are sums over a row of e = exp(z/temperature − from).
type rowSums struct {
	others  float64 // Σ e but for the label's class
	own     float64 // that class's e, or 0
	top     float64 // the largest logit's e
	moment  float64 // −Σ e·log e over the others
	squares float64 // Σ e² over the others
	from    float64
}

// with adds what follows from sums; own is the label's z/temperature − from.
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

// withNLL is with where the logarithms are taken.
func (s Stat) withNLL(sums rowSums, logSum, nll float64) Stat {
	rate := 1 / (sums.others + sums.own)
	s.NLL, s.LSE = nll, sums.from+logSum
	s.Entropy = max(0, (sums.others*logSum+sums.moment)*rate) // rounding may leave less than nothing
	if sums.own > 0 {
		s.Entropy += sums.own * rate * nll
	}
	s.SumSquares = (sums.squares + sums.own*sums.own) * rate * rate
	s.PMax = sums.top * rate
	return s
}
