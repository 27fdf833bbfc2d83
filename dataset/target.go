package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Ignored is the label of a row without one.
const Ignored = -100

// labelSeparator stands between the classes of one row where targets are multi-label.
const labelSeparator = "|"

// targetColumn returns the column that holds the classes, and a note where it had to be guessed.
func (o Options) targetColumn(t *table) (int, string, error) {
	if o.Target != "" {
		c := t.column(o.Target)
		if c < 0 {
			return 0, "", optionErrorf("%s has no column %q: it has %s", t.path, o.Target, listed(t.names))
		}
		return c, "", nil
	}
	if t.columns() < 2 {
		return 0, "", fmt.Errorf("%s has one column, %s: features and classes need two; is the delimiter another one (--delimiter)?", t.path, t.names[0])
	}
	for _, name := range []string{"target", "label", "class", "y"} {
		for c, column := range t.names {
			if strings.EqualFold(column, name) {
				return c, fmt.Sprintf("the classes are taken from column %s, by its name", column), nil
			}
		}
	}
	last := t.columns() - 1
	return last, fmt.Sprintf("the classes are taken from column %s, the last one", t.names[last]), nil
}

// readClasses reads column c of t as classes: for each row its class, Ignored where it has none, and the names, numbers in
// their order and anything else in that of the alphabet.
func readClasses(t *table, c int, o Options) (labels []int32, classes []string, err error) {
	col := Column{Name: t.names[c], Type: Categorical}
	missing := o.missing
	if o.MultiLabel {
		missing = func([]byte) bool { return false }
	}
	v, err := col.read(t, c, missing)
	if err != nil {
		return nil, nil, err
	}
	if !o.MultiLabel {
		if err := checkContinuous(t, c, v); err != nil {
			return nil, nil, err
		}
		if len(v.levels) > maxClasses {
			return nil, nil, fmt.Errorf("%s: column %s holds %d classes in %d rows: a class needs several rows; is another column the target (--target)?",
				t.path, col.Name, len(v.levels), t.rows())
		}
	}
	classes = slices.Clone(v.levels)
	sortClasses(classes)
	return v.encode(classes), classes, nil
}

const maxClasses = 1 << 20

// encode gives each row its class's index in classes, Ignored where it is none of them.
func (v values) encode(classes []string) []int32 {
	index := make(map[string]int32, len(classes))
	for i, name := range classes {
		index[name] = int32(i)
	}
	of := make([]int32, len(v.levels))
	for code, level := range v.levels {
		label, known := index[level]
		if !known {
			label = Ignored
		}
		of[code] = label
	}
	labels := make([]int32, len(v.codes))
	for r, code := range v.codes {
		labels[r] = Ignored
		if code >= 0 {
			labels[r] = of[code]
		}
	}
	return labels
}

// checkContinuous refuses numbers that are measured rather than counted: fractions of many values, or integers of which
// hardly two are alike.
func checkContinuous(t *table, c int, v values) error {
	present, fractions := 0, false
	for _, code := range v.codes {
		if code >= 0 {
			present++
		}
	}
	for _, level := range v.levels {
		value, ok := parseNumber([]byte(level))
		if !ok {
			return nil
		}
		fractions = fractions || value != math.Trunc(value)
	}
	distinct := len(v.levels)
	if (fractions && distinct > 20) || (distinct > 20 && distinct*2 > present) {
		return fmt.Errorf("%s: column %s looks continuous: %d different numbers in %d rows; a classifier needs classes: cut it into ranges, or choose another one with --target",
			t.path, t.names[c], distinct, present)
	}
	return nil
}

func sortClasses(classes []string) {
	numbers := make(map[string]float64, len(classes))
	for _, name := range classes {
		value, ok := parseNumber([]byte(name))
		if !ok {
			slices.Sort(classes)
			return
		}
		numbers[name] = value
	}
	slices.SortFunc(classes, func(a, b string) int {
		if numbers[a] != numbers[b] {
			return map[bool]int{true: -1, false: 1}[numbers[a] < numbers[b]]
		}
		return strings.Compare(a, b)
	})
}

// eachClass calls do with every class of row r.
func eachClass(t *table, r, c int, do func(name []byte)) {
	for name := range bytes.SplitSeq(t.field(r, c), []byte(labelSeparator)) {
		if name = bytes.TrimSpace(name); len(name) > 0 {
			do(name)
		}
	}
}

// targetNames returns all classes that column c of t names, in order.
func targetNames(t *table, c int) ([]string, error) {
	seen := map[string]bool{}
	var classes []string
	for r := range t.rows() {
		eachClass(t, r, c, func(name []byte) {
			if !seen[string(name)] {
				seen[string(name)] = true
				classes = append(classes, string(name))
			}
		})
	}
	// A matrix of rows and classes: hostile rows of a class each would make it the square of the file.
	if int64(len(classes))*int64(t.rows()) > freeBytes+16*int64(len(t.data)) {
		return nil, fmt.Errorf("%s: column %s names %d classes in %d rows: is another column the target (--target)?", t.path, t.names[c], len(classes), t.rows())
	}
	sortClasses(classes)
	return classes, nil
}

// readTargets reads column c of t as lists of classes: [N,K] of 0 and 1; unknown counts what is none of the classes.
func readTargets(t *table, c int, classes []string) (targets []uint8, unknown int) {
	index := make(map[string]int, len(classes))
	for i, name := range classes {
		index[name] = i
	}
	targets = make([]uint8, t.rows()*len(classes))
	for r := range t.rows() {
		eachClass(t, r, c, func(name []byte) {
			if k, known := index[string(name)]; known {
				targets[r*len(classes)+k] = 1
			} else {
				unknown++
			}
		})
	}
	return targets, unknown
}
