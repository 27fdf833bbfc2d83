package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

func init() {
	read := func(s *source, o Options) *jsonRows {
		return &jsonRows{
			path: s.path, options: o, limit: s.limit, index: map[string]int{},
			in: jsontext.NewDecoder(&withoutNaN{in: s}),
		}
	}
	register(format{
		name: "JSON", ends: []string{".jsonl", ".ndjson", ".json"},
		reads: "an object of names and values for each row, one a line or in an array; or an array of values for each row. Objects inside become columns such as `a.b`; a list is left out, but as the target of `--multi-label`. What a row does not have is missing",
		text:  isJSON,
		table: func(s *source, o Options) (*table, error) {
			r := read(s, o)
			t, err := r.take(maxTable)
			if err == nil && t == nil {
				err = fmt.Errorf("%s holds no row", s.path)
			}
			return t, err
		},
		rows: func(s *source, o Options) (blocks, error) { return read(s, o), nil },
	})
}

// isJSON knows an object, and an array of objects or of arrays. A line of one array is known by its brackets at both ends.
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

// maxDepth is how deep objects may lie in objects to become columns.
const maxDepth = 8

// jsonRows reads objects, or arrays, as the rows of a table.
type jsonRows struct {
	path    string
	options Options
	limit   int64
	in      *jsontext.Decoder
	inArray bool // the rows are the members of an array
	row     int  // rows that were read
	names   []string
	index   map[string]int
	unread  map[string]string
	flat    bool // some row has a value that is no list and no object

	// The rows at hand: the fields that each has, in the order in which it has them.
	text  []byte
	cells []jsonCell
	ends  []int // of each row's cells
}

// jsonCell is a field: its column, and where its text ends.
type jsonCell struct {
	column int32
	end    uint32
}

// next returns the next rows, which hold until it is called again; nil at the end.
func (r *jsonRows) next() (*table, error) { return r.take(tableBlock) }

// take reads rows until they have size bytes of text.
func (r *jsonRows) take(size int) (*table, error) {
	if r.row == 0 {
		for _, name := range r.options.optional {
			r.column(name)
		}
	}
	r.text, r.cells, r.ends = r.text[:0], r.cells[:0], r.ends[:0]
	first := r.row
	for len(r.text)+len(r.cells) < size {
		more, err := r.readRow()
		if err != nil {
			return nil, r.wrap(err)
		}
		if !more {
			break
		}
		r.row++
		r.ends = append(r.ends, len(r.cells))
		if int64(len(r.text)) > r.limit || len(r.text) > maxTable {
			return nil, fmt.Errorf("%s holds more than %d bytes of values", r.path, min(r.limit, maxTable))
		}
	}
	if len(r.ends) == 0 {
		return nil, nil
	}
	if first == 0 && len(r.ends) == 1 && !r.flat {
		return nil, fmt.Errorf("%s holds one JSON object of lists or objects, not rows: write an object for each row, as pandas does with df.to_json(path, orient='records', lines=True)", r.path)
	}
	return r.lay(first)
}

