package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func said(lines []string, what string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, what) })
}

func load(t *testing.T, text string, edit func(*Options)) *Dataset {
	t.Helper()
	o := Options{Path: file(t, "x.csv", text), ValFraction: 0.25}
	if edit != nil {
		edit(&o)
	}
	d, err := Load(t.Context(), o, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// table of n rows: a number, a word, a name, a counter, the class.
func animals(n int) string {
	rng := rand.New(rand.NewPCG(9, 9))
	return "id,weight,colour,name,kind\n" + rowsOf(n, func(i int) string {
		kind := rng.IntN(3)
		return fmt.Sprintf("%d,%.6f,%s,n%d,%s", 100+i, float64(kind)+0.3*rng.NormFloat64(), []string{"red", "blue"}[rng.IntN(2)], i,
			[]string{"cat", "dog", "eel"}[kind])
	})
}

func TestLoadTable(t *testing.T) {
	d := load(t, animals(400), nil)
	if d.Len() != 400 || d.Columns != 3 || strings.Join(d.Classes, " ") != "cat dog eel" {
		t.Fatalf("%d rows, %d columns, classes %v", d.Len(), d.Columns, d.Classes)
	}
	types := map[string]string{}
	for _, col := range d.Pipeline.Columns {
		types[col.Name] = col.Type
	}
	if fmt.Sprint(types) != "map[colour:categorical id:ignore kind:ignore name:ignore weight:numeric]" {
		t.Errorf("types %v", types)
	}
	train, val := d.Parts[0], d.Parts[1]
	if len(train.Rows) != 300 || len(val.Rows) != 100 || train.Name != "train" || val.Name != "val" || train.IDs[5] != int64(train.Rows[5]) {
		t.Errorf("%d rows in %s, %d in %s", len(train.Rows), train.Name, len(val.Rows), val.Name)
	}
	// Standardised on the training rows, and on them alone.
	mean, square, all := 0.0, 0.0, 0.0
	for _, r := range train.Rows {
		x := float64(d.Row(int(r))[0])
		mean += x / 300
		square += x * x / 300
	}
	for r := range d.Len() {
		all += float64(d.Row(r)[0]) / 400
	}
	if !(math.Abs(mean) <= 1e-6 && math.Abs(square-1) <= 1e-5) || math.Abs(all) < 1e-5 {
		t.Errorf("training rows have mean %v and mean square %v; all rows mean %v", mean, square, all)
	}
	if !said(d.Notes, "column kind, the last one") || len(d.Warnings) != 0 {
		t.Errorf("notes %q, warnings %q", d.Notes, d.Warnings)
	}
}

func TestTypesAreOverridden(t *testing.T) {
	d := load(t, animals(400), func(o *Options) {
		o.Types = map[string]string{"id": "numeric", "name": "text", "weight": "ignore", "colour": "text"}
		o.Target = "kind"
	})
	if d.Columns != 1+2*textBuckets || len(d.Notes) != 0 {
		t.Errorf("%d columns, notes %q", d.Columns, d.Notes)
	}
	d = load(t, animals(400), func(o *Options) { o.Types = map[string]string{"name": "categorical"} })
	if d.Columns != 3+hashBuckets {
		t.Errorf("%d columns of 300 names hashed", d.Columns)
	}
}

func TestMissingValues(t *testing.T) {
	// weight is missing in every fifth row, a class in two, and a column throughout.
	d := load(t, "weight,size,gone,kind\n"+rowsOf(100, func(i int) string {
		weight, kind := fmt.Sprint(i%7), []string{"a", "b"}[i%2]
		if i%5 == 0 {
			weight = []string{"", "NA", "?", "unknown"}[i/5%4]
		}
		if i == 50 || i == 51 {
			kind = ""
		}
		return fmt.Sprintf("%s,%d,,%s", weight, i*i, kind)
	}), func(o *Options) { o.Missing = []string{"unknown"} })
	if d.Columns != 3 || d.Labels[50] != Ignored || len(d.Parts[0].Rows)+len(d.Parts[1].Rows) != 98 {
		t.Errorf("%d columns, label %d, %d and %d rows", d.Columns, d.Labels[50], len(d.Parts[0].Rows), len(d.Parts[1].Rows))
	}
	for r := range 100 {
		if indicator := d.Row(r)[1]; (indicator == 1) != (r%5 == 0) || (indicator != 0 && indicator != 1) {
			t.Errorf("row %d has the indicator %v", r, indicator)
		}
	}
	if !said(d.Warnings, "2 rows without a class") {
		t.Errorf("warnings %q", d.Warnings)
	}
}

func TestGroupsStayWhole(t *testing.T) {
	text := "x,owner,kind\n" + rowsOf(300, func(i int) string { return fmt.Sprintf("%d.5,o%d,%s", i%17, i%23, alternate(i)) })
	for seed := range uint64(20) {
		d, err := Load(t.Context(), Options{Path: file(t, "x.csv", text), ValFraction: 0.2, Group: "owner"}, stream(seed))
		if err != nil {
			t.Fatal(err)
		}
		where := map[int64]string{}
		for _, p := range d.Parts {
			for _, id := range p.IDs {
				if other := where[id%23]; other != "" && other != p.Name {
					t.Fatalf("seed %d: owner %d is in %s and in %s", seed, id%23, other, p.Name)
				}
				where[id%23] = p.Name
			}
		}
		if n := len(d.Parts[1].Rows); n < 45 || n > 60 {
			t.Errorf("seed %d: %d rows for validation, want about 60", seed, n)
		}
		if d.Columns != 1 {
			t.Errorf("%d columns: the group is no feature", d.Columns)
		}
	}
}

func TestWarnings(t *testing.T) {
	rng := stream(5)
	noise := func() string { return fmt.Sprintf("%.9f", rng.Float64()) }
	leaks := load(t, "a,code,grade,kind\n"+rowsOf(400, func(i int) string {
		k := rng.IntN(3)
		return fmt.Sprintf("%s,%d,%.3f,%s", noise(), 10*k, float64(k)+0.4*rng.Float64(), []string{"x", "y", "z"}[k])
	}), nil)
	if len(leaks.Warnings) != 2 || !said(leaks.Warnings, "column code alone tells the class of 100 of 100") || !said(leaks.Warnings, "column grade") {
		t.Errorf("leaks: %q", leaks.Warnings)
	}
	twins := load(t, "a,b,kind\n"+rowsOf(400, func(i int) string {
		return fmt.Sprintf("%d,%d,%s", i%200*7919%200, i%200, []string{"x", "y"}[rng.IntN(2)])
	}), nil)
	if !said(twins.Warnings, "rows of val are in train too") || !said(twins.Warnings, "with another class") {
		t.Errorf("duplicates: %q", twins.Warnings)
	}
	single := load(t, "a,kind\n"+rowsOf(100, func(i int) string {
		return noise() + "," + []string{"x", "y", "rare"}[min(2, i%2+2*(i/99))]
	}), nil)
	if !said(single.Warnings, "1 class of a single sample, which can only be trained on: rare") {
		t.Errorf("single: %q", single.Warnings)
	}
	if r := slices.Index(single.Labels, 0); !slices.Contains(single.Parts[0].Rows, int32(r)) {
		t.Error("the only sample of its class is not trained on")
	}
	clean := load(t, "a,kind\n"+rowsOf(400, func(int) string { return noise() + "," + []string{"x", "y"}[rng.IntN(2)] }), nil)
	if len(clean.Warnings) != 0 {
		t.Errorf("clean: %q", clean.Warnings)
	}
}

func TestOtherFiles(t *testing.T) {
	// The columns of the validation file come in another order, with one more, a category and a class that are new.
	val := file(t, "val.csv", "kind,extra,colour,weight\ndog,1,red,2.5\ncat,1,green,\nfox,1,blue,1\n")
	test := file(t, "test.csv", "weight,colour,kind\n1,blue,eel\n")
	d := load(t, animals(120), func(o *Options) { o.Val, o.Test, o.DropUnlabelled = val, test, true })
	if d.Len() != 124 || len(d.Parts) != 3 || len(d.Parts[0].Rows) != 120 || len(d.Features) != 124*d.Columns {
		t.Fatalf("%d rows in %d parts", d.Len(), len(d.Parts))
	}
	if p := d.Parts[1]; p.Name != "val" || !slices.Equal(p.Rows, []int32{120, 121}) || !slices.Equal(p.IDs, []int64{0, 1}) {
		t.Errorf("validation part %+v", p)
	}
	if p := d.Parts[2]; p.Name != "test" || !slices.Equal(p.Rows, []int32{123}) || d.Labels[123] != 2 {
		t.Errorf("test part %+v, label %d", p, d.Labels[123])
	}
	if row := d.Row(121); row[0] != 0 || row[1] != 0 || row[2] != 0 {
		t.Errorf("a missing weight and a new colour give %v, want zeros", row)
	}
	for _, want := range []string{"val.csv: column weight: 1 value missing, though none was", "val.csv: column colour: 1 value of categories", "val.csv: 1 label of classes"} {
		if !said(d.Warnings, want) {
			t.Errorf("%q is not said in %q", want, d.Warnings)
		}
	}
	bad := file(t, "bad.csv", "kind,weight\ncat,1\n")
	if _, err := Load(t.Context(), Options{Path: file(t, "x.csv", animals(120)), Val: bad}, stream(1)); err == nil || !strings.Contains(err.Error(), "lacks the column colour") {
		t.Errorf("error %v", err)
	}
}

func TestMultiLabel(t *testing.T) {
	d := load(t, "x,tags\n1,red|round\n2,\n3,round\n4, red \n5,sharp|red\n", func(o *Options) { o.MultiLabel = true })
	if strings.Join(d.Classes, " ") != "red round sharp" {
		t.Fatalf("classes %v", d.Classes)
	}
	if want := []uint8{1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1}; !slices.Equal(d.Targets, want) {
		t.Errorf("targets %v, want %v", d.Targets, want)
	}
	if n := len(d.Parts[0].Rows) + len(d.Parts[1].Rows); n != 5 || !slices.Equal(d.Labels, slices.Repeat([]int32{Ignored}, 5)) {
		t.Errorf("%d rows, labels %v", n, d.Labels)
	}
}

func TestSameSeedSameData(t *testing.T) {
	text := animals(200)
	a, b, c := load(t, text, nil), load(t, text, nil), load(t, text, nil)
	if !slices.Equal(a.Features, b.Features) || !slices.Equal(a.Parts[0].Rows, c.Parts[0].Rows) {
		t.Error("one seed gave two sets of features")
	}
}
