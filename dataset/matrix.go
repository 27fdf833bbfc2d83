package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ReadMatrix reads a table of numbers alone, row-major [N,K], from CSV, from JSON lines (arrays, or objects with a list called what), or from
// any other format of tables. Where the columns have names, it takes those that are called what or begin with it. A missing number is NaN; a
// field that is not a number is an error that names its row.
func ReadMatrix(path, what string) (values []float64, rows, columns int, err error) {
	s, err := openSource(path, Options{})
	if err != nil {
		return nil, 0, 0, err
	}
	defer s.Close()
	if s.format.table == nil {
		return nil, 0, 0, fmt.Errorf("%s is %s, which holds no table", path, s.format.name)
	}
	t, err := s.format.table(s, Options{list: what})
	if err != nil {
		return nil, 0, 0, err
	}
	if t.header && !slices.ContainsFunc(t.names, func(name string) bool { _, ok := anyNumber([]byte(name)); return !ok }) {
		return nil, 0, 0, fmt.Errorf("%s: its first row, %s, was taken for names: give the numbers as .npy, or name the columns", path, listed(t.names))
	}
	taken := t.columnsOf(what)
	if len(taken) == 0 {
		return nil, 0, 0, fmt.Errorf("%s has no column called %s: it has %s", path, what, listed(t.names))
	}
	values = make([]float64, 0, t.rows()*len(taken))
	for r := range t.rows() {
		for _, c := range taken {
			f := bytes.TrimSpace(t.field(r, c))
			value, ok := anyNumber(f)
			if !ok {
				return nil, 0, 0, fmt.Errorf("%s: %q in column %s is not a number", t.location(r), clip(f), t.names[c])
			}
			values = append(values, value)
		}
	}
	return values, t.rows(), len(taken), nil
}

// anyNumber reads a number, and what stands for NaN and infinity.
func anyNumber(f []byte) (float64, bool) {
	if value, ok := parseNumber(f); ok {
		return value, true
	}
	switch strings.ToLower(strings.TrimPrefix(string(f), "+")) {
	case "", "nan":
		return math.NaN(), true
	case "inf", "infinity":
		return math.Inf(1), true
	case "-inf", "-infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

// columnsOf returns the columns whose names are or begin with what, in singular or plural, or all columns where the names say nothing.
func (t *table) columnsOf(what string) []int {
	singular := strings.TrimSuffix(what, "s")
	for _, called := range []func(name string) bool{
		func(name string) bool {
			return strings.HasPrefix(name, what+".") || strings.HasPrefix(name, singular+":")
		},
		func(name string) bool { return strings.EqualFold(name, what) || strings.EqualFold(name, singular) },
		func(name string) bool { return what == "labels" && Options{}.isTarget(name) },
	} {
		var found []int
		for c, name := range t.names {
			if called(name) && t.unread[name] == "" {
				found = append(found, c)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	if t.header || slices.ContainsFunc(t.names, func(name string) bool { return !strings.HasPrefix(name, "c") }) && len(t.names) > 1 {
		if what == "labels" {
			return nil
		}
	}
	all := make([]int, len(t.names))
	for c := range all {
		all[c] = c
	}
	return all
}
