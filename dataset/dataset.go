// Package dataset reads a user's data and makes of it what a classifier is trained on.
//
// Load reads a file in any of the formats that Formats lists (CSV, Parquet, NumPy arrays, folders of images and more), finds out what its columns
// mean, divides the rows into training, validation and test, and fits the Pipeline that turns the columns into features. The result, a
// Dataset, is plain memory: a row-major feature matrix or tokens, one label a row, and the class names. Pipeline.Open reads new rows later
// in the same way. All randomness comes from the caller's generator, so that the same seed gives the same samples.
package dataset

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Dataset is N labelled samples, of D features each or of tokens.
type Dataset struct {
	Name     string
	Classes  []string  // K class names; a label is an index into them
	Features []float32 // [N,D], scaled as the network takes them; nil where there are tokens
	Columns  int       // D
	Tokens   []int32   // ids of n-grams; those of sample i are Tokens[Offsets[i]:Offsets[i+1]]
	Offsets  []int32   // [N+1]
	Weights  []float32 // of each token
	Labels   []int32   // [N], each in [0,K), or Ignored
	Targets  []uint8   // [N,K] of 0 and 1 where a sample may have several classes; every label is Ignored then
	Image    *Image    // the pictures of the samples, or nil where they are not images

	// Load sets the following fields.
	Parts    []Part         // train, then val and test where the data has them
	Pipeline *Pipeline      // turns new rows into features in the way that these rows were
	Notes    []string       // what Load decided, for a person to read
	Warnings []string       // what may be wrong with the data
	Hashes   []uint64       // [N], equal for rows that are identical to the letter; nil where rows were not compared
	texts    []bucketCounts // of all tables that were read, before they are Tokens
	close    func() error
}

// Close releases the mapped file that Features may be a view of.
func (d *Dataset) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// Image describes samples that a person can look at.
type Image struct {
	Height, Width, Channels int
	Max                     int    // the largest pixel value
	Pixels                  []byte // [N,Height,Width,Channels]
}

// Len returns N, the number of samples.
func (d *Dataset) Len() int { return len(d.Labels) }

// Row returns the features of sample i, [D], as a view into the dataset.
func (d *Dataset) Row(i int) []float32 {
	return d.Features[i*d.Columns : (i+1)*d.Columns : (i+1)*d.Columns]
}

// Target returns the targets of sample i, [K], as a view into the dataset.
func (d *Dataset) Target(i int) []uint8 {
	k := len(d.Classes)
	return d.Targets[i*k : (i+1)*k : (i+1)*k]
}

// Split divides the samples into a validation set of ⌈N·valFraction⌉ and a training set of trainSize samples out of the
// rest (all of the rest where trainSize is 0). Both are stratified: each class has its share of each to within one
// sample, and one of a single sample goes to the training set. The indices come back shuffled. The rounding is
// scikit-learn's (train_test_split rounds the held-out part up).
func (d *Dataset) Split(valFraction float64, trainSize int, rng *rand.Rand) (train, val []int, err error) {
	return d.split(d.labelled(), valFraction, trainSize, rng)
}

func (d *Dataset) split(rows []int, valFraction float64, trainSize int, rng *rand.Rand) (train, val []int, err error) {
	if !(valFraction >= 0 && valFraction < 1) {
		return nil, nil, optionErrorf("validation fraction %v is not in [0, 1)", valFraction)
	}
	val, rest := d.stratified(rows, int(math.Ceil(float64(len(rows))*valFraction)), 2, rng)
	if present := d.present(rows); valFraction > 0 && len(rows) > 0 && len(rest) < present {
		return nil, nil, optionErrorf("validation fraction %v leaves %d of %s for training, fewer than there are classes (%d): give less, 0.2 is usual, or 0 for no validation",
			valFraction, len(rest), plural(len(rows), "sample"), present)
	}
	switch {
	case trainSize < 0 || trainSize > len(rest):
		return nil, nil, optionErrorf("training size %d is not in [0, %d]: %s has %d samples, %d of them for validation",
			trainSize, len(rest), cmp.Or(d.Name, "the data"), len(rows), len(val))
	case trainSize > 0:
		train, _ = d.stratified(rest, trainSize, 1, rng)
	default:
		train = rest
	}
	rng.Shuffle(len(train), func(i, j int) { train[i], train[j] = train[j], train[i] })
	rng.Shuffle(len(val), func(i, j int) { val[i], val[j] = val[j], val[i] })
	return train, val, nil
}

// present returns how many classes the samples have; samples of several classes count as one.
func (d *Dataset) present(samples []int) int {
	classes := map[int32]bool{}
	for _, i := range samples {
		classes[d.Labels[i]] = true
	}
	return len(classes)
}

// stratified takes size of the given samples, each class in proportion, the seats that rounding leaves going to the
// largest remainders (the earlier class on a tie). It takes none of a class of fewer than atLeast samples.
func (d *Dataset) stratified(samples []int, size, atLeast int, rng *rand.Rand) (taken, rest []int) {
	byClass := make([][]int, len(d.Classes)+1)
	for _, i := range samples {
		class := len(d.Classes) // that of samples with several classes
		if d.Labels[i] != Ignored {
			class = int(d.Labels[i])
		}
		byClass[class] = append(byClass[class], i)
	}
	quota := make([]int, len(byClass))
	remainder := make([]float64, len(byClass))
	order := make([]int, 0, len(byClass))
	left := size
	for c, members := range byClass {
		if len(members) < atLeast {
			continue
		}
		exact := float64(len(members)) * float64(size) / float64(max(len(samples), 1))
		quota[c] = int(exact)
		remainder[c] = exact - float64(quota[c])
		order = append(order, c)
		left -= quota[c]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainder[b], remainder[a]) })
	for left > 0 && len(order) > 0 {
		// A second round is needed only where small classes gave up their seats.
		before := left
		for _, c := range order {
			if left > 0 && quota[c] < len(byClass[c]) {
				quota[c]++
				left--
			}
		}
		if left == before {
			break
		}
	}
	for c, members := range byClass {
		rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		taken = append(taken, members[:quota[c]]...)
		rest = append(rest, members[quota[c]:]...)
	}
	return taken, rest
}

// PlantWrongLabels returns a copy of labels in which round(share·N) of them, chosen at random, name another class,
// drawn uniformly from the K−1 wrong ones: symmetric label noise. The given labels stay as they are, so that a caller
// keeps both and knows which were planted.
func PlantWrongLabels(labels []int32, classes int, share float64, rng *rand.Rand) ([]int32, error) {
	if !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("share of wrong labels %v is not in [0, 1]", share)
	}
	if share > 0 && classes < 2 {
		return nil, fmt.Errorf("wrong labels need at least 2 classes, there are %d", classes)
	}
	noisy := slices.Clone(labels)
	for _, i := range rng.Perm(len(labels))[:int(math.Round(share*float64(len(labels))))] {
		wrong := int32(rng.IntN(classes - 1))
		if wrong >= noisy[i] {
			wrong++
		}
		noisy[i] = wrong
	}
	return noisy, nil
}

// At returns the pixels of sample i, [Height,Width,Channels], as a view.
func (m *Image) At(i int) []byte {
	size := m.Height * m.Width * m.Channels
	return m.Pixels[i*size : (i+1)*size : (i+1)*size]
}
