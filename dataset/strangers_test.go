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

// Tables as programs of others write them, and what NumPy, pandas and R take for names and rows of them: numpy.genfromtxt(names=True) of what
// savetxt(header=…) wrote, and pandas.read_csv with skiprows and comment set to what they are.
func TestTablesOfOthers(t *testing.T) {
	numbers := rowsOf(30, func(i int) string { return fmt.Sprintf("%d.5,%d,%d", i*7%10, i*i%11, i%2) })
	spaced := strings.ReplaceAll(numbers, ",", " ")
	words := rowsOf(30, func(i int) string { return fmt.Sprintf("%d,w%d,%s", i, i%3, alternate(i)) })
	half := rowsOf(15, func(i int) string { return fmt.Sprintf("%d.5,%d,%d", i*7%10, i*i%11, i%2) })
	for name, c := range map[string]struct {
		text  string
		names string
		rows  int
		said  string
	}{
		"savetxt, spaces":                {"# x1 x2 label\n" + spaced, "x1 x2 label", 30, "named by the line above"},
		"savetxt, commas":                {"# x1,x2,label\n" + numbers, "x1 x2 label", 30, ""},
		"savetxt, tabs":                  {"# x1\tx2\tlabel\n" + strings.ReplaceAll(numbers, ",", "\t"), "x1 x2 label", 30, ""},
		"savetxt, a comment first":       {"# made by me\n# x1 x2 label\n" + spaced, "x1 x2 label", 30, "1 line above the table"},
		"savetxt, units below":           {"# x1,x2,label\n#  m, s, -\n" + numbers, "x1 x2 label", 30, ""},
		"savetxt, a comment alone":       {"# one two three four five\n" + spaced, "c1 c2 c3", 30, "passed over"},
		"a column called #":              {"#,x,y\n" + rowsOf(30, func(i int) string { return fmt.Sprintf("%d,%d.5,%s", i, i*7%10, alternate(i)) }), "# x y", 30, ""},
		"VCF":                            {"##version\n##source=me, you\n#CHROM\tPOS\tlabel\n" + strings.ReplaceAll(words, ",", "\t"), "#CHROM POS label", 30, "2 lines above"},
		"Excel's separator":              {"sep=;\r\na;b;y\r\n" + strings.ReplaceAll(numbers, ",", ";"), "a b y", 30, ""},
		"Excel's separator is followed":  {"\"sep=|\"\na|b|y\n" + strings.ReplaceAll(numbers, ",", "|"), "a b y", 30, ""},
		"a title":                        {"Report of sales\na,b,y\n" + numbers, "a b y", 30, "1 line above the table"},
		"a title, other delimiter":       {"Report, of\n\nUmsatz;b;y\n" + strings.ReplaceAll(numbers, ",", ";"), "Umsatz b y", 30, "1 line above the table"},
		"a title as a spreadsheet has":   {"Report of sales,,\n,,\na,b,y\n" + numbers, "a b y", 30, "2 lines above the table"},
		"a title above rows":             {"|1x3 Cross validator\n" + numbers, "c1 c2 c3", 30, "1 line above the table"},
		"no title: names that lack":      {"a,,\n" + numbers, "a c2 c3", 30, ""},
		"joined files":                   {"a,b,y\n" + half + "a,b,y\n" + half, "a b y", 30, "1 row like the header"},
		"joined files with marks":        {byteOrderMark + "a,b,y\r\n" + half + byteOrderMark + "a,b,y\r\n" + half, "a b y", 30, "1 row like the header"},
		"joined files without a header":  {byteOrderMark + half + byteOrderMark + half, "c1 c2 c3", 30, ""},
		"an end of file of DOS":          {"a,b,y\n" + numbers + "\x1a", "a b y", 30, ""},
		"zeros above fractions":          {"0,1.5e-6,0,0\n" + rowsOf(30, func(i int) string { return fmt.Sprintf("%de-12,1.%de-6,%de-12,%d", i+1, i, i+1, i%2) }), "c1 c2 c3 c4", 31, ""}, // pandas #57792
		"whole numbers above fractions":  {"0,1,2,3\n" + rowsOf(30, func(i int) string { return fmt.Sprintf("%d.5,1.%d,%d.25,%d", i*7%10, i, i, i%2) }), "0 1 2 3", 30, ""},
		"an unnamed column beside a c2":  {"c1,,c2\n" + numbers, "c1 c2.1 c2", 30, ""},
		"two unnamed beside c1 and c2.1": {",,c1,c2.1\n" + strings.ReplaceAll(numbers, "\n", ",1\n"), "c1.1 c2 c1 c2.1", 30, ""},
	} {
		got, err := parseCSV("x.csv", []byte(c.text), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if names := strings.Join(got.names, " "); names != c.names || got.rows() != c.rows || !strings.Contains(strings.Join(got.notes, "; "), c.said) {
			t.Errorf("%s: columns %s, %d rows, notes %q; want %s, %d", name, names, got.rows(), got.notes, c.names, c.rows)
		}
		first, last := fields(got)[0], fields(got)[got.rows()-1]
		if strings.HasPrefix(first[0], byteOrderMark) || last[len(last)-1] == "" {
			t.Errorf("%s: rows %q … %q", name, first, last)
		}
	}
}

// What was learnt from a table whose names stand behind # is used on one row, with and without such a line.
func TestPredictBelowNamesBehindAHash(t *testing.T) {
	text := "# made by me\n# x1 x2 label\n" + rowsOf(60, func(i int) string { return fmt.Sprintf("%d.5 %d %s", i%2, 9-i%2, alternate(i)) })
	d, err := Load(t.Context(), Options{Path: file(t, "x.txt", text), ValFraction: 0.2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []string{"# x1 x2\n0.5 9\n", "# of today\n# x2 x1\n9 0.5\n", "x1 x2\n0.5 9\n"} {
		rows, err := d.Pipeline.Open(file(t, "one.txt", one))
		if err != nil {
			t.Errorf("%q: %v", one, err)
			continue
		}
		if b := rows.Next(10); b == nil || b.N != 1 || !slices.Equal(b.Features, d.Row(0)) {
			t.Errorf("%q: %+v", one, b)
		}
		rows.Close()
	}
}

// Infinity is a missing value in whatever format it comes, and that is said.
func TestInfinity(t *testing.T) {
	text := func(infinity, minus string) string {
		return rowsOf(60, func(i int) string {
			return []string{fmt.Sprintf("%d.5,%s", i%13, alternate(i)), infinity + "," + alternate(i), minus + "," + alternate(i), "1.5," + alternate(i)}[i%4]
		})
	}
	json := func(rows string) string {
		rows = strings.ReplaceAll(strings.ReplaceAll(rows, ",no\n", ",\"y\":\"no\"}\n"), ",yes\n", ",\"y\":\"yes\"}\n")
		return "{\"a\":" + strings.ReplaceAll(strings.TrimSuffix(rows, "\n"), "\n", "\n{\"a\":")
	}
	var want *Dataset
	for name, body := range map[string]string{
		"pandas.csv":  "a,y\n" + text("inf", "-inf"),
		"polars.csv":  "a,y\n" + text("inf", "-inf"),
		"R.csv":       "a,y\n" + text("Inf", "-Inf"),
		"python.json": json(text("Infinity", "-Infinity")),
	} {
		d, err := Load(t.Context(), Options{Path: file(t, name, body), ValFraction: 0.2}, stream(1))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want == nil {
			want = d
		}
		if d.Columns != 2 || !slices.Equal(d.Features, want.Features) || !strings.Contains(d.Pipeline.Columns[0].Note, "30 of 60 sampled values are infinite") {
			t.Errorf("%s: %d features, %+v", name, d.Columns, d.Pipeline.Columns[0])
		}
	}
}

// The names of rows, which pandas writes behind the columns into Parquet and Feather, come first, as in CSV: the last column is the target.
func TestNamesOfRowsOfPandas(t *testing.T) {
	for _, name := range []string{"indexed.csv", "indexed.parquet", "indexed.feather"} {
		got, err := readTable("testdata/"+name, "", Options{})
		if err != nil || !slices.Equal(got.names, []string{"place", "whole", "kind"}) || got.rows() != 60 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A model that learnt from True and False reads true and false, as other formats write them, and the other way round.
func TestBooleansOfOtherFormats(t *testing.T) {
	body := func(yes, no string) string {
		return "flag,a,y\n" + rowsOf(60, func(i int) string {
			return fmt.Sprintf("%s,%d,%s", []string{yes, no}[i%3/2], i*7%10, []string{yes, no}[i%2])
		})
	}
	var want *Dataset
	for _, words := range [][2]string{{"True", "False"}, {"true", "false"}, {"TRUE", "FALSE"}} {
		o := Options{Path: file(t, "x.csv", body("True", "False")), Val: file(t, "v.csv", body(words[0], words[1]))}
		d, err := Load(t.Context(), o, stream(1))
		if err != nil {
			t.Errorf("%q: %v", words, err)
			continue
		}
		if want == nil {
			want = d
		}
		if !slices.Equal(d.Features, want.Features) || !slices.Equal(d.Labels, want.Labels) || said(d.Warnings, "not in training") {
			t.Errorf("%q: other features than of True and False; %q", words, d.Warnings)
		}
	}
}

// The first row of arrays in JSON is a header where it would be one in CSV.
func TestJSONArraysWithHeader(t *testing.T) {
	body := func(first string) string {
		return "[" + first + "\n" + strings.TrimSuffix(rowsOf(30, func(i int) string { return fmt.Sprintf(`["n%d", "%d", [1], "%s"],`, i%3, i*i, alternate(i)) }), ",\n") + "]"
	}
	for first, want := range map[string]string{`["name", "size", "tags", "kind"],`: "name size tags kind", "": "c1 c2 c3 c4"} {
		got, err := readTable(file(t, "x.json", body(first)), "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if names := strings.Join(got.names, " "); names != want || got.rows() != 30 || len(got.unread) != 1 || got.unread[got.names[2]] == "" {
			t.Errorf("%s: %s, %d rows, %v", first, names, got.rows(), got.unread)
		}
	}
}

// Labels of an array are read from whatever file has them.
func TestFilesOfLabels(t *testing.T) {
	each := func(format string) string {
		return rowsOf(40, func(i int) string { return strings.NewReplacer("I", fmt.Sprint(i), "L", alternate(i)).Replace(format) })
	}
	list := `["` + strings.ReplaceAll(strings.TrimSuffix(each("L"), "\n"), "\n", `", "`) + `"]`
	for name, body := range map[string]string{
		"lines.txt": each("L"), "blank.txt": each("L") + "\n\n", "header.csv": "species\n" + each("L"), "index.csv": ",species\n" + each("I,L"), "R.csv": "\"\",\"x\"\n" + each(`"I","L"`),
		"list.json": list, "objects.jsonl": each(`{"id": I, "label": "L"}`),
	} {
		v, err := readLabelFile(file(t, name, body), Options{}, 40)
		if err != nil || len(v.codes) != 40 || len(v.levels) != 2 || v.levels[v.codes[3]] != alternate(3) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	v, err := readLabelFile(file(t, "savetxt.txt", rowsOf(40, func(i int) string { return fmt.Sprintf("%.18e", float64(i%2*10)) })), Options{}, 40)
	if err != nil || !slices.Equal(v.levels, []string{"0", "10"}) {
		t.Errorf("savetxt: %+v, %v", v, err)
	}
}

// A folder as people have it: files that macOS and Windows put beside images are no samples, images that are not read are named, and folders
// called train, val and test are the splits.
func TestFoldersOfOthers(t *testing.T) {
	picture := func(shade uint8) string {
		m := image.NewGray(image.Rect(0, 0, 4, 4))
		for i := range m.Pix {
			m.Pix[i] = shade + uint8(i)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	write := func(files map[string]string) string {
		folder := t.TempDir()
		for name, body := range files {
			path := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	samples := func(files map[string]string, prefix, ending string, n int, body func(i int) string) {
		for i := range n {
			files[fmt.Sprintf("%s%s/%d%s", prefix, []string{"cat", "dog"}[i%2], i, ending)] = body(i)
		}
	}
	shades := func(i int) string { return picture(uint8(i % 2 * 100)) }
	words := func(i int) string { return fmt.Sprintf("a %s text", alternate(3*i)) }

	files := map[string]string{".DS_Store": "\x00", "cat/Thumbs.db": "\x00", "cat/._0.png": "\x00", "cat/.hidden.png": "", "__MACOSX/cat/._0.png": "\x00", "README.md": "hi"}
	samples(files, "", ".png", 20, shades)
	d, err := Load(t.Context(), Options{Path: write(files), ValFraction: 0.2}, stream(1))
	if err != nil || d.Len() != 20 || len(d.Classes) != 2 {
		t.Errorf("with hidden files: %+v, %v", d, err)
	}
	for _, ending := range []string{".gif", ".webp", ".BMP", ".tif"} {
		files := map[string]string{"dog/z" + ending: "GIF89a"}
		samples(files, "", ".png", 20, shades)
		for _, folder := range []string{write(files), write(map[string]string{"cat/1" + ending: "GIF89a", "dog/2" + ending: "GIF89a"})} {
			_, err := Load(t.Context(), Options{Path: folder, ValFraction: 0.2}, stream(1))
			if err == nil || !strings.Contains(err.Error(), "images of type "+strings.ToLower(ending[1:])+" are not read") {
				t.Errorf("%s: %v", ending, err)
			}
			rows, err := d.Pipeline.Open(folder)
			if err == nil || !strings.Contains(err.Error(), "are not read") {
				t.Errorf("%s for prediction: %v, %v", ending, rows, err)
			}
		}
	}
	for _, kind := range []string{".png", ".txt"} {
		files, body := map[string]string{"desktop.ini": ""}, shades
		if kind == ".txt" {
			body = words
		}
		samples(files, "Train/", kind, 20, body)
		samples(files, "valid/", kind, 6, body)
		samples(files, "test/", kind, 4, body)
		d, err := Load(t.Context(), Options{Path: write(files), ValFraction: 0.2}, stream(1))
		if err != nil || len(d.Parts) != 3 || len(d.Parts[0].Rows) != 20 || len(d.Parts[1].Rows) != 6 || len(d.Parts[2].Rows) != 4 || !said(d.Notes, "the splits are the folders") {
			t.Errorf("splits of %s: %+v, %v", kind, d, err)
		}
	}
	vehicles := map[string]string{}
	for i := range 20 {
		vehicles[fmt.Sprintf("%s/%d.png", []string{"train", "car"}[i%2], i)] = shades(i)
	}
	if d, err := Load(t.Context(), Options{Path: write(vehicles), ValFraction: 0.2}, stream(1)); err != nil || !slices.Equal(d.Classes, []string{"car", "train"}) {
		t.Errorf("a class called train: %+v, %v", d, err)
	}
}
