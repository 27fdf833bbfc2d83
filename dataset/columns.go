package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Types of columns: what a column is read as.
const (
	Numeric     = "numeric"
	Categorical = "categorical"
	Text        = "text"
	Ignore      = "ignore"
)

var columnTypes = []string{Numeric, Categorical, Text, Ignore}

// Column is one column of a table and, once fitted, what becomes of it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Note string `json:"note,omitempty"` // why it has this type, where that is not plain

	// These fields say how values are read.
	Decimal string   `json:"decimal,omitempty"` // numeric: the mark before a fraction; "" in pipelines of version 0, which read plain numbers alone
	Marks   []string `json:"marks,omitempty"`   // numeric: words that stand for a missing value in this column, beside the usual ones

	// These fields are fitted on the training rows.
	Missing  int      `json:"missing"`            // rows without a value; where there are any, an indicator follows the features
	Mean     float64  `json:"mean,omitempty"`     // numeric
	Scale    float64  `json:"scale,omitempty"`    // numeric: the standard deviation; 0 where all values are equal, and the column is left out
	Median   float64  `json:"median,omitempty"`   // numeric: stands in for a missing value
	Levels   []string `json:"levels,omitempty"`   // categorical: one feature each, the most frequent first; it stands in for a missing one
	Buckets  int      `json:"buckets,omitempty"`  // text, and categorical with more than maxLevels levels: features that values are hashed to
	Signs    bool     `json:"signs,omitempty"`    // text: characters that are neither letters nor digits count, as in Ngrams
	Features int      `json:"features,omitempty"` // how many features the column becomes
}

const (
	maxLevels   = 255 // a categorical column with more levels is hashed
	hashBuckets = 256 // the features of such a column
	textBuckets = 512 // the features of a text column that stands among other columns
)

// values holds the fields of one column of one table, read as the column's type asks.
type values struct {
	numbers []float64 // numeric: NaN where missing
	codes   []int32   // categorical: index into levels, -1 where missing
	levels  []string  // in order of appearance
	// integers says that the levels come from an array of integers, where a negative one can stand for a missing label.
	integers bool
	texts    func(row int) []byte // text
}

// maxNumber bounds numbers, so that their squares and sums stay finite.
const maxNumber = 1e100

// read reads column c of t as the column's type asks. A field of a numeric column that is not a number is an error that names its line.
func (col *Column) read(t *table, c int, m marks) (values, error) {
	var v values
	rows := t.rows()
	switch col.Type {
	case Numeric:
		if t.typed != nil && c < len(t.typed.numbers) {
			return t.readTyped(c)
		}
		v.numbers = make([]float64, rows)
		parse := parseNumber
		if col.Decimal != "" && (t.asWritten || !takeSample(t, c, m).isPlain()) {
			parse = func(f []byte) (float64, bool) { return parseWritten(f, col.Decimal[0]) }
		}
		for r := range rows {
			f := t.raw(r, c)
			value, ok := parse(f)
			if !ok {
				f = t.field(r, c)
				if value, ok = parse(f); !ok {
					if m.missingNumber(f) || slices.Contains(col.Marks, asString(bytes.TrimSpace(f))) {
						v.numbers[r] = math.NaN()
						continue
					}
					return v, fmt.Errorf("%s: %q in column %s is not a number%s; correct it or leave it empty, or train with --missing %s or --types %s=%s",
						t.location(r), clip(f), col.Name, col.inNotation(f), quoted(clip(f)), quoted(col.Name), Categorical)
				}
			}
			if !(math.Abs(value) <= maxNumber) {
				return v, fmt.Errorf("%s: %s in column %s is too large a number: want at most %g either way; correct it, or leave the column out with --types %s=ignore",
					t.location(r), clip(f), col.Name, maxNumber, quoted(col.Name))
			}
			v.numbers[r] = value
		}
	case Categorical:
		v.codes = make([]int32, rows)
		index := map[string]int32{}
		for r := range rows {
			f := bytes.TrimSpace(t.field(r, c))
			if m.missingCategory(f) {
				v.codes[r] = -1
				continue
			}
			code, known := index[string(f)]
			if !known {
				level := className(f)
				if code, known = index[level]; !known {
					code = int32(len(v.levels))
					v.levels = append(v.levels, level)
					index[level] = code
				}
				index[string(f)] = code
			}
			v.codes[r] = code
		}
	case Text:
		v.texts = func(r int) []byte { return t.field(r, c) }
	}
	return v, nil
}

