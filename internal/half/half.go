// Package half reads IEEE 754 binary16, the float16 of NumPy, safetensors and Arrow.
package half

import "math"

// Float32 returns the value of a binary16 given by its bits. The result is exact; a NaN stays a NaN.
func Float32(h uint16) float32 {
	const (
		infinite = 0x7c00
		rebias   = 127 - 15 // difference between the exponents' biases of the two formats
	)
	sign, bits := uint32(h&0x8000)<<16, uint32(h&0x7fff)<<13
	if h&infinite == infinite {
		return math.Float32frombits(sign | 0x7f800000 | bits&0x7fffff)
	}
	return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(bits)*(1<<rebias)))
}
