package dataset

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

// Small tables after reports of what other tools of the kind went wrong on, with what they are by their definition; what their
// columns add up to is Python's sum of the digits.
func TestCases(t *testing.T) {
	for path, c := range map[string]struct {
		edit    func(*Options)
		names   string // of the columns
		classes string
		rows    int
		warned  []string
		silent  string // what no warning says
		failed  string
	}{
		"pix.csv":         {nil, "0 1 2 3 label", "0 1 2", 90, nil, "single", ""},
		"years.csv":       {nil, "2019 2020 2021 kind", "a b", 60, nil, "", ""},
		"empty-names.csv": {func(o *Options) { o.Target = "v1" }, "v1 v2", "ham spam", 39, nil, "", ""},
		"plain.csv":       {nil, "c1 c2 c3 c4 c5", "'back' 'gone'", 120, nil, "", ""},
		"iris_site.csv":   {nil, "site sl sw pl pw species", "Iris-setosa Iris-versicolor Iris-virginica", 150, nil, "alone tells", ""},
		"train.csv":       {func(o *Options) { o.Val = "testdata/cases/val.csv" }, "x1 x2 y", "even odd", 140, nil, "alone tells", ""},
		"threshold.csv":   {nil, "leak x y", "n y", 399, []string{"column leak alone tells the class of 100 of 100 held-out rows"}, "column x", ""},
		"case.csv":        {nil, "a b kind", "BLUE GREEN RED blue green red", 120, []string{`"BLUE" (6 rows) and "blue" (34 rows)`, "--fold-labels"}, "", ""},
		"case.csv ":       {func(o *Options) { o.FoldLabels = true }, "a b kind", "blue green red", 120, nil, "spellings", ""},
		"nums.csv":        {func(o *Options) { o.FoldLabels = true }, "a b kind", "1 2", 120, nil, "spellings", ""},
		"bool.csv":        {func(o *Options) { o.FoldLabels = true }, "a b kind", "False True", 120, nil, "spellings", ""},
		"label-first.tsv": {nil, "", "", 0, nil, "", "is it column c1, of 2 values (ham, spam)? --target c1"},
		"cn.csv":          {nil, "", "", 0, nil, "", `145 of 300 rows have no class in column y (145 "None"): if that is the name of a class, keep it with --keep-na`},
		"cn.csv ":         {func(o *Options) { o.KeepNA = true }, "p y", "Apnea Insomnia None", 300, nil, "without a class", ""},
		"de.csv":          {nil, "amount size y", "hi lo", 300, nil, "", ""},
		"de3.csv":         {nil, "a b y", "hi lo", 300, nil, "", ""},
		"th.csv":          {nil, "amount size y", "hi lo", 300, nil, "", ""},
	} {
		o := Options{Path: "testdata/cases/" + strings.TrimSpace(path), ValFraction: 0.25}
		if c.edit != nil {
			c.edit(&o)
		}
		d, err := Load(t.Context(), o, stream(1))
		if c.failed != "" || err != nil {
			if err == nil || c.failed == "" || !strings.Contains(err.Error(), c.failed) {
				t.Errorf("%s: error %v, want %q", path, err, c.failed)
			}
			continue
		}
		var names []string
		for _, col := range d.Pipeline.Columns {
			names = append(names, col.Name)
		}
		if strings.Join(names, " ") != c.names || strings.Join(d.Classes, " ") != c.classes || d.Len() != c.rows {
			t.Errorf("%s: %d rows of %q, classes %q", path, d.Len(), names, d.Classes)
		}
		for _, want := range c.warned {
			if !said(d.Warnings, want) {
				t.Errorf("%s: warnings %q, want %q", path, d.Warnings, want)
			}
		}
		if c.silent != "" && said(d.Warnings, c.silent) {
			t.Errorf("%s: warnings %q", path, d.Warnings)
		}
	}
}

// The amounts of three notations add up to what their digits do.
func TestCasesOfNumbers(t *testing.T) {
	for path, want := range map[string]float64{"de.csv": 904243.91, "th.csv": 904243.91, "de3.csv": 904243.4} {
		tab, err := readTable("testdata/cases/"+path, "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		columns, err := inferColumns(tab, Options{}, map[string]string{"y": "the target"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := columns[0].read(tab, 0, marks{})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, x := range v.numbers {
			sum += x
		}
		if len(v.numbers) != 300 || !(math.Abs(sum-want) <= 1e-6) {
			t.Errorf("%s: %d numbers add up to %v, want %v", path, len(v.numbers), sum, want)
		}
	}
}

// A mark of a missing value is one with spaces around it, too.
func TestCasesOfMarks(t *testing.T) {
	load := func(path string) *Dataset {
		d, err := Load(t.Context(), Options{Path: "testdata/cases/" + path, ValFraction: 0.2}, stream(1))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	spaced, bare := load("qlm.csv"), load("qnm.csv")
	if !slices.Equal(spaced.Features, bare.Features) || spaced.Columns != 2 || spaced.Pipeline.Columns[0].Type != Numeric {
		t.Errorf("%d features of type %s, with spaces; %d without", spaced.Columns, spaced.Pipeline.Columns[0].Type, bare.Columns)
	}
	if d := load("ql.csv"); d.Columns != 2 {
		t.Errorf("%d features", d.Columns)
	}
}

// Files of one and of two rows are read as the table without a header was.
func TestCasesOfOneRow(t *testing.T) {
	d, err := Load(t.Context(), Options{Path: "testdata/cases/plain.csv", ValFraction: 0.2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.Pipeline.Encode()
	if err != nil || !bytes.Contains(raw, []byte(`"header": "no"`)) {
		t.Fatalf("%v in %s", err, raw)
	}
	for path, want := range map[string]int{"one.csv": 1, "two.csv": 2} {
		rows, err := d.Pipeline.Open("testdata/cases/" + path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if b := rows.Next(10); b == nil || b.N != want || len(rows.Counts.Warnings()) != 0 {
			t.Errorf("%s: %+v, %q", path, b, rows.Counts.Warnings())
		}
		rows.Close()
	}
}
