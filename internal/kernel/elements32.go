package kernel

import (
	"math"
	"slices"
)

// The functions below do the elements that fill whole vectors, and return how many these are. The portable loops, which are their definition, do
// the rest. Without vector code they return 0.

func adam32(w, grad, m, v []float32, constants *[9]float32) int {
	n := active.whole(len(w))
	if n > 0 {
		active.adam(&w[0], &grad[0], &m[0], &v[0], n, onStack(constants))
	}
	return n
}

func dropout32(dst, x []float32, low, high uint32, threshold uint16, scale float32) int {
	n := active.whole(len(x))
	if n > 0 {
		active.dropout(&dst[0], &x[0], n, onStack(&[8]uint32{low, high, dropoutFirst, dropoutSecond, uint32(threshold), math.Float32bits(scale), 8, 16}))
	}
	return n
}

func relu32(dst, x []float32) int {
	n := active.whole(len(x))
	if n > 0 {
		active.relu(&dst[0], &x[0], n)
	}
	return n
}

// gelu32 writes y·Φ(x) to dst or, where slope is set, y·(Φ(x) + x·φ(x)). It returns false where there is no vector code. The elements at the end
// that do not fill a vector are copied into one, so that the bits of an element do not depend on where it lies.
func gelu32(dst, y, x []float32, slope bool) bool {
	routine := active.gelu
	if slope {
		routine = active.geluSlope
	}
	if routine == nil {
		return false
	}
	n := len(x) &^ (rowLanes - 1)
	if n > 0 {
		routine(&dst[0], &y[0], &x[0], n)
	}
	if n < len(x) {
		var ends [2][rowLanes]float32
		endY, endX := onStack(&ends[0]), onStack(&ends[1])
		copy(endY[:], y[n:])
		copy(endX[:], x[n:])
		routine(&endY[0], &endY[0], &endX[0], rowLanes)
		copy(dst[n:], endY[:])
	}
	return true
}

func reluBackward32(dx, dy, y []float32) int {
	n := active.whole(len(y))
	if n > 0 {
		active.reluBackward(&dx[0], &dy[0], &y[0], n)
	}
	return n
}

func addRow32(dst, x []float32) int {
	n := active.whole(len(dst))
	if n > 0 {
		active.addRow(&dst[0], &x[0], n)
	}
	return n
}

// bagSum32 and bagAdd32 return false, and do nothing, where a row does not consist of whole vectors, and where there is no token.
func bagSum32(sum, table []float32, tokens []int32, weights []float32) bool {
	width := len(sum)
	if len(tokens) == 0 || active.lanes == 0 || active.whole(width) != width {
		return false
	}
	active.bagSum(&sum[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	return true
}

func bagAdd32(grad, table []float32, tokens []int32, weights []float32) bool {
	width := len(grad)
	if len(tokens) == 0 || active.lanes == 0 || active.whole(width) != width {
		return false
	}
	active.bagAdd(&grad[0], &table[0], &tokens[0], &weights[0], len(tokens), width)
	return true
}

// allFinite32 returns how many elements it looked at, and whether these are all finite.
func allFinite32(x []float32) (int, bool) {
	n := active.whole(len(x))
	return n, n == 0 || active.allFinite(&x[0], n) == 0
}

// labelsIn returns how many labels, from the first on, it found to be in [0,k) or Ignored, and how many of them are Ignored.
func labelsIn(labels []int32, k int) (done, ignored int) {
	n := active.whole(len(labels))
	if n == 0 {
		return 0, 0
	}
	found := onStack(new([32]uint32))
	active.countLabels(&labels[0], n, found)
	if int64(slices.Max(found[:16])) >= int64(k) {
		return 0, 0
	}
	for _, count := range found[16:] {
		ignored += int(count)
	}
	return n, ignored
}

// sum32 writes to each of sums the sum of every sixteenth of x, as Sum has them, and returns how many elements it added up.
func sum32(x []float32, sums *[16]float64) int {
	n := active.wholeRow(len(x))
	if n > 0 {
		active.sumLanes(&x[0], n, onStack(sums))
	}
	return n
}

// sumRows32 adds the rows of x [M,n] to dst. It returns false where there is no vector code. It takes as many rows at a time as stay in the
// nearest cache, so that memory is read once.
func sumRows32(dst, x []float32, n int) bool {
	if active.lanes == 0 {
		return false
	}
	for each := max(1, 8192/n) * n; len(x) > 0; {
		block := x[:min(each, len(x))]
		active.sumRows(&dst[0], &block[0], len(block)/n, n)
		x = x[len(block):]
	}
	return true
}

func columnMoments32(first, second []float64, u, v, shiftU, shiftV []float32) int {
	n := len(first)
	done := active.whole(n)
	if done > 0 {
		active.columnMoments(&first[0], &second[0], &u[0], &v[0], &shiftU[0], &shiftV[0], len(u)/n, done, 4*n)
	}
	return done
}

func blend32(dst, u, v, a, b, shift, c []float32) int {
	n := len(a)
	done := active.whole(n)
	if done > 0 {
		active.blend(&dst[0], &u[0], &v[0], &a[0], &b[0], &shift[0], &c[0], len(u)/n, done, 4*n)
	}
	return done
}
