//go:build !noasm

package kernel

import "math"

// exponent turns a logit x into the power of two 2^((x·(high+low) − shift − shiftRest − ref)/8), by which exp((x − m)/T) is
// computed: ref is an integer, so that it shifts the result without rounding it, and shift has shiftBits bits behind the
// point, so that adding it to an integer rounds nothing either. What lies below floor gives 0.
type exponent struct{ high, low, floor, ref, shift, shiftRest float32 }

func (e *exponent) constants() *[6]float32 {
	return &[6]float32{e.high, e.low, e.floor, e.ref, e.shift, e.shiftRest}
}

const (
	eighths    = 8       // the unit of exponent: eighths of a power of two
	rowLanes   = 16      // rows are cut into whole vectors of the widest set, on both
	rowBlock   = 4096    // elements of a row that are read twice while they are in the nearest cache
	exponents  = 1 << 14 // above it, in powers of two, the fraction of an exponent has too few bits
	shiftBits  = 6
	underflow  = 200 // 2^-200 is 0 in float32, by far
	extremeLow = -1e30
)

// rowSum is Σ 2^(x·scale) over what was added, as sum·2^ref; ref is near the greatest of the exponents.
type rowSum struct {
	scale float64 // log2(e)/T
	ref   float64 // an integer
	e     exponent
	sum   float64
}

// newRowSum returns an empty sum. It is not ok for temperatures so extreme that float32 does not reach.
func newRowSum(temperature float64) (s rowSum, ok bool) {
	s.scale = math.Log2E / temperature
	s.e.high = float32(eighths * s.scale)
	s.e.low = float32(eighths*s.scale - float64(s.e.high))
	s.ref = math.Inf(-1)
	return s, active >= avx2 && temperature >= 1e-3 && temperature <= 1e3
}

// raise makes room for a logit x in the sum. It returns false for what has no place there: NaN, infinities, and logits so
// large that they need float64.
func (s *rowSum) raise(x float32) bool {
	exponent := float64(x) * s.scale
	if !(math.Abs(exponent) <= exponents) {
		return false
	}
	if ref := math.RoundToEven(exponent); ref > s.ref {
		if s.sum > 0 {
			s.sum = math.Ldexp(s.sum, int(s.ref-ref))
		}
		s.ref = ref
		s.e.ref = float32(eighths * ref)
		s.e.floor = float32((ref - underflow) / s.scale)
	}
	return true
}

// add adds logits to the sum. It returns false where the portable code must do the row.
func (s *rowSum) add(x []float32) bool {
	for len(x) >= rowLanes {
		n := min(len(x), rowBlock) &^ (rowLanes - 1)
		// Logits of −Inf alone may well come before others.
		if m := maxRow(&x[0], n); !s.raise(m) && !math.IsInf(float64(m), -1) {
			return false
		}
		if s.ref >= -exponents {
			s.sum += expSum(&x[0], n, &s.e)
		}
		x = x[n:]
	}
	if len(x) > 0 {
		tail := padded(x)
		return s.add(tail[:])
	}
	return true
}

// padded returns fewer elements than a vector holds as a whole one that adds nothing to a sum.
func padded(x []float32) (tail [rowLanes]float32) {
	for i := copy(tail[:], x); i < rowLanes; i++ {
		tail[i] = float32(math.Inf(-1))
	}
	return tail
}

// log2 returns the binary logarithm of the sum.
func (s *rowSum) log2() float64 { return math.Log2(s.sum) + s.ref }

// write writes 2^(x·scale − shift) of each logit to dst; shift is not far from what log2 returns.
func (s *rowSum) write(dst, x []float32, shift float64) {
	e, whole := s.e, math.RoundToEven(eighths*shift)
	e.ref = float32(whole)
	e.shift = float32(math.RoundToEven((eighths*shift-whole)*(1<<shiftBits)) / (1 << shiftBits))
	e.shiftRest = float32(eighths*shift - whole - float64(e.shift))
	n := len(x) &^ (rowLanes - 1)
	if n > 0 {
		expRow(&dst[0], &x[0], n, &e)
	}
	if n < len(x) {
		tail := padded(x[n:])
		expRow(&tail[0], &tail[0], rowLanes, &e)
		copy(dst[n:], tail[:])
	}
}

// softmax32 is Softmax of a row, false where the portable code must do it.
func softmax32(dst, row []float32, temperature float64) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row) || !(s.sum > 0) {
		return false
	}
	s.write(dst, row, s.log2())
	return true
}

// logSoftmax32 is LogSoftmax of a row, false where the portable code must do it.
func logSoftmax32(dst, row []float32, temperature float64) bool {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row) || !(s.sum > 0) {
		return false
	}
	lse := s.log2() * math.Ln2
	high, shift := float32(1/temperature), float32(lse)
	c := [5]float32{high, float32(1/temperature - float64(high)), shift, float32(lse - float64(shift)), extremeLow}
	n := len(row) &^ (rowLanes - 1)
	if n > 0 {
		affineRow(&dst[0], &row[0], n, &c)
	}
	if n < len(row) {
		tail := padded(row[n:])
		affineRow(&tail[0], &tail[0], rowLanes, &c)
		copy(dst[n:], tail[:])
	}
	return true
}

// logSumExp32 is LogSumExp of a row, false where the portable code must do it.
func logSumExp32(row []float32, temperature float64) (lse float32, ok bool) {
	s, ok := newRowSum(temperature)
	if !ok || !s.add(row) || !(s.sum > 0) {
		return 0, false
	}
	return float32(s.log2() * math.Ln2), true
}

// crossEntropy32 is CrossEntropy of a row, false where the portable code must do it. The true class is kept out of the sum
// of the others, so that neither a small loss nor a small gradient is a difference of numbers near 1.
func crossEntropy32(grad, row []float32, label int, scale float32) (nll float32, ok bool) {
	s, ok := newRowSum(1)
	own := row[label]
	if !ok || !(scale > 0x1p-100 && scale < 0x1p20) || !s.raise(own) || !s.add(row[:label]) || !s.add(row[label+1:]) {
		return 0, false
	}
	others := s.sum
	exponent := float64(own)*s.scale - s.ref
	s.sum += math.Exp2(exponent)
	if !(s.sum > 0) {
		return 0, false // NaN
	}
	if grad != nil {
		s.write(grad, row, s.log2()-math.Log2(float64(scale)))
		grad[label] = -float32(others / s.sum * float64(scale))
	}
	if ratio := others / s.sum; ratio < 0.5 {
		return float32(-math.Log1p(-ratio)), true
	}
	return float32((math.Log2(s.sum) - exponent) * math.Ln2), true
}

func maxRow(x *float32, n int) float32 {
	if active == avx512 {
		return maxRowAVX512(x, n)
	}
	return maxRowAVX2(x, n)
}

func expSum(x *float32, n int, e *exponent) float64 {
	if active == avx512 {
		return expSumAVX512(x, n, e.constants())
	}
	return expSumAVX2(x, n, e.constants())
}

func expRow(dst, x *float32, n int, e *exponent) {
	if active == avx512 {
		expRowAVX512(dst, x, n, e.constants())
	} else {
		expRowAVX2(dst, x, n, e.constants())
	}
}

func affineRow(dst, x *float32, n int, c *[5]float32) {
	if active == avx512 {
		affineRowAVX512(dst, x, n, c)
	} else {
		affineRowAVX2(dst, x, n, c)
	}
}
