package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// What a column may be taken as.
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

	// Fitted on the training rows.
	Missing  int      `json:"missing"`            // rows without a value; where there are any, an indicator follows the features
	Mean     float64  `json:"mean,omitempty"`     // numeric
	Scale    float64  `json:"scale,omitempty"`    // numeric: the standard deviation; 0 where the values are all alike, which are left out
	Median   float64  `json:"median,omitempty"`   // numeric: stands in for a missing value
	Levels   []string `json:"levels,omitempty"`   // categorical: one feature each, the most frequent first; it stands in for a missing one
	Buckets  int      `json:"buckets,omitempty"`  // text, and categorical with more than maxLevels levels: features that values are hashed to
	Features int      `json:"features,omitempty"` // how many features come of it
}

const (
	maxLevels   = 255 // a categorical column of more is hashed
	hashBuckets = 256
	textBuckets = 512 // of a text column among others
)

// values are the fields of one column of one table, read as its type asks.
type values struct {
	numbers []float64 // numeric: NaN where missing
	codes   []int32   // categorical: index into levels, -1 where missing
	levels  []string  // in order of appearance
	texts   func(row int) []byte
}

// maxNumber bounds numbers, so that their squares and sums stay finite.
const maxNumber = 1e100

// inferColumns decides what each column of t is, by a sample of its rows and o's wishes. skip are columns that serve
// another purpose: target and group.
func inferColumns(t *table, o Options, skip map[string]string) ([]Column, error) {
	for name := range o.Types {
		if t.column(name) < 0 {
			return nil, optionErrorf("%s has no column %q to give a type: it has %s", t.path, name, listed(t.names))
		}
	}
	columns := make([]Column, t.columns())
	for c, name := range t.names {
		columns[c] = Column{Name: name, Type: Ignore, Note: skip[name]}
		switch wish := o.Types[name]; {
		case skip[name] != "":
		case wish != "":
			columns[c].Type, columns[c].Note = wish, "as asked"
		case o.Text != "" && name == o.Text:
			columns[c].Type, columns[c].Note = Text, "as asked"
		case o.Text != "":
			columns[c].Note = "text alone was asked for"
		default:
			columns[c].Type, columns[c].Note = inferType(t, c, o.missing)
		}
	}
	return columns, nil
}

const sampleRows = 2000

// inferType looks at up to sampleRows rows, evenly spaced.
func inferType(t *table, c int, missing func([]byte) bool) (name, note string) {
	rows := t.rows()
	step := max(1, rows/sampleRows)
	seen := map[string]bool{}
	present, numbers, words, ascending := 0, 0, 0, true
	last := math.Inf(-1)
	for r := 0; r < rows; r += step {
		f := t.field(r, c)
		if missing(f) {
			continue
		}
		present++
		seen[string(f)] = true
		if value, ok := parseNumber(f); ok {
			numbers++
			ascending = ascending && value == math.Trunc(value) && (present == 1 || value-last == float64(step))
			last = value
		}
		words += len(bytes.Fields(f))
	}
	switch {
	case present == 0:
		return Ignore, "every value is missing"
	case numbers == present && ascending && present > 20:
		return Ignore, "it counts the rows"
	case numbers*20 >= present*19:
		return Numeric, ""
	case words >= 3*present && len(seen)*2 > present:
		return Text, ""
	case len(seen) == present && present > 100:
		return Ignore, "every value is another one, as in a column of names"
	}
	return Categorical, ""
}

// read reads column c of t as its type asks. A number that is not one is an error that names its line.
func (col *Column) read(t *table, c int, missing func([]byte) bool) (values, error) {
	var v values
	rows := t.rows()
	switch col.Type {
	case Numeric:
		v.numbers = make([]float64, rows)
		for r := range rows {
			f := t.raw(r, c)
			value, ok := parseNumber(f)
			if !ok {
				f = t.field(r, c)
				if value, ok = parseNumber(f); !ok {
					if missing(f) {
						v.numbers[r] = math.NaN()
						continue
					}
					return v, fmt.Errorf("%s: %q in column %s is not a number; correct it or leave it empty, or train with --missing %s or --types %s=%s",
						t.at(r), clip(f), col.Name, quoted(clip(f)), quoted(col.Name), Categorical)
				}
			}
			if !(math.Abs(value) <= maxNumber) {
				return v, fmt.Errorf("%s: %s in column %s is too large a number: want at most %g either way; correct it, or leave the column out with --types %s=ignore",
					t.at(r), clip(f), col.Name, maxNumber, quoted(col.Name))
			}
			v.numbers[r] = value
		}
	case Categorical:
		v.codes = make([]int32, rows)
		index := map[string]int32{}
		for r := range rows {
			f := bytes.TrimSpace(t.field(r, c))
			if missing(f) {
				v.codes[r] = -1
				continue
			}
			code, known := index[string(f)]
			if !known {
				code = int32(len(v.levels))
				level := string(f)
				index[level] = code
				v.levels = append(v.levels, level)
			}
			v.codes[r] = code
		}
	case Text:
		v.texts = func(r int) []byte { return t.field(r, c) }
	}
	return v, nil
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
			col.Scale = 1 // whether the value is there says something, though the value does not
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
		col.Buckets, col.Features = textBuckets, textBuckets
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

// meanAndDeviation are those of the population, in two passes.
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

// median overwrites x.
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

// quoted is text as a shell takes it for one word.
func quoted(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !isWord(r) && !strings.ContainsRune("-.:/+", r) }) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

func asString(f []byte) string { return unsafe.String(unsafe.SliceData(f), len(f)) }
