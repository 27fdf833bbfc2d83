package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/kernel"
)

// Ignored is the label of a row without one.
const Ignored = -100

var _ = [1]struct{}{}[Ignored-kernel.Ignored] // the kernels have the same

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
	for _, name := range targetNamesByCustom {
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
	v, err := col.read(t, c, o.marks())
	if err != nil {
		return nil, nil, err
	}
	if err := checkContinuous(t, c, v, o); err != nil {
		return nil, nil, err
	}
	if o.FoldLabels {
		v.fold()
	}
	classes = slices.Clone(v.levels)
	sortClasses(classes)
	return v.encode(classes, o.FoldLabels), classes, nil
}

// encode gives each row its class's index in classes, Ignored where it is none of them.
func (v values) encode(classes []string, fold bool) []int32 {
	index := indexOf(classes, fold)
	of := make([]int32, len(v.levels))
	for code, level := range v.levels {
		label, known := index.find(level)
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

// targetNames returns all classes that column c of t names, in order; of spellings that are folded, the first.
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
	// A matrix of rows and classes: hostile rows of a class each would make it the square of the file.
	if int64(len(classes))*int64(t.rows()) > freeBytes+16*int64(len(t.data)) {
		return nil, fmt.Errorf("%s: column %s names %d classes in %d rows: is another column the target (--target)?", t.path, t.names[c], len(classes), t.rows())
	}
	sortClasses(classes)
	return classes, nil
}

// readTargets reads column c of t as lists of classes: [N,K] of 0 and 1; unknown counts what is none of the classes.
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

// targetNamesByCustom are what a column that holds the classes is called by custom.
var targetNamesByCustom = []string{"target", "label", "class", "y"}

// isTarget reports whether a column may hold the classes, by its name.
func (o Options) isTarget(name string) bool {
	if o.Target != "" {
		return name == o.Target
	}
	return slices.ContainsFunc(targetNamesByCustom, func(known string) bool { return strings.EqualFold(name, known) })
}
