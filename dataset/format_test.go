package dataset

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"

	"github.com/logitscope/logitscope/internal/numtest"
)

const small = "a,b,city,kind\n1.5,2,Bern,x\n-3,4,Zürich,y\n,6,Genf,x\n7e2,8,\"New York\",y\n"

// pack puts text through a writer of a packing.
func pack(t testing.TB, text string, open func(io.Writer) (io.WriteCloser, error)) string {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t testing.TB, text string) string {
	return pack(t, text, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

func xzed(t testing.TB, text string) string {
	return pack(t, text, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
}

func zstded(t testing.TB, text string) string {
	return pack(t, text, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

// zipOf packs members, of which there are as many names as texts.
func zipOf(t testing.TB, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		m, err := w.Create(members[i])
		if err == nil {
			_, err = io.WriteString(m, members[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func utf16Of(text string, big bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b.WriteString(string([]byte{byte(u >> 8), byte(u)}))
		} else {
			b.WriteString(string([]byte{byte(u), byte(u >> 8)}))
		}
	}
	return b.String()
}

// bzip2 -9 of small.
const smallBzip2 = "425a683931415926535987d2185f000013df8c001050073fc0108100303f6994e000040800200048c7ea4d006988309a3ca340a6811810620308649ce01132bb462ef5d0d6c2391f45ae0e04c707848a6c7a2a06318ca5ca4fcec84c413956df14c0810ad7bfe2ee48a70a1210fa430be0"

// The same table is read from whatever form it comes in, in one piece and block by block.
func TestTheSameTableFromEveryForm(t *testing.T) {
	bzip2, err := hex.DecodeString(smallBzip2)
	if err != nil {
		t.Fatal(err)
	}
	latin, err := charmap.ISO8859_1.NewEncoder().String(small)
	if err != nil {
		t.Fatal(err)
	}
	sjis, err := japanese.ShiftJIS.NewEncoder().String(strings.ReplaceAll(small, "Zürich", "東京"))
	if err != nil {
		t.Fatal(err)
	}
	objects := `{"a": 1.5, "b": 2, "city": "Bern", "kind": "x"}
{"a": -3, "b": 4, "city": "Z\u00fcrich", "kind": "y"}
{"a": null, "b": 6, "city": "Genf", "kind": "x"}
{"b": 8, "city": "New York", "a": 7e2, "kind": "y"}
`
	spaces := "a b city kind\n1.5  2 Bern  x  \n  -3 4\tZürich y\nNA 6 Genf x\n\n7e2 8 \"New York\" y"
	for name, c := range map[string]struct {
		file, body string
		o          Options
		edit       func(string) string // what else is right: how a field stands
	}{
		"CRLF":                     {file: "x.csv", body: strings.ReplaceAll(small, "\n", "\r\n")},
		"CR alone":                 {file: "x.csv", body: strings.ReplaceAll(small, "\n", "\r")},
		"line ends that are mixed": {file: "x.csv", body: strings.Replace(strings.Replace(small, "\n", "\r", 1), "\n", "\r\n", 1)},
		"CR, no end":               {file: "x.csv", body: strings.TrimSuffix(strings.ReplaceAll(small, "\n", "\r"), "\r")},
		"tabs":                     {file: "x.xls", body: strings.ReplaceAll(small, ",", "\t")},
		"gzip":                     {file: "x.csv.gz", body: gzipped(t, small)},
		"gzip without a name":      {file: "x", body: gzipped(t, small)},
		"xz":                       {file: "x.csv.xz", body: xzed(t, small)},
		"Zstandard":                {file: "X.CSV.ZST", body: zstded(t, small)},
		"bzip2":                    {file: "x.bz2", body: string(bzip2)},
		"zip":                      {file: "x.zip", body: zipOf(t, "d/", "", "d/x.csv", small, "__MACOSX/._x.csv", "\x00")},
		"member of a zip":          {file: "x.zip:d/x.csv", body: zipOf(t, "d/x.csv", small, "y.csv", "1,2\n")},
		"xz in gzip":               {file: "x.csv.xz.gz", body: gzipped(t, xzed(t, small))},
		"UTF-16":                   {file: "x.csv", body: "\xff\xfe" + utf16Of(small, false)},
		"UTF-16, big-endian":       {file: "x.csv", body: "\xfe\xff" + utf16Of(small, true)},
		"UTF-16 in gzip":           {file: "x.csv.gz", body: gzipped(t, "\xff\xfe"+utf16Of(small, false))},
		"UTF-16 without a mark":    {file: "x.csv", body: utf16Of(small, false), o: Options{Encoding: "utf-16le"}},
		"UTF-8 with a mark":        {file: "x.csv", body: byteOrderMark + small},
		"latin1":                   {file: "x.csv", body: latin, o: Options{Encoding: "latin1"}},
		"a mark beats --encoding":  {file: "x.csv", body: byteOrderMark + small, o: Options{Encoding: "latin1"}},
		"Shift JIS":                {file: "x.csv", body: sjis, o: Options{Encoding: "Shift_JIS"}, edit: func(f string) string { return strings.ReplaceAll(f, "Zürich", "東京") }},
		"JSON lines":               {file: "x.jsonl", body: objects},
		"JSON lines by content":    {file: "x.csv", body: objects},
		"JSON lines, CRLF, mark":   {file: "x.ndjson", body: byteOrderMark + strings.ReplaceAll(objects, "\n", "\r\n\r\n")},
		"JSON lines, UTF-16":       {file: "x.jsonl", body: "\xff\xfe" + utf16Of(objects, false)},
		"JSON array":               {file: "x.json", body: "[\n" + strings.ReplaceAll(strings.TrimSpace(objects), "}\n{", "},\n {") + "\n]\n"},
		"NaN of Python":            {file: "x.jsonl", body: strings.Replace(objects, "null", "NaN", 1), edit: func(f string) string { return f }},
		"spaces":                   {file: "x.txt", body: spaces, edit: func(f string) string { return strings.Replace(f, "NA", "", 1) }},
		"spaces, CR":               {file: "x.txt", body: strings.ReplaceAll(spaces, "\n", "\r"), o: Options{Delimiter: "space"}},
	} {
		t.Run(name, func(t *testing.T) {
			plain, member, _ := strings.Cut(c.file, ":")
			path := file(t, plain, c.body)
			if member != "" {
				path += ":" + member
			}
			want, err := parseCSV("x.csv", []byte(small), Options{})
			if err != nil {
				t.Fatal(err)
			}
			right := fields(want)
			right[2][0] = ""
			if c.edit != nil {
				for _, row := range right {
					for i := range row {
						row[i] = c.edit(row[i])
					}
				}
			}
			check := func(how string, names []string, rows [][]string) {
				t.Helper()
				for _, row := range rows {
					for i := range row {
						row[i] = strings.Replace(row[i], "NA", "", 1)
					}
				}
				if !slices.Equal(names, want.names) || !slices.EqualFunc(rows, right, slices.Equal) {
					t.Errorf("%s: columns %q, rows %q, want %q", how, names, rows, right)
				}
			}
			got, err := readTable(path, "", c.o)
			if err != nil {
				t.Fatal(err)
			}
			check("in one piece", got.names, fields(got))
			defer func(kept int) { tableBlock = kept }(tableBlock)
			for _, tableBlock = range []int{1, 7, 64} {
				s, err := openSource(path, c.o)
				if err != nil {
					t.Fatal(err)
				}
				in, err := s.format.rows(s, c.o)
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				var rows [][]string
				for block, err := in.next(); block != nil || err != nil; block, err = in.next() {
					if err != nil {
						t.Fatal(err)
					}
					names, rows = slices.Clone(block.names), append(rows, fields(block)...)
				}
				s.Close()
				check(fmt.Sprintf("blocks of %d", tableBlock), names, rows)
			}
		})
	}
}

// R and pandas write the names of rows under no name of their own.
func TestNamesOfRows(t *testing.T) {
	for text, names := range map[string]string{
		"\"a\" \"y\"\n\"1\" 5.1 \"u v\"\n\"2\" 4.9 \"w\"\n":  "c1 a y",
		" a y\n0 5.1 u\n1 4.9 v\n":                           "c1 a y",
		"a\ty\n1\t5.1\tu\n2\t4.9\tv\n":                       "c1 a y",
		"a\ty\n1\t5.1\t\n2\t4.9\t\n":                         "", // a column that is empty throughout is another thing
		"4.9 u red\n5.1 v blue\n5.2 v blue\n":                "c1 c2 c3",
		"5.1 u\n4.9 v\n":                                     "c1 c2",
		"New York\nBern\nLos Angeles County\nSt Gallen\n":    "New York",
		"the first text\nanother one is longer\nthe third\n": "the first text",
	} {
		got, err := parseCSV("x.txt", []byte(text), Options{})
		if names == "" {
			continue
		}
		if err != nil || strings.Join(got.names, " ") != names {
			t.Errorf("%q: %v, %v, want columns %s", text, got, err, names)
		}
	}
}

// Where quotes are characters as any other, the error that they give otherwise says so.
func TestQuotesAsCharacters(t *testing.T) {
	const text = "size,y\n\"5 inch,a\n6\" long,b\n\"7\" x,a\n"
	_, err := parseCSV("x.csv", []byte(text), Options{})
	if err == nil || !strings.Contains(err.Error(), "--quote none") {
		t.Errorf("error %v", err)
	}
	got, err := parseCSV("x.csv", []byte(text), Options{Quote: "none"})
	if err != nil || !slices.EqualFunc(fields(got), [][]string{{`"5 inch`, "a"}, {`6" long`, "b"}, {`"7" x`, "a"}}, slices.Equal) {
		t.Errorf("%v, %v", got, err)
	}
}

// What stands in objects becomes columns, what lists hold is left out by name.
func TestJSONColumns(t *testing.T) {
	read := func(body string, o Options) (*table, error) { return readTable(file(t, "x.jsonl", body), "", o) }
	got, err := read(`{"p": {"q": 1, "r": {"s": "u"}}, "tags": [1, 2], "y": "a"}`+"\n"+`{"y": "b", "new": true, "p": {"q": "text"}}`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.names, []string{"p.q", "p.r.s", "tags", "y", "new"}) ||
		!slices.EqualFunc(fields(got), [][]string{{"1", "u", "", "a", ""}, {"text", "", "", "b", "true"}}, slices.Equal) || got.unread["tags"] == "" {
		t.Errorf("%q: %q, %q", got.names, fields(got), got.unread)
	}
	got, err = read(`[1, "a", null]`+"\n"+`[2, "b", false]`, Options{})
	if err != nil || !slices.EqualFunc(fields(got), [][]string{{"1", "a", ""}, {"2", "b", "false"}}, slices.Equal) {
		t.Errorf("lines of arrays: %v, %v", got, err)
	}
	got, err = read(`{"y": ["red", "round"], "x": 1}`+"\n"+`{"y": [], "x": 2}`+"\n"+`{"y": "flat", "x": 3}`, Options{MultiLabel: true})
	if err != nil || !slices.EqualFunc(fields(got), [][]string{{"red|round", "1"}, {"", "2"}, {"flat", "3"}}, slices.Equal) {
		t.Errorf("several classes: %v, %v", got, err)
	}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	if got, err := read(deep+"\n"+`{"b": 1}`, Options{}); err != nil || len(got.unread) != 1 {
		t.Errorf("5,000 objects in one another: %v", err)
	}
	many := new(strings.Builder)
	for i := range 20_000 {
		fmt.Fprintf(many, "{\"k%d\": 1}\n", i)
	}
	for want, body := range map[string]string{
		"row 2: the JSON ends within":       `{"x": 1}` + "\n" + `{"x": [1, {"y": 2`,
		"row 2, byte 10 of the file":        `{"x": 1}` + "\n" + `{x: 1}`,
		"duplicate":                         `{"x": 1, "x": 2}`,
		"row 1 has p.q twice":               `{"p": {"q": 1}, "p.q": 2}`,
		"row 2 is 7: want an object":        `{"x": 1}` + "\n7\n",
		"something stands behind the array": `[{"x": 1}] {"x": 2}`,
		"one JSON object of lists":          `{"x": [1, 2], "y": [3, 4]}`,
		"hardly any of them the same":       many.String(),
		"invalid UTF-8":                     "{\"x\": \"\xff\"}",
		"holds no row":                      "[]",
		"objects, not rows":                 `{"x": {"0": 1, "1": 2}, "y": {"0": "a", "1": "b"}}`,
		"row 1, byte 6":                     `{"x": Infinit}`,
	} {
		if _, err := read(body, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", body, err, want)
		}
	}
}

// A model reads new rows in JSON that lack a name which training rows lacked too; what all of those had is wanted.
func TestJSONForPrediction(t *testing.T) {
	train := new(strings.Builder)
	for i := range 60 {
		fmt.Fprintf(train, `{"a": %d.5, "label": %q`, i*7%10, alternate(i))
		if i%5 > 0 {
			fmt.Fprintf(train, `, "b": %d`, i*i%11)
		}
		train.WriteString("}\n")
	}
	d, err := Load(t.Context(), Options{Path: file(t, "x.jsonl", train.String()), ValFraction: 0.2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	if d.Columns != 3 {
		t.Fatalf("%d columns", d.Columns)
	}
	for body, want := range map[string]string{
		`{"a": 1.5}`:              "",
		`[{"a": 1.5, "b": null}]`: "",
		`{"b": 1.5}`:              "lacks the column a",
		`{"a": [1.5], "b": 2}`:    "column a cannot be used: its values are lists",
	} {
		rows, err := d.Pipeline.Open(file(t, "new.jsonl", body))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", body, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if b := rows.Next(10); b == nil || b.N != 1 || b.Features[2] != 1 {
			t.Errorf("%s: %+v", body, b)
		}
		rows.Close()
	}
}

// What is not read is called by its name, with the way out, whatever the file is called; no two formats know the same file.
func TestUnread(t *testing.T) {
	for want, body := range map[string]string{
		"an Excel workbook, which is not read: save the sheet as CSV": zipOf(t, "[Content_Types].xml", "", "xl/workbook.xml", ""),
		"a PyTorch file":              zipOf(t, "archive/data.pkl", "", "archive/data/0", ""),
		"a pickle can run code":       "\x80\x04\x95\x00",
		"an SQLite database":          "SQLite format 3\x00",
		"an HDF5 file":                "\x89HDF\r\n\x1a\n\x00",
		"a MATLAB file":               "MATLAB 5.0 MAT-file, Platform: GLNXA64\x00",
		"an R file":                   gzipped(t, "X\n\x00\x00\x00\x03"),
		"a PDF":                       "%PDF-1.7\n",
		"an ORC file":                 "ORC\x08\x00",
		"an Avro file":                "Obj\x01\x04\x14avro",
		"a TFRecord file":             "\x05\x00\x00\x00\x00\x00\x00\x00\xea\xb2\x04\x3ehello",
		"a 7z archive":                "7z\xbc\xaf\x27\x1c\x00",
		"a tar archive":               gzipped(t, "x.csv"+strings.Repeat("\x00", 252)+"ustar\x0000"),
		"a Feather file of version 1": "FEA1\x00",
		"a PNG image":                 "\x89PNG\r\n\x1a\n",
		"an HTML page":                "\n<!DOCTYPE HTML><html>",
		"a Git LFS pointer":           "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
		"holds 2 files: name one as":  zipOf(t, "a.csv", small, "b.csv", small),
		"holds no \"c.csv\"":          "",
		"--encoding utf-16be":         utf16Of(small, true),
		"this is no text file":        strings.Repeat("\x00\x01\x02", 30),
	} {
		path := file(t, "x.csv", body)
		if body == "" {
			path = file(t, "x.zip", zipOf(t, "a.csv", small)) + ":c.csv"
		}
		if _, err := readTable(path, "", Options{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line that says %q", err, want)
		}
		known := 0
		for _, f := range formats {
			if f.magic != nil && f.magic([]byte(body)) {
				known++
			}
		}
		if known > 1 {
			t.Errorf("%d formats know %.20q as theirs", known, body)
		}
	}
	if _, err := readTable(file(t, "x.pkl", "(lp0\nI1\naI2\na."), "", Options{}); err == nil || !strings.Contains(err.Error(), "a pickle") {
		t.Errorf("a pickle of protocol 0: %v", err)
	}
	ends := map[string]string{}
	for _, f := range Formats() {
		if f.Name == "" || (f.Reads == "") == (f.Instead == "") {
			t.Errorf("%+v: what is read of it, or else what to do", f)
		}
		for _, end := range f.Endings {
			if ends[end] != "" || end != strings.ToLower(end) {
				t.Errorf("%s is the end of %s and %s", end, f.Name, ends[end])
			}
			ends[end] = f.Name
		}
	}
}

// A packed file that unpacks to far more than it holds, or that is cut, is one clear error.
func TestPackings(t *testing.T) {
	defer func(kept int64) { freeBytes = kept }(freeBytes)
	freeBytes = 1 << 20
	long := strings.Repeat("1,2\n", 1<<20)
	for name, of := range map[string]func(testing.TB, string) string{"gz": gzipped, "xz": xzed, "zst": zstded, "zip": func(t testing.TB, text string) string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		m, err := w.Create("x.csv")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(m, text)
		w.Close()
		return b.String()
	}} {
		_, err := readTable(file(t, "x.csv."+name, of(t, long)), "", Options{})
		if err == nil || !strings.Contains(err.Error(), "unpack") {
			t.Errorf("%s, a bomb: %v", name, err)
		}
		body := of(t, small)
		for cut := range len(body) {
			if _, err := readTable(file(t, "x.csv."+name, body[:cut]), "", Options{}); err == nil {
				t.Errorf("%s: %d of %d bytes are read as a table", name, cut, len(body))
			}
		}
	}
	// xz's header says a dictionary of 4 GiB: it is refused before that is allocated.
	huge := []byte(xzed(t, small))
	huge[12+4] = 40
	if _, err := readTable(file(t, "x.csv.xz", string(huge)), "", Options{}); err == nil || !strings.Contains(err.Error(), "dictionary is of 4096 MiB") {
		t.Errorf("a dictionary of 4 GiB: %v", err)
	}
}

// A later block, or one of a later stream, says that its dictionary is of 3 GiB, in a header made anew with its checksum: refused before that is
// allocated. The files are of xz 5.4.1 and of Python's lzma.
func TestLaterDictionaries(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for _, path := range []string{"testdata/xz-blocks.xz", "testdata/xz-streams.xz"} {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if table, err := readTable(file(t, "x.csv.xz", string(body)), "", Options{}); err != nil || table.rows() != 20_000 {
			t.Fatalf("%s: %v", path, err)
		}
		header := body[12:24]
		at := bytes.LastIndex(body, header[1:6]) - 1 // flags, filter, the dictionary
		if at <= 12 {
			t.Fatalf("%s has one block", path)
		}
		body[at+4] = 39 // 3 GiB
		binary.LittleEndian.PutUint32(body[at+8:], crc32.ChecksumIEEE(body[at:at+8]))
		held := peak(t, func() { _, err = readTable(file(t, "x.csv.xz", string(body)), "", Options{}) })
		if err == nil || !strings.Contains(err.Error(), "dictionary is of 3072 MiB") || held > 64<<20+4*int64(len(body)) {
			t.Errorf("%s: a later dictionary of 3 GiB: %v; %d MiB were held", path, err, held>>20)
		}
	}
}

var runsOfSpaces = regexp.MustCompile(`[ \t]+`)

// Squeezed text has one space for each run, whatever it was cut into, and quoted fields stay.
func FuzzSqueeze(f *testing.F) {
	f.Add("  a \t b\n\nc", 3)
	f.Add("a  \"b  c\" d \r\n", 9)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole := squeeze([]byte(text), true, false)
		if again := squeeze(slices.Clone(whole), true, false); !bytes.Equal(again, whole) {
			t.Errorf("%q becomes %q, and again %q", text, whole, again)
		}
		if cut >= 0 && cut <= len(text) {
			parts := append(squeeze([]byte(text[:cut]), true, true), text[cut:]...)
			if got := squeeze(parts, true, false); !bytes.Equal(got, whole) {
				t.Errorf("%q cut at %d becomes %q, want %q", text, cut, got, whole)
			}
		}
		if !strings.Contains(text, `"`) {
			var lines []string
			for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
				lines = append(lines, strings.Trim(runsOfSpaces.ReplaceAllString(line, " "), " "))
			}
			got := strings.FieldsFunc(string(whole), func(r rune) bool { return r == '\n' || r == '\r' })
			lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
			if !slices.Equal(got, lines) {
				t.Errorf("%q becomes %q, want %q", text, got, lines)
			}
		}
	})
}

// UTF-16 is read as the standard library decodes it, or refused where that would replace a character.
func FuzzUTF16(f *testing.F) {
	f.Add([]byte(utf16Of("größe €😀", false)))
	f.Add([]byte{0x3d, 0xd8})
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := decoder(bytes.NewReader(raw), "utf-16le")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i]) | uint16(raw[2*i+1])<<8
		}
		want := string(utf16.Decode(units))
		if bad := len(raw)%2 == 1 || strings.Contains(want, "�"); bad != (err != nil) || !bad && string(got) != want {
			t.Errorf("%x: %q, %v, want %q", raw, got, err, want)
		}
	})
}

// Whatever bytes a file has, it is read or refused, in one piece as in blocks.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		small, gzipped(f, small), xzed(f, small), zstded(f, small), zipOf(f, "x.csv", small), "\xff\xfe" + utf16Of(small, false),
		`{"a": NaN, "y": ["b"]}` + "\n" + `{"a": {"b": 1}}`, "[[1,2],[3,4]]", "a b\n1 2 3\n", "\"\r\n ",
	} {
		f.Add([]byte(seed))
	}
	defer func(kept int64) { freeBytes = kept }(freeBytes)
	freeBytes = 1 << 20
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		whole, err := readTable(path, "", Options{MultiLabel: true})
		if err == nil {
			fields(whole)
		}
		s, err := openSource(path, Options{})
		if err != nil || s.format.rows == nil {
			return
		}
		defer s.Close()
		in, err := s.format.rows(s, Options{})
		if err != nil {
			return
		}
		for block, err := in.next(); block != nil && err == nil; block, err = in.next() {
			fields(block)
		}
	})
}
