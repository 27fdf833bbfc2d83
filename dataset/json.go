package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

func init() {
	read := func(s *source, o Options) *jsonRows {
		return &jsonRows{
			path: s.path, options: o, limit: s.limit, index: map[string]int{},
			decoder: jsontext.NewDecoder(&withoutNaN{in: s}),
		}
	}
	register(format{
		name: "JSON", endings: []string{".jsonl", ".ndjson", ".json"},
		reads: "an object of names and values for each row, one a line or in an array; or an array of values for each row. Objects inside become columns such as `a.b`; a list is left out, but as the target of `--multi-label`. What a row does not have is missing",
		text:  isJSON,
		table: func(s *source, o Options) (*table, error) {
			r := read(s, o)
			t, err := r.readBlock(maxTable)
			if err == nil && t == nil {
				err = fmt.Errorf("%s holds no row", s.path)
			}
			return t, err
		},
		rows: func(s *source, o Options) (blocks, error) { return read(s, o), nil },
	})
}

// isJSON reports whether a file begins with an object, with an array of objects or arrays, or with a line that is an array.
func isJSON(head []byte) bool {
	head = bytes.TrimSpace(head)
	if len(head) < 2 {
		return false
	}
	next := bytes.TrimSpace(head[1:])
	switch head[0] {
	case '{':
		return len(next) == 0 || next[0] == '"' || next[0] == '}'
	case '[':
		line, _, _ := bytes.Cut(head, []byte("\n"))
		line = bytes.TrimSpace(line)
		return len(next) == 0 || next[0] == '{' || next[0] == '[' || line[len(line)-1] == ']'
	}
	return false
}

// maxDepth is the number of levels to which nested objects become columns.
const maxDepth = 8

// jsonRows reads objects, or arrays, as the rows of a table.
type jsonRows struct {
	path      string
	options   Options
	limit     int64
	decoder   *jsontext.Decoder
	inArray   bool // the rows are the members of an array
	rowsRead  int
	names     []string
	index     map[string]int    // from the name of a column to its index
	unread    map[string]string // columns that are not read, and why
	hasScalar bool              // some row has a value that is neither a list nor an object
	hasNames  bool              // some row is an object, so that its values have names

	// These fields hold the current block of rows: each row's values, in the order in which the row has them.
	text     []byte
	cells    []jsonCell
	cellEnds []int // where each row's cells end
}

// jsonCell is one value of a row: its column, and where it ends in the text of the block.
type jsonCell struct {
	column int32
	end    uint32
}

// next returns the next rows, which are valid until it is called again; nil at the end.
func (r *jsonRows) next() (*table, error) { return r.readBlock(tableBlock) }

// readBlock reads rows until their text has size bytes.
func (r *jsonRows) readBlock(size int) (*table, error) {
	if r.rowsRead == 0 {
		for _, name := range r.options.optional {
			r.column(name)
		}
	}
	r.text, r.cells, r.cellEnds = r.text[:0], r.cells[:0], r.cellEnds[:0]
	first := r.rowsRead
	for len(r.text)+len(r.cells) < size {
		more, err := r.readRow()
		if err != nil {
			return nil, r.wrap(err)
		}
		if !more {
			break
		}
		r.rowsRead++
		r.cellEnds = append(r.cellEnds, len(r.cells))
		if int64(len(r.text)) > r.limit || len(r.text) > maxTable {
			return nil, fmt.Errorf("%s holds more than %d bytes of values", r.path, min(r.limit, maxTable))
		}
	}
	if len(r.cellEnds) == 0 {
		return nil, nil
	}
	if first == 0 && len(r.cellEnds) == 1 && !r.hasScalar {
		return nil, fmt.Errorf("%s holds one JSON object of lists or objects, not rows: write an object for each row, as pandas does with df.to_json(path, orient='records', lines=True)", r.path)
	}
	t, err := r.layOut(first)
	if err == nil && t.rows() == 0 { // the header alone
		return r.readBlock(size)
	}
	return t, err
}

