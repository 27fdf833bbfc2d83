package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// table holds rows of text fields under named columns, as a CSV file does: the bytes, and where each field begins.
type table struct {
	path         string
	names        []string
	data         []byte
	starts       []uint32          // [rows,columns+1]; field c of row r is data[starts[r,c] : starts[r,c+1]-1]
	quotes       bool              // fields that begin with '"' are quoted
	header       bool              // the first record named the columns
	head         []byte            // that record, as it stands in the file
	namedColumns int               // columns up to the last one with a name; a row may end after it
	extraFields  bool              // some rows had more fields than there are columns, all of them empty
	notes        []string          // what was decided about the table, for a person to read
	delimiter    byte              // the delimiter of a text file; 0 for other formats
	asWritten    bool              // a person may have written the numbers, as in a text file; files with types hold plain numbers
	origin       int               // lines before data[0], for messages; rows where countRows is set
	countRows    bool              // messages number rows instead of lines, which the file does not have
	unread       map[string]string // columns whose values are not read, all of whose fields are empty, and why
	typed        *typedColumns     // in place of data and starts, the columns of a table that came as numbers
}

func (t *table) columns() int { return len(t.names) }

func (t *table) rows() int {
	if t.typed != nil {
		return t.typed.rows
	}
	return len(t.starts) / (t.columns() + 1)
}

// raw returns field (r, c) as it stands in the file, quotes included, without the spaces before a quote that opens it.
func (t *table) raw(r, c int) []byte {
	if t.typed != nil {
		return t.typed.field(r, c)
	}
	at := r*(t.columns()+1) + c
	end := t.starts[at+1] - 1
	f := t.data[min(t.starts[at], end):end] // a field that was added to a short row begins behind the end of the row
	if t.quotes && len(f) > 0 && f[0] == ' ' {
		if opens, closes := quotedBehindSpaces(f, '\n'); closes == len(f) {
			f = f[opens:]
		}
	}
	return f
}

// field returns the text of field (r, c) without its quotes. It is a view of the file, except where doubled quotes had to be replaced.
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

// location says where row r is: the file, and the line as an editor counts it.
func (t *table) location(r int) string {
	if t.countRows {
		return fmt.Sprintf("%s: row %d", t.path, t.origin+r+1)
	}
	return fmt.Sprintf("%s: line %d", t.path, t.line(int(t.starts[r*(t.columns()+1)])))
}

// line returns the line, counted from 1, of the byte at offset at.
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

func (t *table) noRows() error { return fmt.Errorf("%s has a header and no rows", t.path) }

// separatorLine returns how many bytes the line "sep=;" takes with which a text may begin, and the delimiter that it names. Excel reads and
// writes such a line.
func separatorLine(text []byte) (size int, delimiter byte) {
	line, _, found := bytes.Cut(text[:min(len(text), 16)], []byte{'\n'})
	name := bytes.Trim(line, "\"\r")
	if !found || len(name) != 5 || !bytes.EqualFold(name[:4], []byte("sep=")) || name[4] >= utf8.RuneSelf {
		return 0, 0
	}
	return len(line) + 1, name[4]
}

// withoutHash returns a record without the # and the spaces before the names of its columns, as NumPy's savetxt writes them. A name such as #x
// keeps it.
func withoutHash(data []byte, record []uint32) []uint32 {
	name := data[record[0] : record[1]-1]
	switch {
	case string(name) == "#" && len(record) > 2:
		return record[1:]
	case bytes.HasPrefix(name, []byte("# ")):
		record = slices.Clone(record)
		record[0] += uint32(len(name) - len(bytes.TrimLeft(name[1:], " ")))
	}
	return record
}

// fieldsOf returns the fields of a record, without the spaces around them.
func fieldsOf(data []byte, record []uint32) []string {
	fields := make([]string, len(record)-1)
	for c := range fields {
		fields[c] = string(bytes.TrimSpace(data[record[c] : record[c+1]-1]))
	}
	return fields
}

// maxTitles is the number of lines that may stand above a table.
const maxTitles = 10

// titles returns where the table begins behind lines of a title, as reports have them: lines with one field at most, before rows that have three or
// more, or before a header where spreadsheets have written the other fields of the title as empty ones.
func (t *table) titles(s scanner, o Options) (begin int) {
	begin = s.offset
	first, err := s.record(nil)
	if err != nil || len(first) == 0 || !isTitle(s.data, first) {
		return begin
	}
	for passed := 1; passed <= maxTitles; passed++ {
		at := s.offset
		next, err := s.record(nil)
		if err != nil || len(next) == 0 {
			break
		}
		if isTitle(s.data, next) {
			continue
		}
		rows := s
		if second, err := rows.record(nil); err != nil || len(second) != len(next) || len(next) < 4 {
			break
		}
		if len(first) == 2 || o.Header != "no" && (o.like.isHeaderFor(s.data, next, t.quotes) || surelyHeader(s.data, next, s)) {
			t.notes = append(t.notes, fmt.Sprintf("%s above the table, such as %q: passed over", plural(passed, "line"), clip(s.data[first[0]:first[1]-1])))
			return at
		}
		break
	}
	return begin
}

// isTitle reports whether no field of a record but the first has a value.
func isTitle(data []byte, record []uint32) bool {
	return len(record) == 2 || len(bytes.TrimSpace(bytes.Trim(data[record[1]:record[len(record)-1]-1], ",;\t| "))) == 0
}

// endOfText is what some programs end a text file with.
const endOfText = "\x1a"

// nameColumns gives each column a name of its own, and notes where two were called the same.
func (t *table) nameColumns() {
	if renamed := uniqueNames(t.names); renamed != "" {
		t.notes = append(t.notes, "columns of one name are told apart: "+renamed)
	}
}

// uniqueNames gives each column without a name one, and each that has the name of one before it a name of its own: a, a.1, a.2, as pandas
// calls them. It returns what was renamed, for a person.
func uniqueNames(names []string) (renamed string) {
	columnOf := make(map[string]int, len(names))
	for c, name := range names {
		if _, twice := columnOf[name]; name != "" && !twice {
			columnOf[name] = c
		}
	}
	times := map[string]int{} // how often a name was had again
	free := func(name string, c int) string {
		own := name
		for taken := true; taken; _, taken = columnOf[own] {
			times[name]++
			own = fmt.Sprintf("%s.%d", name, times[name])
		}
		columnOf[own] = c
		return own
	}
	var all []string
	for c, name := range names {
		switch {
		case name == "":
			names[c] = fmt.Sprintf("c%d", c+1)
			if _, taken := columnOf[names[c]]; taken {
				names[c] = free(names[c], c)
			}
			columnOf[names[c]] = c
		case columnOf[name] != c:
			names[c] = free(name, c)
			all = append(all, fmt.Sprintf("%s in column %d is %s", name, c+1, names[c]))
		}
	}
	return listed(all)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
