package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func stream(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// file writes body to a new file called name and returns its path.
func file(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fields(t *table) [][]string {
	var rows [][]string
	for r := range t.rows() {
		var row []string
		for c := range t.columns() {
			row = append(row, string(t.field(r, c)))
		}
		rows = append(rows, row)
	}
	return rows
}

func TestParseCSV(t *testing.T) {
	for _, c := range []struct {
		name, text string
		options    Options
		names      string
		rows       [][]string
	}{
		{"plain", "a,b\n1,x\n2,y\n", Options{}, "a b", [][]string{{"1", "x"}, {"2", "y"}}},
		{"no end of line, CRLF, BOM", "\ufeffa,b\r\n1,x\r\n2,", Options{}, "a b", [][]string{{"1", "x"}, {"2", ""}}},
		{"quotes", "a,\"b, c\"\n\"1\",\"say \"\"x\"\"\"\n\"two\nlines\",y\n", Options{}, "a b, c", [][]string{{"1", `say "x"`}, {"two\nlines", "y"}}},
		{"quotes inside are text", "a;b\n1;5\" pipe\n2;6\n", Options{}, "a b", [][]string{{"1", `5" pipe`}, {"2", "6"}}},
		// As pandas reads them with skipinitialspace=True.
		{"spaces before quotes", "a, \"b, c\"\n1.5, \"say \"\"x\"\", y\"\n2.5,  \"z\"\n", Options{}, "a b, c", [][]string{{"1.5", `say "x", y`}, {"2.5", "z"}}},
		{"spaces before quotes within text", "a,b\n1, \"x\" said he\n2, \"y\n3,\"\"\n", Options{}, "a b", [][]string{{"1", ` "x" said he`}, {"2", ` "y`}, {"3", ""}}},
		{"tab", "a\tb\n1\t2,5\n2\t3,5\n", Options{}, "a b", [][]string{{"1", "2,5"}, {"2", "3,5"}}},
		{"semicolon with decimal commas", "a;b;c\n1,5;2,5;x\n1;2;y\n", Options{}, "a b c", [][]string{{"1,5", "2,5", "x"}, {"1", "2", "y"}}},
		{"no header", "1,x\n2,y\n", Options{}, "c1 c2", [][]string{{"1", "x"}, {"2", "y"}}},
		{"no header, words alone", "good,yes\nbad,no\ngood,no\n", Options{}, "c1 c2", [][]string{{"good", "yes"}, {"bad", "no"}, {"good", "no"}}},
		{"header of words alone", "text,kind\ngood,yes\nbad,no\n", Options{}, "text kind", [][]string{{"good", "yes"}, {"bad", "no"}}},
		{"header overridden", "a,b\n1,x\n", Options{Header: "no"}, "c1 c2", [][]string{{"a", "b"}, {"1", "x"}}},
		{"header of years", "2019,2020\n1,x\n", Options{Header: "yes"}, "2019 2020", [][]string{{"1", "x"}}},
		{"delimiter overridden", "a|b,c\n1|2,3\n", Options{Delimiter: "|"}, "a b,c", [][]string{{"1", "2,3"}}},
		{"index column without a name, blank lines", ",a\n0,x\n\n1,y\n\n", Options{}, "c1 a", [][]string{{"0", "x"}, {"1", "y"}}},
		{"one column", "a\n1\n2\n", Options{}, "a", [][]string{{"1"}, {"2"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseCSV("x.csv", []byte(c.text), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(got.names, " ") != c.names || !slices.EqualFunc(fields(got), c.rows, slices.Equal) {
				t.Errorf("columns %q of %q, want %q of %q", got.names, fields(got), c.names, c.rows)
			}
		})
	}
}

// On whatever encoding/csv reads, we read the same.
func FuzzParseCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,x\n", "\ufeffa\r\n\r\n", "\"a\"\"b\",\"c\nd\"\n,\n", "a\"b,c\n", "\"a", "\"a\"b,c", "a,b\n1\n", "a, \"b, c\"\n1,  \"x\"", "a, \"b\"c, \"\n", "\xff", "a,\r\nb,\r\n", "\r", "\"\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseCSV("x.csv", []byte(text), Options{Header: "no", Delimiter: ","})
		if err == nil && cap(got.starts) > 2*len(text)+64 {
			t.Errorf("%d offsets for %d bytes", cap(got.starts), len(text))
		}
		_, _ = parseCSV("x.csv", []byte(text), Options{})
		blocks, _, err2 := inBlocks(text, Options{Header: "no", Delimiter: ","}, 8)
		if (err == nil) != (err2 == nil) || err == nil && !slices.EqualFunc(fields(got), blocks, slices.Equal) {
			t.Errorf("block by block %q, %v; in one piece %v", blocks, err2, err)
		}
		reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
		reader.LazyQuotes = false
		want, wantErr := reader.ReadAll()
		if err != nil || wantErr != nil || strings.Contains(text, "\r") {
			return // they differ in what they refuse: quotes within a field, a carriage return alone
		}
		if !slices.EqualFunc(fields(got), want, slices.Equal) {
			t.Errorf("read %q, want %q", fields(got), want)
		}
	})
}

// A line that a comma and a tab cut alike is cut by what the file's name says.
func TestDelimiterOfAName(t *testing.T) {
	const text = "text\ty\none, two\ta\nthree, four\tb\n"
	const comma = "one, two\ta\nthree, four\tb\n"
	for path, want := range map[string]byte{"x.tsv": '\t', "x.TAB": '\t', "x.csv": ','} {
		o := Options{tabFirst: tabbed(path)}
		if got, err := o.delimiter(path, []byte(comma)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
		if got, err := o.delimiter(path, []byte(text)); err != nil || got != '\t' {
			t.Errorf("%s with a header: %q, %v, want a tab", path, got, err)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "-0.5": -0.5, " 12 ": 12, "+3.25": 3.25, "1e3": 1000, "1.7976931348623157e308": math.MaxFloat64,
		"123456789012345": 123456789012345, "0.1": 0.1, "12345678901234567890": 12345678901234567890, ".5": 0.5, "5.": 5, "3.141592653589793": math.Pi,
	} {
		if got, ok := parseNumber([]byte(text)); !ok || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", " ", ".", "-", "1,5", "inf", "NaN", "0x10", "1_000", "12 kg", "1e999", "--1", "1e", "1.2.3"} {
		if got, ok := parseNumber([]byte(text)); ok {
			t.Errorf("%q is the number %v", text, got)
		}
	}
}

// Against scikit-learn's imputer, scaler and encoder, fitted on the same rows.
func TestPipelineIsScikitLearns(t *testing.T) {
	raw, err := os.ReadFile("testdata/table.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Fitted          int
		Levels, Classes []string
		Features        [][]float64
		Labels          []int32
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	tab, err := readTable("testdata/table.csv", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	labels, classes, err := readClasses(tab, tab.column("kind"), Options{})
	if err != nil || !slices.Equal(classes, want.Classes) || !slices.Equal(labels, want.Labels) {
		t.Fatalf("classes %v, labels %v, %v; want %v, %v", classes, labels, err, want.Classes, want.Labels)
	}
	p := &Pipeline{Kind: KindTable, Classes: classes}
	if p.Columns, err = inferColumns(tab, Options{}, map[string]string{"kind": "the target"}); err != nil {
		t.Fatal(err)
	}
	read, err := p.readAll(tab)
	if err != nil {
		t.Fatal(err)
	}
	var fitted []int32
	for r := range want.Fitted {
		fitted = append(fitted, int32(r))
	}
	if err := p.fit(read, fitted); err != nil {
		t.Fatal(err)
	}
	check := func(p *Pipeline) {
		t.Helper()
		var counts Counts
		features := make([]float32, tab.rows()*p.Inputs)
		p.features(features, p.prepare(read, tab.rows()), 0, tab.rows(), &counts)
		if p.Inputs != len(want.Features[0]) || len(features) != len(want.Features)*p.Inputs {
			t.Fatalf("%d inputs, %d features, want %d and %d", p.Inputs, len(features), len(want.Features[0]), len(want.Features)*p.Inputs)
		}
		for r, row := range want.Features {
			for c, w := range row {
				if got := float64(features[r*p.Inputs+c]); !(math.Abs(got-w) <= 1e-5*max(1, math.Abs(w))) {
					t.Errorf("row %d, feature %d: %v, want %v", r, c, got, w)
				}
			}
		}
		if w := counts.Warnings(); len(w) != 0 {
			t.Errorf("warned of %q", w)
		}
	}
	check(p)
	raw, err = p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePipeline(raw)
	if err != nil {
		t.Fatal(err)
	}
	check(again)
}

// rows repeats a line, with %d its number.
func rowsOf(n int, line func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i) + "\n")
	}
	return b.String()
}

func alternate(i int) string { return []string{"no", "yes"}[i/3%2] }

func TestLoadRefuses(t *testing.T) {
	good := "x,y\n" + rowsOf(40, func(i int) string { return []string{"1.5", "2", "3"}[i%3] + "," + alternate(i) })
	for _, c := range []struct {
		name, text string
		edit       func(*Options)
		want       string
	}{
		{"empty", "", nil, "x.csv is empty"},
		{"blank", "\n\n \n", nil, "x.csv is empty"},
		{"header alone", "x,y\n", nil, "a header and no rows"},
		{"one class", "x,y\n1,a\n2,a\n", nil, `one class only in column y, "a"`},
		{"no class", "x,y\n1,\n2,\n", nil, "no class at all"},
		{"target absent", good, func(o *Options) { o.Target = "z" }, `no column "z": it has x, y`},
		{"group absent", good, func(o *Options) { o.Group = "z" }, `no column "z" to group by`},
		{"text absent", good, func(o *Options) { o.Text = "z" }, `no column "z" to take text from`},
		{"type of no column", good, func(o *Options) { o.Types = map[string]string{"z": "text"} }, `no column "z" to give a type`},
		{"type unknown", good, func(o *Options) { o.Types = map[string]string{"x": "float"} }, "use numeric, categorical, text, ignore"},
		{"continuous", "x,y\n" + rowsOf(60, func(i int) string { return "1," + []string{"0.1", "7.25", "3.9"}[i%3] + string(rune('0'+i%10)) }), nil, "looks continuous: 30 different numbers in 60 rows; a classifier needs classes: cut it into ranges, or choose another one with --target"},
		{"continuous integers", "x,y\n" + rowsOf(60, func(i int) string { return "1," + strings.Repeat("7", 1+i%15) + string(rune('0'+i%10)) }), nil, ""},
		{"ragged", "x,y\n1,a\n2\n3,b\n", nil, "line 3 has 1 field, the header has 2: correct it, put fields that hold a delimiter in quotes, or name another one with --delimiter"},
		{"ragged after a quoted line break", "x,y\n\"1\n1\",a\n2,b,c\n", nil, "line 4 has 3 fields"},
		{"quote left open", "x,y\n1,a\n2,\"b\n3,c\n", nil, "line 3 opens a quote"},
		{"after a quote", "x,y\n1,\"a\"b\n", nil, "line 2 has text after a closing quote"},
		{"a quote by a backslash", "x,y\n1,\"a \\\"b\\\"\"\n", nil, "line 2 writes a quote within a quoted field as \\\""},
		{"not UTF-8", "x,y\n1,a\n2,\xe4\n", nil, "line 3 is not UTF-8 (byte 0xe4)"},
		{"UTF-16 cut short", "\xff\xfex\x00,\x00y\x00\n\x001", nil, "ends within a character"},
		{"binary", "x,y\n1,a\x00\n", nil, "line 2 holds a zero byte"},
		{"not a number", "x,y\n" + rowsOf(60, func(i int) string {
			if i == 33 {
				return "12 kg,yes"
			}
			return "1.5," + alternate(i)
		}), nil, `line 35: "12 kg" in column x is not a number; correct it or leave it empty, or train with --missing '12 kg' or --types x=categorical`},
		{"too large", "x,y\n" + rowsOf(60, func(i int) string { return "1e200," + alternate(i) }), nil, "line 2: 1e200 in column x is too large a number: want at most 1e+100 either way; correct it, or leave the column out with --types x=ignore"},
		{"one column", "x\n1\n2\n", nil, "has one column, x"},
		{"constant", "x,y\n1,a\n1,b\n1,a\n", nil, "no column says anything"},
		{"train size", good, func(o *Options) { o.TrainSize = 33 }, "training size 33"},
		{"fraction", good, func(o *Options) { o.ValFraction = 1 }, "not in [0, 1)"},
		{"delimiter", good, func(o *Options) { o.Delimiter = "ab" }, `delimiter "ab"`},
		{"validation file absent", good, func(o *Options) { o.Val = "nowhere.csv" }, "nowhere.csv"},
		{"too large a file", good, func(o *Options) { o.MaxBytes = 10 }, "more than the limit of 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Path: file(t, "x.csv", c.text), ValFraction: 0.2}
			if c.edit != nil {
				c.edit(&o)
			}
			_, err := Load(t.Context(), o, stream(1))
			if c.want == "" {
				return // no error is asked for, only no crash
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that says %q", err, c.want)
			}
		})
	}
}

// A bomb is refused before it is unpacked, an honest file is read.
func TestGzip(t *testing.T) {
	pack := func(text []byte) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(text)
		_ = w.Close()
		return file(t, "x.csv.gz", b.String())
	}
	text := "x,y\n" + rowsOf(40, func(i int) string { return []string{"1.5", "2", "3"}[i%3] + "," + alternate(i) })
	if d, err := Load(t.Context(), Options{Path: pack([]byte(text))}, stream(1)); err != nil || d.Len() != 40 || d.Name != "x" {
		t.Errorf("%v, %v", d, err)
	}
	defer func(kept int64) { freeBytes = kept }(freeBytes)
	freeBytes = 1 << 20
	if _, err := readTable(pack(bytes.Repeat([]byte("1,2\n"), 1<<19)), "", Options{}); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("error %v", err)
	}
	if _, err := Load(t.Context(), Options{Path: file(t, "x.csv.gz", "\x1f\x8bnonsense")}, stream(1)); err == nil {
		t.Error("no error for a broken gzip file")
	}
}
