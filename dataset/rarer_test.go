package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ARFF's rows, dense and sparse, are those of a CSV file.
func TestARFF(t *testing.T) {
	const head = "% a comment\n@RELATION 'a b'\n\n@attribute x numeric\n@attribute 'two words'\t{'a b', c}\n@ATTRIBUTE s string\n@attribute kind {no,yes}\n@data\n"
	for name, body := range map[string]string{
		"dense":  head + "1.5, 'a b', \"it's\", yes\n%\n?,c,'x\\'y, z',no\n0,'a b',?,no\n",
		"CR":     strings.ReplaceAll(head+"1.5,a b,\"it's\",yes\n?,c,'x\\'y, z',no\n0,a b,?,no", "\n", "\r"),
		"sparse": head + "{0 1.5, 2 \"it's\", 3 yes}\n{0 ?, 1 c, 2 'x\\'y, z'}\n{2 ?}\n",
	} {
		got, err := readTable(file(t, "x.data", body), "", Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := [][]string{{"1.5", "a b", "it's", "yes"}, {"?", "c", "x'y, z", "no"}, {"0", "a b", "?", "no"}}
		if !slices.Equal(got.names, []string{"x", "two words", "s", "kind"}) || !slices.EqualFunc(fields(got), want, slices.Equal) {
			t.Errorf("%s: %q, %q", name, got.names, fields(got))
		}
	}
	for want, body := range map[string]string{
		"line 9: 2 fields, but there are 4": head + "1,2\n",
		"opens a quote":                     head + "1,'a b,c,no\n",
		"no attribute's number":             head + "{7 1}\n",
		"is no attribute's number from":     head + "{0 1}, {5}\n",
		"no rows behind @data":              head,
		"is none of @relation":              "@relation r\nx,y\n",
		"holds tables":                      "@relation r\n@attribute a relational\n",
	} {
		if _, err := readTable(file(t, "x.arff", body), "", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
}

// svmlight's rows are the array that they stand for, and new rows have as many features as training's.
func TestSVMLight(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "%s 1:%d.5 3:%d # row %d\n", []string{"-1", "+1"}[i%2], i*i%13+5*(i%2), i%5+1, i)
		b.WriteString("\n")
	}
	d, err := Load(t.Context(), Options{Path: file(t, "x.txt", b.String()), ValFraction: 0.25}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(d.Classes, " ") != "-1 1" || len(d.Pipeline.Columns) != 4 || d.Len() != 60 {
		t.Fatalf("classes %v, columns %+v", d.Classes, d.Pipeline.Columns)
	}
	for _, row := range []string{"1 1:4.5\n", "0 1:4.5 3:0 99:1\n"} {
		rows, err := d.Pipeline.Open(file(t, "new.svm", row))
		if err != nil {
			t.Fatal(err)
		}
		want := float32((4.5 - d.Pipeline.Columns[0].Mean) / d.Pipeline.Columns[0].Scale)
		if b := rows.Next(9); b == nil || b.Features[0] != want {
			t.Errorf("%q: %+v, want %v first", row, b, want)
		}
	}
	wide := "1 0:1 200:2\n0 7:3\n1 0:2\n0 7:1\n"
	d, err = Load(t.Context(), Options{Path: file(t, "x.svm", wide), Val: file(t, "v.svm", "1 0:1\n0 7:2 300:1\n")}, stream(1))
	if err != nil || d.Columns != 201 || d.Row(0)[0] != 1 || d.Row(0)[200] != 2 || d.Row(1)[7] != 3 || d.Len() != 6 || d.Row(5)[7] != 2 {
		t.Errorf("counted from 0, a validation file of another width: %v", err)
	}
	for want, body := range map[string]string{
		"is no whole number":                  "0.5 1:2\n0.7 1:3\n",
		"line 2: feature 3 follows feature 5": "1 1:2\n0 5:1 3:1\n",
		"leave out those that few rows have":  "1 1:2\n0 2000000000:1\n",
	} {
		if _, err := Load(t.Context(), Options{Path: file(t, "x.svm", body)}, stream(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
	if _, err := Load(t.Context(), Options{Path: file(t, "x.svm", "1,2 1:2\n0 2:1\n"), MultiLabel: true}, stream(1)); err != nil {
		t.Errorf("several classes: %v", err)
	}
}

func FuzzARFF(f *testing.F) {
	f.Add("@relation r\n@attribute a {x,'y z'}\n@attribute b numeric\n@data\n'y z',1\n{1 2}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseARFF("x", []byte(text)); err == nil {
			fields(got)
		}
	})
}

func FuzzSVMLight(f *testing.F) {
	f.Add("+1 1:0.5 3:2 # c\n-1 qid:3 2:1e3\n1,2\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseSVMLight("x", []byte(text))
		if err != nil {
			return
		}
		in, _ := got.members[0].open()
		x, err := in.Float32()
		if err != nil || len(x) != got.members[0].shape[0]*got.members[0].shape[1] {
			t.Errorf("%d values of shape %v: %v", len(x), got.members[0].shape, err)
		}
	})
}
