package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
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

// parseCSV reads text as a table. Where o does not say, it finds out the delimiter, and whether the first row names the columns.
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

// dropEmpty removes columns at the end that have neither a name nor a value, which spreadsheets write.
func (t *table) dropEmpty() {
	columns, keep := t.columns(), t.columns()
	empty := func(c int) bool {
		for r := range t.rows() {
			if len(bytes.TrimSpace(t.field(r, c))) > 0 {
				return false
			}
		}
		return true
	}
	for keep > max(t.namedColumns, 1) && empty(keep-1) {
		keep--
	}
	if keep < columns {
		rows := t.rows()
		for r := range rows {
			copy(t.starts[r*(keep+1):(r+1)*(keep+1)], t.starts[r*(columns+1):])
		}
		t.starts, t.names = t.starts[:rows*(keep+1)], t.names[:keep]
		t.notes = append(t.notes, fmt.Sprintf("%s at the end without a name and without values: left out", plural(columns-keep, "column")))
	}
	if t.extraFields {
		t.notes = append(t.notes, "empty fields at the end of rows, beyond the columns: left out")
	}
}

const byteOrderMark = "\xef\xbb\xbf"

func (t *table) noRows() error { return fmt.Errorf("%s has a header and no rows", t.path) }

// begin finds out how the text of s is cut into columns, names the columns, and leaves s at the first row. Where more text follows and there is
// no complete record yet, it sets no names.
func (t *table) begin(s *scanner, o Options) error {
	t.data, t.quotes = s.data, o.Quote != "none"
	s.literal = !t.quotes
	if err := t.checkText(s.moreFollows); err != nil {
		return err
	}
	if len(bytes.TrimSpace(s.data)) == 0 {
		if s.moreFollows {
			return nil
		}
		return fmt.Errorf("%s is empty", t.path)
	}
	top, delimiter := separatorLine(s.data)
	if delimiter != 0 && o.Delimiter == "" {
		o.Delimiter = string(delimiter)
	}
	var err error
	if s.delimiter, err = o.delimiter(t.path, s.data[top+hashLines(s.data[top:]):]); err != nil {
		return err
	}
	if s.delimiter == ' ' {
		s.data = squeeze(s.data, t.quotes, s.moreFollows)
		t.data = s.data
	}
	t.delimiter, t.asWritten = s.delimiter, true
	t.notes = nil // of a shorter part of the text
	begin, below, err := t.comments(s, o, top)
	if err != nil || begin < 0 {
		return err // what follows the comments is not complete yet
	}
	hashed := below > 0
	if s.offset = begin; !hashed {
		begin = t.titles(*s, o)
		s.offset = begin
	}
	first, err := s.record(nil)
	if err != nil || len(first) == 0 {
		return err // the first record is not complete yet
	}
	t.head = slices.Clone(s.data[first[0] : first[len(first)-1]-1])
	if hashed {
		first, s.offset = withoutHash(s.data, first), below
		t.notes = append(t.notes, "the columns are named by the line above them that begins with #")
	}
	columns := len(first) - 1
	t.header = o.Header == "yes" || hashed
	rowNames := o.Header != "no" && !hashed && s.namesRows(len(first))
	if rowNames {
		t.header = true
	} else if o.Header == "" && !hashed {
		t.header = o.like.isHeaderFor(s.data, first, t.quotes) || looksLikeHeader(s.data, first, *s)
	}
	if !t.header {
		s.offset, t.head = begin, nil
		t.names = o.like.columnNames(columns)
		t.notes = append(t.notes, fmt.Sprintf("the first row is taken for values, and the columns are called %s to %s; --header yes takes it for their names", t.names[0], t.names[columns-1]))
		return nil
	}
	t.names = make([]string, columns)
	head := table{data: s.data, starts: first, quotes: t.quotes, names: t.names}
	for c := range t.names {
		if t.names[c] = strings.TrimSpace(string(head.field(0, c))); t.names[c] != "" {
			t.namedColumns = c + 1
		}
	}
	if rowNames { // R's write.table writes them
		t.names = slices.Insert(t.names, 0, "")
		t.namedColumns++
		t.notes = append(t.notes, "the first column has no name: the rows have a field more than the header")
	}
	t.nameColumns()
	return nil
}

// hashLines is how many bytes the lines take with which text begins that begin with #; 0 where there is nothing else.
func hashLines(text []byte) int {
	at := 0
	for at < len(text) && text[at] == '#' {
		end := bytes.IndexAny(text[at:], "\r\n")
		if end < 0 {
			return 0
		}
		for at += end; at < len(text) && (text[at] == '\n' || text[at] == '\r'); {
			at++
		}
	}
	if at == len(text) {
		return 0
	}
	return at
}

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

