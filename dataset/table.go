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
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s is UTF-16: convert it with iconv -f utf-16 -t utf-8", path)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	t := &table{path: path, data: text, quotes: true}
	if err := t.checkText(); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	delimiter, err := o.delimiter(path, text)
	if err != nil {
		return nil, err
	}
	s := scanner{path: path, data: text, delimiter: delimiter}
	first, err := s.record(nil)
	if err != nil {
		return nil, err
	}
	columns := len(first) - 1
	body := s.at
	header := o.Header == "yes"
	if o.Header == "" {
		header = looksLikeHeader(text, first, s)
	}
	if header {
		t.names = make([]string, columns)
		head := table{data: text, starts: first, quotes: true, names: t.names}
		for c := range t.names {
			t.names[c] = strings.TrimSpace(string(head.field(0, c)))
		}
		if err := nameColumns(path, t.names); err != nil {
			return nil, err
		}
	} else {
		body = 0
		for c := range columns {
			t.names = append(t.names, fmt.Sprintf("c%d", c+1))
		}
	}
	s.at = body
	// A row takes as many bytes as it has fields; most take more.
	t.starts = make([]uint32, 0, min(len(text)-body+1, (len(text)-body)/max(body, 16)*(columns+1)+64))
	for {
		before := len(t.starts)
		if t.starts, err = s.record(t.starts); err != nil {
			return nil, err
		}
		got := len(t.starts) - before
		if got == 0 {
			break
		}
		if got != columns+1 {
			what := "the first row has"
			if header {
				what = "the header has"
			}
			return nil, fmt.Errorf("%s: line %d has %s, %s %d", path, t.line(int(t.starts[before])), plural(got-1, "field"), what, columns)
		}
	}
	if len(t.starts) == 0 {
		return nil, fmt.Errorf("%s has a header and no rows", path)
	}
	return t, nil
}

// checkText refuses what is not UTF-8 text.
func (t *table) checkText() error {
	bad := bytes.IndexByte(t.data, 0)
	if bad >= 0 {
		return fmt.Errorf("%s: line %d holds a zero byte: this is no text file", t.path, t.line(bad))
	}
	if utf8.Valid(t.data) {
		return nil
	}
	for at := 0; at < len(t.data); {
		r, size := utf8.DecodeRune(t.data[at:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("%s: line %d is not UTF-8 (byte 0x%02x): convert the file, for example with iconv -f latin1 -t utf-8",
				t.path, t.line(at), t.data[at])
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
			return fmt.Errorf("%s: columns %d and %d are both called %q", path, other+1, c+1, name)
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
}

// record appends where each field of the next record begins, and one past its end; nothing at the end of the text. Blank
// lines are passed over.
func (s *scanner) record(starts []uint32) ([]uint32, error) {
	data, at := s.data, s.at
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
			return starts, err
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
					return starts, err
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
	s.at = at
	if data[at-1] == '\r' {
		at--
	}
	return append(starts, uint32(at+1)), nil
}

// quoted returns the end of the quoted field that begins at from: one past its closing quote.
func (s *scanner) quoted(from int) (int, error) {
	t := table{data: s.data}
	for at := from + 1; ; {
		next := bytes.IndexByte(s.data[at:], '"')
		if next < 0 {
			return 0, fmt.Errorf("%s: line %d opens a quote that nothing closes", s.path, t.line(from))
		}
		at += next + 1
		switch {
		case at == len(s.data) || s.data[at] == s.delimiter || s.data[at] == '\n' || s.data[at] == '\r':
			return at, nil
		case s.data[at] == '"':
			at++
		default:
			return 0, fmt.Errorf("%s: line %d has text after a closing quote", s.path, t.line(at))
		}
	}
}

// delimiter returns o's, that of the file's extension, or the one that cuts the first records into the most fields, as
// many in each.
func (o Options) delimiter(path string, text []byte) (byte, error) {
	switch {
	case o.Delimiter == `\t` || o.Delimiter == "tab":
		return '\t', nil
	case len(o.Delimiter) == 1 && o.Delimiter[0] < utf8.RuneSelf && !strings.Contains("\"\r\n", o.Delimiter):
		return o.Delimiter[0], nil
	case o.Delimiter != "":
		return 0, optionErrorf("delimiter %q: give one character such as , ; | or tab", o.Delimiter)
	}
	best, most := byte(','), 1
	for _, candidate := range []byte{',', '\t', ';', '|'} {
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
	if most == 1 && strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".tsv") {
		best = '\t'
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
