package dataset

import (
	"bytes"
	"fmt"
)

// checkDuplicates warns of rows of validation and test that training has too. Rows are compared by the columns that the model uses, as they
// are written in the files.
func (d *Dataset) checkDuplicates(tables []*table) {
	hashes := make([]uint64, d.Len())
	first := 0
	for _, t := range tables {
		places, err := d.Pipeline.locate(t)
		if err != nil {
			return
		}
		for r := range t.rows() {
			h := uint64(fnvOffset)
			for _, c := range places {
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
	training := make(map[uint64]int32, len(d.Parts[0].Rows))
	for _, r := range d.Parts[0].Rows {
		training[hashes[r]] = r
	}
	for _, part := range d.Parts[1:] {
		twice, other := 0, 0
		for _, r := range part.Rows {
			twin, found := training[hashes[r]]
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
