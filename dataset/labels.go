package dataset

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// labelKey returns a key that all spellings of one class share: case, spaces, characters that are not seen, the width and composition of characters (an
// accent may be a character of its own) and the form of a number do not matter.
func labelKey(name string) string {
	key := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(name))
	value, isNumber := parseNumber([]byte(key))
	if !isNumber {
		return key
	}
	if strings.ContainsRune(key, 'e') {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	// The key keeps the digits themselves, because float64 does not tell numbers of more than 15 digits apart.
	digits := strings.TrimLeft(key, "+-")
	if whole, fraction, ok := strings.Cut(digits, "."); ok {
		digits = strings.TrimRight(whole+"."+strings.TrimRight(fraction, "0"), ".")
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" || digits[0] == '.' {
		digits = "0" + digits
	}
	if key[0] == '-' && digits != "0" {
		return "-" + digits
	}
	return digits
}

// classIndex finds a class by its name, or by its labelKey where spellings are folded.
type classIndex struct {
	labels map[string]int32
	fold   bool
}

func indexOf(classes []string, fold bool) classIndex {
	index := classIndex{make(map[string]int32, len(classes)), fold}
	for i, name := range classes {
		if fold {
			name = labelKey(name)
		}
		index.labels[name] = int32(i)
	}
	addSpellings(index.labels)
	return index
}

// addSpellings adds the other spellings of true and false, since each format has its own.
func addSpellings(index map[string]int32) {
	for _, words := range [][]string{{"true", "True", "TRUE"}, {"false", "False", "FALSE"}} {
		for _, word := range words {
			i, known := index[word]
			if !known {
				continue
			}
			for _, other := range words {
				if _, taken := index[other]; !taken {
					index[other] = i
				}
			}
			break
		}
	}
}

// className returns the name of a class that is written as f. A whole number in the notation of C's %e, in which NumPy's savetxt writes all numbers,
// is written plainly.
func className(f []byte) string {
	if len(f) > 10 && bytes.IndexByte(f, 'e') >= 8 && bytes.IndexByte(f, '.') > 0 {
		if value, ok := parseNumber(f); ok && value == math.Trunc(value) && math.Abs(value) < 1e15 {
			return strconv.FormatFloat(value, 'f', -1, 64)
		}
	}
	return string(f)
}

func (c classIndex) find(name string) (int32, bool) {
	if c.fold {
		name = labelKey(name)
	}
	i, known := c.labels[name]
	return i, known
}

// counts returns the number of rows of each level.
func (v *values) counts() []int {
	counts := make([]int, len(v.levels))
	for _, code := range v.codes {
		if code >= 0 {
			counts[code]++
		}
	}
	return counts
}

