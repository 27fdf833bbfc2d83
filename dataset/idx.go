package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func init() {
	register(format{
		name: "IDX", endings: []string{"ubyte", ".idx"}, magic: isIDX,
		reads: "images of bytes, as MNIST's; the labels beside them are found by their name. Bytes become 0 to 1",
		arrays: func(s *source) (*arrayFile, error) {
			raw, err := s.all()
			if err != nil {
				return nil, err
			}
			shape, body, err := parseIDX(s.path, raw)
			if err != nil {
				return nil, err
			}
			return &arrayFile{path: s.path, members: []member{{shape: shape, kind: "uint8", open: func() (elements, error) { return plainBytes(body), nil }}}}, nil
		},
	})
}

// isIDX reports whether a file begins with two zeros, a type of IDX and a number of dimensions.
func isIDX(head []byte) bool {
	return len(head) >= 8 && head[0] == 0 && head[1] == 0 && slices.Contains([]byte{8, 9, 11, 12, 13, 14}, head[2]) && head[3] >= 1 && head[3] <= 4
}

// idxLabels returns the path where the labels of IDX images lie by custom, "" if there is no such file.
func idxLabels(path string) string {
	dir, name := filepath.Split(path)
	other := strings.NewReplacer("images", "labels", "idx3", "idx1").Replace(name)
	if other == name {
		return ""
	}
	if _, err := os.Stat(dir + other); err != nil {
		return ""
	}
	return dir + other
}

// parseIDX reads a header: two zeros, the type (8, bytes), the number of dimensions, each as a big-endian uint32. The format is that of
// the MNIST files: Y. LeCun, C. Cortes, C. Burges.
func parseIDX(path string, raw []byte) (shape []int, body []byte, err error) {
	if len(raw) < 4 || raw[0] != 0 || raw[1] != 0 || raw[3] < 1 || raw[3] > 4 || len(raw) < 4+4*int(raw[3]) {
		return nil, nil, fmt.Errorf("%s is not an IDX file", path)
	}
	if raw[2] != 8 {
		return nil, nil, fmt.Errorf("%s holds IDX type 0x%02x: only bytes (0x08) are read", path, raw[2])
	}
	body = raw[4+4*int(raw[3]):]
	size := uint64(1)
	for d := range int(raw[3]) {
		side := binary.BigEndian.Uint32(raw[4+4*d:])
		shape = append(shape, int(side))
		if size *= uint64(side); size > uint64(len(body)) {
			break // longer than the file: a product of more sides could pass 2^64
		}
	}
	if size != uint64(len(body)) || len(shape) != int(raw[3]) {
		return nil, nil, fmt.Errorf("%s: the header says %v bytes, the file holds %d", path, shape, len(body))
	}
	return shape, body, nil
}

// plainBytes holds the elements of an array of bytes.
type plainBytes []byte

func (b plainBytes) Uint8() ([]uint8, error)     { return b, nil }
func (b plainBytes) Int64() ([]int64, error)     { return widened[int64](b), nil }
func (b plainBytes) Float32() ([]float32, error) { return widened[float32](b), nil }
func (b plainBytes) Float64() ([]float64, error) { return widened[float64](b), nil }
func (b plainBytes) Texts() ([]string, error)    { return nil, errors.New("bytes are no text") }
func (b plainBytes) Close() error                { return nil }

func widened[T int64 | float32 | float64](b []byte) []T {
	wide := make([]T, len(b))
	for i, v := range b {
		wide[i] = T(v)
	}
	return wide
}
