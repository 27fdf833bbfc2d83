package kernel

import (
	"math"
	"unsafe"
)

// constants returns e as the vector code reads it.
func (e *exponent) constants() *[4]float32 {
	return onStack(&[4]float32{e.high, e.low, e.floor, e.magic})
}

// rowSum is a sum of exp(x/T) over logits x, held as sum·2^ref. ref is near the greatest exponent, so that the sum neither overflows nor vanishes.
type rowSum struct {
	scale float64  // log2(e)/T, by which exp(x/T) is 2^(x·scale)
	ref   float64  // an integer, or −Inf while nothing was added
	e     exponent // ref and scale for the vector code
	sum   float64
}

// newRowSum returns an empty sum. It is not ok where there is no vector code, and where the temperature is not in [0.001, 1000], for which float32
// does not suffice.
func newRowSum(temperature float64) (s rowSum, ok bool) {
	s.scale = math.Log2E / temperature
	s.e.high = float32(eighths * s.scale)
	s.e.low = float32(eighths*s.scale - float64(s.e.high))
	s.ref = math.Inf(-1)
	return s, active.lanes > 0 && temperature >= 1e-3 && temperature <= 1e3
}

// raise raises ref where a logit x needs it, so that x can be added. It returns false for what cannot be added: NaN, infinities, and logits so
// large that they need float64.
func (s *rowSum) raise(x float32) bool {
	exponent := float64(x) * s.scale
	if !(math.Abs(exponent) <= exponents) {
		return false
	}
	if ref := math.Floor(exponent); ref > s.ref {
		if s.sum > 0 {
			s.sum = math.Ldexp(s.sum, int(s.ref-ref))
		}
		s.ref = ref
		s.e.magic = float32(0x1.8p23 - eighths*ref)
		s.e.floor = float32((ref - underflow) / s.scale)
	}
	return true
}

// nothing holds logits of −Inf, which add nothing to a sum. It fills up vectors.
var nothing = func() (x [2 * rowLanes]float32) {
	for i := range x {
		x[i] = float32(math.Inf(-1))
	}
	return x
}()

// add adds the logits of a row to the sum, except for the label's. A label below 0 leaves out none. It returns false where the portable code must
// do the row.
func (s *rowSum) add(row []float32, label int) bool {
	here := nothing
	ends := onStack(&here) // two vectors that are added last: the row's end, which does not fill one, and the vector that had the label
	whole := len(row) &^ (rowLanes - 1)
	tail := ends[:copy(ends[:rowLanes], row[whole:])]
	at := whole
	if label >= 0 && label < whole {
		at = label &^ (rowLanes - 1)
		copy(ends[rowLanes:], row[at:at+rowLanes])
		ends[rowLanes+label-at] = float32(math.Inf(-1))
	} else if label >= whole {
		tail[label-whole] = float32(math.Inf(-1))
	}
	for start, end := 0, 0; start < whole; start = end {
		end = min(start+rowBlock, whole)
		// A block of nothing but −Inf is fine, since other blocks may follow.
		if m := active.maxRow(&row[start], end-start); !s.raise(m) && !math.IsInf(float64(m), -1) {
			return false
		}
		if s.ref < -exponents {
			if !masked(row[start:end]) {
				return false
			}
			continue
		}
		if at >= start && at < end {
			s.sum += s.e.sum(row[start:at])
			start = at + rowLanes
		}
		s.sum += s.e.sum(row[start:end])
	}
	if m := active.maxRow(&ends[0], len(ends)); !s.raise(m) && !math.IsInf(float64(m), -1) {
		return false
	}
	if s.ref < -exponents {
		return false // the row holds nothing but −Inf and NaN
	}
	s.sum += s.e.sum(ends[:])
	return true
}

// masked reports whether all logits are −Inf. maxRow returns −Inf for NaN too.
func masked(x []float32) bool {
	for _, v := range x {
		if v >= -math.MaxFloat32 || v != v {
			return false
		}
	}
	return true
}

// sum returns the sum of the powers of logits that fill whole vectors.
func (e *exponent) sum(x []float32) float64 {
	if len(x) == 0 {
		return 0
	}
	return active.expSum(&x[0], len(x), e.constants()) / bias
}

