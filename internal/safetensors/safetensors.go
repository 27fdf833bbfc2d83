// Package safetensors reads and writes the safetensors format, which holds named arrays behind a JSON header, and nothing that runs.
//
//	u64 little-endian   size of the header
//	header              {"__metadata__": {…}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
//	data                the arrays, one behind the other, to the end of the file
//
// The format is defined at https://huggingface.co/docs/safetensors. A file is trusted in nothing: sizes are checked before anything is
// allocated, the products of shapes are checked for overflow, and the arrays must fill the data without a hole or an overlap.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/logitscope/logitscope/internal/half"
	"github.com/logitscope/logitscope/internal/mmap"
)

// Bounds on a header, in bytes except for maxTensors. While a header is read, memory holds it several times over. The format's own bound is
// 100 MB; the header of a model of a hundred thousand tensors has 10 MB.
const (
	maxHeader   = 16 << 20
	maxTensors  = 1 << 17 // the number of tensors
	maxMetadata = 1 << 20
	maxEntry    = 4 << 10 // what is said of one tensor, without its name
)

// elementSize is the size in bytes of an element of each type.
var elementSize = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}

// File is an open file. Its tensors are in its own memory, which must not be written to, nor read after Close.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor     // in the order of their data
	unmap    func() error // gives the mapped memory back; nil where none is mapped
}

// Tensor is one array of a file, row-major.
type Tensor struct {
	Name  string
	DType string // the type of the elements: F32, F64, F16, BF16, I64 and others, a key of elementSize
	Shape []int
	data  []byte // the elements, as the file has them
}

// Open maps the file at path into memory and reads its header. The caller must Close the File. Errors begin with path.
func Open(path string) (*File, error) {
	file, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// open is Open without the path in its errors.
func open(path string) (*File, error) {
	data, unmap, err := mmap.Open(path)
	if err != nil {
		return nil, cmp.Or(errors.Unwrap(err), err)
	}
	file, err := Parse(data)
	if err != nil {
		unmap()
		return nil, err
	}
	file.unmap = unmap
	return file, nil
}

// Close gives the mapped memory back.
func (f *File) Close() error {
	unmap := f.unmap
	f.Tensors, f.unmap = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}

// Tensor returns the array called name. Where there is none, the error lists up to eight names that there are.
func (f *File) Tensor(name string) (*Tensor, error) {
	names := make([]string, len(f.Tensors))
	for i := range f.Tensors {
		if names[i] = f.Tensors[i].Name; names[i] == name {
			return &f.Tensors[i], nil
		}
	}
	if len(names) > 8 {
		names = append(names[:8], "…")
	}
	return nil, fmt.Errorf("no tensor %q: there are %s", name, strings.Join(names, ", "))
}

// Begins reports whether a file with these first bytes can be in this format, by the size of its header and the header's first bytes.
func Begins(head []byte) bool {
	return len(head) > 9 && binary.LittleEndian.Uint64(head) <= maxHeader && head[8] == '{' && (head[9] == '"' || head[9] == '}' || head[9] == ' ')
}

// Parse reads a file that is in memory. The tensors are views of data.
func Parse(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("%d bytes: not a safetensors file", len(data))
	}
	size := binary.LittleEndian.Uint64(data)
	if size > uint64(len(data)-8) {
		return nil, fmt.Errorf("header of %d bytes in a file of %d: not a safetensors file, or cut short", size, len(data))
	}
	if size > maxHeader {
		return nil, fmt.Errorf("header of %d bytes: want at most %d", size, maxHeader)
	}
	header, body := data[8:8+size], data[8+size:]
	if len(header) == 0 || header[0] != '{' || !utf8.Valid(header) {
		return nil, errors.New("the header is not a JSON object in UTF-8")
	}
	f := &File{}
	starts, err := f.readHeader(header, body)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(f.Tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if starts[a] != starts[b] {
			return int(starts[a] - starts[b])
		}
		return len(f.Tensors[a].data) - len(f.Tensors[b].data) // an empty tensor comes before the one that begins at the same place
	})
	sorted, at := make([]Tensor, 0, len(order)), int64(0)
	for _, i := range order {
		t := f.Tensors[i]
		if starts[i] != at {
			return nil, fmt.Errorf("tensor %q begins at %d, want %d: the data has a hole or an overlap", t.Name, starts[i], at)
		}
		at += int64(len(t.data))
		sorted = append(sorted, t)
	}
	if at != int64(len(body)) {
		return nil, fmt.Errorf("%d bytes of tensors in %d of data: the file is cut short, or has something behind its end", at, len(body))
	}
	f.Tensors = sorted
	return f, nil
}