// inNotation names the column's notation where f is a number in the other one, for an error message.
func (col *Column) inNotation(f []byte) string {
	switch {
	case !isWritten(f):
		return ""
	case col.Decimal == string(comma):
		return " with a decimal comma, as the column has them"
	}
	return " with a decimal point, as the column has them"
}

// fit learns from the given rows what col needs to become features.
func (col *Column) fit(v values, rows []int32) {
	col.Missing = 0
	switch col.Type {
	case Numeric:
		present := make([]float64, 0, len(rows))
		for _, r := range rows {
			if x := v.numbers[r]; !math.IsNaN(x) {
				present = append(present, x)
			}
		}
		col.Missing = len(rows) - len(present)
		col.Mean, col.Scale = meanAndDeviation(present)
		if len(present) > 0 && col.Missing > 0 {
			col.Median = median(present)
		}
		if col.Scale == 0 && col.Missing > 0 && len(present) > 0 {
			col.Scale = 1 // the value says nothing, but whether it is missing may
		}
		if col.Scale > 0 {
			col.Features = 1
		}
	case Categorical:
		counts := make([]int, len(v.levels))
		for _, r := range rows {
			if v.codes[r] < 0 {
				col.Missing++
			} else {
				counts[v.codes[r]]++
			}
		}
		var order []int
		for code, n := range counts {
			if n > 0 {
				order = append(order, code)
			}
		}
		slices.SortFunc(order, func(a, b int) int {
			if counts[a] != counts[b] {
				return counts[b] - counts[a]
			}
			return strings.Compare(v.levels[a], v.levels[b])
		})
		col.Levels = nil
		for _, code := range order[:min(len(order), maxLevels)] {
			col.Levels = append(col.Levels, v.levels[code])
		}
		col.Features = len(col.Levels)
		if len(order) > maxLevels {
			col.Levels, col.Buckets, col.Features = col.Levels[:1], hashBuckets, hashBuckets
		}
	case Text:
		col.Buckets, col.Features, col.Signs = textBuckets, textBuckets, true
	}
	if col.Missing > 0 && col.Missing < len(rows) && col.Features > 0 {
		col.Features++
	}
}

// indicator reports whether the last of col's features says that the value is missing.
func (col *Column) indicator() bool {
	switch {
	case col.Features == 0:
		return false
	case col.Type == Numeric:
		return col.Features == 2
	case col.Buckets > 0:
		return col.Features > col.Buckets
	}
	return col.Features > len(col.Levels)
}

// meanAndDeviation returns the mean and the population's standard deviation, in two passes.
func meanAndDeviation(x []float64) (mean, deviation float64) {
	if len(x) == 0 {
		return 0, 0
	}
	for _, value := range x {
		mean += value
	}
	mean /= float64(len(x))
	for _, value := range x {
		deviation += (value - mean) * (value - mean)
	}
	deviation = math.Sqrt(deviation / float64(len(x)))
	if !(deviation > 1e-12*math.Abs(mean)) {
		deviation = 0
	}
	return mean, deviation
}

// median returns the median of x, and sorts x.
func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

func clip(f []byte) string {
	const most = 40
	if len(f) <= most {
		return string(f)
	}
	return strings.ToValidUTF8(string(f[:most]), "") + "…"
}

// listed names the first few of many.
func listed(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// quoted returns text in the quotes that a shell needs to take it for one word.
func quoted(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !isWord(r) && !strings.ContainsRune("-.:/+", r) }) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

func asString(f []byte) string { return unsafe.String(unsafe.SliceData(f), len(f)) }
