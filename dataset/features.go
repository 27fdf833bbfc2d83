package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// locate finds p's columns in t: for each column its index in t, -1 where p does not use it. A column that p uses and t lacks is an error.
func (p *Pipeline) locate(t *table) ([]int, error) {
	places := make([]int, len(p.Columns))
	index := make(map[string]int, t.columns()) // searching for each column would be quadratic in the width of a table
	for c, name := range slices.Backward(t.names) {
		index[name] = c
	}
	var absent []string
	for i, col := range p.Columns {
		places[i] = -1
		if c, found := index[col.Name]; found {
			places[i] = c
		}
		used := col.Type != Ignore && (p.Inputs == 0 || col.Features > 0) // before the fit every column is read
		if places[i] < 0 && used {
			absent = append(absent, col.Name)
		}
		if !used {
			places[i] = -1
		}
		if why := t.unread[col.Name]; why != "" && places[i] >= 0 {
			return nil, fmt.Errorf("%s: column %s cannot be used: %s", t.path, col.Name, why)
		}
	}
	if len(absent) > 0 {
		return nil, fmt.Errorf("%s lacks %s %s that the model was trained on: it has %s",
			t.path, cmp.Or(map[bool]string{true: "the column"}[len(absent) == 1], "the columns"), listed(absent), listed(t.names))
	}
	return places, nil
}

// readAll reads every column of t that p uses.
func (p *Pipeline) readAll(t *table) ([]values, error) {
	places, err := p.locate(t)
	if err != nil {
		return nil, err
	}
	read := make([]values, len(p.Columns))
	err = inParallel(len(places), func(i int) error {
		if places[i] < 0 {
			return nil
		}
		var err error
		read[i], err = p.Columns[i].read(t, places[i], p.marks())
		return err
	})
	return read, err
}

// optional names the columns that a JSON row need not have, because some of their values were missing in training too.
func (p *Pipeline) optional() []string {
	var names []string
	for _, col := range p.Columns {
		if col.Type != Ignore && col.Missing > 0 {
			names = append(names, col.Name)
		}
	}
	return names
}

// readsOneColumn reports whether p reads a single column.
func (p *Pipeline) readsOneColumn() bool {
	n := 0
	for _, col := range p.Columns {
		if col.Type != Ignore {
			n++
		}
	}
	return n == 1
}

// prepared holds the columns of a table, and the features that their levels set.
type prepared struct {
	values []values
	lookup [][]int32 // for each column, the feature that each code sets, -1 for none
	rows   int
}

func (p *Pipeline) prepare(read []values, rows int) *prepared {
	r := &prepared{values: read, lookup: make([][]int32, len(p.Columns)), rows: rows}
	for i := range p.Columns {
		r.lookup[i] = p.Columns[i].lookup(read[i].levels)
	}
	return r
}

// features writes the features of the rows [from,to) to dst [to-from,Inputs], which must be all zeros.
func (p *Pipeline) features(dst []float32, r *prepared, from, to int, counts *Counts) {
	// The rows are taken in blocks, so that the features of a block stay in cache while each column is written.
	const block = 512
	for start := from; start < to; start += block {
		end, offset := min(start+block, to), 0
		for i := range p.Columns {
			col := &p.Columns[i]
			if col.Features == 0 {
				continue
			}
			m, u := col.write(dst[(start-from)*p.Inputs+offset:], r.values[i], r.lookup[i], p.Inputs, start, end)
			if col.Missing == 0 {
				counts.add(&counts.Missing, col.Name, m)
			}
			counts.add(&counts.Unseen, col.Name, u)
			offset += col.Features
		}
	}
}

// lookup returns the feature of col that each of a table's levels sets, -1 for a level that training did not have.
func (col *Column) lookup(levels []string) []int32 {
	if col.Type != Categorical || col.Features == 0 {
		return nil
	}
	features := make([]int32, len(levels))
	known := make(map[string]int32, len(col.Levels))
	for f, level := range col.Levels {
		known[level] = int32(f)
	}
	addSpellings(known)
	for code, level := range levels {
		f, ok := known[level]
		switch {
		case col.Buckets > 0:
			f = int32(hashString(level) % uint64(col.Buckets))
		case !ok:
			f = -1
		}
		features[code] = f
	}
	return features
}

// write sets col's features of the rows [start,end) in dst, where a row has stride values. It counts the missing values and those of unknown
// categories.
func (col *Column) write(dst []float32, v values, lookup []int32, stride, start, end int) (missing, unseen int) {
	at := 0
	last := -1
	if col.indicator() {
		last = col.Features - 1
	}
	switch col.Type {
	case Numeric:
		for r := start; r < end; r++ {
			x := v.numbers[r]
			if math.IsNaN(x) {
				missing++
				x = col.Median
				if last >= 0 {
					dst[at+last] = 1
				} else {
					x = col.Mean
				}
			}
			dst[at] = float32(max(-maxStandard, min(maxStandard, (x-col.Mean)/col.Scale)))
			at += stride
		}
	case Categorical:
		mode := int32(0)
		if col.Buckets > 0 {
			mode = int32(hashString(col.Levels[0]) % uint64(col.Buckets))
		}
		for r := start; r < end; r++ {
			f := mode
			if code := v.codes[r]; code >= 0 {
				f = lookup[code]
			} else {
				missing++
				if last >= 0 {
					dst[at+last] = 1
				}
			}
			if f >= 0 {
				dst[at+int(f)] = 1
			} else {
				unseen++
			}
			at += stride
		}
	case Text:
		var words []uint64
		signs := tokenizer{Ngrams: Ngrams{Buckets: col.Buckets, Words: 1, Signs: true}}
		for r := start; r < end; r++ {
			if bag := dst[at : at+col.Buckets]; col.Signs {
				signs.bag(bag, v.texts(r))
			} else {
				words = bagOfWords(bag, v.texts(r), words)
			}
			at += stride
		}
	}
	return missing, unseen
}

// maxStandard bounds a standardised number. Values further out are clipped, since they say no more than this.
const maxStandard = 1e4
