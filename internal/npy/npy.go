// Package npy reads and writes NumPy's .npy arrays, and reads them out of .npz archives.
//
// An array whose file holds it as it will be used is mapped into memory and not copied. A file is trusted in nothing: a header has NumPy's
// own bound, a shape must fit the bytes that are there, and of an archive the number of members, their overlap and their ratio of compression
// are bounded. Arrays of Python objects are refused, since they are pickles, and a pickle is a program that runs when it is loaded.
//
// The format is defined by NumPy enhancement proposal 1 and by numpy/lib/format.py.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/half"
	"github.com/logitscope/logitscope/internal/mmap"
)

const (
	magic     = "\x93NUMPY"
	maxHeader = 10_000 // the largest size of a header in bytes, as in NumPy
	maxDims   = 32     // the largest number of dimensions
)

// Array is an open array.
type Array struct {
	Shape []int
	Type  string // the type of the elements by NumPy's name, such as float32, int64 or bool, or "text"

	path    string // names the array in errors
	kind    kind
	big     bool         // whether the elements are big-endian
	fortran bool         // whether the first index changes fastest from element to element, rather than the last
	dims    []int        // the shape of data, which that of a part of it is not
	from    int          // the number, in row-major order, of the first element, where the first index changes fastest: data is then the whole array's
	data    []byte       // the elements, as the file has them
	unmap   func() error // gives the memory of data back; nil where there is nothing to give back
}

// kind is the type of an array's elements.
type kind struct {
	letter byte // f: floating point, i: signed integer, u: unsigned integer, b: boolean, U: text in UTF-32, S: text as bytes
	size   int  // of an element, in bytes
}

// names are NumPy's names of the types of numbers that are read.
var names = map[kind]string{
	{'f', 2}: "float16", {'f', 4}: "float32", {'f', 8}: "float64",
	{'i', 1}: "int8", {'i', 2}: "int16", {'i', 4}: "int32", {'i', 8}: "int64",
	{'u', 1}: "uint8", {'u', 2}: "uint16", {'u', 4}: "uint32", {'u', 8}: "uint64", {'b', 1}: "bool",
}

// Open opens an array, which the caller must Close. The path is that of an .npy file, or of an .npz archive of a single array; path.npz:name
// is one of several arrays. For an archive of several the error lists their names.
func Open(path string) (*Array, error) {
	if archive, name := files.Part(path); name != "" {
		return OpenZip(archive, name)
	}
	data, unmap, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		return keep(path, data, unmap)
	}
	unmap()
	members, err := Names(path)
	if err == nil && len(members) != 1 {
		err = fmt.Errorf("%s holds %d arrays: name one as %s:NAME, of %s", path, len(members), path, strings.Join(members, ", "))
	}
	if err != nil {
		return nil, err
	}
	return OpenZip(path, members[0])
}

// Decode returns the array in the bytes of an .npy file, which must not be changed while the array is in use. path names it in errors.
func Decode(path string, data []byte) (*Array, error) {
	return keep(path, data, func() error { return nil })
}

