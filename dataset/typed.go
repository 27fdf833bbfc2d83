package dataset

import (
	"fmt"
	"math"
	"strconv"
)

// typed are the columns of a table that came as numbers: those of an array, and the labels beside it.
type typed struct {
	numbers [][]float64 // of each column
	labels  *values     // of the column behind them; nil where there is none
	rows    int
}

// labelColumn is what the column of an array's labels is called where --target does not say.
const labelColumn = "label"

// asTable makes a table of an array of vectors, with columns called c1, c2, …, as those of a table without a header are, and of its
// labels.
func (a *array) asTable(target string) *table {
	t := &table{path: a.path, numbers: true, typed: &typed{rows: a.n, labels: a.labels}}
	columns := a.width()
	t.typed.numbers = make([][]float64, columns)
	all := make([]float64, a.n*columns)
	for c := range columns {
		t.names = append(t.names, fmt.Sprintf("c%d", c+1))
		t.typed.numbers[c] = all[c*a.n : (c+1)*a.n : (c+1)*a.n]
	}
	// Blocks of rows, so that what is read and what is written stay in cache.
	const block = 64
	for first := 0; first < a.n; first += block {
		for c, column := range t.typed.numbers {
			for r := first; r < min(a.n, first+block); r++ {
				if a.doubles != nil {
					column[r] = a.doubles[r*columns+c]
				} else {
					column[r] = float64(a.floats[r*columns+c])
				}
			}
		}
	}
	if a.labels != nil {
		if target == "" {
			target = labelColumn
		}
		t.names = append(t.names, target)
	}
	return t
}

// labelTable is a table of an array's labels alone.
func (a *array) labelTable() *table {
	return &table{path: a.path, names: []string{labelColumn}, numbers: true, typed: &typed{labels: a.labels, rows: a.n}}
}

// field is field (r, c) as text.
func (t *typed) field(r, c int) []byte {
	if c == len(t.numbers) {
		if code := t.labels.codes[r]; code >= 0 {
			return []byte(t.labels.levels[code])
		}
		return nil
	}
	x := t.numbers[c][r]
	if math.IsNaN(x) {
		return nil
	}
	return strconv.AppendFloat(nil, x, 'g', -1, 64)
}

// read returns the numbers of column c, which are missing where they are NaN.
func (t *table) readTyped(c int) (values, error) {
	for r, x := range t.typed.numbers[c] {
		if math.Abs(x) > maxNumber {
			return values{}, fmt.Errorf("%s: %v in column %s is too large a number: want at most %g either way; correct it, or leave the column out with --types %s=ignore",
				t.at(r), x, t.names[c], maxNumber, quoted(t.names[c]))
		}
	}
	return values{numbers: t.typed.numbers[c]}, nil
}

// hash continues the hash h with field (r, c) as it stands.
func (t *table) hash(h uint64, r, c int) uint64 {
	if t.typed != nil && c < len(t.typed.numbers) {
		return mix(h ^ math.Float64bits(t.typed.numbers[c][r]))
	}
	for _, b := range t.raw(r, c) {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return mix(h)
}

// size is how many bytes t was read from, about.
func (t *table) size() int64 {
	if t.typed != nil {
		return 8 * int64(t.typed.rows) * int64(len(t.typed.numbers))
	}
	return int64(len(t.data))
}
