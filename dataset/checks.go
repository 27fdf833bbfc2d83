package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/parallel"
)

// checkDuplicates warns of rows that are met in training and again elsewhere, by all columns that the model uses as they
// stand in the files.
func (d *Dataset) checkDuplicates(tables []*table) {
	hashes := make([]uint64, d.Len())
	first := 0
	for _, t := range tables {
		at, err := d.Pipeline.place(t)
		if err != nil {
			return
		}
		for r := range t.rows() {
			h := uint64(fnvOffset)
			for _, c := range at {
				if c < 0 {
					continue
				}
				for _, b := range t.raw(r, c) {
					h = (h ^ uint64(b)) * fnvPrime
				}
				h = mix(h)
			}
			hashes[first+r] = h
		}
		first += t.rows()
	}
	d.warnOfTwins(hashes)
}

// warnOfTwins warns of samples whose hash is that of a training sample.
func (d *Dataset) warnOfTwins(hashes []uint64) {
	seen := make(map[uint64]int32, len(d.Parts[0].Rows))
	for _, r := range d.Parts[0].Rows {
		seen[hashes[r]] = r
	}
	for _, part := range d.Parts[1:] {
		twice, other := 0, 0
		for _, r := range part.Rows {
			twin, found := seen[hashes[r]]
			if !found {
				continue
			}
			twice++
			if !d.sameTarget(int(r), int(twin)) {
				other++
			}
		}
		if twice > 0 {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%d of %d rows of %s are in train too, to the letter, %d of them with another class: its figures flatter",
				twice, len(part.Rows), part.Name, other))
		}
	}
}

func (d *Dataset) sameTarget(i, j int) bool {
	if d.Targets != nil {
		return bytes.Equal(d.Target(i), d.Target(j))
	}
	return d.Labels[i] == d.Labels[j]
}

// Where one column alone tells the class of nearly every held-out row, it is likely the class by another name.
const (
	leakAccuracy = 0.995
	leakBins     = 64
	leakRows     = 20000 // of training, and as many of validation
)

// checkLeaks warns of columns that tell the class alone: by value where the values are few, else by 64 ranges of equal
// counts, learned on the training rows and counted on the validation rows (the training rows where there are none).
func (d *Dataset) checkLeaks(read []values) {
	if d.Targets != nil || d.Pipeline.Kind != KindTable {
		return
	}
	train := d.Parts[0].Rows
	held := train
	if len(d.Parts) > 1 && d.Parts[1].Name == "val" {
		held = d.Parts[1].Rows
	}
	train, held = train[:min(len(train), leakRows)], held[:min(len(held), leakRows)]
	counts := make([]int, len(d.Classes))
	for _, r := range held {
		counts[d.Labels[r]]++
	}
	if len(held) < 20 || float64(slices.Max(counts)) > 0.95*float64(len(held)) {
		return // always naming the most frequent class is as good
	}
	warnings := make([]string, len(read))
	parallel.Each(len(read), func(i int) {
		col := &d.Pipeline.Columns[i]
		if col.Features == 0 || col.Type == Text {
			return
		}
		if right := d.tellsClass(read[i], train, held); float64(right) >= leakAccuracy*float64(len(held)) {
			warnings[i] = fmt.Sprintf("column %s alone tells the class of %d of %d held-out rows: is it known before the class is? --types %s=ignore leaves it out",
				col.Name, right, len(held), quoted(col.Name))
		}
	})
	for _, w := range warnings {
		if w != "" {
			d.Warnings = append(d.Warnings, w)
		}
	}
}

// tellsClass counts the held-out rows whose class is the most frequent one of the training rows that share their value.
func (d *Dataset) tellsClass(v values, train, held []int32) int {
	keys := len(v.levels) + 1
	key := func(r int32) int { return int(v.codes[r]) + 1 }
	if v.numbers != nil {
		edges := quantiles(v.numbers, train)
		keys = len(edges) + 2
		key = func(r int32) int {
			if math.IsNaN(v.numbers[r]) {
				return 0
			}
			at, _ := slices.BinarySearch(edges, v.numbers[r])
			return at + 1
		}
	}
	k := len(d.Classes)
	if keys > len(train)/2 || keys*k > 1<<24 {
		return 0
	}
	counts := make([]int32, keys*k)
	for _, r := range train {
		counts[key(r)*k+int(d.Labels[r])]++
	}
	right := 0
	for _, r := range held {
		row := counts[key(r)*k : (key(r)+1)*k]
		if row[d.Labels[r]] > 0 && row[d.Labels[r]] == slices.Max(row) {
			right++
		}
	}
	return right
}

// quantiles returns the distinct values of the given rows where there are at most leakBins, else edges between ranges of
// equal counts.
func quantiles(numbers []float64, rows []int32) []float64 {
	var sorted []float64
	for _, r := range rows {
		if !math.IsNaN(numbers[r]) {
			sorted = append(sorted, numbers[r])
		}
	}
	slices.Sort(sorted)
	if distinct := slices.Compact(slices.Clone(sorted)); len(distinct) <= 4*leakBins {
		return distinct
	}
	var edges []float64
	for i := 1; i < leakBins; i++ {
		edges = append(edges, sorted[i*len(sorted)/leakBins])
	}
	return slices.Compact(edges)
}
