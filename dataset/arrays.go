package dataset

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
)

// array is N samples of one shape: vectors, or images where shape has a height and a width.
type array struct {
	path    string
	n       int       // samples
	shape   []int     // shape of one sample: [D], [H,W] or [H,W,C]
	floats  []float32 // [N,…]; a view of the mapped file where it holds float32
	doubles []float64 // [N,D], in place of floats where the file holds float64 vectors
	pixels  []byte    // [N,…], in place of floats where the file holds images of bytes
	labels  *values   // nil where the file has none
	sparse  bool      // the file lists only the features that are not 0, so another file may have more or fewer columns
	close   []func() error
}

func (a *array) width() int {
	width := 1
	for _, side := range a.shape {
		width *= side
	}
	return width
}

func (a *array) Close() error {
	var first error
	for _, f := range a.close {
		if err := f(); err != nil && first == nil {
			first = err
		}
	}
	a.close = nil
	return first
}

// setShape sets a's shape from that of a whole array, and refuses an array that is not a list of samples. channelFirst reports that the
// array holds images as [N,C,H,W].
func (a *array) setShape(shape []int) (channelFirst bool, err error) {
	if len(shape) < 2 || len(shape) > 4 || slices.Contains(shape, 0) {
		return false, fmt.Errorf("%s has shape %v: give features [N,D], or images [N,H,W], [N,H,W,C] or [N,C,H,W]", a.path, shape)
	}
	a.n, a.shape = shape[0], slices.Clone(shape[1:])
	const channels = 4
	if len(shape) == 4 && shape[1] <= channels && shape[3] > channels {
		a.shape, channelFirst = []int{shape[2], shape[3], shape[1]}, true
	}
	if len(a.shape) > 1 && (a.shape[0] > maxSide || a.shape[1] > maxSide || len(a.shape) == 3 && a.shape[2] > channels) {
		return false, fmt.Errorf("%s has shape %v: images may have %d pixels a side and %d channels, which come last or first", a.path, shape, maxSide, channels)
	}
	return channelFirst, nil
}

// channelsLast returns images [N,C,H,W] as [N,H,W,C].
func channelsLast[T any](images []T, height, width, channels int) []T {
	turned := make([]T, len(images))
	size := height * width * channels
	parallel.Each(len(images)/max(size, 1), func(i int) {
		from, to := images[i*size:(i+1)*size], turned[i*size:(i+1)*size]
		for c := range channels {
			for p, v := range from[c*height*width : (c+1)*height*width] {
				to[p*channels+c] = v
			}
		}
	})
	return turned
}

// featuresOf returns the features of arrays whose samples have one shape, one array behind the other. A single array of floats is returned
// without a copy. Bytes are scaled to [0, 1].
func featuresOf(arrays ...*array) []float32 {
	if len(arrays) == 1 && arrays[0].pixels == nil {
		return arrays[0].floats
	}
	total := 0
	for _, a := range arrays {
		total += a.n * a.width()
	}
	all := make([]float32, total)
	rest := all
	for _, a := range arrays {
		part := rest[:a.n*a.width()]
		rest = rest[len(part):]
		const block = 1 << 16
		parallel.Each((len(part)+block-1)/block, func(b int) {
			from, to := b*block, min(len(part), (b+1)*block)
			if a.pixels == nil {
				copy(part[from:to], a.floats[from:to])
				return
			}
			for i, v := range a.pixels[from:to] {
				part[from+i] = float32(v) / 255
			}
		})
	}
	return all
}

// checkFinite names the first sample that holds NaN or infinity.
func (a *array) checkFinite() error {
	if a.floats == nil {
		return nil
	}
	width := a.width()
	const block = 256
	return inParallel((a.n+block-1)/block, func(b int) error {
		rows := a.floats[b*block*width : min(a.n, (b+1)*block)*width]
		if kernel.AllFinite(rows) {
			return nil
		}
		for i := range rows {
			if !kernel.AllFinite(rows[i : i+1]) {
				return fmt.Errorf("%s: sample %d holds %v at place %d: features must be finite", a.path, b*block+i/width, rows[i], i%width)
			}
		}
		return nil
	})
}

// openArray reads the features of s, and its labels from the file that labels names, or from s itself.
func openArray(s *source, o Options, labels string, needLabels bool) (*array, error) {
	a := &array{path: s.path}
	if err := a.readFile(s, o, labels, needLabels); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *array) readFile(s *source, o Options, labels string, needLabels bool) error {
	path := a.path
	inside, err := s.format.arrays(s)
	if err != nil {
		return err
	}
	if inside.close != nil {
		a.close = append(a.close, inside.close)
	}
	x, err := inside.features(s.member)
	if err != nil {
		return err
	}
	if err := a.readFeatures(x); err != nil {
		return err
	}
	a.sparse = inside.sparse
	if labels == "" {
		labels = idxLabels(path)
	}
	switch {
	case labels != "":
		a.labels, err = readLabelFile(labels, o, a.n)
	case needLabels && len(inside.members) > 1:
		var y *member
		if y, err = inside.labels(x, o.Target); err == nil {
			a.labels, err = y.labelsOf(path, o.MultiLabel)
		}
	case needLabels:
		err = optionErrorf("%s has no labels beside it: name their file with --labels", path)
	}
	if err != nil {
		return err
	}
	if a.labels != nil && len(a.labels.codes) != a.n {
		return fmt.Errorf("%s has %d samples, but there are %d labels in %s", path, a.n, len(a.labels.codes), cmp.Or(labels, path))
	}
	return nil
}

