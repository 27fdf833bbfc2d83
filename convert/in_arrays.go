package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/safetensors"
	"github.com/logitscope/logitscope/record"
)

var npyReader = reader{
	name: "npy", begins: startsWith("\x93NUMPY"), ends: []string{".npy"},
	text: "an array [N,K] of logits, [N] of one logit each, or [E,N,K] of several epochs; labels, ids and classes beside it",
	open: func(path string, o *ImportOptions) (*input, error) {
		a, err := npy.Open(path)
		if err != nil {
			return nil, err
		}
		return inputOfArrays(&archive{path: path, close: a.Close, open: func(string) (*array, error) { return ofNumPy(a), nil }}, o)
	},
}

var npzReader = reader{
	name: "npz", begins: startsWith("PK\x03\x04", "PK\x05\x06"), ends: []string{".npz"},
	text: "arrays called logits, labels, ids, classes and previews (pictures [N,H,W] or [N,H,W,C], or texts [N]), or SPLIT_logits and so on; those of export too, whose logits are [E,N,K] with their epochs",
	open: func(path string, o *ImportOptions) (*input, error) {
		file, name := files.Part(path)
		names, err := npy.Names(file)
		if err != nil {
			return nil, err
		}
		return inputOfArrays(&archive{path: file, names: names, only: name, close: func() error { return nil }, open: func(name string) (*array, error) {
			a, err := npy.OpenZip(file, name)
			if err != nil {
				return nil, err
			}
			return ofNumPy(a), nil
		}}, o)
	},
}

var safetensorsReader = reader{
	name: "safetensors", begins: safetensors.Begins, ends: []string{".safetensors"},
	text: "tensors called as the arrays of .npz are; float16, bfloat16, float32 and float64",
	open: func(path string, o *ImportOptions) (*input, error) {
		file, name := files.Part(path)
		f, err := safetensors.Open(file)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, t := range f.Tensors {
			names = append(names, t.Name)
		}
		in, err := inputOfArrays(&archive{path: file, names: names, only: name, close: f.Close, open: func(name string) (*array, error) {
			t, err := f.Tensor(name)
			if err != nil {
				return nil, err
			}
			return ofTensor(t), nil
		}}, o)
		if err != nil {
			f.Close()
		}
		return in, err
	},
}

// archive is an open file of named arrays. An .npy file is an archive of one array without a name.
type archive struct {
	path  string
	names []string
	only  string // name of the array of logits that the path asks for; "" where the array is found by its name
	open  func(name string) (*array, error)
	close func() error
}

// array is an open array. Its functions convert the elements [from,to), counted in row-major order, when they are called.
type array struct {
	shape    []int
	text     bool
	integers bool    // whether its elements are integers
	wide     bool    // whether float32 does not hold every value of its type
	slack    float64 // how much rounding to its type may change a probability
	float32  func(from, to int) ([]float32, error)
	float64  func(from, to int) ([]float64, error)
	int64    func() ([]int64, error)
	texts    func() ([]string, error)
	close    func() error
}

func ofNumPy(a *npy.Array) *array {
	fraction := map[string]int{"float16": 10, "float32": 23, "float64": 52}[a.Type]
	return &array{
		shape: a.Shape, text: a.Type == "text", integers: fraction == 0 && a.Type != "text", wide: slices.Contains([]string{"float64", "int64", "uint64", "int32", "uint32"}, a.Type), slack: rounding(fraction),
		float32: func(from, to int) ([]float32, error) { return a.Slice(from, to).Float32() },
		float64: func(from, to int) ([]float64, error) { return a.Slice(from, to).Float64() },
		int64:   a.Int64, texts: a.Texts, close: a.Close,
	}
}

func ofTensor(t *safetensors.Tensor) *array {
	fraction := map[string]int{"BF16": 7, "F16": 10, "F32": 23, "F64": 52}[t.DType]
	return &array{
		shape: t.Shape, integers: fraction == 0, wide: slices.Contains([]string{"F64", "I64", "U64", "I32", "U32"}, t.DType), slack: rounding(fraction),
		float32: func(from, to int) ([]float32, error) { return t.Slice(from, to).Float32() },
		float64: func(from, to int) ([]float64, error) { return t.Slice(from, to).Float64() },
		int64:   t.Int64,
		texts:   func() ([]string, error) { return nil, errors.New("tensors hold no text") },
		close:   func() error { return nil },
	}
}

// rounding returns how much a type with so many bits of fraction may change a probability; 0 bits stand for a type that has none.
func rounding(fraction int) float64 {
	if fraction == 0 {
		return 0
	}
	return analysis.Rounding(fraction)
}

// arraysOf are the arrays of one split.
type arraysOf struct {
	split         string // the split that the arrays' names give; "" where they give none
	logits        *array
	labels, ids   *array // nil where the file has none
	pictures      *array // the samples' previews; nil where the file has none
	preview       *record.Preview
	texts         []string
	labelNames    []string
	labelNumbers  []int64
	idNumbers     []int64
	epochs        []int64 // the epoch of each element of the first dimension of logits [E,N,K]; nil for logits [N,K]
	counted       int     // how many epochs there are, where the file does not say which; else 0
	rows, columns int
}