// wrap says where the text is wrong.
func (r *jsonRows) wrap(err error) error {
	if wrong := (*jsontext.SyntacticError)(nil); errors.As(err, &wrong) {
		if errors.Is(wrong.Err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%s: row %d: the JSON ends within a value: the file is cut short", r.path, r.row+1)
		}
		return fmt.Errorf("%s: row %d, byte %d of the file: this is no JSON: %w", r.path, r.row+1, wrong.ByteOffset, wrong.Err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: row %d: the JSON ends within a value: the file is cut short", r.path, r.row+1)
	}
	return err
}

// readRow reads the next row; false at the end.
func (r *jsonRows) readRow() (bool, error) {
	for {
		kind := r.in.PeekKind()
		switch {
		case kind == '{':
			if _, err := r.in.ReadToken(); err != nil {
				return false, err
			}
			return true, r.readObject("", 0)
		case kind == '[' && r.row == 0 && !r.inArray:
			if _, err := r.in.ReadToken(); err != nil {
				return false, err
			}
			if next := r.in.PeekKind(); next != '{' && next != '[' && next != ']' {
				return true, r.readArray() // a row
			}
			r.inArray = true
		case kind == '[':
			if _, err := r.in.ReadToken(); err != nil {
				return false, err
			}
			return true, r.readArray()
		case kind == ']' && r.inArray:
			if _, err := r.in.ReadToken(); err != nil {
				return false, err
			}
			if _, err := r.in.ReadToken(); err != io.EOF {
				if err == nil {
					err = fmt.Errorf("%s: something stands behind the array of rows", r.path)
				}
				return false, err
			}
			return false, nil
		default:
			token, err := r.in.ReadToken()
			if err == io.EOF {
				return false, nil
			}
			if err == nil {
				err = fmt.Errorf("%s: row %d is %s: want an object of names and values, or an array of values", r.path, r.row+1, clip([]byte(token.String())))
			}
			return false, err
		}
	}
}

// column is the index of a column, a new one where no row before had it.
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
	for c := 1; r.in.PeekKind() != ']'; c++ {
		if err := r.readValue(fmt.Sprintf("c%d", c), 0); err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// readObject reads what follows the brace that opens one; prefix is what its names follow.
func (r *jsonRows) readObject(prefix string, depth int) error {
	for r.in.PeekKind() != '}' {
		key, err := r.in.ReadToken()
		if err != nil {
			return err
		}
		if err := r.readValue(prefix+key.String(), depth); err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// readValue reads the value of a column.
func (r *jsonRows) readValue(name string, depth int) error {
	switch r.in.PeekKind() {
	case '{':
		if depth == maxDepth || len(name) > 4096 {
			return r.skip(name, fmt.Sprintf("objects lie deeper than %d in objects", maxDepth))
		}
		if _, err := r.in.ReadToken(); err != nil {
			return err
		}
		return r.readObject(name+".", depth+1)
	case '[':
		if r.options.MultiLabel && r.options.isTarget(name) {
			return r.readList(name)
		}
		if name == r.options.list {
			if _, err := r.in.ReadToken(); err != nil {
				return err
			}
			for i := 1; r.in.PeekKind() != ']'; i++ {
				if err := r.readValue(fmt.Sprintf("%s.%d", name, i), depth); err != nil {
					return err
				}
			}
			_, err := r.in.ReadToken()
			return err
		}
		return r.skip(name, "its values are lists, which are not read")
	}
	r.flat = r.flat || depth == 0
	value, err := r.in.ReadValue()
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
	return r.in.SkipValue()
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
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	for first := true; r.in.PeekKind() != ']'; first = false {
		value, err := r.in.ReadValue()
		if err != nil {
			return err
		}
		if k := value.Kind(); k != '"' && k != '0' && k != 't' && k != 'f' {
			return fmt.Errorf("%s: row %d: column %s lists %s: want names of classes", r.path, r.row+1, name, clip(value))
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
	_, err := r.in.ReadToken()
	return err
}

// lay makes a table of the rows at hand, each with a field for every column.
func (r *jsonRows) lay(first int) (*table, error) {
	rows, columns := len(r.ends), len(r.names)
	room := int64(rows) * int64(columns)
	if room > freeBytes/4+int64(len(r.text))+8*int64(len(r.cells)) || room+int64(len(r.text)) > maxTable {
		return nil, fmt.Errorf("%s: %d rows have %d names in all, and hardly any of them the same: want the same names in every row", r.path, rows, columns)
	}
	t := &table{path: r.path, names: slices.Clone(r.names), numbers: true, origin: first, unread: r.unread}
	if err := nameColumns(r.path, t.names); err != nil {
		return nil, err
	}
	t.data = make([]byte, 0, int(room)+len(r.text))
	t.starts = make([]uint32, 0, rows*(columns+1))
	fields := make([][]byte, columns)
	at, from := 0, uint32(0)
	for row, end := range r.ends {
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
	return t, nil
}

// withoutNaN reads JSON in which Python's NaN, which JSON does not have, is an empty string: a missing value.
type withoutNaN struct {
	in      io.Reader
	text    bool // within a string
	escaped bool // behind a backslash in one
	kept    []byte
	buffer  []byte
	err     error
}

func (w *withoutNaN) Read(p []byte) (int, error) {
	const nan = "NaN"
	for len(w.kept) < len(nan) && w.err == nil {
		if w.buffer == nil {
			w.buffer = make([]byte, 32<<10)
		}
		held := copy(w.buffer, w.kept)
		var n int
		n, w.err = w.in.Read(w.buffer[held:])
		w.kept = w.buffer[:held+n]
	}
	whole := len(w.kept) // what may begin the word is kept until the rest is there
	if w.err == nil {
		whole -= len(nan) - 1
	}
	if whole == 0 {
		return 0, w.err
	}
	at := 0
	for at < min(whole, len(p)) {
		c := w.kept[at]
		switch {
		case w.escaped:
			w.escaped = false
		case w.text && c == '\\':
			w.escaped = true
		case c == '"':
			w.text = !w.text
		case !w.text && c == 'N' && bytes.HasPrefix(w.kept[at:], []byte(nan)):
			copy(w.kept[at:], `"" `)
			w.text = true
		}
		p[at] = w.kept[at]
		at++
	}
	w.kept = w.kept[at:]
	return at, nil
}
