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
	path      string
	names     []string
	data      []byte
	starts    []uint32          // [rows,columns+1]; field c of row r is data[starts[r,c] : starts[r,c+1]-1]
	quotes    bool              // a field that begins with '"' is quoted
	header    bool              // the first record named the columns
	named     int               // columns up to the last that has a name: a row may end there
	surplus   bool              // rows had more fields than there are columns, all of them empty
	notes     []string          // what was decided
	delimiter byte              // of text
	written   bool              // fields are as somebody wrote them, where a file of types gives its numbers plainly
	origin    int               // lines before data[0], for messages; rows where those are numbered
	numbers   bool              // rows are numbered instead of lines: the file has none
	unread    map[string]string // columns of no fields, and why: their values are of a kind that is not read
	typed     *typed            // of a table that came as numbers, in place of data and starts
}

func (t *table) columns() int { return len(t.names) }

func (t *table) rows() int {
	if t.typed != nil {
		return t.typed.rows
	}
	return len(t.starts) / (t.columns() + 1)
}

// raw returns field (r, c) as it stands in the file, quotes included.
func (t *table) raw(r, c int) []byte {
	if t.typed != nil {
		return t.typed.field(r, c)
	}
	at := r*(t.columns()+1) + c
	end := t.starts[at+1] - 1
	return t.data[min(t.starts[at], end):end] // a field that was added to a short row begins where the row has ended
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
		return fmt.Sprintf("%s: row %d", t.path, t.origin+r+1)
	}
	return fmt.Sprintf("%s: line %d", t.path, t.line(int(t.starts[r*(t.columns()+1)])))
}

// line returns the line, counted from 1, that byte offset at is in.
func (t *table) line(at int) int { return t.origin + 1 + linesOf(t.data[:at]) }

// linesOf counts the ends of lines in text: LF, CRLF, and CR alone.
func linesOf(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if returns := bytes.Count(text, []byte{'\r'}); returns > 0 {
		n += returns - bytes.Count(text, []byte("\r\n"))
	}
	return n
}

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
	t := &table{path: path}
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

// dropEmpty leaves out columns at the end that have neither a name nor a value, as spreadsheets write them.
func (t *table) dropEmpty() {
	had, keep := t.columns(), t.columns()
	empty := func(c int) bool {
		for r := range t.rows() {
			if len(bytes.TrimSpace(t.field(r, c))) > 0 {
				return false
			}
		}
		return true
	}
	for keep > max(t.named, 1) && empty(keep-1) {
		keep--
	}
	if keep < had {
		rows := t.rows()
		for r := range rows {
			copy(t.starts[r*(keep+1):(r+1)*(keep+1)], t.starts[r*(had+1):])
		}
		t.starts, t.names = t.starts[:rows*(keep+1)], t.names[:keep]
		t.notes = append(t.notes, fmt.Sprintf("%s at the end without a name and without values: left out", plural(had-keep, "column")))
	}
	if t.surplus {
		t.notes = append(t.notes, "empty fields at the end of rows, beyond the columns: left out")
	}
}

const byteOrderMark = "\xef\xbb\xbf"

func (t *table) noRows() error { return fmt.Errorf("%s has a header and no rows", t.path) }

// begin finds out how the text of s is cut into columns, names them, and leaves s at the first row. Where
// the text goes on and has no whole record yet, there are no names.
func (t *table) begin(s *scanner, o Options) error {
	t.data, t.quotes = s.data, o.Quote != "none"
	s.literal = !t.quotes
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
	if s.delimiter == ' ' {
		s.data = squeeze(s.data, t.quotes, s.open)
		t.data = s.data
	}
	t.delimiter, t.written = s.delimiter, true
	first, err := s.record(nil)
	if err != nil || len(first) == 0 {
		return err // the first row is not whole yet
	}
	columns := len(first) - 1
	t.header = o.Header == "yes"
	rowNames := o.Header != "no" && s.namesRows(len(first))
	if rowNames {
		t.header = true
	} else if o.Header == "" {
		t.header = o.like.isNamedBy(s.data, first, t.quotes) || looksLikeHeader(s.data, first, *s)
	}
	if !t.header {
		s.at = 0
		t.names = o.like.namesOf(columns)
		t.notes = append(t.notes, fmt.Sprintf("the first row is taken for values, and the columns are called %s to %s; --header yes takes it for their names", t.names[0], t.names[columns-1]))
		return nil
	}
	t.names = make([]string, columns)
	head := table{data: s.data, starts: first, quotes: t.quotes, names: t.names}
	for c := range t.names {
		if t.names[c] = strings.TrimSpace(string(head.field(0, c))); t.names[c] != "" {
			t.named = c + 1
		}
	}
	if rowNames { // as R's write.table has them
		t.names = slices.Insert(t.names, 0, "")
		t.named++
		t.notes = append(t.notes, "the first column has no name: the rows have a field more than the header")
	}
	return nameColumns(t.path, t.names)
}

