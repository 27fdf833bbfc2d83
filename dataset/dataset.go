// Package dataset reads labelled samples, splits them and, on request, plants wrong labels.
//
// A Dataset is plain memory: a row-major feature matrix, one label a row and the class names. What is done to it
// (Split, PlantWrongLabels) is seeded by the caller's generator, so that the same seed gives the same samples.
package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Dataset is N labelled samples of D features each.
type Dataset struct {
	Name     string
	Classes  []string  // K class names; a label is an index into them
	Features []float32 // [N,D], scaled as the network takes them
	Columns  int       // D
	Labels   []int32   // [N], each in [0,K)
	Image    *Image    // how a sample looks, or nil
}

// Image describes samples that a person can look at.
type Image struct {
	Height, Width int
	Max           int    // the largest pixel value
	Pixels        []byte // [N,Height,Width]
}

// Len returns N, the number of samples.
func (d *Dataset) Len() int { return len(d.Labels) }

// Row returns the features of sample i, [D], as a view into the dataset.
func (d *Dataset) Row(i int) []float32 {
	return d.Features[i*d.Columns : (i+1)*d.Columns : (i+1)*d.Columns]
}

// Split divides the samples into a validation set of ⌈N·valFraction⌉ and a training set of trainSize samples out of the
// rest (all of the rest where trainSize is 0). Both are stratified: each class has its share of each to within one
// sample. The indices come back shuffled. The rounding is scikit-learn's (train_test_split rounds the held-out part up).
func (d *Dataset) Split(valFraction float64, trainSize int, rng *rand.Rand) (train, val []int, err error) {
	n := d.Len()
	if !(valFraction >= 0 && valFraction < 1) {
		return nil, nil, fmt.Errorf("validation fraction %v is not in [0, 1)", valFraction)
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	val, rest := d.stratified(all, int(math.Ceil(float64(n)*valFraction)), rng)
	switch {
	case trainSize < 0 || trainSize > len(rest):
		return nil, nil, fmt.Errorf("training size %d is not in [0, %d]: %s has %d samples, %d of them for validation",
			trainSize, len(rest), d.Name, n, len(val))
	case trainSize > 0:
		train, _ = d.stratified(rest, trainSize, rng)
	default:
		train = rest
	}
	rng.Shuffle(len(train), func(i, j int) { train[i], train[j] = train[j], train[i] })
	rng.Shuffle(len(val), func(i, j int) { val[i], val[j] = val[j], val[i] })
	return train, val, nil
}

// stratified takes size of the given samples, each class in proportion, the seats that rounding leaves going to the
// largest remainders (the earlier class on a tie).
func (d *Dataset) stratified(samples []int, size int, rng *rand.Rand) (taken, rest []int) {
	byClass := make([][]int, len(d.Classes))
	for _, i := range samples {
		byClass[d.Labels[i]] = append(byClass[d.Labels[i]], i)
	}
	quota := make([]int, len(byClass))
	remainder := make([]float64, len(byClass))
	order := make([]int, len(byClass))
	left := size
	for c, members := range byClass {
		exact := float64(len(members)) * float64(size) / float64(max(len(samples), 1))
		quota[c] = int(exact)
		remainder[c] = exact - float64(quota[c])
		order[c] = c
		left -= quota[c]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case remainder[a] > remainder[b]:
			return -1
		case remainder[a] < remainder[b]:
			return 1
		}
		return 0
	})
	for _, c := range order[:left] {
		quota[c]++
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

// At returns the pixels of sample i, [Height,Width], as a view.
func (m *Image) At(i int) []byte {
	size := m.Height * m.Width
	return m.Pixels[i*size : (i+1)*size : (i+1)*size]
}
