package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/npy"
)

// rawNumPy is an .npy file of any type.
func rawNumPy(descr string, shape []int, data []byte) string {
	tuple := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ","), "[]")
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }\n", descr, tuple)
	raw := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return string(append(append(raw, header...), data...))
}

func numPyOf[T float32 | float64 | int64 | uint8](t *testing.T, values []T, shape ...int) string {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, values, shape...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// vectorsOf60 are two features that tell three classes, and the classes.
func vectorsOf60() (x []float64, y []int64) {
	rng := stream(4)
	for i := range 60 {
		k := int64(i % 3)
		x = append(x, 1000*float64(k)+100*rng.NormFloat64(), 0.001*rng.Float64())
		y = append(y, k)
	}
	return x, y
}

// uneven are n numbers that are not all alike and count nothing.
func uneven(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i * i % 11)
	}
	return x
}

// Labels are the same ones in whatever form an array has them.
func TestLabelsInEveryForm(t *testing.T) {
	x, y := vectorsOf60()
	names := []string{"cat", "dögs", "eel"}
	var wide, wideBig, narrow, hot, hot8 []byte
	var floats []float32
	for _, k := range y {
		for j := range 4 {
			u := uint32(0)
			if r := []rune(names[k]); j < len(r) {
				u = uint32(r[j])
			}
			wide, wideBig = binary.LittleEndian.AppendUint32(wide, u), binary.BigEndian.AppendUint32(wideBig, u)
		}
		narrow = append(narrow, []byte{"cde"[k], 0}...)
		for j := range int64(3) {
			on := map[bool]float64{true: 1}[j == k]
			hot, hot8 = binary.LittleEndian.AppendUint64(hot, math.Float64bits(on)), append(hot8, byte(on))
		}
		floats = append(floats, float32(k))
	}
	lines := func(header string) string {
		text := header
		for _, k := range y {
			text += names[k] + "\n"
		}
		return text
	}
	for name, c := range map[string]struct{ file, body, classes string }{
		"numbers":              {"y.npy", numPyOf(t, y, 60), "0 1 2"},
		"numbers, [N,1]":       {"y.npy", numPyOf(t, y, 60, 1), "0 1 2"},
		"whole floats":         {"y.npy", numPyOf(t, floats, 60), "0 1 2"},
		"text":                 {"y.npy", rawNumPy("<U4", []int{60}, wide), "cat dögs eel"},
		"text, [N,1]":          {"y.npy", rawNumPy("<U4", []int{60, 1}, wide), "cat dögs eel"},
		"text, big-endian":     {"y.npy", rawNumPy(">U4", []int{60}, wideBig), "cat dögs eel"},
		"bytes":                {"y.npy", rawNumPy("|S2", []int{60}, narrow), "c d e"},
		"a column for each":    {"y.npy", rawNumPy("<f8", []int{60, 3}, hot), "0 1 2"},
		"booleans of each":     {"y.npy", rawNumPy("|b1", []int{60, 3}, hot8), "0 1 2"},
		"lines":                {"y.txt", lines(""), "cat dögs eel"},
		"lines, CR":            {"y.txt", strings.ReplaceAll(lines(""), "\n", "\r"), "cat dögs eel"},
		"lines with a header":  {"y.csv", lines("label\n"), "cat dögs eel"},
		"lines, UTF-16":        {"y.txt", "\xff\xfe" + utf16Of(lines(""), false), "cat dögs eel"},
		"lines, gzip":          {"y.txt.gz", gzipped(t, lines("\"target\"\n")), "cat dögs eel"},
		"member of an archive": {"y.npz:which", zipOf(t, "which.npy", numPyOf(t, y, 60), "y.npy", numPyOf(t, make([]int64, 60), 60)), "0 1 2"},
		"archive, by name":     {"y.npz", zipOf(t, "other.npy", numPyOf(t, make([]int64, 60), 60), "y.npy", numPyOf(t, y, 60)), "0 1 2"},
	} {
		plain, member, _ := strings.Cut(c.file, ":")
		path := file(t, plain, c.body)
		if member != "" {
			path += ":" + member
		}
		d, err := Load(t.Context(), Options{Path: file(t, "x.npy", numPyOf(t, x, 60, 2)), Labels: path, ValFraction: 0.25}, stream(1))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Join(d.Classes, " ") != c.classes || d.Labels[4] != 1 || d.Labels[59] != 2 {
			t.Errorf("%s: classes %q, labels %v", name, d.Classes, d.Labels)
		}
	}
	hot8[5] = 1 // sample 1 has two classes
	several := file(t, "y.npy", rawNumPy("|b1", []int{60, 3}, hot8))
	o := Options{Path: file(t, "x.npy", numPyOf(t, x, 60, 2)), Labels: several, ValFraction: 0.25}
	if _, err := Load(t.Context(), o, stream(1)); err == nil || !strings.Contains(err.Error(), "sample 1 of which has 2 classes: with --multi-label") {
		t.Errorf("two classes: %v", err)
	}
	o.MultiLabel = true
	for _, o.Standardize = range []string{"yes", "no"} {
		if d, err := Load(t.Context(), o, stream(1)); err != nil || !slices.Equal(d.Targets[:6], []uint8{1, 0, 0, 0, 1, 1}) {
			t.Errorf("several classes, standardised %s: %v", o.Standardize, err)
		}
	}
}

