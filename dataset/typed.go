package dataset

import (
	"fmt"
	"math"
	"strconv"
)

// typedColumns holds the columns of a table that came as numbers: those of an array, and the labels beside it.
type typedColumns struct {
	numbers [][]float64 // [columns][rows]
	labels  *values     // the last column, of labels; nil where there is none
	rows    int
}

// labelColumn is the name of the column of an array's labels where the user gives none.
const labelColumn = "label"

// asTable makes a table of an array of vectors, with columns called c1, c2, …, as those of a table without a header are, and of its
// labels.
func (a *array) asTable(target string) *table {
	t := &table{path: a.path, countRows: true, typed: &typedColumns{rows: a.n, labels: a.labels}}
	columns := a.width()
	t.typed.numbers = make([][]float64, columns)
	all := make([]float64, a.n*columns)
	for c := range columns {
		t.names = append(t.names, fmt.Sprintf("c%d", c+1))
		t.typed.numbers[c] = all[c*a.n : (c+1)*a.n : (c+1)*a.n]
	}
	// The rows are taken in blocks, so that both the rows and the columns that are written stay in cache.
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

// labelTable returns a table of an array's labels alone.
func (a *array) labelTable() *table {
	return &table{path: a.path, names: []string{labelColumn}, countRows: true, typed: &typedColumns{labels: a.labels, rows: a.n}}
}

// field returns field (r, c) as text.
func (t *typedColumns) field(r, c int) []byte {
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

// readTyped returns the numbers of column c. NaN is a missing value, and so is infinity.
func (t *table) readTyped(c int) (values, error) {
	for r, x := range t.typed.numbers[c] {
		if math.IsInf(x, 0) {
			t.typed.numbers[c][r] = math.NaN()
		} else if math.Abs(x) > maxNumber {
			return values{}, fmt.Errorf("%s: %v in column %s is too large a number: want at most %g either way; correct it, or leave the column out with --types %s=ignore",
				t.location(r), x, t.names[c], maxNumber, quoted(t.names[c]))
		}
	}
	return values{numbers: t.typed.numbers[c]}, nil
}

// hash continues the hash h with field (r, c) as the file has it.
func (t *table) hash(h uint64, r, c int) uint64 {
	if t.typed != nil && c < len(t.typed.numbers) {
		return mix(h ^ math.Float64bits(t.typed.numbers[c][r]))
	}
	for _, b := range t.raw(r, c) {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return mix(h)
}

// size returns about how many bytes t was read from.
func (t *table) size() int64 {
	if t.typed != nil {
		return 8 * int64(t.typed.rows) * int64(len(t.typed.numbers))
	}
	return int64(len(t.data))
}
