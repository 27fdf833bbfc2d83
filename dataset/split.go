package dataset

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Part is one split of a dataset: the rows that belong to it, in their order.
type Part struct {
	Name string  // train, val or test
	Rows []int32 // indices of the rows in the dataset
	IDs  []int64 // the id of each row: its place, from 0, in the file that it came from
}

// divide divides the rows that have a label into training and validation as o asks.
func (d *Dataset) divide(o Options, groups []int32, rng *rand.Rand) (train, val []int, err error) {
	rows := d.labelled()
	if groups == nil {
		return d.split(rows, o.ValFraction, o.TrainSize, rng)
	}
	inVal := chooseGroups(rows, groups, o.ValFraction, rng)
	for _, r := range rows {
		if inVal[groups[r]] {
			val = append(val, r)
		} else {
			train = append(train, r)
		}
	}
	if o.ValFraction > 0 && (len(val) == 0 || len(train) == 0) {
		return nil, nil, optionErrorf("the groups of column %s leave %d rows for training and %d for validation: a group is as large as the data",
			o.Group, len(train), len(val))
	}
	if o.TrainSize > 0 {
		train, _, err = d.split(train, 0, o.TrainSize, rng)
	}
	return train, val, err
}

// chooseGroups chooses the groups for validation: in random order, each group that does not take validation past its share of the rows.
func chooseGroups(rows []int, groups []int32, fraction float64, rng *rand.Rand) []bool {
	sizes := make([]int, slices.Max(groups)+1)
	for _, r := range rows {
		sizes[groups[r]]++
	}
	room := int(math.Ceil(float64(len(rows)) * fraction))
	chosen := make([]bool, len(sizes))
	smallest := -1
	for _, g := range rng.Perm(len(sizes)) {
		if sizes[g] > 0 && sizes[g] <= room {
			chosen[g] = true
			room -= sizes[g]
		}
		if sizes[g] > 0 && (smallest < 0 || sizes[g] < sizes[smallest]) {
			smallest = g
		}
	}
	if fraction > 0 && !slices.Contains(chosen, true) && smallest >= 0 {
		chosen[smallest] = true // every group is larger than the share
	}
	return chosen
}

// labelled returns the rows that have a label, or targets.
func (d *Dataset) labelled() []int {
	rows := make([]int, 0, d.Len())
	for i, label := range d.Labels {
		if d.Targets != nil || label != Ignored {
			rows = append(rows, i)
		}
	}
	return rows
}

func newPart(name string, rows []int, first int) Part {
	p := Part{Name: name, Rows: make([]int32, len(rows)), IDs: make([]int64, len(rows))}
	for i, r := range rows {
		p.Rows[i], p.IDs[i] = int32(r), int64(r-first)
	}
	return p
}