// foldSpellings joins the levels that differ in their spelling alone, under the most frequent spelling.
func (v *values) foldSpellings() {
	counts := v.counts()
	order := make([]int, len(v.levels))
	for code := range order {
		order[code] = code
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	joined, newCode := make(map[string]int32), make([]int32, len(v.levels))
	var levels []string
	for _, code := range order {
		key := labelKey(v.levels[code])
		if _, known := joined[key]; !known {
			joined[key] = int32(len(levels))
			levels = append(levels, v.levels[code])
		}
		newCode[code] = joined[key]
	}
	for r, code := range v.codes {
		if code >= 0 {
			v.codes[r] = newCode[code]
		}
	}
	v.levels = levels
}

// dropNegative takes the negative integers of an array for missing labels, as −1 and −100 are used. −1 and +1 alone are two classes.
func (v *values) dropNegative() {
	if !v.integers || len(v.levels) == 2 && slices.Contains(v.levels, "-1") && slices.Contains(v.levels, "1") {
		return
	}
	newCode := make([]int32, len(v.levels))
	var levels []string
	for code, level := range v.levels {
		newCode[code] = -1
		if level[0] != '-' {
			newCode[code] = int32(len(levels))
			levels = append(levels, level)
		}
	}
	for r, code := range v.codes {
		if code >= 0 {
			v.codes[r] = newCode[code]
		}
	}
	v.levels = levels
}

// maxUnlabelled is the share of rows without a class up to which they are left out with a warning. Where more rows have none, the target is
// probably another column, or its classes are written in a way that was not understood.
const maxUnlabelled = 0.1

// checkLabels counts the samples of each class. It refuses data with nothing to tell apart, and warns of rare classes. marks counts the words
// that stand for a missing class, and likelier names a column that would make a better target; both may be nil.
func (d *Dataset) checkLabels(o Options, marks map[string]int, likelier func() string) error {
	d.Pipeline.Classes = d.Classes
	counts, unlabelled := make([]int, len(d.Classes)), 0
	for i, label := range d.Labels {
		switch {
		case d.Targets != nil:
			for k, on := range d.Targets[i*len(counts) : (i+1)*len(counts)] {
				counts[k] += int(on)
			}
		case label == Ignored:
			unlabelled++
		default:
			counts[label]++
		}
	}
	if likelier == nil {
		likelier = func() string { return "" }
	}
	var single []string
	for k, n := range counts {
		if n == 1 {
			single = append(single, d.Classes[k])
		}
	}
	in, rows := inColumn(d.Pipeline.Target), len(d.Labels)-unlabelled
	switch {
	case len(d.Classes) == 0:
		return fmt.Errorf("%s: there is no class at all%s%s", o.Path, in, cmp.Or(likelier(), "; is another column the target (--target)?"))
	case o.MultiLabel:
	case float64(unlabelled) > maxUnlabelled*float64(len(d.Labels)) && !o.DropUnlabelled:
		return fmt.Errorf("%s: %d of %d rows have no class%s%s: %s; --drop-unlabelled trains on the others%s",
			o.Path, unlabelled, len(d.Labels), in, listMarks(marks), marksAdvice(marks), likelier())
	case len(d.Classes) == 1:
		return fmt.Errorf("%s: there is one class only%s, %q, in %s: nothing to tell apart%s",
			o.Path, in, d.Classes[0], plural(counts[0], "row"), likelier())
	case len(single) == rows || 2*len(single) > len(counts) && 10*len(single) > rows:
		return fmt.Errorf("%s: %d classes in %s%s, %d of them of a single sample, such as %q: a class needs several%s",
			o.Path, len(counts), plural(rows, "row"), in, len(single), clip([]byte(single[0])), cmp.Or(likelier(), "; are these the classes?"))
	}
	if unlabelled > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s without a class%s: left out", plural(unlabelled, "row"), listMarks(marks)))
	}
	if len(single) > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s of a single sample, which can only be trained on: %s",
			pluralOf(len(single), "class", "classes"), listed(single)))
	}
	d.warnOfSpellings(counts)
	return nil
}

// listMarks lists the words that stand for a missing class, the most frequent first.
func listMarks(marks map[string]int) string {
	var list []string
	for _, mark := range slices.SortedFunc(maps.Keys(marks), func(a, b string) int { return cmp.Or(cmp.Compare(marks[b], marks[a]), strings.Compare(a, b)) }) {
		name := "empty"
		if mark != "" {
			name = strconv.Quote(mark)
		}
		list = append(list, fmt.Sprintf("%d %s", marks[mark], name))
	}
	if list == nil {
		return ""
	}
	return " (" + listed(list) + ")"
}

func marksAdvice(marks map[string]int) string {
	for mark := range marks {
		if mark != "" {
			return "if that is the name of a class, keep it with --keep-na"
		}
	}
	return "fill them in"
}

// warnOfSpellings warns of classes that may be one class in several spellings.
func (d *Dataset) warnOfSpellings(counts []int) {
	alike := map[string][]int{}
	for k, name := range d.Classes {
		key := labelKey(name)
		alike[key] = append(alike[key], k)
	}
	var groups []string
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		if len(alike[key]) < 2 {
			continue
		}
		var names []string
		for _, k := range alike[key] {
			names = append(names, fmt.Sprintf("%q (%s)", d.Classes[k], plural(counts[k], "row")))
		}
		groups = append(groups, strings.Join(names, " and "))
	}
	if groups != nil {
		d.Warnings = append(d.Warnings, fmt.Sprintf("classes may be one in several spellings: %s; --fold-labels takes labels that differ in case, spaces or the form of a number for one",
			listed(groups)))
	}
}

