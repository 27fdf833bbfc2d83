package dataset

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLabelKey(t *testing.T) {
	for _, alike := range [][]string{
		{"red", "RED", " Red ", "r e d", "re\u00a0d"},
		{"1", "1.0", "01", "+1", "1.", "1e0", "001.000"},
		{"0", "-0", "0.0", ".0", "00"},
		{"-2.5", "-02.50", "-2.5e0"},
		{"True", "true", "TRUE"},
		{"new york", "New York", "NewYork"},
		{"ÉTÉ", "été"},
		{"123456789012345678", "123456789012345678.0"},
	} {
		for _, name := range alike {
			if labelKey(name) != labelKey(alike[0]) {
				t.Errorf("%q and %q have the keys %q and %q", name, alike[0], labelKey(name), labelKey(alike[0]))
			}
		}
	}
	for _, apart := range [][2]string{{"1", "10"}, {"1", "-1"}, {"a", "b"}, {"9007199254740993", "9007199254740992"}, {"0.1", "0.10001"}, {"True", "1"}, {"1.2.0", "1.2"}} {
		if labelKey(apart[0]) == labelKey(apart[1]) {
			t.Errorf("%q and %q are one", apart[0], apart[1])
		}
	}
}

// Spellings of one class are hinted at, and joined on request, in tables, lists of labels and validation files alike.
func TestSpellings(t *testing.T) {
	for _, c := range []struct {
		labels []string
		want   string
	}{
		{[]string{"RED", "red", "blue"}, "blue red"},
		{[]string{"1", "1.0", "01", "2", "2.0"}, "1 2"},
		{[]string{"True", "true", "FALSE", "False"}, "False True"},
		{[]string{"new york", "New York", "new  york", "rome"}, "new york rome"},
		{[]string{"Yes", "YES ", "no"}, "Yes no"},
	} {
		// The first spelling of each class is the most frequent.
		label := func(i int) string { return c.labels[i%7%len(c.labels)] }
		text := "x,y\n" + rowsOf(140, func(i int) string { return fmt.Sprintf("%d.5,%s", i%9, label(i)) })
		warned := load(t, text, nil)
		if !said(warned.Warnings, "classes may be one in several spellings") || !said(warned.Warnings, "--fold-labels") {
			t.Errorf("%v: warnings %q", c.labels, warned.Warnings)
		}
		folded := load(t, text, func(o *Options) { o.FoldLabels = true })
		if len(folded.Classes) != len(strings.Fields(strings.ReplaceAll(c.want, "new york", "newyork"))) || said(folded.Warnings, "spellings") {
			t.Errorf("%v: classes %q, warnings %q, want %s", c.labels, folded.Classes, folded.Warnings, c.want)
		}
	}
	clean := load(t, "x,y\n"+rowsOf(60, func(i int) string { return fmt.Sprintf("%d.5,c%d", i*i, i%2) }), nil)
	if len(clean.Warnings) != 0 {
		t.Errorf("warnings %q", clean.Warnings)
	}

	x := numPy(t, uneven(40), 40, 1)
	labels := file(t, "y.txt", "\ufeff"+rowsOf(40, func(i int) string { return []string{"Dog", "cat", "dog"}[i%3] }))
	d, err := Load(t.Context(), Options{Path: x, Labels: labels, FoldLabels: true, ValFraction: 0.2}, stream(1))
	if err != nil || !slices.Equal(d.Classes, []string{"Dog", "cat"}) {
		t.Errorf("classes %q, %v", d.Classes, err)
	}
	val := file(t, "val.csv", "x,y\n1,DOG\n2,cat\n")
	train := file(t, "t.csv", "x,y\n"+rowsOf(40, func(i int) string { return fmt.Sprintf("%d.5,%s", i%9, []string{"dog", "cat"}[i%2]) }))
	if _, err := Load(t.Context(), Options{Path: train, Val: val}, stream(1)); err == nil || !strings.Contains(err.Error(), "--fold-labels joins") {
		t.Errorf("error %v", err)
	}
	if d, err := Load(t.Context(), Options{Path: train, Val: val, FoldLabels: true}, stream(1)); err != nil || d.Labels[40] != 1 || len(d.Parts[1].Rows) != 2 {
		t.Errorf("%v, %v", d, err)
	}
}

