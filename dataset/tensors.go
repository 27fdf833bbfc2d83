package dataset

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/logitscope/logitscope/internal/safetensors"
)

func init() {
	register(format{
		name: Safetensors, endings: []string{".safetensors"}, magic: safetensors.Begins,
		reads: "features and labels as of a NumPy archive; also of type float16 and bfloat16",
		arrays: func(s *source) (*arrayFile, error) {
			file, err := openTensors(s)
			if err != nil {
				return nil, err
			}
			f := &arrayFile{path: s.file, close: file.Close}
			for i := range file.Tensors {
				t := &file.Tensors[i]
				f.members = append(f.members, member{name: t.Name, shape: t.Shape, kind: kindOfTensor(t.DType), open: func() (elements, error) { return tensor{t}, nil }})
			}
			return f, nil
		},
	})
}

// kindOfTensor returns the NumPy name of a type of safetensors.
func kindOfTensor(dtype string) string {
	letters := strings.TrimRight(dtype, "0123456789")
	return map[string]string{"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "BOOL": "bool"}[letters] + dtype[len(letters):]
}

// tensor gives the elements of a tensor, which are views of the file.
type tensor struct{ *safetensors.Tensor }

// Int64 returns the elements as integers. Floats that are whole numbers are accepted.
func (t tensor) Int64() ([]int64, error) {
	if !strings.Contains(t.DType, "F") {
		return t.Tensor.Int64()
	}
	floats, err := t.Float64()
	if err != nil {
		return nil, err
	}
	whole := make([]int64, len(floats))
	for i, v := range floats {
		if v != math.Trunc(v) || !(math.Abs(v) < 1<<53) {
			return nil, fmt.Errorf("tensor %q: element %d is %v: want whole numbers", t.Name, i, v)
		}
		whole[i] = int64(v)
	}
	return whole, nil
}

func (t tensor) Uint8() ([]uint8, error) {
	numbers, err := t.Int64()
	if err != nil {
		return nil, err
	}
	small := make([]uint8, len(numbers))
	for i, v := range numbers {
		if small[i] = uint8(v); int64(small[i]) != v {
			return nil, fmt.Errorf("tensor %q: element %d is %d: want 0 to 255", t.Name, i, v)
		}
	}
	return small, nil
}

func (t tensor) Texts() ([]string, error) { return nil, errors.New("tensors hold no text") }

func (t tensor) Close() error { return nil }

// openTensors maps the file where it is not packed, else reads it.
func openTensors(s *source) (*safetensors.File, error) {
	if len(s.packings) == 0 {
		return safetensors.Open(s.file)
	}
	raw, err := s.all()
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return file, nil
}
