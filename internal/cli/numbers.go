package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/safetensors"
)

// numbers is an open array of numbers. Its functions convert all of it.
type numbers struct {
	shape  []int
	narrow bool    // whether float32 holds every value of its type
	slack  float64 // how much rounding to its type may change a probability

	float32 func() ([]float32, error)
	float64 func() ([]float64, error)
	int32   func() ([]int32, error)
	close   func() error
}

// openNumbers opens FILE.npy, FILE.npz:NAME, FILE.safetensors:NAME, or a table of numbers such as JSON lines. what is what the array holds, such as
// "logits". NAME may be left out where the file has one array only, or an array that is named what.
func openNumbers(path, what string) (*numbers, error) {
	file, name := files.Part(path)
	format, packed, err := dataset.Recognise(file)
	arrays := format.Name == dataset.NumPyArray || format.Name == dataset.NumPyArchive
	switch {
	case err != nil:
		return nil, err
	case !arrays && format.Name != dataset.Safetensors:
		return ofTable(path, what)
	case packed:
		return nil, fmt.Errorf("%s is a packed %s: unpack it first", file, format.Name)
	case format.Name == dataset.NumPyArray && name != "":
		return nil, fmt.Errorf("%s is one array, which has no name: leave out :%s", file, name)
	case arrays:
		return openNumPy(file, name, what)
	}
	f, err := safetensors.Open(file)
	if err != nil {
		return nil, err
	}
	n, err := ofTensor(f, file, name, what)
	if err != nil {
		f.Close()
		return nil, err
	}
	return n, nil
}

// ofTable reads a table of numbers, such as CSV, JSON lines or Parquet.
func ofTable(path, what string) (*numbers, error) {
	values, rows, columns, err := dataset.ReadMatrix(path, what)
	if err != nil {
		return nil, err
	}
	n := &numbers{shape: []int{rows, columns}, close: func() error { return nil }}
	if columns == 1 {
		n.shape = n.shape[:1]
	}
	n.float64 = func() ([]float64, error) { return values, nil }
	n.int32 = func() ([]int32, error) {
		whole := make([]int32, len(values))
		for i, v := range values {
			if whole[i] = int32(v); float64(whole[i]) != v {
				return nil, fmt.Errorf("row %d is %v: want whole numbers, classes from 0", i, v)
			}
		}
		return whole, nil
	}
	n.set(52, false)
	return n, nil
}

func ofTensor(f *safetensors.File, path, name, what string) (*numbers, error) {
	var names []string
	for _, t := range f.Tensors {
		names = append(names, t.Name)
	}
	name, err := named(path, name, what, names)
	if err != nil {
		return nil, err
	}
	t, err := f.Tensor(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fraction := map[string]int{"BF16": 7, "F16": 10, "F32": 23, "F64": 52}[t.DType]
	n := &numbers{shape: t.Shape, float32: t.Float32, float64: t.Float64, int32: t.Int32, close: f.Close}
	n.set(fraction, !slices.Contains([]string{"F64", "I64", "U64", "I32", "U32"}, t.DType))
	return n, nil
}

func openNumPy(path, name, what string) (*numbers, error) {
	names, err := npy.Names(path)
	archive := err == nil || name != ""
	if err == nil {
		name, err = named(path, name, what, names)
	}
	var a *npy.Array
	switch {
	case !archive:
		a, err = npy.Open(path)
	case err == nil:
		a, err = npy.OpenZip(path, name)
	}
	if err != nil {
		return nil, err
	}
	fraction := map[string]int{"float16": 10, "float32": 23, "float64": 52}[a.Type]
	n := &numbers{shape: a.Shape, float32: a.Float32, float64: a.Float64, int32: a.Int32, close: a.Close}
	n.set(fraction, !slices.Contains([]string{"float64", "int64", "uint64", "int32", "uint32"}, a.Type))
	return n, nil
}

// set sets n.narrow, and n.slack for a type with so many bits of fraction; 0 stands for a type of integers.
func (n *numbers) set(fraction int, narrow bool) {
	if n.narrow = narrow; fraction > 0 {
		n.slack = analysis.Rounding(fraction)
	}
}

// named returns the name of the array to read: name where it is given, else the only one of names, else what where it is among them.
func named(path, name, what string, names []string) (string, error) {
	switch {
	case name != "":
		return name, nil
	case len(names) == 1:
		return names[0], nil
	case slices.Contains(names, what):
		return what, nil
	}
	const most = 8
	listed := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		listed += ", …"
	}
	return "", fmt.Errorf("%s holds %s: name one as %s:NAME, of %s", path, plural(len(names), "array"), path, listed)
}