// inputOfArrays finds the arrays of logits of each split in an archive, and the labels, ids and previews that belong to them.
func inputOfArrays(a *archive, o *ImportOptions) (in *input, err error) {
	if o.Text != "" && o.Text != noText {
		return nil, fmt.Errorf("arrays have no column %s: texts [N] are an array called previews", o.Text)
	}
	in = &input{}
	var opened []*array
	in.close = func() error {
		errs := []error{}
		for _, one := range opened {
			errs = append(errs, one.close())
		}
		return errors.Join(append(errs, a.close())...)
	}
	get := func(name string) (*array, error) {
		if len(a.names) > 0 && !slices.Contains(a.names, name) {
			return nil, nil
		}
		one, err := a.open(name)
		if err == nil {
			opened = append(opened, one)
		}
		return one, err
	}
	defer func() {
		if err != nil {
			for _, one := range opened {
				one.close()
			}
		}
	}()
	if a.only != "" && len(a.names) > 0 && !slices.Contains(a.names, a.only) {
		return nil, fmt.Errorf("it has no array %q: it has %s", a.only, fewOf(a.names))
	}
	prefixes, err := a.splits()
	if err != nil {
		return nil, err
	}
	var splits []*arraysOf
	for _, prefix := range prefixes {
		one := &arraysOf{split: strings.TrimSuffix(prefix, "_")}
		name := prefix + "logits"
		if a.only != "" {
			name = a.only
		}
		if one.logits, err = get(name); err != nil {
			return nil, err
		}
		if len(a.names) > 0 {
			if one.labels, err = get(prefix + "labels"); err != nil {
				return nil, err
			}
			if one.ids, err = get(prefix + "ids"); err != nil {
				return nil, err
			}
			if one.pictures, err = get(prefix + "previews"); err != nil {
				return nil, err
			}
			if one.pictures != nil && one.pictures.text && o.Text == noText {
				one.pictures = nil
			}
			if targets := prefix + "targets"; slices.Contains(a.names, targets) {
				return nil, fmt.Errorf("it has %s: logits of samples with several classes each are not imported", targets)
			}
		}
		if err := one.shape(); err != nil {
			return nil, err
		}
		if len(a.names) > 0 && len(one.logits.shape) == 3 {
			epochs, err := get("epochs")
			if err != nil {
				return nil, err
			}
			if epochs != nil {
				if one.epochs, err = epochs.int64(); err != nil {
					return nil, err
				}
				one.counted = 0
			}
			if len(one.epochs) != one.logits.shape[0] && epochs != nil {
				return nil, fmt.Errorf("it has %d epochs, and logits of %d", len(one.epochs), one.logits.shape[0])
			}
		}
		if err := one.read(); err != nil {
			return nil, err
		}
		splits = append(splits, one)
	}
	if len(a.names) > 0 {
		classes, err := get("classes")
		if err == nil && classes != nil && classes.text {
			in.classes, err = classes.texts()
		}
		if err != nil {
			return nil, err
		}
	}
	in.each = func(ctx context.Context, use func(*rows) error) error {
		return analysis.Guard(a.path, func() error { return eachOfArrays(ctx, splits, use) })
	}
	return in, nil
}

// splits returns what stands before "logits" in the names of the archive's arrays, such as val of val_logits.
func (a *archive) splits() ([]string, error) {
	switch {
	case len(a.names) == 0:
		return []string{""}, nil
	case a.only != "":
		prefix, _ := strings.CutSuffix(a.only, "logits")
		if !strings.HasSuffix(prefix, "_") {
			prefix = ""
		}
		return []string{prefix}, nil
	case slices.Contains(a.names, "logits"):
		return []string{""}, nil
	}
	var prefixes []string
	for _, name := range a.names {
		if prefix, ok := strings.CutSuffix(name, "_logits"); ok && prefix != "" {
			prefixes = append(prefixes, prefix+"_")
		}
	}
	if len(prefixes) == 0 && len(a.names) == 1 {
		a.only = a.names[0]
		return []string{""}, nil
	}
	if len(prefixes) == 0 {
		return nil, fmt.Errorf("it has no array called logits: it has %s; name one as FILE:NAME", fewOf(a.names))
	}
	return prefixes, nil
}

// shape sets rows, columns and epochs from the shape of the logits.
func (s *arraysOf) shape() error {
	shape := s.logits.shape
	if s.logits.text {
		return errors.New("its logits are text: want numbers")
	}
	switch len(shape) {
	case 1:
		s.rows, s.columns = shape[0], 1
	case 2:
		s.rows, s.columns = shape[0], shape[1]
	case 3:
		s.rows, s.columns = shape[1], shape[2]
		for e := range shape[0] {
			s.epochs = append(s.epochs, int64(e+1))
		}
		s.counted = shape[0]
	default:
		return fmt.Errorf("its logits have shape %v: want [N,K], [N] of one logit each, or [E,N,K]", shape)
	}
	if s.rows == 0 || s.columns == 0 || len(shape) == 3 && shape[0] == 0 {
		return fmt.Errorf("its logits have shape %v: there is no row", shape)
	}
	return nil
}