func inColumn(name string) string {
	if name == "" {
		return ""
	}
	return " in column " + name
}

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// unlabelled counts the words that stand for a missing class in column c.
func (t *table) unlabelled(c int, o Options) map[string]int {
	marks := map[string]int{}
	for r := range t.rows() {
		if f := t.field(r, c); o.marks().missingCategory(f) {
			marks[string(bytes.TrimSpace(f))]++
		}
	}
	return marks
}

// likelierTarget suggests the other column that looks most like classes: one of few values, each of which several rows have.
func likelierTarget(t *table, target int, o Options) string {
	best, fewest := -1, 0
	var names []string
	for c := range t.names {
		if c == target {
			continue
		}
		seen, present, words := map[string]bool{}, 0, false
		for r := range min(t.rows(), sampleRows) {
			f := bytes.TrimSpace(t.field(r, c))
			if o.marks().missingCategory(f) {
				continue
			}
			present++
			_, isNumber := parseNumber(f)
			words = words || !isNumber
			if seen[string(f)] = true; len(seen)*5 > t.rows() {
				break
			}
		}
		if len(seen) < 2 || len(seen)*5 > present {
			continue
		}
		// Words are likelier than numbers; among equals the column with the fewest values is.
		rank := len(seen)
		if !words {
			rank += sampleRows
		}
		if best < 0 || rank < fewest {
			best, fewest, names = c, rank, slices.Sorted(maps.Keys(seen))
		}
	}
	if best < 0 {
		return ""
	}
	return fmt.Sprintf("; is it column %s, of %d values (%s)? --target %s", t.names[best], len(names), listed(names), quoted(t.names[best]))
}

// appendLabels adds the labels of a validation or test file. The rows that have a label become the part called name.
func (d *Dataset) appendLabels(name, path string, v *values, o Options, counts *Counts) error {
	first := d.Len()
	labels := v.encode(d.Classes, o.FoldLabels)
	unknown := map[string]int{}
	var rows []int
	unlabelled := 0
	for r, label := range labels {
		switch code := v.codes[r]; {
		case label != Ignored:
			rows = append(rows, first+r)
		case code < 0 || v.integers && v.levels[code][0] == '-':
			unlabelled++
		default:
			unknown[v.levels[code]]++
			counts.Labels++
		}
	}
	if err := o.refuseUnknown(path, unknown, d.Classes, rows); err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s: no row has a class that %s has: %s", path, o.Path, listed(d.Classes))
	}
	if unlabelled > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s: %s without a class: left out", path, plural(unlabelled, "row")))
	}
	d.Labels = append(d.Labels, labels...)
	d.Parts = append(d.Parts, newPart(name, rows, first))
	return nil
}

// refuseUnknown refuses labels that no training row has, because figures of the other rows alone would look better than the model is.
func (o Options) refuseUnknown(path string, unknown map[string]int, classes []string, known []int) error {
	if len(unknown) == 0 || o.DropUnlabelled {
		return nil
	}
	rows, folded, index := 0, false, indexOf(classes, true)
	for name, n := range unknown {
		rows += n
		_, alike := index.find(name)
		folded = folded || alike
	}
	way := "correct them or leave their rows out with --drop-unlabelled"
	switch {
	case folded:
		way = "--fold-labels joins labels that differ in case, spaces or the form of a number; --drop-unlabelled leaves the rows out"
	case len(known) == 0 && classes != nil:
		way = "training has " + listed(classes)
	}
	return fmt.Errorf("%s: %s of classes that training does not have (%s): %s",
		path, plural(rows, "row"), listed(slices.Sorted(maps.Keys(unknown))), way)
}