// log2 returns the binary logarithm of the sum.
func (s *rowSum) log2() float64 { return math.Log2(s.sum) + s.ref }

// write writes 2^(x·scale − ref)·factor of each logit x to dst. Where stream is set it writes past the caches.
func (s *rowSum) write(dst, x []float32, factor float64, stream bool) {
	high := float32(factor / bias)
	f := onStack(&[2]float32{high, float32(factor/bias - float64(high))})
	if past := int(-uintptr(unsafe.Pointer(&dst[0])) % (4 * rowLanes) / 4); stream && past < len(x) {
		s.e.writePart(dst[:past], x[:past], f)
		dst, x = dst[past:], x[past:]
		n := len(x) &^ (rowLanes - 1)
		if n > 0 {
			active.expRowStream(&dst[0], &x[0], n, s.e.constants(), f)
		}
		dst, x = dst[n:], x[n:]
	}
	n := len(x) &^ (rowLanes - 1)
	if n > 0 {
		active.expRow(&dst[0], &x[0], n, s.e.constants(), f)
	}
	s.e.writePart(dst[n:], x[n:], f)
}

// writePart does what write does for fewer logits than a vector holds.
func (e *exponent) writePart(dst, x []float32, factor *[2]float32) {
	if len(x) == 0 {
		return
	}
	var vector [rowLanes]float32
	end := onStack(&vector)
	copy(end[copy(end[:], x):], nothing[:])
	active.expRow(&end[0], &end[0], rowLanes, e.constants(), factor)
	copy(dst, end[:])
}

// softmax32 is Softmax of a row. It returns false where the portable code must do the row.
func softmax32(dst, row []float32, temperature float64, stream bool) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row, -1) || !(s.sum > 0) {
		return false
	}
	s.write(dst, row, 1/s.sum, stream)
	return true
}

// logSoftmax32 is LogSoftmax of a row. It returns false where the portable code must do the row.
func logSoftmax32(dst, row []float32, temperature float64) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row, -1) || !(s.sum > 0) {
		return false
	}
	lse := s.log2() * math.Ln2
	high, shift := float32(1/temperature), float32(lse)
	c := onStack(&[5]float32{high, float32(1/temperature - float64(high)), extremeLow, shift, float32(lse - float64(shift))})
	n := len(row) &^ (rowLanes - 1)
	if n > 0 {
		active.affineRow(&dst[0], &row[0], n, c)
	}
	if n < len(row) {
		last := nothing
		tail := onStack(&last)
		copy(tail[:], row[n:])
		active.affineRow(&tail[0], &tail[0], rowLanes, c)
		copy(dst[n:], tail[:rowLanes])
	}
	return true
}

// logSumExp32 is LogSumExp of a row. It is not ok where the portable code must do the row.
func logSumExp32(row []float32, temperature float64) (lse float32, ok bool) {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row, -1) || !(s.sum > 0) {
		return 0, false
	}
	return float32(s.log2() * math.Ln2), true
}

// crossEntropy32 is CrossEntropy of a row. It is not ok where the portable code must do the row. The label's class is kept out of the sum over the
// others, so that neither a small NLL nor a small gradient is a difference of numbers near 1.
func crossEntropy32(grad, row []float32, label int, scale float32, stream bool) (nll float32, ok bool) {
	s, ok := newRowSum(1)
	own := row[label]
	if !ok || !(scale > 0x1p-40 && scale < 0x1p20) || !s.raise(own) || !s.add(row, label) {
		return 0, false
	}
	others := s.sum
	exponent := float64(own)*s.scale - s.ref
	s.sum += math.Exp2(exponent)
	if !(s.sum > 0) {
		return 0, false // NaN
	}
	if grad != nil {
		s.write(grad, row, float64(scale)/s.sum, stream)
		grad[label] = -float32(others / s.sum * float64(scale))
	}
	if ratio := others / s.sum; ratio < 0.5 {
		return float32(-math.Log1p(-ratio)), true
	}
	return float32((math.Log2(s.sum) - exponent) * math.Ln2), true
}

// noneAbove reports whether it found that none of the logits x, which fill whole vectors, is above a value. False says nothing.
func noneAbove(x []float32, value float32) bool {
	return active.lanes > 0 && active.maxRow(&x[0], len(x)) <= value
}