// A byte-order mark is no part of the first label.
func TestByteOrderMarkOfLabels(t *testing.T) {
	x := numPy(t, uneven(40), 40, 1)
	y := file(t, "y.txt", "\ufeff"+rowsOf(40, func(i int) string { return []string{"a", "b", "c"}[i%3] }))
	d, err := Load(t.Context(), Options{Path: x, Labels: y}, stream(1))
	if err != nil || !slices.Equal(d.Classes, []string{"a", "b", "c"}) {
		t.Errorf("classes %q, %v", d.Classes, err)
	}
}

// −1 and +1 are two classes where there is nothing else; else a negative label stands for none.
func TestNegativeLabels(t *testing.T) {
	x := numPy(t, uneven(40), 40, 1)
	labels := func(of ...int64) string {
		var all []int64
		for i := range 40 {
			all = append(all, of[i%len(of)])
		}
		return numPy(t, all, 40)
	}
	for _, c := range []struct {
		of   []int64
		drop bool
		want string
	}{
		{[]int64{-1, 1}, false, "-1 1"},
		{[]int64{1, 1, -1}, false, "-1 1"},
		{[]int64{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, -1}, false, "0 1"},
		{[]int64{0, 1, -1}, true, "0 1"},
		{[]int64{0, 1, -1}, false, "13 of 40 rows have no class"},
		{[]int64{-1, 2}, true, "one class only"},
	} {
		d, err := Load(t.Context(), Options{Path: x, Labels: labels(c.of...), DropUnlabelled: c.drop}, stream(1))
		got := fmt.Sprint(err)
		if err == nil {
			got = strings.Join(d.Classes, " ")
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%v: %s, want %s", c.of, got, c.want)
		}
	}
	// A validation file of −1 alone is of that class.
	d, err := Load(t.Context(), Options{Path: x, Labels: labels(-1, 1), Val: x, ValLabels: labels(-1)}, stream(1))
	if err != nil || len(d.Parts[1].Rows) != 40 || d.Labels[40] != 0 {
		t.Errorf("%v, %v", d, err)
	}
}

