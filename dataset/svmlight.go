package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func init() {
	register(format{
		name: "svmlight", endings: []string{".svmlight", ".svm", ".libsvm"},
		reads: "a label and the features that are not 0, as `+1 3:0.5 7:2`, counted from 1, or from 0 where there is a 0; `qid:` and comments are passed over",
		text:  isSVMLight,
		arrays: func(s *source) (*arrayFile, error) {
			raw, err := s.all()
			if err != nil {
				return nil, err
			}
			return parseSVMLight(s.path, raw)
		},
	})
}

// isSVMLight reports whether all lines consist of a label and pairs of a feature's number and its value.
func isSVMLight(head []byte) bool {
	if end := bytes.LastIndexAny(head, "\r\n"); end >= 0 && len(head) >= headSize {
		head = head[:end] // the last line may be cut
	}
	pairs := 0
	for line := range bytes.Lines(bytes.ReplaceAll(head, []byte{'\r'}, []byte{'\n'})) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		words := bytes.Fields(line)
		for i, w := range words {
			if i == 0 {
				for label := range bytes.SplitSeq(w, []byte(",")) {
					if _, ok := parseNumber(label); !ok {
						return false
					}
				}
				continue
			}
			index, value, ok := bytes.Cut(w, []byte(":"))
			_, isNumber := parseNumber(value)
			if _, err := strconv.ParseUint(string(index), 10, 31); !ok || !isNumber || err != nil && string(index) != "qid" {
				return false
			}
			pairs++
		}
	}
	return pairs > 0
}

// sparseValue is a feature that is not 0: its column, and its value.
type sparseValue struct {
	column int32
	value  float32
}

// parseSVMLight reads rows of features, most of them 0, as the array that they stand for.
func parseSVMLight(path string, raw []byte) (*arrayFile, error) {
	var labels []string
	var pairs []sparseValue
	var ends []int // where each row's pairs end
	most, least, number := int32(0), int32(1), 0
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\r", "\n")) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		fail := func(format string, args ...any) (*arrayFile, error) {
			return nil, fmt.Errorf("%s: line %d: %s", path, number, fmt.Sprintf(format, args...))
		}
		label, err := svmLabel(words[0])
		if err != nil {
			return fail("%v", err)
		}
		last := int64(-1)
		for _, w := range words[1:] {
			index, text, ok := strings.Cut(w, ":")
			if index == "qid" && ok {
				continue
			}
			at, err := strconv.ParseInt(index, 10, 32)
			value, isNumber := parseNumber([]byte(text))
			if !ok || err != nil || at < 0 || !isNumber || !(math.Abs(value) <= math.MaxFloat32) {
				return fail("%q is no feature: want its number and its value, as 3:0.5", clip([]byte(w)))
			}
			if at <= last {
				return fail("feature %d follows feature %d: want them in order, each once", at, last)
			}
			last = at
			most, least = max(most, int32(at)), min(least, int32(at))
			pairs = append(pairs, sparseValue{int32(at), float32(value)})
		}
		labels, ends = append(labels, label), append(ends, len(pairs))
	}
	rows, columns := len(labels), int(most)-int(least)+1
	if rows == 0 || columns < 1 || len(pairs) == 0 {
		return nil, fmt.Errorf("%s holds no feature", path)
	}
	if size := 4 * int64(rows) * int64(columns); size > freeFeatures+maxWiden*int64(len(raw)) {
		return nil, fmt.Errorf("%s: %d features of %s take %d MiB, more than %d times the file: leave out those that few rows have", path, columns, plural(rows, "row"), size>>20, maxWiden)
	}
	x := func() (elements, error) {
		dense, from := make([]float32, rows*columns), 0
		for r, end := range ends {
			for _, p := range pairs[from:end] {
				dense[r*columns+int(p.column-least)] = p.value
			}
			from = end
		}
		return plainFloats(dense), nil
	}
	y := func() (elements, error) { return plainTexts(labels), nil }
	return &arrayFile{path: path, sparse: true, members: []member{
		{name: "x", shape: []int{rows, columns}, kind: "float32", open: x}, {name: "y", shape: []int{rows}, kind: "text", open: y},
	}}, nil
}

// svmLabel returns a label as other formats write it: a whole number without a plus or a fraction. Several labels, separated by commas, become
// a list.
func svmLabel(word string) (string, error) {
	var labels []string
	for label := range strings.SplitSeq(word, ",") {
		value, ok := parseNumber([]byte(label))
		if !ok || value != math.Trunc(value) || math.Abs(value) > 1<<53 {
			return "", fmt.Errorf("the label %q is no whole number: a classifier needs classes", clip([]byte(label)))
		}
		labels = append(labels, strconv.FormatInt(int64(value), 10))
	}
	return strings.Join(labels, labelSeparator), nil
}

// widen gives the rows of a sparse file as many columns as the model has. A feature that no row of the file has is 0 in all of them; one
// that training did not have is dropped.
func (a *array) widen(columns int) {
	width := a.width()
	if !a.sparse || len(a.shape) != 1 || width == columns {
		return
	}
	wide := make([]float32, a.n*columns)
	for r := range a.n {
		copy(wide[r*columns:(r+1)*columns], a.floats[r*width:(r+1)*width])
	}
	a.floats, a.shape = wide, []int{columns}
}

// plainFloats and plainTexts hold the elements of arrays in memory.
type (
	plainFloats []float32
	plainTexts  []string
)

func (f plainFloats) Float32() ([]float32, error) { return f, nil }
func (f plainFloats) Float64() ([]float64, error) {
	wide := make([]float64, len(f))
	for i, v := range f {
		wide[i] = float64(v)
	}
	return wide, nil
}

func (f plainFloats) Int64() ([]int64, error) {
	return nil, errors.New("features are no whole numbers")
}
func (f plainFloats) Uint8() ([]uint8, error)  { return nil, errors.New("features are no bytes") }
func (f plainFloats) Texts() ([]string, error) { return nil, errors.New("features are no text") }
func (f plainFloats) Close() error             { return nil }

func (t plainTexts) Texts() ([]string, error)    { return t, nil }
func (t plainTexts) Float32() ([]float32, error) { return nil, errors.New("labels are text") }
func (t plainTexts) Float64() ([]float64, error) { return nil, errors.New("labels are text") }
func (t plainTexts) Int64() ([]int64, error)     { return nil, errors.New("labels are text") }
func (t plainTexts) Uint8() ([]uint8, error)     { return nil, errors.New("labels are text") }
func (t plainTexts) Close() error                { return nil }