// comments returns where the table begins behind lines from top on that begin with # and are not of it: what follows them has a header, or
// another number of fields than they have. The last of them that could be a header is it; the rows are below all of them then. Otherwise below is
// 0, and rows of hash tags are rows. begin is -1 where more text must come before that is known.
func (t *table) comments(s *scanner, o Options, top int) (begin, below int, err error) {
	end := top + hashLines(s.data[top:])
	if end == top {
		if s.moreFollows && top < len(s.data) && s.data[top] == '#' {
			return -1, 0, nil
		}
		return top, 0, nil
	}
	rest := *s
	rest.offset = end
	first, err := rest.record(nil)
	if err != nil || len(first) == 0 {
		return -1, 0, err
	}
	rows := *s
	rows.offset = end
	headed := o.Header != "no" && (o.like.isHeaderFor(s.data, first, t.quotes) || looksLikeHeader(s.data, first, rest))
	lines := scanner{path: s.path, data: s.data[:end], delimiter: s.delimiter, literal: true, offset: top}
	passed, above, named := 0, 0, false // above counts the lines before begin
	for begin = end; lines.offset < end; passed++ {
		at := lines.offset
		line, err := lines.record(nil)
		if err != nil || len(line) == 0 {
			break
		}
		bare := withoutHash(s.data, line)
		if o.like.isHeaderFor(s.data, line, t.quotes) && !o.like.isHeaderFor(s.data, bare, t.quotes) { // # is part of a name
			begin, below, above = at, 0, passed
			break
		}
		switch {
		case o.Header == "no" || len(bare) != len(first):
		case o.like.isHeaderFor(s.data, bare, t.quotes), !headed && !named && looksLikeHeader(s.data, bare, rows):
			begin, below, above = at, end, passed
			named = slices.ContainsFunc(fieldsOf(s.data, bare), o.isTarget)
			continue
		}
		if begin == end && !headed && len(line) == len(first) {
			begin, above = at, passed
		}
	}
	if begin < end {
		passed = above
	}
	if passed > 0 {
		t.notes = append(t.notes, fmt.Sprintf("%s above the table that begin with #: passed over", plural(passed, "line")))
	}
	return begin, below, nil
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

// namesRows reports whether the rows after the header have one field more than it, in front: R writes the names of rows so, without a name
// for their column. first is the length of the header's record.
func (s scanner) namesRows(first int) bool {
	if first < 3 && s.delimiter != ' ' && s.delimiter != '\t' {
		return false // a value with a delimiter in it is likelier
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

// isHeaderFor reports whether a record holds the names of all columns that p reads.
func (p *Pipeline) isHeaderFor(data []byte, record []uint32, quotes bool) bool {
	if p == nil {
		return false
	}
	row := table{data: data, starts: record, quotes: quotes, names: make([]string, len(record)-1)}
	has := make(map[string]bool, len(row.names))
	for c := range row.names {
		row.names[c] = string(bytes.TrimSpace(row.field(0, c)))
	}
	uniqueNames(row.names)
	for _, name := range row.names {
		has[name] = true
	}
	for _, col := range p.Columns {
		if col.Type != Ignore && !has[col.Name] {
			return false
		}
	}
	return len(p.Columns) > 0
}

// columnNames names the columns of a table without a header: as those of the training table without the target, where there is exactly one
// column less, and otherwise by their number.
func (p *Pipeline) columnNames(columns int) []string {
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

// parse makes the remaining complete records of s the rows of t.
func (t *table) parse(s *scanner) (err error) {
	t.data = s.data
	left := len(s.data) - s.offset
	// A row has at least as many bytes as fields, and mostly more.
	t.starts = slices.Grow(t.starts[:0], min(left+1, left/max(s.offset, 16)*(t.columns()+1)+64))
	repeats := 0
	for {
		before := len(t.starts)
		if bytes.HasPrefix(s.data[s.offset:], []byte(byteOrderMark)) {
			s.offset += len(byteOrderMark) // files were joined
		}
		if t.starts, err = s.record(t.starts); err != nil {
			return err
		}
		got := len(t.starts) - before
		if got == 0 {
			break
		}
		row := s.data[t.starts[before] : t.starts[len(t.starts)-1]-1]
		if t.head != nil && bytes.Equal(row, t.head) {
			t.starts = t.starts[:before]
			repeats++
			continue
		}
		if string(row) == endOfText && s.offset == len(s.data) && !s.moreFollows {
			t.starts = t.starts[:before]
			continue
		}
		if got != t.columns()+1 {
			t.starts = append(t.starts[:before], t.fitRecord(t.starts[before:])...)
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
	if repeats > 0 {
		t.notes = append(t.notes, fmt.Sprintf("%s like the header, as where files were joined: left out", plural(repeats, "row")))
	}
	return nil
}

// endOfText is what some programs end a text file with.
const endOfText = "\x1a"

// fitRecord gives a record with another number of fields as many as the table has columns, where its surplus fields are empty or the missing
// ones belong to columns without a name. Other records stay as they are.
func (t *table) fitRecord(starts []uint32) []uint32 {
	columns := t.columns()
	for len(starts) > columns+1 && starts[len(starts)-1]-starts[len(starts)-2] <= 1 {
		starts = starts[:len(starts)-1]
		t.extraFields = true
	}
	if len(starts) < columns+1 && len(starts) > t.namedColumns {
		return padRecord(starts, columns)
	}
	return starts
}

// padRecord gives a record exactly as many fields as there are columns, by adding empty ones or cutting some off.
func padRecord(starts []uint32, columns int) []uint32 {
	for len(starts) < columns+1 {
		starts = append(starts, starts[len(starts)-1])
	}
	return starts[:columns+1]
}

// checkText refuses data that is not UTF-8 text. open says that more follows, so that the last character may be incomplete.
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

// scanner cuts text into records: RFC 4180 with any delimiter of one byte, lines that end in LF, CRLF, CR or the end.
type scanner struct {
	path        string
	data        []byte
	offset      int
	delimiter   byte
	literal     bool // quotes have no meaning
	moreFollows bool // data is not the end of the text, so that a record that reaches its end is incomplete
	origin      int  // lines before data[0]
}

// record appends to starts where each field of the next record begins, and the index behind its last field's end plus one. It appends nothing
// at the end of the text, or where the record is incomplete. Blank lines are skipped.
func (s *scanner) record(starts []uint32) ([]uint32, error) {
	data, at, before := s.data, s.offset, len(starts)
	for at < len(data) && (data[at] == '\n' || data[at] == '\r') {
		at++
	}
	if at == len(data) {
		s.offset = at
		return starts, nil
	}
	starts = append(starts, uint32(at))
	at, err := s.quoted(at)
	if err != nil {
		return starts[:before], err
	}
	for ; at < len(data); at++ {
		switch c := data[at]; c {
		case s.delimiter:
			starts = append(starts, uint32(at+1))
			if at+1 < len(data) && (data[at+1] == '"' || data[at+1] == ' ') {
				end, err := s.quoted(at + 1)
				if err != nil {
					return starts[:before], err
				}
				at = end - 1
			}
		case '\n', '\r':
			if c == '\r' && at+1 == len(data) && s.moreFollows {
				return starts[:before], nil // the next byte may be a line feed, which belongs to the same line end
			}
			s.offset = at + 1
			if c == '\r' && s.offset < len(data) && data[s.offset] == '\n' {
				s.offset++
			}
			return append(starts, uint32(at+1)), nil
		}
	}
	if s.moreFollows {
		return starts[:before], nil
	}
	s.offset = at
	return append(starts, uint32(at+1)), nil
}

// quoted returns the index behind the closing quote of the field that begins at from, or the length of the data where the closing quote may
// still follow; from where the field is not quoted. A quote behind spaces, as people write it after a comma, opens a field that ends on its
// line; where it does not, the field is text with quotes in it.
func (s *scanner) quoted(from int) (int, error) {
	if from >= len(s.data) || s.literal {
		return from, nil
	}
	if s.data[from] == ' ' {
		if _, closes := quotedBehindSpaces(s.data[from:], s.delimiter); closes > 0 {
			return from + closes, nil
		}
	}
	if s.data[from] != '"' {
		return from, nil
	}
	t := table{data: s.data, origin: s.origin}
	for at := from + 1; ; {
		next := bytes.IndexByte(s.data[at:], '"')
		if next < 0 && s.moreFollows {
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
		case s.data[at-2] == '\\':
			return 0, fmt.Errorf(`%s: line %d writes a quote within a quoted field as \", which CSV writes as "": replace each \" by ""`, s.path, t.line(at))
		default:
			return 0, fmt.Errorf("%s: line %d has text after a closing quote: double a quote that is part of a quoted field, or say --quote none where quotes are characters as any other", s.path, t.line(at))
		}
	}
}

// quotedBehindSpaces says where in text, which begins with spaces, a quoted field opens and where it ends, behind its closing quote: on the same
// line, and before a delimiter or the end. It returns 0, 0 where the spaces begin no such field.
func quotedBehindSpaces(text []byte, delimiter byte) (opens, closes int) {
	for opens < len(text) && text[opens] == ' ' {
		opens++
	}
	if opens == len(text) || text[opens] != '"' {
		return 0, 0
	}
	for at := opens + 1; at < len(text) && text[at] != '\n' && text[at] != '\r'; at++ {
		if text[at] != '"' {
			continue
		}
		if at++; at == len(text) || text[at] == delimiter || text[at] == '\n' || text[at] == '\r' {
			return opens, at
		}
		if text[at] != '"' {
			return 0, 0
		}
	}
	return 0, 0
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