// readHeader sets the metadata and the tensors of f, in the header's order, and returns where in body each tensor starts. It reads the
// header one member at a time, so that a large header takes no more memory than what it says.
func (f *File) readHeader(header, body []byte) (starts []int64, err error) {
	decoder := json.NewDecoder(bytes.NewReader(header))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	seen := map[string]struct{}{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("header: %w", err)
		}
		name := token.(string) // the grammar of JSON has nothing but strings as keys
		if _, twice := seen[name]; twice {
			return nil, fmt.Errorf("header: %q is there twice", name)
		}
		seen[name] = struct{}{}
		if name == "__metadata__" {
			var text json.RawMessage
			err := decoder.Decode(&text)
			if err == nil && len(text) > maxMetadata {
				err = fmt.Errorf("%d bytes: want at most %d", len(text), maxMetadata)
			}
			if err == nil {
				err = json.Unmarshal(text, &f.Metadata)
			}
			if err != nil {
				return nil, fmt.Errorf("header: metadata: %w", err)
			}
			continue
		}
		if len(f.Tensors) == maxTensors {
			return nil, fmt.Errorf("header: more than %d tensors", maxTensors)
		}
		var entry struct {
			DType   string    `json:"dtype"`
			Shape   []int64   `json:"shape"`
			Offsets *[2]int64 `json:"data_offsets"`
		}
		var text json.RawMessage
		err = decoder.Decode(&text)
		if err == nil && len(text) > maxEntry {
			err = fmt.Errorf("%d bytes: want at most %d", len(text), maxEntry)
		}
		if err == nil {
			err = json.Unmarshal(text, &entry)
		}
		if err != nil {
			return nil, fmt.Errorf("header: tensor %.100q: %w", name, err)
		}
		if entry.Offsets == nil || entry.Shape == nil {
			return nil, fmt.Errorf("header: tensor %q lacks its shape or its offsets", name)
		}
		begin, end := entry.Offsets[0], entry.Offsets[1]
		if begin < 0 || end < begin || end > int64(len(body)) {
			return nil, fmt.Errorf("tensor %q lies at [%d, %d) of %d bytes of data", name, begin, end, len(body))
		}
		bytes, ok := elementSize[entry.DType]
		if !ok {
			return nil, fmt.Errorf("tensor %q has the type %q, which is not known", name, entry.DType)
		}
		t := Tensor{Name: name, DType: entry.DType, Shape: make([]int, len(entry.Shape)), data: body[begin:end:end]}
		for i, side := range entry.Shape {
			if side < 0 || side != 0 && bytes > math.MaxInt64/side {
				return nil, fmt.Errorf("tensor %q has the shape %v", name, entry.Shape)
			}
			bytes *= side
			t.Shape[i] = int(side)
		}
		if bytes != end-begin {
			return nil, fmt.Errorf("tensor %q: %s%v is %d bytes, its offsets say %d", name, t.DType, t.Shape, bytes, end-begin)
		}
		f.Tensors = append(f.Tensors, t)
		starts = append(starts, begin)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("header: something stands behind its object")
	}
	return starts, nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return len(t.data) / int(elementSize[t.DType]) }

// Float32 returns the elements as float32, row-major. It is the file's own memory for F32 where that is aligned and the processor is
// little-endian, else a copy. Elements of other types are converted to the nearest float32.
func (t *Tensor) Float32() ([]float32, error) {
	if t.DType == "F32" {
		if view, ok := view[float32](t.data); ok {
			return view, nil
		}
	}
	out := make([]float32, t.Len())
	switch t.DType {
	case "F32":
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.data[4*i:]))
		}
	case "F64":
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.data[8*i:])))
		}
	case "F16":
		for i := range out {
			out[i] = half.Float32(binary.LittleEndian.Uint16(t.data[2*i:]))
		}
	case "BF16":
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.data[2*i:])) << 16)
		}
	default:
		for i := range out {
			v, err := t.integer(i)
			if err != nil {
				return nil, err
			}
			out[i] = float32(v)
		}
	}
	return out, nil
}