// Labels of validation and test files that no training label names are refused alike, whatever the data is.
func TestUnknownLabels(t *testing.T) {
	floats := numPy(t, uneven(40), 40, 1)
	list := func(of ...string) string {
		return file(t, "y.txt", rowsOf(40, func(i int) string { return of[i%len(of)] }))
	}
	table := func(of ...string) string {
		return file(t, "t.csv", "x,y\n"+rowsOf(40, func(i int) string { return fmt.Sprintf("%d.5,%s", i%9, of[i%len(of)]) }))
	}
	folder := func(of ...string) string {
		dir := t.TempDir()
		for i, class := range of {
			for j := range 3 {
				path := filepath.Join(dir, class, fmt.Sprintf("%d.png", j))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, picture(t, byte(40*i+j)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		return dir
	}
	for name, o := range map[string]Options{
		"table":            {Path: table("a", "b"), Val: table("a", "b", "q")},
		"table, test":      {Path: table("a", "b"), Test: table("a", "b", "q"), ValFraction: 0.2},
		"table, none":      {Path: table("a", "b"), Val: table("q")},
		"array":            {Path: floats, Labels: list("a", "b"), Val: floats, ValLabels: list("a", "b", "q")},
		"array, test":      {Path: floats, Labels: list("a", "b"), Test: floats, TestLabels: list("a", "q"), ValFraction: 0.2},
		"array, none":      {Path: floats, Labels: list("a", "b"), Val: floats, ValLabels: list("q")},
		"folder":           {Path: folder("a", "b"), Val: folder("a", "q")},
		"folder, none":     {Path: folder("a", "b"), Val: folder("q")},
		"several a sample": {Path: table("a|b", "b"), Val: table("a|q"), MultiLabel: true},
	} {
		_, err := Load(t.Context(), o, stream(1))
		if err == nil || !strings.Contains(err.Error(), "of classes that training does not have (q)") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
		o.DropUnlabelled = true
		d, err := Load(t.Context(), o, stream(1))
		if strings.HasSuffix(name, "none") {
			if err == nil || !strings.Contains(err.Error(), "no row has a class that") {
				t.Errorf("%s, rows left out: error %v", name, err)
			}
			continue
		}
		if err != nil || len(d.Parts[len(d.Parts)-1].Rows) == 0 || !said(d.Warnings, "of classes that training did not have") {
			t.Errorf("%s, rows left out: %v", name, err)
		}
	}
}

// A target that is none is refused, and the column named that looks like one.
func TestNoTarget(t *testing.T) {
	sentence := func(i int) string { return fmt.Sprintf("sentence %d of many words n%d", i*7, i) }
	class := func(i int) string { return []string{"ham", "spam"}[i%2] }
	for name, c := range map[string]struct{ text, want string }{
		"label first":         {rowsOf(120, func(i int) string { return class(i) + "\t" + sentence(i) }), "is it column c1, of 2 values (ham, spam)? --target c1"},
		"header":              {"kind,what\n" + rowsOf(120, func(i int) string { return class(i) + "," + sentence(i) }), "--target kind"},
		"some twice":          {"kind,what\n" + rowsOf(120, func(i int) string { return class(i) + "," + sentence(i*5/6) }), "--target kind"},
		"ids":                 {"kind,id\n" + rowsOf(60, func(i int) string { return class(i) + fmt.Sprintf(",A%05d", i) }), "--target kind"},
		"measured":            {"kind,size\n" + rowsOf(60, func(i int) string { return class(i) + fmt.Sprintf(",%d.37", i) }), "looks continuous"},
		"measured, likelier":  {"kind,size\n" + rowsOf(60, func(i int) string { return class(i) + fmt.Sprintf(",%d.37", i) }), "--target kind"},
		"words before digits": {"n,kind,what\n" + rowsOf(90, func(i int) string { return fmt.Sprintf("%d,%s,%s", i%2, []string{"x", "y", "z"}[i%3], sentence(i)) }), "--target kind"},
		"nothing likelier":    {"a,b\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("u%d,v%d", i, i*3) }), "are these the classes?"},
		"mostly empty":        {"x,y\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("%d,%s", i, []string{class(i), ""}[min(1, i%3)]) }), "40 of 60 rows have no class in column y (40 empty): fill them in; --drop-unlabelled"},
		"None is a class":     {"x,y\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("%d,%s", i, []string{class(i), "None", "Apnea"}[i%3]) }), `20 of 60 rows have no class in column y (20 "None"): if that is the name of a class, keep it with --keep-na`},
	} {
		_, err := Load(t.Context(), Options{Path: file(t, "x.txt", c.text), ValFraction: 0.2}, stream(1))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestKeepNA(t *testing.T) {
	text := "x,y\n" + rowsOf(90, func(i int) string {
		return fmt.Sprintf("%d.5,%s", i%7, []string{"NA", "None", "null", "nan", "?", "N/A", "Apnea", "", "x"}[i%9])
	})
	d := load(t, text, func(o *Options) { o.KeepNA, o.DropUnlabelled = true, true })
	if got := strings.Join(d.Classes, " "); got != "? Apnea N/A NA None nan null x" || !said(d.Warnings, "10 rows without a class") {
		t.Errorf("classes %s, warnings %q", got, d.Warnings)
	}
	// Namibia's code in a column of categories.
	text = "country,y\n" + rowsOf(90, func(i int) string { return []string{"NA,a", "DE,b", "FR,a"}[i%3] })
	d = load(t, text, func(o *Options) { o.KeepNA = true })
	if got := fmt.Sprint(d.Pipeline.Columns[0].Levels); !strings.Contains(got, "NA") || d.Columns != 3 {
		t.Errorf("levels %s of %d columns", got, d.Columns)
	}
}

// picture is a grey PNG of one shade.
func picture(t *testing.T, shade byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, &image.Gray{Pix: bytes.Repeat([]byte{shade}, 16), Stride: 4, Rect: image.Rect(0, 0, 4, 4)}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Unicode's NFKC (Python's unicodedata.normalize) makes one of these spellings; what is not seen does not tell two classes apart.
func TestSpellingsOfUnicode(t *testing.T) {
	for _, pair := range [][2]string{{"café", "cafe\u0301"}, {"１", "1"}, {"\u200bred", "red"}, {"red\u00a0", "red"}, {"ｶﾞ", "ガ"}, {"Straße", "STRASSE"}} {
		if same := labelKey(pair[0]) == labelKey(pair[1]); same != (pair[0] != "Straße") {
			t.Errorf("%q and %q: %v", pair[0], pair[1], same)
		}
	}
}