// namesRows reports whether the row after the header, of which a record has as many entries as first, has a field more in front: R writes
// the names of rows so, under no name of their own.
func (s scanner) namesRows(first int) bool {
	if first < 3 && s.delimiter != ' ' && s.delimiter != '\t' {
		return false // a value with a delimiter in it, rather
	}
	for record := range sampledRecords {
		starts, err := s.record(nil)
		if err != nil || len(starts) == 0 {
			return err == nil && record > 0
		}
		if len(starts) != first+1 || starts[first]-starts[first-1] == 1 {
			return false
		}
	}
	return true
}

// isNamedBy reports whether a record has the names of all columns that p reads.
func (p *Pipeline) isNamedBy(data []byte, record []uint32, quotes bool) bool {
	if p == nil {
		return false
	}
	row := table{data: data, starts: record, quotes: quotes, names: make([]string, len(record)-1)}
	has := make(map[string]bool, len(row.names))
	for c := range row.names {
		has[string(bytes.TrimSpace(row.field(0, c)))] = true
	}
	for _, col := range p.Columns {
		if col.Type != Ignore && !has[col.Name] {
			return false
		}
	}
	return len(p.Columns) > 0
}

// namesOf names the columns of a table without a header: by their number, or as the rows that p was fitted on without the target, where
// that is the one that lacks.
func (p *Pipeline) namesOf(columns int) []string {
	var names []string
	if p != nil && columns == len(p.Columns)-1 {
		for _, col := range p.Columns {
			if col.Name != p.Target {
				names = append(names, col.Name)
			}
		}
		if len(names) == columns {
			return names
		}
		names = nil
	}
	for c := range columns {
		names = append(names, fmt.Sprintf("c%d", c+1))
	}
	return names
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
			t.starts = append(t.starts[:before], t.fit(t.starts[before:])...)
			if len(t.starts)-before == t.columns()+1 {
				continue
			}
			what := "the first row has"
			if t.header {
				what = "the header has"
			}
			return fmt.Errorf("%s: line %d has %s, %s %d: correct it, put fields that hold a delimiter in quotes, or name another one with --delimiter", t.path, t.line(int(t.starts[before])), plural(got-1, "field"), what, t.columns())
		}
	}
}

// fit brings a record of another number of fields to the table's columns, where what it has more is empty, or what it lacks are
// columns without a name. Else it stays as it is.
func (t *table) fit(starts []uint32) []uint32 {
	columns := t.columns()
	for len(starts) > columns+1 && starts[len(starts)-1]-starts[len(starts)-2] <= 1 {
		starts = starts[:len(starts)-1]
		t.surplus = true
	}
	if len(starts) < columns+1 && len(starts) > t.named {
		return fitted(starts, columns)
	}
	return starts
}

// fitted pads a record with empty fields, or cuts it, to so many.
func fitted(starts []uint32, columns int) []uint32 {
	for len(starts) < columns+1 {
		starts = append(starts, starts[len(starts)-1])
	}
	return starts[:columns+1]
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
			return fmt.Errorf("%s: line %d is not UTF-8 (byte 0x%02x): say its encoding, for example --encoding latin1",
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

// scanner cuts text into records: RFC 4180 with any delimiter of one byte, lines that end in LF, CRLF, CR or the end.
type scanner struct {
	path      string
	data      []byte
	at        int
	delimiter byte
	literal   bool // a quote is a character as any other
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
	if at < len(data) && data[at] == '"' && !s.literal {
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
			if at+1 < len(data) && data[at+1] == '"' && !s.literal {
				end, err := s.quoted(at + 1)
				if err != nil {
					return starts[:before], err
				}
				at = end - 1
			}
		case '\n', '\r':
			if c == '\r' && at+1 == len(data) && s.open {
				return starts[:before], nil // a line feed may follow, which ends the same line
			}
			s.at = at + 1
			if c == '\r' && s.at < len(data) && data[s.at] == '\n' {
				s.at++
			}
			return append(starts, uint32(at+1)), nil
		}
	}
	if s.open {
		return starts[:before], nil
	}
	s.at = at
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
			return 0, fmt.Errorf("%s: line %d opens a quote that nothing closes: close it, double a quote that is part of a quoted field, or say --quote none where quotes are characters as any other", s.path, t.line(from))
		}
		at += next + 1
		switch {
		case at == len(s.data) || s.data[at] == s.delimiter || s.data[at] == '\n' || s.data[at] == '\r':
			return at, nil
		case s.data[at] == '"':
			at++
		default:
			return 0, fmt.Errorf("%s: line %d has text after a closing quote: double a quote that is part of a quoted field, or say --quote none where quotes are characters as any other", s.path, t.line(at))
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