// Float64 returns the elements as float64, row-major: for F64 in the file's own memory where Float32 would do so for F32, else as a copy.
func (t *Tensor) Float64() ([]float64, error) {
	if t.DType == "F64" {
		if view, ok := view[float64](t.data); ok {
			return view, nil
		}
	}
	out := make([]float64, t.Len())
	for i := range out {
		v, err := t.number(i)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// number returns element i as a float64, an integer as the nearest one. The error is that of integer.
func (t *Tensor) number(i int) (float64, error) {
	switch t.DType {
	case "F64":
		return math.Float64frombits(binary.LittleEndian.Uint64(t.data[8*i:])), nil
	case "F32":
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(t.data[4*i:]))), nil
	case "F16":
		return float64(half.Float32(binary.LittleEndian.Uint16(t.data[2*i:]))), nil
	case "BF16":
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.data[2*i:])) << 16)), nil
	}
	v, err := t.integer(i)
	return float64(v), err
}

// Int32 returns the elements as int32, row-major: for I32 in the file's own memory where Float32 would do so for F32, else as a copy. A number
// that is no integer of 32 bits, such as 0.5, is an error.
func (t *Tensor) Int32() ([]int32, error) {
	if t.DType == "I32" {
		if view, ok := view[int32](t.data); ok {
			return view, nil
		}
	}
	out := make([]int32, t.Len())
	for i := range out {
		v, err := t.number(i)
		if err != nil {
			return nil, err
		}
		if !(v >= math.MinInt32 && v <= math.MaxInt32) || v != math.Trunc(v) {
			return nil, fmt.Errorf("tensor %q: element %d is %v: want integers of 32 bits", t.Name, i, v)
		}
		out[i] = int32(v)
	}
	return out, nil
}

// Int64 returns the elements as int64, row-major: for I64 in the file's own memory where Float32 would do so for F32, else as a copy. A tensor
// of a floating-point type is an error, and so is an element of U64 that an int64 does not hold.
func (t *Tensor) Int64() ([]int64, error) {
	if t.DType == "I64" {
		if view, ok := view[int64](t.data); ok {
			return view, nil
		}
	}
	out := make([]int64, t.Len())
	for i := range out {
		v, err := t.integer(i)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// integer returns element i. A tensor of a floating-point type is an error, and so is an element that an int64 does not hold.
func (t *Tensor) integer(i int) (int64, error) {
	switch t.DType {
	case "I64":
		return int64(binary.LittleEndian.Uint64(t.data[8*i:])), nil
	case "U64":
		v := binary.LittleEndian.Uint64(t.data[8*i:])
		if v > math.MaxInt64 {
			return 0, fmt.Errorf("tensor %q: element %d is %d, which is above 2^63 − 1", t.Name, i, v)
		}
		return int64(v), nil
	case "I32":
		return int64(int32(binary.LittleEndian.Uint32(t.data[4*i:]))), nil
	case "U32":
		return int64(binary.LittleEndian.Uint32(t.data[4*i:])), nil
	case "I16":
		return int64(int16(binary.LittleEndian.Uint16(t.data[2*i:]))), nil
	case "U16":
		return int64(binary.LittleEndian.Uint16(t.data[2*i:])), nil
	case "I8":
		return int64(int8(t.data[i])), nil
	case "U8", "BOOL":
		return int64(t.data[i]), nil
	}
	return 0, fmt.Errorf("tensor %q holds %s, want integers", t.Name, t.DType)
}

// littleEndian is whether this machine is little-endian, as the format is.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// view returns data as elements of type T without a copy. It is not ok where they are not aligned, or of the other byte order.
func view[T float32 | float64 | int32 | int64](data []byte) ([]T, bool) {
	size := int(unsafe.Sizeof(*new(T)))
	if len(data) == 0 {
		return []T{}, true
	}
	p := unsafe.Pointer(unsafe.SliceData(data))
	if !littleEndian || uintptr(p)%uintptr(size) != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(p), len(data)/size), true
}

// Slice returns the elements [from,to), row-major, as a tensor of one dimension in t's own memory.
func (t *Tensor) Slice(from, to int) *Tensor {
	size := int(elementSize[t.DType])
	return &Tensor{Name: t.Name, DType: t.DType, Shape: []int{to - from}, data: t.data[from*size : to*size : to*size]}
}
