package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/spare"
	"github.com/logitscope/logitscope/loss"
)

// Sketch counts values by the 16 leading bits of their float32: sign, exponent and 7 bits of fraction. Quantiles of it are
// within 1/256 of the value, whatever its size, and two merge to just what one of both would be. It is DDSketch (C. Masson, J. Rim,
// H. Lee, VLDB 2019) with the interpolated logarithm that a float32 is, at the cost of a shift a value.
type Sketch struct {
	N      uint64
	counts []uint64 // [sketchBins], by the leading bits; nil while there is none
}

const sketchBins = 1 << 16

// Add counts v. Infinities have counts of their own; NaN must not be added.
func (s *Sketch) Add(v float32) {
	s.N++
	s.table()[math.Float32bits(v)>>16]++
}

// addAllBut counts values but for the one at a place.
func (s *Sketch) addAllBut(place int, values []float32) {
	counts := s.table()
	for _, v := range values {
		counts[math.Float32bits(v)>>16]++
	}
	counts[math.Float32bits(values[place])>>16]--
	s.N += uint64(len(values) - 1)
}

// table returns the counts. Their number is known to the compiler: no place is out of range.
func (s *Sketch) table() *[sketchBins]uint64 {
	if s.counts == nil {
		s.counts = make([]uint64, sketchBins)
	}
	return (*[sketchBins]uint64)(s.counts)
}

// binOf returns the leading bits of the floats that are at the given place in rising order: negative ones first, the largest ahead.
func binOf(place int) uint32 {
	if place < sketchBins/2 {
		return uint32(sketchBins - 1 - place)
	}
	return uint32(place - sketchBins/2)
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
	for i := range s.counts {
		bits := binOf(i)
		if seen += s.counts[bits]; seen >= rank {
			// The values of a bin are from the first to the last, in size.
			first, last := float64(math.Float32frombits(bits<<16)), float64(math.Float32frombits(bits<<16|0xffff))
			if math.IsInf(first, 0) {
				return first
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
	room := take(spareLogP, max(blockLogits, b.Classes()))
	defer spare.Give(spareLogP, room)
	b.blocks(func(rows Batch) { s.addBlock(rows, *room) })
}

// addBlock takes rows in; logP has room for as many values.
func (s *Quantiles) addBlock(rows Batch, logP []float32) {
	k := rows.Columns
	logP = logP[:len(rows.Logits)]
	kernel.LogSoftmax(logP, rows.Logits, k, rows.temperature())
	for i, label := range rows.Labels {
		row := logP[i*k : (i+1)*k]
		if label == loss.Ignored || row[0] != row[0] {
			continue
		}
		z := rows.row(i)
		s.ZTrue.Add(z[label])
		s.ZOther.addAllBut(int(label), z)
		s.LogPTrue.Add(row[label])
		s.LogPOther.addAllBut(int(label), row)
	}
}

// Merge takes other's rows in.
func (s *Quantiles) Merge(other *Quantiles) {
	s.ZTrue.Merge(&other.ZTrue)
	s.ZOther.Merge(&other.ZOther)
	s.LogPTrue.Merge(&other.LogPTrue)
	s.LogPOther.Merge(&other.LogPOther)
}
