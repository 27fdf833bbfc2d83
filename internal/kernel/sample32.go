package kernel

import "math"

// weigh32 writes weights in proportion to exp(z/temperature) of the logits z of a row. It returns false where the portable code must do it.
func weigh32(weights, row []float32, largest float32, temperature float64) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.raise(largest) {
		return false
	}
	s.write(weights, row, bias, false) // times bias, so that small weights are normal numbers
	return true
}

// above32 looks at the done first logits of x, which fill whole vectors. Of those that are not at most t it returns the sum of their weights, their
// number and the least of them, and of the others the greatest.
func above32(x, weights []float32, t float32) (weight float64, count int, least, greatest float32, done int) {
	done = active.wholeRow(len(x))
	if done == 0 {
		return 0, 0, float32(math.Inf(1)), float32(math.Inf(-1)), 0
	}
	weight, n, least, greatest := active.aboveRow(&x[0], &weights[0], done, t)
	return weight, int(n), least, greatest, done
}

// largest32 returns the largest logit of a row, and passes over NaN. It is not ok where there is no vector code, or the row is short.
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

// find32 looks for the first element that is v among those that fill whole vectors. It returns its place or, where it is not found, the number of
// elements that were looked at.
func find32(x []float32, v float32) (at int, found bool) {
	n := active.wholeRow(len(x))
	if n == 0 {
		return 0, false
	}
	at = active.findRow(&x[0], n, v)
	return at, at < n
}