// keep returns the array in a file's bytes, which its Close gives back by unmap. Where the bytes are no array, keep itself calls unmap, and
// returns an error that begins with path.
func keep(path string, data []byte, unmap func() error) (*Array, error) {
	a, err := decode(data)
	if err != nil {
		unmap()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	a.path, a.unmap = path, unmap
	return a, nil
}

// decode returns the array in the bytes of a file, whose data is a part of these bytes.
func decode(file []byte) (*Array, error) {
	a, start, err := readHeader(file)
	if err != nil {
		return nil, err
	}
	a.dims, a.data = a.Shape, file[start:]
	size, ok := product(a.Shape, a.kind.size)
	if !ok || size != len(a.data) {
		return nil, fmt.Errorf("%d bytes of data, but %s of shape %v has %s: the file is cut short, or holds more than this array",
			len(a.data), a.Type, a.Shape, bytesOf(size, ok))
	}
	return a, nil
}

// readHeader reads what comes before the data, and returns the array without its data, and where in the file the data starts.
func readHeader(file []byte) (a *Array, start int, err error) {
	if !bytes.HasPrefix(file, []byte(magic)) || len(file) < 10 {
		return nil, 0, errors.New("it is no .npy array: write it with numpy.save")
	}
	version, start, length := file[6], 10, int(binary.LittleEndian.Uint16(file[8:]))
	switch {
	case version == 1:
	case (version == 2 || version == 3) && len(file) >= 12:
		start, length = 12, int(binary.LittleEndian.Uint32(file[8:]))
	default:
		return nil, 0, fmt.Errorf("version %d of the .npy format: want 1 to 3", version)
	}
	if length > maxHeader || length > len(file)-start {
		return nil, 0, fmt.Errorf("its header has %d bytes: want at most %d, within the file", length, maxHeader)
	}
	a, err = parseHeader(string(file[start : start+length]))
	return a, start + length, err
}

// bytesOf returns in words what product returned.
func bytesOf(size int, ok bool) string {
	if !ok {
		return "more than can be addressed"
	}
	return fmt.Sprint(size)
}

// product returns the size in bytes of an array of elements of each bytes. It is not ok where an int does not hold the size.
func product(shape []int, each int) (size int, ok bool) {
	for _, n := range shape {
		if n == 0 {
			return 0, true
		}
	}
	size = each
	for _, n := range shape {
		if n > math.MaxInt/size {
			return 0, false
		}
		size *= n
	}
	return size, true
}

// Len returns the number of elements.
func (a *Array) Len() int {
	if a.data == nil {
		return 0
	}
	n, _ := product(a.Shape, 1)
	return n
}

// Close gives back the memory of a mapped array. Slices of it that were returned without a copy must not be used any more.
func (a *Array) Close() error {
	unmap := a.unmap
	a.data, a.unmap = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}

// Float32 returns the elements in float32, row-major. Where the file holds just that, it is the file's own memory, which must not be written
// to, nor read after Close. Otherwise it is a copy, with each element rounded to the nearest float32. Text is an error.
func (a *Array) Float32() ([]float32, error) {
	if a.kind == (kind{'f', 4}) && a.plain() {
		return view[float32](a), nil
	}
	if a.isText() {
		return nil, a.errText()
	}
	dst := make([]float32, a.Len())
	if a.kind == (kind{'f', 8}) && a.plain() {
		for i, v := range view[float64](a) {
			dst[i] = float32(v)
		}
		return dst, nil
	}
	for i, at := range a.rowMajor() {
		dst[i] = float32(a.float(at))
	}
	return dst, nil
}

// Float64 returns the elements in float64, row-major, as Float32 does.
func (a *Array) Float64() ([]float64, error) {
	if a.kind == (kind{'f', 8}) && a.plain() {
		return view[float64](a), nil
	}
	if a.isText() {
		return nil, a.errText()
	}
	dst := make([]float64, a.Len())
	for i, at := range a.rowMajor() {
		dst[i] = a.float(at)
	}
	return dst, nil
}

// Int64 returns the elements as integers, row-major, in the file's own memory or as a copy, as Float32 does. An element that is no integer of
// 64 bits, such as 0.5, is an error.
func (a *Array) Int64() ([]int64, error) {
	if a.kind == (kind{'i', 8}) && a.plain() {
		return view[int64](a), nil
	}
	return integers[int64](a)
}

// Int32 returns the elements as integers, row-major, as Int64 does.
func (a *Array) Int32() ([]int32, error) {
	if a.kind == (kind{'i', 4}) && a.plain() {
		return view[int32](a), nil
	}
	return integers[int32](a)
}

// Uint8 returns the elements as bytes, row-major, as Int64 does.
func (a *Array) Uint8() ([]uint8, error) {
	if a.kind == (kind{'u', 1}) && a.plain() {
		return view[uint8](a), nil
	}
	return integers[uint8](a)
}

// Texts returns the elements of an array of text, row-major, without the zero characters at their ends, by which NumPy pads them to one length.
func (a *Array) Texts() ([]string, error) {
	if !a.isText() {
		return nil, fmt.Errorf("%s: it holds %s, want text", a.path, a.Type)
	}
	dst := make([]string, a.Len())
	for i, at := range a.rowMajor() {
		e := a.data[at*a.kind.size : (at+1)*a.kind.size]
		if a.kind.letter == 'S' {
			dst[i] = string(bytes.TrimRight(e, "\x00"))
			continue
		}
		order := binary.ByteOrder(binary.LittleEndian)
		if a.big {
			order = binary.BigEndian
		}
		var text []rune
		for ; len(e) > 0; e = e[4:] {
			v := order.Uint32(e)
			if v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
				return nil, fmt.Errorf("%s: element %d holds %#x, which is no character: the file is damaged", a.path, i, v)
			}
			text = append(text, rune(v))
		}
		dst[i] = strings.TrimRight(string(text), "\x00")
	}
	return dst, nil
}

