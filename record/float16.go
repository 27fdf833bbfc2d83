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

// appendHalves appends numbers as little-endian IEEE 754 binary16, rounded to the nearest, ties to even. It counts those that
// are finite and too large, which become infinite. A NaN stays one.
func appendHalves(dst []byte, numbers []float32) (all []byte, overflowed int) {
	start := len(dst)
	dst = slices.Grow(dst, 2*len(numbers))[:start+2*len(numbers)]
	out := dst[start:]
	for _, v := range numbers {
		bits := math.Float32bits(v)
		h := uint16(0)
		if size := bits & 0x7fffffff; size-normalHalf < roundsToInf-normalHalf { // what nearly all logits are
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

// Sizes as the bits of float32, which are in the same order.
const (
	normalHalf  = (127 - 14) << 23        // the smallest number that is not subnormal in binary16
	roundsToInf = (127+15)<<23 | 0x7ff000 // 65520, the smallest that is nearer to 65536 than to 65504, or as near
	rebias      = 127 - 15                // between the exponents of the two
)

const halfInf = 0x7c00

// halfOf rounds to the nearest binary16, ties to even.
func halfOf(v float32) uint16 {
	const point5 = float32(0.5) // its last bit has the weight of that of a subnormal binary16
	bits := math.Float32bits(v)
	sign, size := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case size > 0x7f800000:
		return sign | halfInf | 0x200 | uint16(size>>13&0x3ff)
	case size >= roundsToInf:
		return sign | halfInf
	case size < normalHalf:
		// The processor rounds, as it adds what has room for no more than the bits that are kept.
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
