package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"unsafe"
)

// Floats is an array that Append writes as F32.
type Floats struct {
	Name  string
	Shape []int
	Data  []float32 // the values, row-major, as many as Shape says
}

// Append appends to dst, which may be nil, a file of the given arrays, and returns the extended slice. The data begins at a multiple of 8 bytes,
// so that a mapped file is read without a copy. It panics where the length of an array is not what its shape says, and where the metadata, the
// header or the number of arrays are larger than Parse allows.
func Append(dst []byte, metadata map[string]string, arrays ...Floats) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, '{')
	if len(metadata) > 0 {
		before := len(dst)
		dst = appendJSON(append(dst, `"__metadata__":`...), metadata) // encoding/json sorts the keys, so that the bytes are always the same
		if size := len(dst) - before; size > maxMetadata {
			panic(fmt.Sprintf("safetensors: Append: %d bytes of metadata: want at most %d", size, maxMetadata))
		}
		dst = append(dst, ',')
	}
	at := 0
	for _, a := range arrays {
		values := 1
		for _, side := range a.Shape {
			values *= side
		}
		if values != len(a.Data) {
			panic(fmt.Sprintf("safetensors: Append: %s holds %d values, want %v", a.Name, len(a.Data), a.Shape))
		}
		dst = append(appendJSON(dst, a.Name), `:{"dtype":"F32","shape":[`...)
		for i, side := range a.Shape {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = fmt.Append(dst, side)
		}
		dst = fmt.Appendf(dst, `],"data_offsets":[%d,%d]},`, at, at+4*values)
		at += 4 * values
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	dst = append(dst, '}')
	for (len(dst)-start)%8 != 0 {
		dst = append(dst, ' ')
	}
	if size := len(dst) - start - 8; size > maxHeader || len(arrays) > maxTensors {
		panic(fmt.Sprintf("safetensors: Append: a header of %d bytes for %d arrays: want at most %d, for %d", size, len(arrays), maxHeader, maxTensors))
	}
	binary.LittleEndian.PutUint64(dst[start:], uint64(len(dst)-start-8))
	for _, a := range arrays {
		dst = appendFloats(dst, a.Data)
	}
	return dst
}

// appendFloats appends values in little-endian order.
func appendFloats(dst []byte, values []float32) []byte {
	if littleEndian && len(values) > 0 {
		return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))...)
	}
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

// appendJSON appends v, a string or a map of strings, as JSON.
func appendJSON(dst []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // unreachable: strings and maps of strings always have a JSON text
	}
	return append(dst, text...)
}