// An array of few values gives what the same table gives as CSV.
func TestArraysAreTreatedAsTables(t *testing.T) {
	x, y := vectorsOf60()
	x[2*7] = math.NaN()
	text := new(strings.Builder)
	for i, k := range y {
		fmt.Fprintf(text, "%v,%v,%d\n", x[2*i], x[2*i+1], k)
	}
	o := Options{ValFraction: 0.25}
	o.Path = file(t, "x.csv", text.String())
	want, err := Load(t.Context(), o, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	o.Path, o.Labels = file(t, "x.npy", numPyOf(t, x, 60, 2)), file(t, "y.npy", numPyOf(t, y, 60))
	got, err := Load(t.Context(), o, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if got.Columns != want.Columns || !slices.Equal(got.Features, want.Features) || !slices.Equal(got.Parts[1].Rows, want.Parts[1].Rows) {
		t.Errorf("%d and %d features, %v and %v", got.Columns, want.Columns, got.Features[:6], want.Features[:6])
	}
	for i, col := range got.Pipeline.Columns[:2] {
		if other := want.Pipeline.Columns[i]; col.Name != other.Name || col.Type != other.Type || col.Mean != other.Mean || col.Missing != other.Missing {
			t.Errorf("column %+v, want %+v", col, other)
		}
	}
	if !said(got.Notes, "--standardize no takes them as they are") {
		t.Errorf("notes %q", got.Notes)
	}
	// New rows go through the same pipeline, from an array as from a table.
	for _, path := range []string{o.Path, file(t, "new.csv", text.String())} {
		rows, err := got.Pipeline.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if b := rows.Next(60); b == nil || !slices.Equal(b.Features, want.Features) {
			t.Errorf("%s: %v", path, b)
		}
		rows.Close()
	}
	if _, err := got.Pipeline.Open(file(t, "x.npy", numPyOf(t, make([]float32, 6), 2, 3))); err == nil || !strings.Contains(err.Error(), "trained on 2 columns") {
		t.Errorf("three values for two columns: %v", err)
	}
	o.Standardize = "no"
	if _, err := Load(t.Context(), o, stream(1)); err == nil || !strings.Contains(err.Error(), "sample 7 holds NaN") {
		t.Errorf("NaN where arrays are taken as they are: %v", err)
	}
	x[2*7] = 0
	o.Path = file(t, "x.npy", numPyOf(t, x, 60, 2))
	if d, err := Load(t.Context(), o, stream(1)); err != nil || d.Pipeline.Kind != KindVectors || d.Row(1)[0] != float32(x[2]) {
		t.Errorf("taken as they are: %v", err)
	}
	wide := make([]float32, 60*128)
	for i := range wide {
		wide[i] = float32(i % 7)
	}
	for standardize, kind := range map[string]string{"": KindVectors, "yes": KindTable} {
		o.Standardize, o.Path = standardize, file(t, "x.npy", numPyOf(t, wide, 60, 128))
		if d, err := Load(t.Context(), o, stream(1)); err != nil || d.Pipeline.Kind != kind {
			t.Errorf("128 values, standardised %q: %v", standardize, err)
		}
	}
}

// Arrays of an archive are found by their names and by their shapes, and its parts are the splits.
func TestArchives(t *testing.T) {
	x, y := vectorsOf60()
	hot := make([]uint8, 180)
	for i, k := range y {
		hot[3*i+int(k)] = 1
	}
	all, labels, some, few := numPyOf(t, x, 60, 2), numPyOf(t, y, 60), numPyOf(t, x[:60], 30, 2), numPyOf(t, y[:30], 30)
	for name, c := range map[string]struct {
		members []string
		member  string
		parts   []int // rows of training, validation, test
		refused string
	}{
		"by name":               {[]string{"X.npy", all, "other.npy", all, "y.npy", labels}, "", []int{45, 15}, ""},
		"by shape":              {[]string{"arr_0.npy", all, "arr_1.npy", labels}, "", []int{45, 15}, ""},
		"by what they hold":     {[]string{"a.npy", numPyOf(t, hot, 60, 3), "b.npy", all}, "", []int{45, 15}, ""},
		"x_train, x_test":       {[]string{"x_train.npy", all, "y_train.npy", labels, "x_test.npy", some, "y_test.npy", few}, "", []int{45, 15, 30}, ""},
		"train_x, valid_x":      {[]string{"train_x.npy", all, "train_y.npy", labels, "valid_x.npy", some, "valid_y.npy", few}, "", []int{60, 30}, ""},
		"Xtrain, Xtest":         {[]string{"Xtrain.npy", all, "ytrain.npy", labels, "Xtest.npy", some, "ytest.npy", few}, "", []int{45, 15, 30}, ""},
		"three parts":           {[]string{"train_images.npy", all, "train_labels.npy", labels, "val_images.npy", some, "val_labels.npy", few, "test_images.npy", some, "test_labels.npy", few}, "", []int{60, 30, 30}, ""},
		"one that is named":     {[]string{"p.npy", all, "q.npy", all, "r.npy", labels}, ":q", []int{45, 15}, ""},
		"two that are alike":    {[]string{"p.npy", all, "q.npy", all, "r.npy", labels}, "", nil, "name it as"},
		"one that is not there": {[]string{"p.npy", all, "r.npy", labels}, ":z", nil, `no array "z"`},
		"no labels":             {[]string{"p.npy", all, "q.npy", few}, "", nil, "no array that is called like labels"},
		"objects beside":        {[]string{"x.npy", all, "y.npy", labels, "meta.npy", rawNumPy("|O", []int{1}, []byte("xxxxxxxx"))}, "", []int{45, 15}, ""},
	} {
		d, err := Load(t.Context(), Options{Path: file(t, "x.npz", zipOf(t, c.members...)) + c.member, ValFraction: 0.25}, stream(1))
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: error %v, want %q", name, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var parts []int
		for _, p := range d.Parts {
			parts = append(parts, len(p.Rows))
		}
		if !slices.Equal(parts, c.parts) || len(c.parts) > 2 && !said(d.Notes, "the test split") {
			t.Errorf("%s: parts %v, want %v; notes %q", name, parts, c.parts, d.Notes)
		}
	}
}

// Images that have their channel first are those that have it last.
func TestChannelFirst(t *testing.T) {
	const n, h, w, c = 12, 6, 5, 3
	last, first := make([]uint8, n*h*w*c), make([]uint8, n*h*w*c)
	for i := range n {
		for y := range h {
			for x := range w {
				for k := range c {
					v := uint8(i*31 + y*17 + x*7 + k*3)
					last[((i*h+y)*w+x)*c+k], first[((i*c+k)*h+y)*w+x] = v, v
				}
			}
		}
	}
	labels := file(t, "y.txt", strings.Repeat("a\nb\n", n/2))
	floats := func(b []uint8) []float32 { return widened[float32](b) }
	load := func(body string) *Dataset {
		d, err := Load(t.Context(), Options{Path: file(t, "x.npy", body), Labels: labels, ValFraction: 0.25}, stream(1))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := load(numPyOf(t, last, n, h, w, c)), load(numPyOf(t, first, n, c, h, w))
	if *b.Pipeline.Shape != (Shape{h, w, c}) || !slices.Equal(a.Features, b.Features) || !slices.Equal(a.Image.Pixels, b.Image.Pixels) || !said(b.Notes, "channel first") {
		t.Errorf("shape %+v, notes %q", b.Pipeline.Shape, b.Notes)
	}
	if f := load(numPyOf(t, floats(first), n, c, h, w)); !slices.Equal(f.Features, floats(last)) {
		t.Error("floats with the channel first are others than those with the channel last")
	}
	wide := make([]int64, len(last))
	for i, v := range last {
		wide[i] = int64(v)
	}
	if f := load(numPyOf(t, wide, n, h, w, c)); !slices.Equal(f.Features, a.Features) {
		t.Error("pixels of 64 bits are others than those of 8")
	}
}
