package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

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
