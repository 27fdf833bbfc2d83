package dataset

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/internal/splitname"
)

// loadArray loads vectors or images with their labels.
func loadArray(o Options, rng *rand.Rand, open func(path, labels string, like *Pipeline) (*array, error)) (*Dataset, error) {
	a, err := open(o.Path, o.Labels, nil)
	if err != nil {
		return nil, err
	}
	if err := a.narrow(); err != nil {
		a.Close()
		return nil, err
	}
	arrays := []*array{a}
	d := &Dataset{close: func() (first error) {
		for _, a := range arrays {
			first = cmp.Or(first, a.Close())
		}
		return first
	}, Pipeline: &Pipeline{Kind: KindVectors, Inputs: a.width(), Target: o.Target, MultiLabel: o.MultiLabel}}
	p := d.Pipeline
	if len(a.shape) > 1 {
		p.Kind, p.Shape = KindImage, &Shape{Height: a.shape[0], Width: a.shape[1], Channels: 1}
		if len(a.shape) == 3 {
			p.Shape.Channels = a.shape[2]
		}
	}
	fail := func(err error) (*Dataset, error) { d.Close(); return nil, err }
	d.Columns = p.Inputs
	if err := d.takeLabels(a, o); err != nil {
		return fail(err)
	}
	if o.Val != "" {
		o.ValFraction = 0
	}
	if err := d.divideAlone(o, rng); err != nil {
		return fail(err)
	}
	pixels := slices.Clip(a.pixels)
	for _, more := range []struct{ name, path, labels string }{{splitname.Val, o.Val, o.ValLabels}, {splitname.Test, o.Test, o.TestLabels}} {
		if more.path == "" {
			continue
		}
		b, err := open(more.path, more.labels, p)
		if err != nil {
			return fail(err)
		}
		arrays = append(arrays, b)
		if err := b.narrow(); err != nil {
			return fail(err)
		}
		b.widen(a.width())
		if !slices.Equal(a.shape, b.shape) {
			return fail(fmt.Errorf("%s has samples of shape %v, %s of %v", more.path, b.shape, o.Path, a.shape))
		}
		counts := new(Counts)
		if o.MultiLabel {
			err = d.appendTargets(more.name, more.path, b.labelTable(), 0, o, counts)
		} else {
			err = d.appendLabels(more.name, more.path, b.labels, o, counts)
		}
		if err != nil {
			return fail(err)
		}
		pixels = append(pixels, b.pixels...)
		for _, w := range counts.Warnings() {
			d.Warnings = append(d.Warnings, more.path+": "+w)
		}
	}
	d.Features = featuresOf(arrays...)
	if p.Shape != nil && len(pixels) == len(d.Features) && p.Shape.Channels != 2 {
		d.Image = &Image{Height: p.Shape.Height, Width: p.Shape.Width, Channels: p.Shape.Channels, Max: 255, Pixels: pixels}
	}
	d.warnOfTwins(d.hashRows())
	return d, nil
}

// takeLabels sets d's classes and labels from those of an array or folder.
func (d *Dataset) takeLabels(a *array, o Options) error {
	if o.MultiLabel {
		return d.readLabels(a.labelTable(), 0, o)
	}
	a.labels.dropNegative()
	if o.FoldLabels {
		a.labels.foldSpellings()
	}
	d.Classes = slices.Clone(a.labels.levels)
	sortClasses(d.Classes)
	d.Labels = a.labels.encode(d.Classes, o.FoldLabels)
	return d.checkLabels(o, nil, nil)
}

// tableWidth is the number of values from which on vectors are taken for embeddings, whose values share one scale. Shorter vectors are
// taken for the columns of a table.
const tableWidth = 128

// maxMapped is the size in bytes up to which a mapped file is standardised even though its columns share one scale already.
const maxMapped = 64 << 20

// decideForArrays decides how a file of arrays is trained on: as a table, whose columns are standardised, or as they are; and takes the parts
// for validation and test that the file holds. It says what it decided.
func (o *Options) decideForArrays(s *source) (notes []string, asTable bool, err error) {
	inside, err := s.format.arrays(s)
	if err != nil {
		return nil, false, err
	}
	if inside.close != nil {
		defer inside.close()
	}
	x, err := inside.features(s.member)
	if err != nil {
		return nil, false, err
	}
	notes = inside.otherParts(o, x)
	if len(inside.members) > 1 {
		notes = append(notes, fmt.Sprintf("the features are %s %v of %s", x.name, x.shape, inside.path))
	}
	if len(x.shape) == 4 && x.shape[1] <= 4 && x.shape[3] > 4 {
		notes = append(notes, fmt.Sprintf("images of shape %v have their channel first: they are turned to have it last", x.shape[1:]))
	}
	if len(x.shape) != 2 || o.Standardize == "no" || o.Standardize == "" && x.shape[1] >= tableWidth {
		return notes, false, nil
	}
	if o.Standardize == "" && x.kind == "float32" && 4*int64(x.shape[0])*int64(x.shape[1]) > maxMapped {
		even, err := x.isStandardised()
		if err != nil {
			return nil, false, err
		}
		if even {
			return append(notes, "every column has a mean near 0 and a deviation near 1 already: the array is used where it lies, without a copy"), false, nil
		}
	}
	return append(notes, fmt.Sprintf("vectors of %s are treated as the columns of a table are, and standardised: --standardize no takes them as they are", plural(x.shape[1], "value"))), true, nil
}

// isStandardised reports whether every column of a matrix has a mean within 0.25 of 0 and a deviation of 0.5 to 2.
func (m *member) isStandardised() (bool, error) {
	in, err := m.open()
	if err != nil {
		return false, err
	}
	defer in.Close()
	x, err := in.Float32()
	if err != nil {
		return false, err
	}
	rows, columns := m.shape[0], m.shape[1]
	sums, squares := make([]float64, columns), make([]float64, columns)
	for r := range rows {
		for c, v := range x[r*columns : (r+1)*columns] {
			sums[c] += float64(v)
			squares[c] += float64(v) * float64(v)
		}
	}
	for c := range columns {
		mean := sums[c] / float64(rows)
		variance := squares[c]/float64(rows) - mean*mean
		if !(math.Abs(mean) <= 0.25 && variance >= 0.25 && variance <= 4) {
			return false, nil
		}
	}
	return true, nil
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
