package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Ignored is the label of a row that has none. It is PyTorch's ignore_index.
const Ignored = -100

var _ = [1]struct{}{}[Ignored-kernel.Ignored] // the kernels have the same

// labelSeparator separates the classes of one row where a sample may have several.
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
		return 0, "", fmt.Errorf("%s has one column, %s: features and classes need two%s", t.path, t.names[0], map[bool]string{true: "; is the delimiter another one (--delimiter)?"}[t.delimiter != 0])
	}
	for _, name := range customaryTargets {
		for c, column := range t.names {
			if strings.EqualFold(column, name) {
				return c, fmt.Sprintf("the classes are taken from column %s, by its name", column), nil
			}
		}
	}
	last := t.columns() - 1
	return last, fmt.Sprintf("the classes are taken from column %s, the last one", t.names[last]), nil
}

// readClasses reads column c of t as classes. It returns the class of each row, Ignored where it has none, and the names of the classes: numbers
// in ascending order, other names in alphabetical order.
func readClasses(t *table, c int, o Options) (labels []int32, classes []string, err error) {
	col := Column{Name: t.names[c], Type: Categorical}
	v, err := col.read(t, c, o.marks())
	if err != nil {
		return nil, nil, err
	}
	if err := checkContinuous(t, c, v, o); err != nil {
		return nil, nil, err
	}
	if o.FoldLabels {
		v.foldSpellings()
	}
	classes = slices.Clone(v.levels)
	sortClasses(classes)
	return v.encode(classes, o.FoldLabels), classes, nil
}

// encode returns for each row the index of its class in classes, Ignored where it is not one of them.
func (v values) encode(classes []string, fold bool) []int32 {
	index := indexOf(classes, fold)
	labelOf := make([]int32, len(v.levels))
	for code, level := range v.levels {
		label, known := index.find(level)
		if !known {
			label = Ignored
		}
		labelOf[code] = label
	}
	labels := make([]int32, len(v.codes))
	for r, code := range v.codes {
		labels[r] = Ignored
		if code >= 0 {
			labels[r] = labelOf[code]
		}
	}
	return labels
}

// checkContinuous refuses a target of measured numbers: fractions with many different values, or integers of which hardly two are equal.
func checkContinuous(t *table, c int, v values, o Options) error {
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
		return fmt.Errorf("%s: column %s looks continuous: %d different numbers in %d rows; a classifier needs classes: cut it into ranges, or choose another one with --target%s",
			t.path, t.names[c], distinct, present, likelierTarget(t, c, o))
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

// targetNames returns all classes that column c of t names, in order. Where spellings are folded, the first one names the class.
func targetNames(t *table, c int, fold bool) ([]string, error) {
	seen := map[string]bool{}
	var classes []string
	for r := range t.rows() {
		eachClass(t, r, c, func(name []byte) {
			key := string(name)
			if fold {
				key = labelKey(key)
			}
			if !seen[key] {
				seen[key] = true
				classes = append(classes, string(name))
			}
		})
	}
	// The targets are a matrix of rows and classes, which would be the square of a hostile file with a new class in each row.
	if int64(len(classes))*int64(t.rows()) > freeBytes+16*int64(len(t.data)) {
		return nil, fmt.Errorf("%s: column %s names %d classes in %d rows: is another column the target (--target)?", t.path, t.names[c], len(classes), t.rows())
	}
	sortClasses(classes)
	return classes, nil
}

// readTargets reads column c of t as lists of classes, [N,K] of 0 and 1. unknown counts the names that are not among the classes.
func readTargets(t *table, c int, classes []string, fold bool) (targets []uint8, unknown map[string]int) {
	index := indexOf(classes, fold)
	unknown = map[string]int{}
	targets = make([]uint8, t.rows()*len(classes))
	for r := range t.rows() {
		eachClass(t, r, c, func(name []byte) {
			if k, known := index.find(string(name)); known {
				targets[r*len(classes)+int(k)] = 1
			} else {
				unknown[string(name)]++
			}
		})
	}
	return targets, unknown
}

// customaryTargets lists the usual names of a column of classes, in lower case; the first that a table has is taken.
var customaryTargets = []string{"target", "label", "class", "y"}

// isTarget reports whether a column of this name is the target that the user named or, where none is named, may be one by custom.
func (o Options) isTarget(name string) bool {
	if o.Target != "" {
		return name == o.Target
	}
	return slices.ContainsFunc(customaryTargets, func(known string) bool { return strings.EqualFold(name, known) })
}
