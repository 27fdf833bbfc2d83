package kernel

import "math"

// weigh32 writes weights in proportion to exp(z/temperature) of the logits of a row, false where the portable code must.
func weigh32(weights, row []float32, largest float32, temperature float64) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.raise(largest) {
		return false
	}
	s.write(weights, row, bias, false) // with the bias, so that small ones are normal numbers
	return true
}

// above32 returns the sum of the weights and the number of the logits that are not t or below it, the least of these and the
// greatest of the others, of as many as fill whole vectors.
func above32(x, weights []float32, t float32) (weight float64, count int, least, greatest float32, done int) {
	done = active.wholeRow(len(x))
	if done == 0 {
		return 0, 0, float32(math.Inf(1)), float32(math.Inf(-1)), 0
	}
	weight, n, least, greatest := active.aboveRow(&x[0], &weights[0], done, t)
	return weight, int(n), least, greatest, done
}

// largest32 returns the largest logit of a row; NaN are passed over.
func largest32(row []float32) (largest float32, ok bool) {
	n := active.wholeRow(len(row))
	if n == 0 {
		return 0, false
	}
	largest = active.maxRow(&row[0], n)
	for _, v := range row[n:] {
		if v > largest {
			largest = v
		}
	}
	return largest, true
}

// find32 returns the place of the first element that is v, and whether it is among those that fill whole vectors; else how many
// these are.
func find32(x []float32, v float32) (at int, found bool) {
	n := active.wholeRow(len(x))
	if n == 0 {
		return 0, false
	}
	at = active.findRow(&x[0], n, v)
	return at, at < n
}
