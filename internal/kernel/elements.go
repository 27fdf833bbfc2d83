package kernel

import "math"

// ReLU writes max(x, 0) to dst, which may be x. NaN stays NaN, so that what has gone wrong in a network is seen behind it.
func ReLU[T Float](dst, x []T) {
	checkLen("ReLU", "dst", len(dst), len(x))
	done := 0
	if x32, ok := any(x).([]float32); ok {
		done = relu32(any(dst).([]float32), x32)
	}
	for i, v := range x[done:] {
		if v < 0 {
			v = 0
		}
		dst[done+i] = v
	}
}

// The factors of Dropout's generator are odd and mix bits well. They are from Wellons, "Prospecting for Hash Functions", 2018.
const (
	dropoutFirst  = 0x7feb352d
	dropoutSecond = 0x846ca68b
)

// Dropout writes each element of x, times 0 or times scale, to dst, which may be x. An element is multiplied by 0 where 16 bits, which key and the
// element's index decide, are below threshold. A key is a random number. The same key and threshold drop the same elements, on every
// path, so that going back needs to know only these.
func Dropout[T Float](dst, x []T, key uint64, threshold uint16, scale T) {
	checkLen("Dropout", "dst", len(dst), len(x))
	low, high := uint32(key), uint32(key>>32)
	done := 0
	if x32, ok := any(x).([]float32); ok {
		done = dropout32(any(dst).([]float32), x32, low, high, threshold, float32(scale))
	}
	keep := [2]T{scale, 0}
	for i := done; i < len(x); i++ {
		h := uint32(i) + low
		h = (h ^ h>>16) * dropoutFirst
		h = (h ^ h>>15 ^ high) * dropoutSecond
		dst[i] = x[i] * keep[(h>>16-uint32(threshold))>>31]
	}
}

// ReLUBackward writes dy where y, the ReLU's output, is above 0, and 0 elsewhere, to dx, which may be dy. Where y is NaN
// the gradient is NaN.
func ReLUBackward[T Float](dx, dy, y []T) {
	checkLen("ReLUBackward", "dx", len(dx), len(y))
	checkLen("ReLUBackward", "dy", len(dy), len(y))
	done := 0
	if y32, ok := any(y).([]float32); ok {
		done = reluBackward32(any(dx).([]float32), any(dy).([]float32), y32)
	}
	for i := done; i < len(y); i++ {
		v, g := y[i], dy[i]
		if v == 0 {
			g = 0
		} else if v != v {
			g = v
		}
		dx[i] = g
	}
}

// GELU writes x·Φ(x) to dst, which may be x. Φ is the normal distribution function, computed by erf rather than by tanh. The source is Hendrycks
// and Gimpel, "Gaussian Error Linear Units", 2016.
func GELU[T Float](dst, x []T) {
	checkLen("GELU", "dst", len(dst), len(x))
	if x32, ok := any(x).([]float32); ok && gelu32(any(dst).([]float32), x32, x32, false) {
		return
	}
	for i, v := range x {
		dst[i] = T(float64(v) * normalCDF(float64(v)))
	}
}

// GELUBackward writes dy·(Φ(x) + x·φ(x)) to dx, which may be dy. For an infinite x it writes the limit, which is 0 or dy.
func GELUBackward[T Float](dx, dy, x []T) {
	checkLen("GELUBackward", "dx", len(dx), len(x))
	checkLen("GELUBackward", "dy", len(dy), len(x))
	if x32, ok := any(x).([]float32); ok && gelu32(any(dx).([]float32), any(dy).([]float32), x32, true) {
		return
	}
	for i, v := range x {
		x := min(max(float64(v), -40), 40) // beyond ±40 φ is 0
		density := math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		dx[i] = T(float64(dy[i]) * (normalCDF(x) + x*density))
	}
}

// normalCDF returns Φ(x). For x far below 0 erfc has all digits, where 1 + erf would have none left.
func normalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// SumRows writes the sum of the rows of x [M,n] to dst [n], or adds it to dst where accumulate is set.
func SumRows[T Float](dst, x []T, n int, accumulate bool) {
	m := rowsOf("SumRows", x, n)
	checkLen("SumRows", "dst", len(dst), n)
	if !accumulate {
		clear(dst)
	}
	if x32, ok := any(x).([]float32); ok && sumRows32(any(dst).([]float32), x32, n) {
		return
	}
	for i := range m {
		for j, v := range x[i*n : (i+1)*n] {
			dst[j] += v
		}
	}
}

// AllFinite reports whether x holds neither NaN nor infinity.
func AllFinite[T Float](x []T) bool {
	done := 0
	if x32, ok := any(x).([]float32); ok {
		if done, ok = allFinite32(x32); !ok {
			return false
		}
	}
	for _, v := range x[done:] {
		if v-v != 0 {
			return false
		}
	}
	return true
}
