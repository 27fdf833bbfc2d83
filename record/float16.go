package record

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/half"
)

// halfEncoding keeps dense logits in two bytes each.
var halfEncoding = encoding{
	name:  "float16",
	dense: true,
	columns: func(m *Manifest) []column {
		return []column{{name: "logits", kind: kindHalves, width: m.Columns}}
	},
	encode: func(dst [][]byte, z []float32, _ int) (overflowed int) {
		dst[0], overflowed = appendHalves(dst[0], z)
		return overflowed
	},
	decode: func(dst []float32, values [][]byte) []float32 { return appendFloats(dst, values[0]) },
}

// appendHalves appends numbers to dst as little-endian IEEE 754 binary16, rounded to nearest, ties to even. Finite numbers that are
// too large become infinite, and overflowed counts them. A NaN stays a NaN.
func appendHalves(dst []byte, numbers []float32) (all []byte, overflowed int) {
	start := len(dst)
	dst = slices.Grow(dst, 2*len(numbers))[:start+2*len(numbers)]
	out := dst[start:]
	for _, v := range numbers {
		bits := math.Float32bits(v)
		h := uint16(0)
		if size := bits & 0x7fffffff; size-normalHalf < roundsToInf-normalHalf { // the number is normal in binary16, as nearly all logits are
			h = uint16(bits>>16&0x8000) | uint16((size-rebias<<23+0xfff+size>>13&1)>>13)
		} else {
			h = halfOf(v)
			if size >= roundsToInf && size < 0x7f800000 {
				overflowed++
			}
		}
		out[1] = byte(h >> 8)
		out[0] = byte(h)
		out = out[2:]
	}
	return dst, overflowed
}

// Absolute values as the bits of a float32, which have the same order as the values.
const (
	normalHalf  = (127 - 14) << 23        // the smallest number that is normal in binary16
	roundsToInf = (127+15)<<23 | 0x7ff000 // 65520, the smallest number that rounds to infinity and not to 65504
	rebias      = 127 - 15                // the difference of the exponent biases of the two formats
)

// halfInf is +Inf in binary16.
const halfInf = 0x7c00

// halfOf rounds v to the nearest binary16, ties to even.
func halfOf(v float32) uint16 {
	const point5 = float32(0.5) // the last bit of its fraction has the weight of the last bit of a subnormal binary16
	bits := math.Float32bits(v)
	sign, size := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case size > 0x7f800000:
		return sign | halfInf | 0x200 | uint16(size>>13&0x3ff)
	case size >= roundsToInf:
		return sign | halfInf
	case size < normalHalf:
		// Adding 0.5 makes the processor round off the bits that a subnormal binary16 has no room for.
		return sign | uint16(math.Float32bits(math.Float32frombits(size)+point5)-math.Float32bits(point5))
	}
	return sign | uint16((size-rebias<<23+0xfff+size>>13&1)>>13)
}

// appendFloats appends the numbers that appendHalves wrote.
func appendFloats(dst []float32, halves []byte) []float32 {
	start := len(dst)
	dst = slices.Grow(dst, len(halves)/2)[:start+len(halves)/2]
	for i := range dst[start:] {
		dst[start+i] = half.Float32(binary.LittleEndian.Uint16(halves[2*i:]))
	}
	return dst
}
