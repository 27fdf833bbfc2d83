//go:build !noasm

package kernel

import "slices"

// The vector routines below take the elements that fill whole vectors and return how many they did; the portable loops,
// which are their definition, do the rest.

const (
	wholeAVX512 = ^15
	wholeAVX2   = ^7
)

func adam32(w, grad, m, v []float32, constants *[9]float32) int {
	n := len(w)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		adamAVX512(&w[0], &grad[0], &m[0], &v[0], n, constants)
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		adamAVX2(&w[0], &grad[0], &m[0], &v[0], n, constants)
	default:
		return 0
	}
	return n
}

func relu32(dst, x []float32) int {
	n := len(x)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		reluAVX512(&dst[0], &x[0], n)
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		reluAVX2(&dst[0], &x[0], n)
	default:
		return 0
	}
	return n
}

// gelu32 writes y·Φ(x), or with slope y·(Φ(x) + x·φ(x)); false where there is no vector code. What does not fill a vector is done
// by one aside, so that an element's bits do not depend on where it lies.
func gelu32(dst, y, x []float32, slope bool) bool {
	if active == portable {
		return false
	}
	n := len(x) & wholeAVX512
	if n > 0 {
		geluVectors(&dst[0], &y[0], &x[0], n, slope)
	}
	if n < len(x) {
		var endY, endX [16]float32
		copy(endY[:], y[n:])
		copy(endX[:], x[n:])
		geluVectors(&endY[0], &endY[0], &endX[0], 16, slope)
		copy(dst[n:], endY[:])
	}
	return true
}

func geluVectors(dst, y, x *float32, n int, slope bool) {
	switch {
	case active == avx512 && slope:
		geluSlopeAVX512(dst, y, x, n)
	case active == avx512:
		geluAVX512(dst, y, x, n)
	case slope:
		geluSlopeAVX2(dst, y, x, n)
	default:
		geluAVX2(dst, y, x, n)
	}
}

func reluBackward32(dx, dy, y []float32) int {
	n := len(y)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		reluBackwardAVX512(&dx[0], &dy[0], &y[0], n)
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		reluBackwardAVX2(&dx[0], &dy[0], &y[0], n)
	default:
		return 0
	}
	return n
}

func addRow32(dst, x []float32) int {
	n := len(dst)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		addRowAVX512(&dst[0], &x[0], n)
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		addRowAVX2(&dst[0], &x[0], n)
	default:
		return 0
	}
	return n
}

// bagSum32 and bagAdd32 take rows of whole vectors alone.
func bagSum32(sum, table []float32, tokens []int32, weights []float32) bool {
	width := len(sum)
	switch {
	case len(tokens) == 0:
		return false
	case active == avx512 && width%16 == 0:
		bagSumAVX512(&sum[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	case active >= avx2 && width%8 == 0:
		bagSumAVX2(&sum[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	default:
		return false
	}
	return true
}

func bagAdd32(grad, table []float32, tokens []int32, weights []float32) bool {
	width := len(grad)
	switch {
	case len(tokens) == 0:
		return false
	case active == avx512 && width%16 == 0:
		bagAddAVX512(&grad[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	case active >= avx2 && width%8 == 0:
		bagAddAVX2(&grad[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	default:
		return false
	}
	return true
}

func allFinite32(x []float32) (int, bool) {
	n := len(x)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		return n, allFiniteAVX512(&x[0], n) == 0
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		return n, allFiniteAVX2(&x[0], n) == 0
	default:
		return 0, true
	}
}

// labelsIn returns how many labels are known to be in [0, k) or Ignored, and how many of them are Ignored.
func labelsIn(labels []int32, k int) (done, ignored int) {
	var found [32]uint32
	n := len(labels)
	switch {
	case active == avx512 && n >= 16:
		n &= wholeAVX512
		countLabelsAVX512(&labels[0], n, &found)
	case active >= avx2 && n >= 8:
		n &= wholeAVX2
		countLabelsAVX2(&labels[0], n, &found)
	default:
		return 0, 0
	}
	if int64(slices.Max(found[:16])) >= int64(k) {
		return 0, 0
	}
	for _, count := range found[16:] {
		ignored += int(count)
	}
	return n, ignored
}

func sum32(x []float32, sums *[16]float64) int {
	n := len(x) &^ 15
	switch {
	case active == portable || n == 0:
		return 0
	case active == avx512:
		sumLanesAVX512(&x[0], n, sums)
	default:
		sumLanesAVX2(&x[0], n, sums)
	}
	return n
}

func columnMoments32(first, second []float64, u, v, shiftU, shiftV []float32) int {
	n := len(first)
	switch {
	case active == avx512 && n >= 16:
		columnMomentsAVX512(&first[0], &second[0], &u[0], &v[0], &shiftU[0], &shiftV[0], len(u)/n, n&wholeAVX512, 4*n)
		n &= wholeAVX512
	case active >= avx2 && n >= 8:
		columnMomentsAVX2(&first[0], &second[0], &u[0], &v[0], &shiftU[0], &shiftV[0], len(u)/n, n&wholeAVX2, 4*n)
		n &= wholeAVX2
	default:
		return 0
	}
	return n
}

func blend32(dst, u, v, a, b, shift, c []float32) int {
	n := len(a)
	switch {
	case active == avx512 && n >= 16:
		blendAVX512(&dst[0], &u[0], &v[0], &a[0], &b[0], &shift[0], &c[0], len(u)/n, n&wholeAVX512, 4*n)
		n &= wholeAVX512
	case active >= avx2 && n >= 8:
		blendAVX2(&dst[0], &u[0], &v[0], &a[0], &b[0], &shift[0], &c[0], len(u)/n, n&wholeAVX2, 4*n)
		n &= wholeAVX2
	default:
		return 0
	}
	return n
}
