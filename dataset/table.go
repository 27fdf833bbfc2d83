package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is rows of text fields under named columns, as a CSV file holds them: the bytes, and where each field begins.
type table struct {
	path    string
	names   []string
	data    []byte
	starts  []uint32 // [rows,columns+1]; field c of row r is data[starts[r,c] : starts[r,c+1]-1]
	quotes  bool     // a field that begins with '"' is quoted
	header  bool     // the first record named the columns
	origin  int      // lines before data[0], for messages
	numbers bool     // rows are numbered instead of lines: the file has none
}

func (t *table) columns() int { return len(t.names) }

func (t *table) rows() int { return len(t.starts) / (t.columns() + 1) }

// raw returns field (r, c) as it stands in the file, quotes included.
func (t *table) raw(r, c int) []byte {
	at := r*(t.columns()+1) + c
	return t.data[t.starts[at] : t.starts[at+1]-1]
}

// field returns the text of field (r, c), a view into the file wherever no doubled quote had to be undone.
func (t *table) field(r, c int) []byte {
	f := t.raw(r, c)
	if !t.quotes || len(f) < 2 || f[0] != '"' {
		return f
	}
	f = f[1 : len(f)-1]
	if bytes.IndexByte(f, '"') >= 0 {
		f = bytes.ReplaceAll(f, []byte(`""`), []byte(`"`))
	}
	return f
}

// at says where row r is, as a person finds it in an editor.
func (t *table) at(r int) string {
	if t.numbers {
		return fmt.Sprintf("%s: row %d", t.path, r+1)
	}
	return fmt.Sprintf("%s: line %d", t.path, t.line(int(t.starts[r*(t.columns()+1)])))
}

// line returns the line, counted from 1, that byte offset at is in.
func (t *table) line(at int) int { return t.origin + 1 + bytes.Count(t.data[:at], []byte{'\n'}) }

// column returns the index of the column called name, -1 if there is none.
func (t *table) column(name string) int { return slices.Index(t.names, name) }

// maxTable is the largest file that is read as one table: offsets are 32 bits wide.
const maxTable = 1<<32 - 2

// parseCSV reads text as a table. The delimiter is found where o gives none, and whether the first row names the columns.
func parseCSV(path string, text []byte, o Options) (*table, error) {
	if len(text) > maxTable {
		return nil, fmt.Errorf("%s holds %d bytes: a table may have 4 GiB; give its numbers as .npy", path, len(text))
	}
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	t := &table{path: path, quotes: true}
	s := &scanner{path: path, data: text}
	if err := t.begin(s, o); err != nil {
		return nil, err
	}
	if err := t.parse(s); err != nil {
		return nil, err
	}
	if t.rows() == 0 {
		return nil, t.noRows()
	}
	return t, nil
}

const byteOrderMark = "\xef\xbb\xbf"

func (t *table) noRows() error { return fmt.Errorf("%s has a header and no rows", t.path) }

// begin finds out how the text of s is cut into columns, names them, and leaves s at the first row. Where
// the text goes on and has no whole record yet, there are no names.
func (t *table) begin(s *scanner, o Options) error {
	if bytes.HasPrefix(s.data, []byte("\xff\xfe")) || bytes.HasPrefix(s.data, []byte("\xfe\xff")) {
		return fmt.Errorf("%s is UTF-16: convert it with iconv -f utf-16 -t utf-8", t.path)
	}
	t.data = s.data
	if err := t.checkText(s.open); err != nil {
		return err
	}
	if len(bytes.TrimSpace(s.data)) == 0 {
		if s.open {
			return nil
		}
		return fmt.Errorf("%s is empty", t.path)
	}
	var err error
	if s.delimiter, err = o.delimiter(t.path, s.data); err != nil {
		return err
	}
	first, err := s.record(nil)
	if err != nil || len(first) == 0 {
		return err // the first row is not whole yet
	}
	columns := len(first) - 1
	t.header = o.Header == "yes"
	if o.Header == "" {
		t.header = looksLikeHeader(s.data, first, *s)
	}
	if !t.header {
		s.at = 0
		for c := range columns {
			t.names = append(t.names, fmt.Sprintf("c%d", c+1))
		}
		return nil
	}
	t.names = make([]string, columns)
	head := table{data: s.data, starts: first, quotes: true, names: t.names}
	for c := range t.names {
		t.names[c] = strings.TrimSpace(string(head.field(0, c)))
	}
	return nameColumns(t.path, t.names)
}

