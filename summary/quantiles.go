package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/loss"
)

// Sketch counts values by the 16 leading bits of their float32: sign, exponent and 7 bits of fraction. Quantiles of it are
// within 1/256 of the value, whatever its size, and two merge to just what one of both would be. It is DDSketch (C. Masson, J. Rim,
// H. Lee, VLDB 2019) with the interpolated logarithm that a float32 is, at the cost of a shift a value.
type Sketch struct {
	N      uint64
	counts []uint64 // [sketchBins], in rising order of values; nil while there is none
}

const sketchBins = 1 << 16

// Add counts v. Infinities have counts of their own; NaN must not be added.
func (s *Sketch) Add(v float32) {
	if s.counts == nil {
		s.counts = make([]uint64, sketchBins)
	}
	s.N++
	s.counts[rising(v)>>16]++
}

// rising maps floats to integers of the same order.
func rising(v float32) uint32 {
	bits := math.Float32bits(v)
	if bits>>31 != 0 {
		return ^bits
	}
	return bits | 1<<31
}

func falling(key uint32) float64 {
	if key>>31 != 0 {
		return float64(math.Float32frombits(key &^ (1 << 31)))
	}
	return float64(math.Float32frombits(^key))
}

// Merge takes other's values in.
func (s *Sketch) Merge(other *Sketch) {
	s.N += other.N
	if other.counts == nil {
		return
	}
	if s.counts == nil {
		s.counts = make([]uint64, sketchBins)
	}
	for i, n := range other.counts {
		s.counts[i] += n
	}
}

// Quantile returns the value that a share q of the values are at most, the lower one where two are as good; NaN where there is
// none.
func (s *Sketch) Quantile(q float64) float64 {
	if s.N == 0 {
		return math.NaN()
	}
	rank, seen := uint64(math.Max(math.Ceil(q*float64(s.N)), 1)), uint64(0)
	for i, n := range s.counts {
		if seen += n; seen >= rank {
			first, last := falling(uint32(i)<<16), falling(uint32(i)<<16|0xffff)
			if math.IsInf(first, 0) || math.IsNaN(last) && i > sketchBins/2 {
				return first
			}
			if math.IsInf(last, 0) || math.IsNaN(first) {
				return last
			}
			return (first + last) / 2
		}
	}
	return math.NaN()
}

// Quantiles are sketches of the raw logits and of log p, of the true class and of the other classes. p and NLL rise and fall with
// log p, so that their quantiles are exp(LogP) at q and −LogP at 1−q.
type Quantiles struct{ ZTrue, ZOther, LogPTrue, LogPOther Sketch }

// Add takes the rows of b in.
func (s *Quantiles) Add(b Batch) {
	b.blocks(func(rows Batch) {
		k := rows.Columns
		logP := make([]float32, len(rows.Logits))
		kernel.LogSoftmax(logP, rows.Logits, k, b.temperature())
		for i, label := range rows.Labels {
			row := logP[i*k : (i+1)*k]
			if label == loss.Ignored || row[0] != row[0] {
				continue
			}
			for j, z := range rows.Logits[i*k : (i+1)*k] {
				if j == int(label) {
					s.ZTrue.Add(z)
					s.LogPTrue.Add(row[j])
				} else {
					s.ZOther.Add(z)
					s.LogPOther.Add(row[j])
				}
			}
		}
	})
}

// Merge takes other's rows in.
func (s *Quantiles) Merge(other *Quantiles) {
	s.ZTrue.Merge(&other.ZTrue)
	s.ZOther.Merge(&other.ZOther)
	s.LogPTrue.Merge(&other.LogPTrue)
	s.LogPOther.Merge(&other.LogPOther)
}