// readFeatures reads the samples of x: vectors, or images, whose whole numbers up to 255 are pixels.
func (a *array) readFeatures(x *member) error {
	if x.kind == "text" {
		return fmt.Errorf("%s holds text: give numbers [N,D], or a table of its own", a.path)
	}
	first, err := a.setShape(x.shape)
	if err != nil {
		return err
	}
	in, err := x.open()
	if err != nil {
		return err
	}
	a.close = append(a.close, in.Close)
	if len(a.shape) > 1 && (strings.HasPrefix(x.kind, "int") || strings.HasPrefix(x.kind, "uint")) {
		a.pixels, err = in.Uint8()
		if err != nil && x.kind != "uint8" {
			err = nil // the values are not pixels, and are read as floats
		}
	}
	switch {
	case err != nil || a.pixels != nil:
	case len(a.shape) == 1 && x.kind == "float64":
		a.doubles, err = in.Float64()
	default:
		a.floats, err = in.Float32()
	}
	if err != nil || !first {
		return err
	}
	h, w, c := a.shape[0], a.shape[1], a.shape[2]
	if a.pixels != nil {
		a.pixels = channelsLast(a.pixels, h, w, c)
	} else {
		a.floats = channelsLast(a.floats, h, w, c)
	}
	return nil
}

// narrow rounds doubles to float32, for data that is not standardised, and refuses values that are not finite.
func (a *array) narrow() error {
	if a.doubles != nil {
		a.floats = make([]float32, len(a.doubles))
		for i, v := range a.doubles {
			a.floats[i] = float32(v)
		}
		a.doubles = nil
	}
	return a.checkFinite()
}

// codesOf turns integers into codes. Whether negative integers stand for a sample without a label depends on which others there are, so
// dropNegative decides it later.
func codesOf(numbers []int64) *values {
	v := &values{codes: make([]int32, len(numbers)), integers: true}
	index := map[int64]int32{}
	for i, number := range numbers {
		code, known := index[number]
		if !known {
			code = int32(len(v.levels))
			v.levels = append(v.levels, strconv.FormatInt(number, 10))
			index[number] = code
		}
		v.codes[i] = code
	}
	return v
}

// readLabelFile reads the labels of n samples from an array, from a table, or from text with one a line.
func readLabelFile(path string, o Options, n int) (*values, error) {
	source, err := openSource(path, o)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if source.format.arrays != nil {
		inside, err := source.format.arrays(source)
		if err != nil {
			return nil, err
		}
		if inside.close != nil {
			defer inside.close()
		}
		y, err := inside.labelFile(source.member)
		if err != nil {
			return nil, err
		}
		return y.labelsOf(path, o.MultiLabel)
	}
	if source.format != separated && source.format.table != nil {
		t, err := source.format.table(source, o)
		if err != nil {
			return nil, err
		}
		return t.labels(o)
	}
	raw, err := source.all()
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
	t := table{path: path, data: raw}
	if err := t.checkText(false); err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\r", "\n")
	names := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for len(names) > n && strings.TrimSpace(names[len(names)-1]) == "" {
		names = names[:len(names)-1]
	}
	if len(names) == n+1 && !slices.Contains(names[1:], names[0]) { // a header, as pandas writes one
		if o.Header = "yes"; strings.ContainsAny(names[0], ",;\t") {
			if t, err := parseCSV(path, raw, o); err == nil && t.columns() > 1 {
				return t.labels(o)
			}
		}
		names = names[1:]
	}
	for i, name := range names {
		if name = strings.TrimSpace(name); len(name) > 1 && name[0] == '"' && name[len(name)-1] == '"' {
			names[i] = strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
		}
	}
	return codesOfTexts(names), nil
}

// labels returns the labels in the column that is called as a target is, or in the last one. A single row of many values is one label each.
func (t *table) labels(o Options) (*values, error) {
	if t.rows() == 1 && t.columns() > 1 {
		names := make([]string, t.columns())
		for c := range names {
			names[c] = string(t.field(0, c))
		}
		return codesOfTexts(names), nil
	}
	c := t.columns() - 1
	if i := slices.IndexFunc(t.names, o.isTarget); i >= 0 {
		c = i
	}
	if why := t.unread[t.names[c]]; why != "" {
		return nil, fmt.Errorf("%s: column %s: %s", t.path, t.names[c], why)
	}
	col := Column{Name: t.names[c], Type: Categorical}
	v, err := col.read(t, c, o.marks())
	return &v, err
}