// wrap adds to an error where in the file it lies.
func (r *jsonRows) wrap(err error) error {
	if wrong := (*jsontext.SyntacticError)(nil); errors.As(err, &wrong) {
		if errors.Is(wrong.Err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%s: row %d: the JSON ends within a value: the file is cut short", r.path, r.rowsRead+1)
		}
		return fmt.Errorf("%s: row %d, byte %d of the file: this is no JSON: %w", r.path, r.rowsRead+1, wrong.ByteOffset, wrong.Err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: row %d: the JSON ends within a value: the file is cut short", r.path, r.rowsRead+1)
	}
	return err
}

// readRow reads the next row; false at the end.
func (r *jsonRows) readRow() (bool, error) {
	for {
		kind := r.decoder.PeekKind()
		switch {
		case kind == '{':
			if _, err := r.decoder.ReadToken(); err != nil {
				return false, err
			}
			r.hasNames = true
			return true, r.readObject("", 0)
		case kind == '[' && r.rowsRead == 0 && !r.inArray:
			if _, err := r.decoder.ReadToken(); err != nil {
				return false, err
			}
			if next := r.decoder.PeekKind(); next != '{' && next != '[' && next != ']' {
				return true, r.readArray() // a row
			}
			r.inArray = true
		case kind == '[':
			if _, err := r.decoder.ReadToken(); err != nil {
				return false, err
			}
			return true, r.readArray()
		case kind == ']' && r.inArray:
			if _, err := r.decoder.ReadToken(); err != nil {
				return false, err
			}
			if _, err := r.decoder.ReadToken(); err != io.EOF {
				if err == nil {
					err = fmt.Errorf("%s: something stands behind the array of rows", r.path)
				}
				return false, err
			}
			return false, nil
		default:
			token, err := r.decoder.ReadToken()
			if err == io.EOF {
				return false, nil
			}
			if err == nil {
				err = fmt.Errorf("%s: row %d is %s: want an object of names and values, or an array of values", r.path, r.rowsRead+1, clip([]byte(token.String())))
			}
			return false, err
		}
	}
}

// column returns the index of a column. It adds the column where no row before had it.
func (r *jsonRows) column(name string) int32 {
	c, known := r.index[name]
	if !known {
		c = len(r.names)
		r.index[name] = c
		r.names = append(r.names, name)
	}
	return int32(c)
}

// readArray reads what follows the bracket that opens a row, the values of the columns in their order.
func (r *jsonRows) readArray() error {
	for c := 1; r.decoder.PeekKind() != ']'; c++ {
		if err := r.readValue(fmt.Sprintf("c%d", c), 0); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

// readObject reads what follows the brace that opens an object. prefix is put before the names of its values.
func (r *jsonRows) readObject(prefix string, depth int) error {
	for r.decoder.PeekKind() != '}' {
		key, err := r.decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := r.readValue(prefix+key.String(), depth); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

// readValue reads the value of a column.
func (r *jsonRows) readValue(name string, depth int) error {
	switch r.decoder.PeekKind() {
	case '{':
		if depth == maxDepth || len(name) > 4096 {
			return r.skip(name, fmt.Sprintf("objects lie deeper than %d in objects", maxDepth))
		}
		if _, err := r.decoder.ReadToken(); err != nil {
			return err
		}
		return r.readObject(name+".", depth+1)
	case '[':
		if r.options.MultiLabel && r.options.isTarget(name) {
			return r.readList(name)
		}
		if name == r.options.list {
			if _, err := r.decoder.ReadToken(); err != nil {
				return err
			}
			for i := 1; r.decoder.PeekKind() != ']'; i++ {
				if err := r.readValue(fmt.Sprintf("%s.%d", name, i), depth); err != nil {
					return err
				}
			}
			_, err := r.decoder.ReadToken()
			return err
		}
		return r.skip(name, "its values are lists, which are not read")
	}
	r.hasScalar = r.hasScalar || depth == 0
	value, err := r.decoder.ReadValue()
	if err != nil {
		return err
	}
	if value.Kind() == 'n' {
		r.column(name)
		return nil
	}
	return r.add(name, value)
}

func (r *jsonRows) skip(name, why string) error {
	r.column(name)
	if r.unread == nil {
		r.unread = map[string]string{}
	}
	r.unread[name] = why
	return r.decoder.SkipValue()
}

// add appends a value to the row.
func (r *jsonRows) add(name string, value jsontext.Value) (err error) {
	if value.Kind() == '"' {
		if r.text, err = jsontext.AppendUnquote(r.text, value); err != nil {
			return err
		}
	} else {
		r.text = append(r.text, value...)
	}
	r.cells = append(r.cells, jsonCell{r.column(name), uint32(min(len(r.text), maxTable))})
	return nil
}

// readList reads the classes of a row as one text.
func (r *jsonRows) readList(name string) error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for first := true; r.decoder.PeekKind() != ']'; first = false {
		value, err := r.decoder.ReadValue()
		if err != nil {
			return err
		}
		if k := value.Kind(); k != '"' && k != '0' && k != 't' && k != 'f' {
			return fmt.Errorf("%s: row %d: column %s lists %s: want names of classes", r.path, r.rowsRead+1, name, clip(value))
		}
		if !first {
			r.text = append(r.text, labelSeparator...)
		}
		if value.Kind() != '"' {
			r.text = append(r.text, value...)
		} else if r.text, err = jsontext.AppendUnquote(r.text, value); err != nil {
			return err
		}
	}
	r.cells = append(r.cells, jsonCell{r.column(name), uint32(min(len(r.text), maxTable))})
	_, err := r.decoder.ReadToken()
	return err
}

// layOut makes a table of the current block, in which every row has a field for every column.
func (r *jsonRows) layOut(first int) (*table, error) {
	rows, columns := len(r.cellEnds), len(r.names)
	room := int64(rows) * int64(columns)
	if room > freeBytes/4+int64(len(r.text))+8*int64(len(r.cells)) || room+int64(len(r.text)) > maxTable {
		return nil, fmt.Errorf("%s: %d rows have %d names in all, and hardly any of them the same: want the same names in every row", r.path, rows, columns)
	}
	t := &table{path: r.path, names: slices.Clone(r.names), countRows: true, origin: first, unread: r.unread}
	t.nameColumns()
	t.data = make([]byte, 0, int(room)+len(r.text))
	t.starts = make([]uint32, 0, rows*(columns+1))
	fields := make([][]byte, columns)
	at, from := 0, uint32(0)
	for row, end := range r.cellEnds {
		clear(fields)
		for ; at < end; at++ {
			cell := r.cells[at]
			if fields[cell.column] != nil {
				return nil, fmt.Errorf("%s: row %d has %s twice", r.path, first+row+1, r.names[cell.column])
			}
			fields[cell.column] = r.text[from:cell.end]
			from = cell.end
		}
		for _, f := range fields {
			t.starts = append(t.starts, uint32(len(t.data)))
			t.data = append(append(t.data, f...), 0)
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	if first == 0 && !r.hasNames {
		r.takeHeader(t)
	}
	return t, nil
}

// takeHeader takes the first of rows that are arrays for the names of the columns, where it would be the header of a CSV file.
func (r *jsonRows) takeHeader(t *table) {
	rows, columns := t.rows(), t.columns()
	row := func(i int) *table {
		return &table{data: t.data, starts: t.starts[i*(columns+1) : (i+1)*(columns+1)], names: t.names}
	}
	names := make([]string, columns)
	for c := range names {
		if names[c] = strings.TrimSpace(string(t.field(0, c))); names[c] == "" || slices.Contains(names[:c], names[c]) {
			return
		}
	}
	if like := r.options.like; like != nil {
		if !like.isHeaderFor(t.data, row(0).starts, false) {
			return
		}
	} else {
		h := header{columns: make([]headerField, columns)}
		h.setNames(row(0))
		for i := 1; i < min(rows, headerRows); i++ {
			h.add(row(i))
		}
		if rows < 2 || !h.decide() {
			return
		}
	}
	for c, name := range r.names {
		if why := r.unread[name]; why != "" {
			delete(r.unread, name)
			r.unread[names[c]] = why
		}
	}
	r.names, t.names = names, slices.Clone(names)
	t.starts = t.starts[columns+1:]
	t.origin++
}

// withoutNaN reads JSON and replaces NaN and Infinity, which Python writes and JSON does not have, by texts of the same length: an empty one, which
// is a missing value, and "inf".
type withoutNaN struct {
	in       io.Reader
	inString bool   // the next byte lies within a string
	escaped  bool   // the next byte follows a backslash in a string
	pending  []byte // bytes read and not yet handed out, a view of buffer
	buffer   []byte
	err      error // the error of in, once pending is empty
}

var notNumbers = [...]struct{ word, instead string }{{"NaN", `"" `}, {"Infinity", `"inf"   `}, {"-Infinity", `"-inf"   `}}

func (w *withoutNaN) Read(p []byte) (int, error) {
	whole := w.whole()
	for whole == 0 && w.err == nil {
		if w.buffer == nil {
			w.buffer = make([]byte, 32<<10)
		}
		held := copy(w.buffer, w.pending)
		var n int
		n, w.err = w.in.Read(w.buffer[held:])
		w.pending = w.buffer[:held+n]
		whole = w.whole()
	}
	if whole == 0 {
		return 0, w.err
	}
	at := 0
	for at < min(whole, len(p)) {
		c := w.pending[at]
		switch {
		case w.escaped:
			w.escaped = false
		case w.inString && c == '\\':
			w.escaped = true
		case c == '"':
			w.inString = !w.inString
		case !w.inString && (c == 'N' || c == 'I' || c == '-'):
			for _, n := range notNumbers {
				if bytes.HasPrefix(w.pending[at:], []byte(n.word)) {
					copy(w.pending[at:], n.instead)
					w.inString = true
				}
			}
		}
		p[at] = w.pending[at]
		at++
	}
	w.pending = w.pending[at:]
	return at, nil
}

// whole returns how many pending bytes can be handed out: the last ones may begin a word, and wait until the rest is there.
func (w *withoutNaN) whole() int {
	if w.err != nil {
		return len(w.pending)
	}
	for at := max(0, len(w.pending)-8); at < len(w.pending); at++ {
		for _, n := range notNumbers {
			if bytes.HasPrefix([]byte(n.word), w.pending[at:]) {
				return at
			}
		}
	}
	return len(w.pending)
}