// parse takes what s still has, all of it or its whole records, as t's rows.
func (t *table) parse(s *scanner) (err error) {
	t.data = s.data
	left := len(s.data) - s.at
	// A row takes as many bytes as it has fields; most take more.
	t.starts = slices.Grow(t.starts[:0], min(left+1, left/max(s.at, 16)*(t.columns()+1)+64))
	for {
		before := len(t.starts)
		if t.starts, err = s.record(t.starts); err != nil {
			return err
		}
		got := len(t.starts) - before
		if got == 0 {
			return nil
		}
		if got != t.columns()+1 {
			what := "the first row has"
			if t.header {
				what = "the header has"
			}
			return fmt.Errorf("%s: line %d has %s, %s %d: correct it, put fields that hold a delimiter in quotes, or name another one with --delimiter", t.path, t.line(int(t.starts[before])), plural(got-1, "field"), what, t.columns())
		}
	}
}

// checkText refuses what is not UTF-8 text. open says that more follows, so that the last character may be cut.
func (t *table) checkText(open bool) error {
	bad := bytes.IndexByte(t.data, 0)
	if bad >= 0 {
		return fmt.Errorf("%s: line %d holds a zero byte: this is no text file", t.path, t.line(bad))
	}
	text := t.data
	for last := len(text) - 1; open && last >= 0 && last >= len(text)-utf8.UTFMax; last-- {
		if utf8.RuneStart(text[last]) {
			if !utf8.FullRune(text[last:]) {
				text = text[:last]
			}
			break
		}
	}
	if utf8.Valid(text) {
		return nil
	}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("%s: line %d is not UTF-8 (byte 0x%02x): convert the file, for example with iconv -f latin1 -t utf-8",
				t.path, t.line(at), text[at])
		}
		at += size
	}
	return nil
}

// nameColumns gives columns without a name one, and refuses two of the same name.
func nameColumns(path string, names []string) error {
	seen := make(map[string]int, len(names))
	for c, name := range names {
		if name == "" {
			name = fmt.Sprintf("c%d", c+1)
			names[c] = name
		}
		if other, twice := seen[name]; twice {
			return fmt.Errorf("%s: columns %d and %d are both called %q: rename one", path, other+1, c+1, name)
		}
		seen[name] = c
	}
	return nil
}

// scanner cuts text into records: RFC 4180 with any delimiter of one byte, lines that end in \n, \r\n or the end.
type scanner struct {
	path      string
	data      []byte
	at        int
	delimiter byte
	open      bool // more follows: the record that reaches the end is not whole
	origin    int  // lines before data[0]
}

// record appends where each field of the next record begins, and one past its end; nothing at the end of the text. Blank
// lines are passed over, and so is a record that is not whole.
func (s *scanner) record(starts []uint32) ([]uint32, error) {
	data, at, before := s.data, s.at, len(starts)
	for at < len(data) && (data[at] == '\n' || data[at] == '\r') {
		at++
	}
	if at == len(data) {
		s.at = at
		return starts, nil
	}
	starts = append(starts, uint32(at))
	if at < len(data) && data[at] == '"' {
		end, err := s.quoted(at)
		if err != nil {
			return starts[:before], err
		}
		at = end
	}
	for ; at < len(data); at++ {
		switch c := data[at]; c {
		case s.delimiter:
			starts = append(starts, uint32(at+1))
			if at+1 < len(data) && data[at+1] == '"' {
				end, err := s.quoted(at + 1)
				if err != nil {
					return starts[:before], err
				}
				at = end - 1
			}
		case '\n':
			s.at = at + 1
			if data[at-1] == '\r' {
				at--
			}
			return append(starts, uint32(at+1)), nil
		}
	}
	if s.open {
		return starts[:before], nil
	}
	s.at = at
	if data[at-1] == '\r' {
		at--
	}
	return append(starts, uint32(at+1)), nil
}