func (a *Array) isText() bool { return a.kind.letter == 'U' || a.kind.letter == 'S' }

// errText returns the error for text where numbers are wanted.
func (a *Array) errText() error {
	return fmt.Errorf("%s: its elements are of type %s: want numbers", a.path, a.Type)
}

// integers returns a copy of the elements as integers of type T, row-major. An element that is no such integer is an error.
func integers[T uint8 | int32 | int64](a *Array) ([]T, error) {
	if a.isText() {
		return nil, a.errText()
	}
	dst := make([]T, a.Len())
	for i, at := range a.rowMajor() {
		v, ok := a.integer(at)
		dst[i] = T(v)
		if !ok || int64(dst[i]) != v {
			return nil, fmt.Errorf("%s: element %d is %v: want integers of %d bits", a.path, i, a.float(at), 8*unsafe.Sizeof(dst[i]))
		}
	}
	return dst, nil
}

// view returns the elements of an array without a copy. The array must be plain, and T the type of its elements.
func view[T any](a *Array) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(a.data))), a.Len())
}

// plain reports whether the elements lie in memory as this machine has a slice of them: aligned, row-major and in its byte order.
func (a *Array) plain() bool {
	aligned := uintptr(unsafe.Pointer(unsafe.SliceData(a.data)))%uintptr(a.kind.size) == 0
	return a.big == bigEndian && !a.fortran && aligned
}

// bigEndian is whether this machine is big-endian.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// rowMajor yields, in row-major order, each element's number and its place in data, both counted in elements.
func (a *Array) rowMajor() func(yield func(i, at int) bool) {
	return func(yield func(i, at int) bool) {
		n := a.Len()
		if !a.fortran {
			for i := range n {
				if !yield(i, i) {
					return
				}
			}
			return
		}
		// index counts as an odometer does, its last digit fastest. Where digit d rises by one, the place in data rises by strides[d].
		index, strides, at := make([]int, len(a.dims)), make([]int, len(a.dims)), 0
		stride := 1
		for d, length := range a.dims {
			strides[d] = stride
			stride *= length
		}
		for d, left := len(index)-1, a.from; d >= 0 && n > 0; d-- {
			index[d], left = left%a.dims[d], left/a.dims[d]
			at += index[d] * strides[d]
		}
		for i := range n {
			if !yield(i, at) {
				return
			}
			for d := len(index) - 1; d >= 0; d-- {
				index[d]++
				at += strides[d]
				if index[d] < a.dims[d] {
					break
				}
				at -= index[d] * strides[d]
				index[d] = 0
			}
		}
	}
}

// bits returns the bits of the element at place i of data, in the machine's byte order.
func (a *Array) bits(i int) uint64 {
	order := binary.ByteOrder(binary.LittleEndian)
	if a.big {
		order = binary.BigEndian
	}
	switch e := a.data[i*a.kind.size:]; a.kind.size {
	case 1:
		return uint64(e[0])
	case 2:
		return uint64(order.Uint16(e))
	case 4:
		return uint64(order.Uint32(e))
	default:
		return order.Uint64(e)
	}
}

// float returns the number at place i of data as the nearest float64.
func (a *Array) float(i int) float64 {
	bits := a.bits(i)
	switch a.kind {
	case kind{'f', 2}:
		return float64(half.Float32(uint16(bits)))
	case kind{'f', 4}:
		return float64(math.Float32frombits(uint32(bits)))
	case kind{'f', 8}:
		return math.Float64frombits(bits)
	case kind{'u', 8}:
		return float64(bits)
	}
	v, _ := a.integer(i)
	return float64(v)
}

// integer returns the number at place i of data. It is not ok where the number is no integer that an int64 holds.
func (a *Array) integer(i int) (v int64, ok bool) {
	bits := a.bits(i)
	switch a.kind.letter {
	case 'f':
		f := a.float(i)
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<63
	case 'i':
		unused := 64 - 8*a.kind.size
		return int64(bits<<unused) >> unused, true
	}
	return int64(bits), bits <= math.MaxInt64
}

// Slice returns the elements [from,to), row-major, as an array of one dimension in a's own memory, which needs no Close.
func (a *Array) Slice(from, to int) *Array {
	part := *a
	part.Shape, part.unmap = []int{to - from}, nil
	if size := a.kind.size; a.fortran { // the elements do not lie together
		part.from += from
	} else {
		part.data = a.data[from*size : to*size : to*size]
	}
	return &part
}