// read reads the labels and ids into memory.
func (s *arraysOf) read() (err error) {
	for what, a := range map[string]*array{"labels": s.labels, "ids": s.ids} {
		if a != nil && (len(a.shape) != 1 && (len(a.shape) != 2 || a.shape[1] != 1) || a.shape[0] != s.rows) {
			return fmt.Errorf("%s of shape %v for %d rows of logits: want [%d]", what, a.shape, s.rows, s.rows)
		}
	}
	if err := s.readPreview(); err != nil {
		return err
	}
	switch {
	case s.labels == nil:
	case s.labels.text:
		s.labelNames, err = s.labels.texts()
	default:
		s.labelNumbers, err = s.labels.int64()
	}
	if err == nil && s.ids != nil {
		s.idNumbers, err = s.ids.int64()
	}
	return err
}

// eachOfArrays calls use with blocks of the rows of each epoch, and within an epoch of each split.
func eachOfArrays(ctx context.Context, splits []*arraysOf, use func(*rows) error) error {
	epochs := max(1, len(splits[0].epochs))
	for e := range epochs {
		for _, s := range splits {
			if max(1, len(s.epochs)) != epochs {
				return fmt.Errorf("split %s has %d epochs, and %s %d", s.split, len(s.epochs), splits[0].split, epochs)
			}
			if err := s.each(ctx, e, use); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *arraysOf) each(ctx context.Context, e int, use func(*rows) error) error {
	step := blockRows(s.columns)
	for from := 0; from < s.rows; from += step {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		to := min(from+step, s.rows)
		r := &rows{n: to - from, first: fmt.Sprintf("row %d", from), columns: s.columns, slack: s.logits.slack, more: s.rows - to, again: s.epochs != nil, place: from}
		if s.split != "" {
			r.splits = []string{s.split}
		}
		if s.epochs != nil {
			r.epochs, r.counted = s.epochs[e:e+1], s.counted
		}
		if s.idNumbers != nil {
			r.ids = s.idNumbers[from:to]
		}
		if s.labelNumbers != nil {
			r.labels = s.labelNumbers[from:to]
		}
		if s.labelNames != nil {
			r.labelNames = s.labelNames[from:to]
		}
		if err := s.logitsOf(r, e, from, to); err != nil {
			return err
		}
		if e == 0 {
			if err := s.previewsOf(r, from, to); err != nil {
				return err
			}
		}
		if err := use(r); err != nil {
			return err
		}
	}
	return nil
}

// logitsOf converts the logits of rows [from,to) at the e-th epoch.
func (s *arraysOf) logitsOf(r *rows, e, from, to int) (err error) {
	from, to = (e*s.rows+from)*s.columns, (e*s.rows+to)*s.columns
	if s.logits.wide {
		r.wide, err = s.logits.float64(from, to)
	} else {
		r.narrow, err = s.logits.float32(from, to)
	}
	return err
}

// readPreview sets the layout of the previews from the shape of their array, and reads texts into memory.
func (s *arraysOf) readPreview() error {
	if s.pictures == nil {
		return nil
	}
	shape := s.pictures.shape
	if s.pictures.text && len(shape) == 1 && shape[0] == s.rows {
		texts, err := s.pictures.texts()
		for i, text := range texts {
			texts[i] = record.CutText(text, record.TextBytes)
		}
		s.texts = texts
		return err
	}
	if s.pictures.text || len(shape) < 3 || len(shape) > 4 || shape[0] != s.rows {
		return fmt.Errorf("previews of shape %v for %d rows of logits: want pictures, [%d,height,width] or [%d,height,width,channels], or texts, [%d]", shape, s.rows, s.rows, s.rows, s.rows)
	}
	s.preview = &record.Preview{Kind: "image", Height: shape[1], Width: shape[2], Channels: 1, Max: 255}
	if len(shape) == 4 {
		s.preview.Channels = shape[3]
	}
	return nil
}

// previewsOf sets the previews of rows [from,to). Integers are taken as they are, 0 to 255; fractions from 0 to 1 are multiplied by 255.
func (s *arraysOf) previewsOf(r *rows, from, to int) error {
	if s.texts != nil {
		r.texts = s.texts[from:to]
	}
	if s.preview == nil {
		return nil
	}
	size := s.preview.Size()
	values, err := s.pictures.float32(from*size, to*size)
	if err != nil {
		return err
	}
	most, scale := float32(1), float32(255)
	if s.pictures.integers {
		most, scale = 255, 1
	}
	r.preview, r.previews = s.preview, make([]byte, len(values))
	for i, v := range values {
		if !(v >= 0 && v <= most) {
			return fmt.Errorf("the preview of row %d has the value %v: want 0 to %v", from+i/size, v, most)
		}
		r.previews[i] = byte(v*scale + 0.5)
	}
	return nil
}
