package analysis

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/summary"
)

// Scale is what the values of a matrix are.
type Scale string

// The scales of values.
const (
	Logits   Scale = "logits"
	Probs    Scale = "probs"
	LogProbs Scale = "logprobs"
)

// What float16 leaves of a sum of 1.
const sumTolerance = 2e-3

// LooksLike tells what the values of all rows look like: probabilities, where every row lies in [0,1] and sums to 1; their
// logarithms, where the exponentials do; else logits. It looks at every row that holds no NaN, because a few rows of logits may
// well look like either. One column of numbers tells less: those of both sides of 1/2 and none outside of [0,1] look like
// probabilities once there are many.
func LooksLike(b summary.Batch) Scale {
	const many = 32
	if b.Columns == 1 {
		above, below := 0, 0
		for _, v := range b.Logits {
			switch {
			case v < 0 || v > 1:
				return Logits
			case v > 0.5:
				above++
			case v < 0.5:
				below++
			}
		}
		if above > 0 && below > 0 && above+below >= many {
			return Probs
		}
		return Logits
	}
	probs, logProbs, rows := true, true, 0
	for i := 0; i < len(b.Labels) && (probs || logProbs); i++ {
		row := b.Logits[i*b.Columns : (i+1)*b.Columns]
		sum, exponentials, least, most := 0.0, 0.0, row[0], row[0]
		for _, v := range row {
			least, most = min(least, v), max(most, v)
			sum += float64(v)
			if logProbs {
				exponentials += math.Exp(float64(v))
			}
		}
		if sum != sum {
			continue
		}
		rows++
		probs = probs && least >= 0 && most <= 1+sumTolerance && math.Abs(sum-1) <= sumTolerance
		logProbs = logProbs && most <= sumTolerance && math.Abs(exponentials-1) <= sumTolerance
	}
	switch {
	case rows == 0:
		return Logits
	case probs:
		return Probs
	case logProbs:
		return LogProbs
	}
	return Logits
}

// AsLogits returns the values of b, which are of a scale, as logits: log p, whose softmax is p. One column of probabilities of
// class 1 gives log p − log(1−p). An error names the row that is of another kind.
func AsLogits(b summary.Batch, scale Scale) (summary.Batch, error) {
	if scale == Logits {
		return b, nil
	}
	out := make([]float32, len(b.Logits))
	for i := range b.Labels {
		sum := 0.0
		for j := i * b.Columns; j < (i+1)*b.Columns; j++ {
			v := float64(b.Logits[j])
			p, logP := v, math.Log(v)
			if scale == LogProbs {
				p, logP = math.Exp(v), v
			}
			if p < 0 || p > 1+sumTolerance {
				return b, fmt.Errorf("row %d holds %v: it is not of kind %s", i, v, scale)
			}
			if sum += p; b.Columns == 1 {
				logP -= math.Log1p(-min(p, 1))
			}
			out[j] = float32(logP)
		}
		if b.Columns > 1 && math.Abs(sum-1) > sumTolerance {
			return b, fmt.Errorf("row %d has probabilities that sum to %.6g: it is not of kind %s", i, sum, scale)
		}
	}
	b.Logits = out
	return b, nil
}
