package dataset

import (
	"bytes"
	"fmt"
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
				h = t.hash(h, r, c)
			}
			hashes[first+r] = h
		}
		first += t.rows()
	}
	d.warnOfTwins(hashes)
}

// warnOfTwins keeps the hashes of all samples, and warns of those whose hash is that of a training sample.
func (d *Dataset) warnOfTwins(hashes []uint64) {
	d.Hashes = hashes
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
