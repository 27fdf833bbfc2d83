package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/internal/safetensors"
)

// array is N samples of one shape: vectors, or images where shape has a height and a width.
type array struct {
	path   string
	n      int
	shape  []int     // of a sample: [D], [H,W] or [H,W,C]
	floats []float32 // [N,…]; a mapped file's own memory where it holds float32
	pixels []byte    // [N,…]: images of bytes, which have no floats
	labels *values   // nil where the file has none
	close  []func() error
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

// setShape takes the shape of a whole array, and refuses what is no table of samples.
func (a *array) setShape(shape []int) error {
	if len(shape) < 2 || len(shape) > 4 || slices.Contains(shape, 0) {
		return fmt.Errorf("%s has shape %v: give features [N,D], or images [N,H,W] or [N,H,W,C]", a.path, shape)
	}
	if len(shape) > 2 && (shape[1] > maxSide || shape[2] > maxSide || len(shape) == 4 && shape[3] > 4) {
		return fmt.Errorf("%s has shape %v: images may have %d pixels a side and 4 channels, which come last", a.path, shape, maxSide)
	}
	a.n, a.shape = shape[0], slices.Clone(shape[1:])
	return nil
}

// featuresOf are those of arrays of samples of one shape, one array behind the other: of a single one its own floats, else a copy, of
// bytes scaled to 0 to 1.
func featuresOf(arrays ...*array) []float32 {
	if len(arrays) == 1 && arrays[0].pixels == nil {
		return arrays[0].floats
	}
	total := 0
	for _, a := range arrays {
		total += a.n * a.width()
	}
	all := make([]float32, total)
	at := all
	for _, a := range arrays {
		own := at[:a.n*a.width()]
		at = at[len(own):]
		const block = 1 << 16
		parallel.Each((len(own)+block-1)/block, func(b int) {
			from, to := b*block, min(len(own), (b+1)*block)
			if a.pixels == nil {
				copy(own[from:to], a.floats[from:to])
				return
			}
			for i, v := range a.pixels[from:to] {
				own[from+i] = float32(v) / 255
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

// Names that features and labels go by in archives of several arrays.
var (
	featureNames = []string{"x", "X", "features", "embeddings", "images", "data", "x_train", "X_train"}
	labelNames   = []string{"y", "Y", "labels", "label", "target", "targets", "y_train", "Y_train"}
)

func pick(path string, names, known []string, what string) (string, error) {
	for _, name := range known {
		if slices.Contains(names, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s has no array that is called like %s (%s): it has %s", path, what, strings.Join(known[:4], ", "), listed(names))
}

// openArray reads the features at path, and its labels where labels names a file of them or the file holds some.
func openArray(path string, o Options, labels string, needLabels bool) (*array, error) {
	a := &array{path: path}
	if err := a.read(o, labels, needLabels); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *array) read(o Options, labels string, needLabels bool) error {
	path := a.path
	inside, err := a.readFeatures(path, o)
	if err != nil {
		return err
	}
	if labels == "" {
		labels = idxLabels(path)
	}
	switch {
	case a.labels != nil:
	case labels != "":
		a.labels, err = readLabelFile(labels, o)
	case inside != nil && needLabels:
		a.labels, err = inside()
	case needLabels:
		err = optionErrorf("%s has no labels beside it: name their file with --labels", path)
	}
	if err != nil {
		return err
	}
	if a.labels != nil && len(a.labels.codes) != a.n {
		return fmt.Errorf("%s has %d samples, but there are %d labels in %s", path, a.n, len(a.labels.codes), labels)
	}
	return a.checkFinite()
}

// readFeatures reads the features of a file, and returns a function for the labels where it may hold them.
func (a *array) readFeatures(path string, o Options) (inside func() (*values, error), err error) {
	wish := func(known []string) []string {
		if o.Target != "" {
			return append([]string{o.Target}, known...)
		}
		return known
	}
	switch {
	case strings.HasSuffix(path, ".npy"):
		file, err := npy.Open(path)
		if err != nil {
			return nil, err
		}
		a.close = append(a.close, file.Close)
		return nil, a.takeNumPy(file)
	case strings.HasSuffix(path, ".npz"):
		names, err := npy.Names(path)
		if err != nil {
			return nil, err
		}
		name, err := pick(path, names, featureNames, "features")
		if err != nil {
			return nil, err
		}
		file, err := npy.OpenZip(path, name)
		if err != nil {
			return nil, err
		}
		a.close = append(a.close, file.Close)
		return func() (*values, error) {
			name, err := pick(path, names, wish(labelNames), "labels")
			if err != nil {
				return nil, err
			}
			file, err := npy.OpenZip(path, name)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			return labelsOfNumPy(path, file)
		}, a.takeNumPy(file)
	case strings.HasSuffix(path, ".safetensors"):
		file, err := safetensors.Open(path)
		if err != nil {
			return nil, err
		}
		a.close = append(a.close, file.Close)
		var names []string
		for _, t := range file.Tensors {
			names = append(names, t.Name)
		}
		name, err := pick(path, names, featureNames, "features")
		if err != nil {
			return nil, err
		}
		tensor, err := file.Tensor(name)
		if err != nil {
			return nil, err
		}
		if err := a.setShape(tensor.Shape); err != nil {
			return nil, err
		}
		a.floats, err = tensor.Float32()
		return func() (*values, error) {
			name, err := pick(path, names, wish(labelNames), "labels")
			if err != nil {
				return nil, err
			}
			tensor, err := file.Tensor(name)
			if err != nil {
				return nil, err
			}
			numbers, err := tensor.Int64()
			if err != nil {
				return nil, fmt.Errorf("%s: labels: %w", path, err)
			}
			return codesOf(numbers), nil
		}, err
	}
	return nil, a.readIDX(path, o)
}

func (a *array) takeNumPy(file *npy.Array) (err error) {
	if err := a.setShape(file.Shape); err != nil {
		return err
	}
	if len(a.shape) > 1 && file.Type == "uint8" {
		a.pixels, err = file.Uint8()
	} else {
		a.floats, err = file.Float32()
	}
	return err
}

func labelsOfNumPy(path string, file *npy.Array) (*values, error) {
	if len(file.Shape) != 1 && (len(file.Shape) != 2 || file.Shape[1] != 1) {
		return nil, fmt.Errorf("%s: labels of shape %v: give one number a sample, [N]", path, file.Shape)
	}
	numbers, err := file.Int64()
	if err != nil {
		return nil, fmt.Errorf("%s: labels: %w", path, err)
	}
	return codesOf(numbers), nil
}

// codesOf turns integers into codes; a negative one stands for a sample without a label.
func codesOf(numbers []int64) *values {
	v := &values{codes: make([]int32, len(numbers))}
	index := map[int64]int32{}
	for i, number := range numbers {
		code, known := index[number]
		if !known {
			code = -1
			if number >= 0 {
				code = int32(len(v.levels))
				v.levels = append(v.levels, strconv.FormatInt(number, 10))
			}
			index[number] = code
		}
		v.codes[i] = code
	}
	return v
}

// readLabelFile reads labels from .npy, from IDX, or from text with one a line.
func readLabelFile(path string, o Options) (*values, error) {
	if strings.HasSuffix(path, ".npy") {
		file, err := npy.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return labelsOfNumPy(path, file)
	}
	raw, err := readFile(path, o.maxBytes())
	if err != nil {
		return nil, err
	}
	if len(raw) > 4 && raw[0] == 0 && raw[1] == 0 {
		shape, body, err := parseIDX(path, raw)
		if err != nil {
			return nil, err
		}
		if len(shape) != 1 {
			return nil, fmt.Errorf("%s has shape %v: labels have one number a sample", path, shape)
		}
		numbers := make([]int64, len(body))
		for i, b := range body {
			numbers[i] = int64(b)
		}
		return codesOf(numbers), nil
	}
	t := table{path: path, data: raw}
	if err := t.checkText(false); err != nil {
		return nil, err
	}
	v := new(values)
	index := map[string]int32{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		code, known := index[name]
		if !known {
			if code = -1; name != "" {
				code = int32(len(v.levels))
				v.levels = append(v.levels, name)
			}
			index[name] = code
		}
		v.codes = append(v.codes, code)
	}
	return v, lines.Err()
}

// idxLabels is where the labels of IDX images lie by custom.
func idxLabels(path string) string {
	dir, name := filepath.Split(path)
	other := strings.NewReplacer("images", "labels", "idx3", "idx1").Replace(name)
	if other == name || !isIDX(path) {
		return ""
	}
	if _, err := os.Stat(dir + other); err != nil {
		return ""
	}
	return dir + other
}

func isIDX(path string) bool {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	return strings.HasSuffix(name, "ubyte") || strings.HasSuffix(name, ".idx")
}

// readIDX reads images in the format of the MNIST files: Y. LeCun, C. Cortes, C. Burges.
func (a *array) readIDX(path string, o Options) error {
	raw, err := readFile(path, o.maxBytes())
	if err != nil {
		return err
	}
	shape, body, err := parseIDX(path, raw)
	if err != nil {
		return err
	}
	if err := a.setShape(shape); err != nil {
		return err
	}
	a.pixels = body
	return nil
}

// parseIDX reads a header: two zeros, the type (8, bytes), the number of dimensions, each as a big-endian uint32.
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

// loadArray loads vectors or images with their labels.
func loadArray(o Options, rng *rand.Rand, open func(path, labels string, like *Pipeline) (*array, error)) (*Dataset, error) {
	a, err := open(o.Path, o.Labels, nil)
	if err != nil {
		return nil, err
	}
	arrays := []*array{a}
	d := &Dataset{close: func() (first error) {
		for _, a := range arrays {
			first = cmp.Or(first, a.Close())
		}
		return first
	}, Pipeline: &Pipeline{Kind: KindVectors, Inputs: a.width(), Target: o.Target}}
	p := d.Pipeline
	if len(a.shape) > 1 {
		p.Kind, p.Shape = KindImage, &Shape{Height: a.shape[0], Width: a.shape[1], Channels: 1}
		if len(a.shape) == 3 {
			p.Shape.Channels = a.shape[2]
		}
	}
	fail := func(err error) (*Dataset, error) { d.Close(); return nil, err }
	d.Columns = p.Inputs
	d.Classes = slices.Clone(a.labels.levels)
	sortClasses(d.Classes)
	d.Labels = a.labels.encode(d.Classes)
	if err := d.checkLabels(o); err != nil {
		return fail(err)
	}
	if o.Val != "" {
		o.ValFraction = 0
	}
	if err := d.divideAlone(o, rng); err != nil {
		return fail(err)
	}
	pixels := slices.Clip(a.pixels)
	for _, more := range []struct{ name, path, labels string }{{"val", o.Val, o.ValLabels}, {"test", o.Test, o.TestLabels}} {
		if more.path == "" {
			continue
		}
		b, err := open(more.path, more.labels, p)
		if err != nil {
			return fail(err)
		}
		arrays = append(arrays, b)
		if !slices.Equal(a.shape, b.shape) {
			return fail(fmt.Errorf("%s has samples of shape %v, %s of %v", more.path, b.shape, o.Path, a.shape))
		}
		first := d.Len()
		labels := b.labels.encode(d.Classes)
		var rows []int
		unknown := 0
		for r, label := range labels {
			if label != Ignored {
				rows = append(rows, first+r)
			} else if b.labels.codes[r] >= 0 {
				unknown++
			}
		}
		d.Labels = append(d.Labels, labels...)
		pixels = append(pixels, b.pixels...)
		d.Parts = append(d.Parts, part(more.name, rows, first))
		if c := (Counts{Labels: unknown}); unknown > 0 {
			d.Warnings = append(d.Warnings, more.path+": "+c.Warnings()[0])
		}
	}
	d.Features = featuresOf(arrays...)
	if p.Shape != nil && len(pixels) == len(d.Features) && p.Shape.Channels != 2 {
		d.Image = &Image{Height: p.Shape.Height, Width: p.Shape.Width, Channels: p.Shape.Channels, Max: 255, Pixels: pixels}
	}
	d.warnOfTwins(d.hashRows())
	return d, nil
}

// hashRows hashes each sample's features as they lie in memory.
func (d *Dataset) hashRows() []uint64 {
	seed := maphash.MakeSeed()
	hashes := make([]uint64, d.Len())
	const block = 256
	parallel.Each((len(hashes)+block-1)/block, func(b int) {
		for i := b * block; i < min(len(hashes), (b+1)*block); i++ {
			row := d.Row(i)
			hashes[i] = maphash.Bytes(seed, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(row))), 4*len(row)))
		}
	})
	return hashes
}
