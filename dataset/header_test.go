package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Whether the first row names the columns: what it differs in, and what speaks against it.
func TestHeader(t *testing.T) {
	rng := stream(4)
	n := func(most int) int { return rng.IntN(most) }
	float := func() string { return fmt.Sprintf("%.3f", rng.NormFloat64()) }
	class := func(i int) string { return []string{"a", "b", "c"}[i%3] }
	word := func() string {
		const letters = "bcdfghjklmnpqrstvwxz"
		return string([]byte{letters[n(20)], "aeiou"[n(5)], letters[n(20)], "aeiou"[n(5)], letters[n(20)]})
	}
	for name, c := range map[string]struct {
		first string
		row   func(i int) string
		want  bool
	}{
		// Names.
		"pixels":                        {"0,1,2,3,label", func(int) string { return fmt.Sprintf("%d,%d,%d,%d,%d", n(256), n(256), n(256), n(256), n(3)) }, true},
		"pixels, label first":           {"label,0,1,2", func(int) string { return fmt.Sprintf("%d,%d,%d,%d", n(3), n(256), n(256), n(256)) }, true},
		"pixels and classes by name":    {"0,1,2,3,label", func(i int) string { return fmt.Sprintf("%d,%d,%d,%d,%s", n(2), n(2), n(2), n(2), class(i)) }, true},
		"numbers throughout":            {"0,1,2,3,4", func(int) string { return fmt.Sprintf("%d,%d,%d,%d,%d", n(256), n(256), n(256), n(256), n(3)) }, true},
		"pixels as fractions":           {"0.0,1.0,2.0,label", func(i int) string { return float() + "," + float() + "," + float() + "," + class(i) }, true},
		"two wavelengths":               {"400.5,410.5,label", func(i int) string { return float() + "," + float() + "," + class(i) }, true},
		"years":                         {"2019,2020,2021,kind", func(i int) string { return float() + "," + float() + "," + float() + "," + class(i) }, true},
		"years, classes of numbers":     {"2019,2020,2021,2022", func(int) string { return float() + "," + float() + "," + float() + "," + fmt.Sprint(n(3)) }, true},
		"two years over fractions":      {"2019,2024,y", func(i int) string { return float() + "," + float() + "," + class(i) }, true},
		"wavelengths":                   {"400.5,410.5,420.5,430.5,440.5,450.5,460.5,470.5,kind", func(i int) string { return strings.Repeat(float()+",", 4) + strings.Repeat(float()+",", 4) + class(i) }, true},
		"empty names behind":            {"v1,v2,,,", func(i int) string { return class(i) + `,"this is the text of many words ` + fmt.Sprint(i) + `",,,` }, true},
		"empty name in front":           {",x,y", func(i int) string { return fmt.Sprintf("%d,%s,%s", i, float(), class(i)) }, true},
		"empty name in the middle":      {"x,,y", func(i int) string { return float() + "," + float() + "," + class(i) }, true},
		"quoted years":                  {`"2019","2020"`, func(int) string { return float() + "," + fmt.Sprint(n(3)) }, true},
		"quoted names":                  {`"x, y","kind"`, func(i int) string { return float() + "," + class(i) }, true},
		"words over dates":              {"day,kind", func(i int) string { return fmt.Sprintf("2024-01-%02d,%s", i%28+1, class(i)) }, true},
		"words over ids":                {"id,name,kind", func(i int) string { return fmt.Sprintf("A%04d,%s,%s", i, word(), class(i)) }, true},
		"words over few categories":     {"colour,kind", func(i int) string { return []string{"red", "blue"}[i%2] + "," + class(i) }, true},
		"a word over sentences":         {"review,mood", func(i int) string { return "some words about thing " + word() + "," + class(i) }, true},
		"names with numbers over words": {"f1,f2", func(i int) string { return word() + "," + class(i) }, true},
		"a name that is a value":        {"age,male,kind", func(i int) string { return fmt.Sprintf("%d,%s,%s", n(90), []string{"male", "female"}[i%2], class(i)) }, true},
		"two names that are values": {"age,wage,yes,kind", func(i int) string {
			return fmt.Sprintf("%d,%d,%s,%s", n(90), n(900), []string{"yes", "no"}[i%2], class(i))
		}, true},
		"names over amounts":        {"price,kind", func(i int) string { return fmt.Sprintf("$%d.50,%s", n(900), class(i)) }, true},
		"names over decimal commas": {"preis;art", func(i int) string { return fmt.Sprintf("%d,5;%s", n(900), class(i)) }, true},
		"names over missing values": {"a,b,kind", func(i int) string {
			return []string{"?", "1.5", "NA"}[i%3] + "," + []string{"", "2"}[i%2] + "," + class(i)
		}, true},
		"names over booleans":            {"wet,kind", func(i int) string { return []string{"TRUE", "FALSE"}[i%2] + "," + class(i) }, true},
		"row names as R writes them":     {"x,kind", func(i int) string { return fmt.Sprintf("r%d,%s,%s", i, float(), class(i)) }, true},
		"words alone that are never met": {"greeting,answer", func(int) string { return word() + "," + word() }, true},
		"names of a table of a few rows": {"text,kind", func(i int) string { return word() + "," + class(i) }, true},

		// Values.
		"numbers":                       {"14.2,1.7,2.4,1", func(int) string { return fmt.Sprintf("%s,%s,%s,%d", float(), float(), float(), n(3)) }, false},
		"whole numbers":                 {"39,114,41,1", func(int) string { return fmt.Sprintf("%d,%d,%d,%d", n(256), n(256), n(256), n(3)) }, false},
		"whole number among fractions":  {"5,3.5,1.4,a", func(i int) string { return fmt.Sprintf("%.3g,%s,%s,%s", float64(n(90))/10, float(), float(), class(i)) }, false},
		"numbers and classes":           {"5.1,3.5,a", func(i int) string { return float() + "," + float() + "," + class(i) }, false},
		"a class that is not met again": {"5.1,3.5,rare", func(i int) string { return float() + "," + float() + "," + class(i) }, false},
		"categories in quotes": {"'10-19','left','yes','3','back'", func(i int) string {
			return fmt.Sprintf("'%d0-19','%s','yes','%d','back'", 1+n(3), []string{"left", "right"}[i%2], n(4))
		}, false},
		"categories": {"vhigh,low,2,small", func(i int) string {
			return []string{"vhigh", "med"}[i%2] + "," + []string{"low", "high"}[i%2] + ",2," + []string{"small", "big"}[i%2]
		}, false},
		"label first":           {"ham\tsome words of a text", func(i int) string { return []string{"ham", "spam"}[i%2] + "\tsome words of text " + word() }, false},
		"a missing value first": {"?,3.5,a", func(i int) string { return float() + "," + float() + "," + class(i) }, false},
		"an empty value first":  {",3.5,a", func(i int) string { return float() + "," + float() + "," + class(i) }, false},
		"N.A. first":            {"N.A.,3.5,a", func(i int) string { return float() + "," + float() + "," + class(i) }, false},
		"amounts":               {"$5.50,a", func(i int) string { return fmt.Sprintf("$%d.50,%s", n(900), class(i)) }, false},
		"ids":                   {"A0001,1.5,a", func(i int) string { return fmt.Sprintf("A%04d,%s,%s", i+2, float(), class(i)) }, false},
		"dates":                 {"2024-01-01,1.5,a", func(i int) string { return fmt.Sprintf("2024-01-%02d,%s,%s", i%28+1, float(), class(i)) }, false},
		"numbers counted up":    {"0,1,2,0", func(i int) string { return fmt.Sprintf("%d,%d,%d,%d", i+1, i+2, i+3, n(2)) }, false},
		"booleans":              {"TRUE,a", func(i int) string { return []string{"TRUE", "FALSE"}[i%2] + "," + class(i) }, false},
		"decimal commas":        {"1,5;2,5;a", func(i int) string { return fmt.Sprintf("%d,5;%d,25;%s", n(90), n(90), class(i)) }, false},
		"names and classes":     {"anna,a", func(i int) string { return word() + "," + class(i) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			rows := 60
			if strings.Contains(name, "few rows") {
				rows = 4
			}
			text := c.first + "\n" + rowsOf(rows, c.row)
			got, err := parseCSV("x.csv", []byte(text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.header != c.want || got.rows() != rows+map[bool]int{true: 0, false: 1}[c.want] {
				t.Errorf("header %v, %d rows; columns %q", got.header, got.rows(), got.names)
			}
		})
	}
}

// Empty fields at the ends of rows are no columns, and a row of another number of fields is refused still.
func TestRaggedEnds(t *testing.T) {
	body := func(row string) string {
		return rowsOf(30, func(i int) string { return fmt.Sprintf(row, fmt.Sprint(i*7%13)+".5", []string{"a", "b"}[i%2]) })
	}
	for name, c := range map[string]struct{ text, note string }{
		"nothing":           {"x,y\n" + body("%s,%s"), ""},
		"names and values":  {"x,y,,,\n" + body("%s,%s,,,"), "3 columns at the end without a name"},
		"names alone":       {"x,y,,,\n" + body("%s,%s"), "3 columns at the end without a name"},
		"values alone":      {"x,y\n" + body("%s,%s,"), "empty fields at the end of rows"},
		"more in some rows": {"x,y\n" + body("%s,%s") + "1.5,a,,,\n2.5,b,\n", "empty fields at the end of rows"},
		"semicolons":        {"x;y;\n" + body("%s;%s;"), "1 column at the end without a name"},
		"carriage returns":  {"x,y,\r\n" + strings.ReplaceAll(body("%s,%s,"), "\n", "\r\n"), "1 column at the end without a name"},
		"no end of line":    {"x,y,,\n" + strings.TrimSuffix(body("%s,%s"), "\n"), "2 columns at the end without a name"},
		"blanks":            {"x,y, ,\n" + body("%s,%s, ,"), "2 columns at the end without a name"},
		"no header":         {body("%s,%s,"), "1 column at the end without a name"},
	} {
		d := load(t, c.text, nil)
		if d.Len() < 30 || d.Columns != 1 || !slices.Equal(d.Classes, []string{"a", "b"}) || len(d.Pipeline.Columns) != 2 {
			t.Errorf("%s: %d rows of %d features, classes %q, columns %v", name, d.Len(), d.Columns, d.Classes, d.Pipeline.Columns)
		}
		if c.note != "" && !said(d.Notes, c.note) || c.note == "" && said(d.Notes, "end") {
			t.Errorf("%s: notes %q, want %q", name, d.Notes, c.note)
		}
	}
	if d := load(t, "x,y,,z\n"+body("%s,%s,,1.5"), func(o *Options) { o.Target = "y" }); len(d.Pipeline.Columns) != 4 {
		t.Errorf("an empty column in the middle: %v", d.Pipeline.Columns)
	}
	if d := load(t, "x,y,\n"+body("%s,%s,1.5"), func(o *Options) { o.Target = "y" }); len(d.Pipeline.Columns) != 3 || d.Pipeline.Columns[2].Name != "c3" {
		t.Errorf("values without a name: %v", d.Pipeline.Columns)
	}
	for _, text := range []string{"x,y\n1,a\n2,b,c\n", "x,y\n1,a\n2\n", "x,y,,\n1,a,,\n2\n", "x,y\n1,a\n2,b,,c\n"} {
		if _, err := parseCSV("x.csv", []byte(text), Options{Header: "yes"}); err == nil || !strings.Contains(err.Error(), "line 3 has") {
			t.Errorf("%q: error %v", text, err)
		}
	}
	// R's write.table gives the rows a name that the header does not mention.
	if d := load(t, "x\ty\n"+rowsOf(30, func(i int) string { return fmt.Sprintf("r%d\t%d.5\t%s", i, i*7%13, []string{"a", "b"}[i%2]) }), nil); d.Columns != 1+30 && d.Pipeline.Columns[1].Name != "x" {
		t.Errorf("row names: %v", d.Pipeline.Columns)
	}
}

// A delimiter cuts where decimal commas would cut as well.
func TestDelimiterBesideDecimalCommas(t *testing.T) {
	for text, want := range map[string]byte{
		"2919,2;417,0;lo\n4987,7;712,5;hi\n":  ';',
		"1,5;2,5;3,5;lo\n2,5;3,5;4,5;hi\n":    ';',
		"1,5\t2,5\tlo\n2,5\t3,5\thi\n":        '\t',
		"a;b;y\n1,5;2,5;lo\n":                 ';',
		"1,2,3,lo\n4,5,6,hi\n":                ',',
		"1,2,red|round\n3,4,red|blue\n":       ',',
		"a,b,c\n1,2,3\n":                      ',',
		"x,y\n1,a,\n2,b,\n3,a\n":              ',',
		"x;y;;\n1;a;;\n2;b\n":                 ';',
		"x\ty\tz\nr1\t1\t2\t3\nr2\t1\t2\t3\n": '\t',
		"one, two\ta\nthree, four\tb\n":       ',',
		"one, two\ta\nthree, four, five\tb\n": '\t',
	} {
		if got, err := (Options{}).delimiter("x.csv", []byte(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

// A model knows whether its table had a header and what parted its fields, so that a file of one row is read as the table was.
func TestFilesOfOneRow(t *testing.T) {
	words := func(i int) string { return []string{"left", "right"}[i/2%2] }
	class := func(i int) string { return []string{"gone", "back"}[i%2] }
	for name, c := range map[string]struct {
		first string
		row   func(i int) string
		one   []string // each holds row 1 of the table
	}{
		"no header":            {"", func(i int) string { return fmt.Sprintf("'%d0-19',%s,%s", 1+i%3, words(i), class(i)) }, []string{"'20-19',left,back", "'20-19',left,back\n", "'20-19',left"}},
		"no header, numbers":   {"", func(i int) string { return fmt.Sprintf("%d.5,%d,%s", i%9, i%7, class(i)) }, []string{"1.5,1,back", "1.5,1"}},
		"header":               {"size,side,kind", func(i int) string { return fmt.Sprintf("%d.5,%s,%s", i%9, words(i), class(i)) }, []string{"size,side\n1.5,left", "side,size\nleft,1.5\n", "kind,extra,side,size\n,9,left,1.5"}},
		"header of years":      {"2019,2020,kind", func(i int) string { return fmt.Sprintf("%d.5,%d.25,%s", i%9, i%7, class(i)) }, []string{"2019,2020\n1.5,1.25", "2020,2019\n1.25,1.5"}},
		"header of words":      {"hand,side,kind", func(i int) string { return fmt.Sprintf("h%d,%s,%s", i%3, words(i), class(i)) }, []string{"hand,side\nh1,left", "side,hand\nleft,h1"}},
		"decimal commas":       {"", func(i int) string { return fmt.Sprintf("%d,5;%d,25;%s", i%9, i%7, class(i)) }, []string{"1,5;1,25;back", "1,5;1,25"}},
		"names of R":           {"x,y", func(i int) string { return fmt.Sprintf("r%d,%d.5,%s", i%4, i%9, class(i)) }, []string{"c1,x\nr1,1.5", "x,y\nr1,1.5,back"}},
		"header and blank end": {"x,side,kind,,", func(i int) string { return fmt.Sprintf("%d.5,%s,%s,,", i%9, words(i), class(i)) }, []string{"x,side,,\n1.5,left,,", "x,side\n1.5,left"}},
	} {
		text := rowsOf(60, c.row)
		if c.first != "" {
			text = c.first + "\n" + text
		}
		d := load(t, text, nil)
		raw, err := d.Pipeline.Encode()
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePipeline(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range c.one {
			rows, err := p.Open(file(t, "one.csv", one))
			if err != nil {
				t.Errorf("%s: %q: %v", name, one, err)
				continue
			}
			if b := rows.Next(10); b == nil || b.N != 1 || !slices.Equal(b.Features, d.Row(1)) {
				t.Errorf("%s: %q gives %+v, want %v", name, one, b, d.Row(1))
			}
			rows.Close()
		}
	}
	// Rows of JSON have names; a CSV file of one row has them where its first record does.
	j, err := Load(t.Context(), Options{Path: file(t, "x.jsonl", rowsOf(60, func(i int) string { return fmt.Sprintf(`{"0": %d.5, "1": %d.5, "y": %q}`, i%9, i%7, class(i)) }))}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := j.Pipeline.Open(file(t, "one.csv", "1,0\n1.5,2.5\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if b := rows.Next(2); b == nil || b.N != 1 {
		t.Errorf("names of numbers: %+v", b)
	}
	d := load(t, "size,side,kind\n"+rowsOf(60, func(i int) string { return fmt.Sprintf("%d.5,%s,%s", i%9, words(i), class(i)) }), nil)
	if _, err := d.Pipeline.Open(file(t, "one.csv", "1.5,left\n")); err == nil || !strings.Contains(err.Error(), "has a header and no rows") {
		t.Errorf("a file without the header: %v", err)
	}
}