// quoted returns the end of the quoted field that begins at from: one past its closing quote, or the end of the data where
// that may still come.
func (s *scanner) quoted(from int) (int, error) {
	t := table{data: s.data, origin: s.origin}
	for at := from + 1; ; {
		next := bytes.IndexByte(s.data[at:], '"')
		if next < 0 && s.open {
			return len(s.data), nil
		}
		if next < 0 {
			return 0, fmt.Errorf("%s: line %d opens a quote that nothing closes: close it, or double a quote that is part of a quoted field", s.path, t.line(from))
		}
		at += next + 1
		switch {
		case at == len(s.data) || s.data[at] == s.delimiter || s.data[at] == '\n' || s.data[at] == '\r':
			return at, nil
		case s.data[at] == '"':
			at++
		default:
			return 0, fmt.Errorf("%s: line %d has text after a closing quote: double a quote that is part of a quoted field", s.path, t.line(at))
		}
	}
}

// delimiter returns o's, or the one that cuts the first records into the most fields, as many in each; of equals the tab for a .tsv.
func (o Options) delimiter(path string, text []byte) (byte, error) {
	switch {
	case o.Delimiter == `\t` || o.Delimiter == "tab":
		return '\t', nil
	case len(o.Delimiter) == 1 && o.Delimiter[0] < utf8.RuneSelf && !strings.Contains("\"\r\n", o.Delimiter):
		return o.Delimiter[0], nil
	case o.Delimiter != "":
		return 0, optionErrorf("delimiter %q: give one character such as , ; | or tab", o.Delimiter)
	}
	candidates := []byte{',', '\t', ';', '|'} // the first of those that cut alike
	if strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".tsv") {
		candidates[0], candidates[1] = '\t', ','
	}
	best, most := candidates[0], 1
	for _, candidate := range candidates {
		s := scanner{path: path, data: text, delimiter: candidate}
		fields := 0
		for range 20 {
			starts, err := s.record(nil)
			if err != nil || (fields > 0 && len(starts) > 0 && len(starts) != fields) {
				fields = 0
				break
			}
			if len(starts) == 0 {
				break
			}
			fields = len(starts)
		}
		if fields-1 > most {
			best, most = candidate, fields-1
		}
	}
	return best, nil
}

// looksLikeHeader reports whether the first record names the columns: none of its fields is a number or empty but for the
// first, and either some column below it is all numbers or none of its fields is met again below it.
func looksLikeHeader(text []byte, first []uint32, s scanner) bool {
	columns := len(first) - 1
	t := table{data: text, starts: first, quotes: true, names: make([]string, columns)}
	for c := range columns {
		f := bytes.TrimSpace(t.field(0, c))
		if _, isNumber := parseNumber(f); isNumber || (len(f) == 0 && c > 0) {
			return false
		}
	}
	numeric := make([]bool, columns)
	for c := range numeric {
		numeric[c] = true
	}
	again, rows := false, 0
	for ; rows < 1000; rows++ {
		starts, err := s.record(nil)
		if err != nil || len(starts) != len(first) {
			break
		}
		row := table{data: text, starts: starts, quotes: true, names: t.names}
		for c := range columns {
			f := row.field(0, c)
			if _, isNumber := parseNumber(f); !isNumber && !isMissing(f) {
				numeric[c] = false
			}
			again = again || bytes.Equal(f, t.field(0, c))
		}
	}
	return rows == 0 || slices.Contains(numeric, true) || !again
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
