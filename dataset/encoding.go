package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// unicodeMarks are what texts in Unicode may begin with. The longer come first.
var unicodeMarks = []struct{ mark, name string }{
	{"\xff\xfe\x00\x00", "utf-32le"}, {"\x00\x00\xfe\xff", "utf-32be"}, {"\xff\xfe", "utf-16le"}, {"\xfe\xff", "utf-16be"}, {byteOrderMark, "utf-8"},
}

// decode turns what s still holds into UTF-8: from what its mark says, else from the encoding that was asked for.
func (s *source) decode() error {
	head, err := s.head()
	if err != nil {
		return err
	}
	name := strings.ToLower(s.encoding)
	for _, m := range unicodeMarks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			_, _ = s.in.Discard(len(m.mark))
			name = m.name
			break
		}
	}
	in, err := decoder(s.in, name)
	if err != nil {
		return err
	}
	if in != nil {
		s.in = bufio.NewReaderSize(&decoded{in: in, path: s.path, name: name, line: 1}, headSize)
	}
	return nil
}

// decoder reads in as UTF-8 from the encoding called name; nil where it is UTF-8 already.
func decoder(in io.Reader, name string) (io.Reader, error) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "", "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii":
		return nil, nil // bytes beyond ASCII that are no UTF-8 are found by whoever reads the text
	case "utf-16", "utf16", "utf-16le", "utf-16-le":
		return &wide{in: in, unit: 2, order: binary.LittleEndian}, nil
	case "utf-16be", "utf-16-be":
		return &wide{in: in, unit: 2, order: binary.BigEndian}, nil
	case "utf-32", "utf32", "utf-32le", "utf-32-le":
		return &wide{in: in, unit: 4, order: binary.LittleEndian}, nil
	case "utf-32be", "utf-32-be":
		return &wide{in: in, unit: 4, order: binary.BigEndian}, nil
	case "latin-1":
		name = "latin1"
	}
	e, err := htmlindex.Get(name)
	if err != nil || e == encoding.Replacement {
		e, err = ianaindex.IANA.Encoding(name)
	}
	if err != nil || e == nil {
		return nil, optionErrorf("encoding %q is not known: use a name such as utf-8, utf-16, latin1, windows-1252, windows-1251, gb18030, shift_jis or euc-kr", name)
	}
	return e.NewDecoder().Reader(in), nil
}

// decoded reads decoded text, and refuses what the encoding has no character for.
type decoded struct {
	in         io.Reader
	path, name string
	line       int
	tail       []byte // what was handed out last of a character that is not whole
}

const replaced = "�" // what a decoder writes for what it cannot decode

func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	text := append(d.tail, p[:n]...)
	if at := bytes.Index(text, []byte(replaced)); at >= 0 {
		d.line += bytes.Count(text[:at], []byte{'\n'})
		return 0, fmt.Errorf("%s: line %d is no %s: name its encoding with --encoding", d.path, d.line, d.name)
	}
	d.line += bytes.Count(p[:n], []byte{'\n'})
	d.tail = append(d.tail[:0], text[max(0, len(text)-len(replaced)+1):]...)
	if bytes.IndexByte(d.tail, '\n') >= 0 {
		d.tail = d.tail[bytes.LastIndexByte(d.tail, '\n')+1:]
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: line %d: %s: %w", d.path, d.line, d.name, err)
	}
	return n, err
}

// wide reads UTF-16 or UTF-32 as UTF-8, and refuses what is none.
type wide struct {
	in    io.Reader
	unit  int // bytes
	order binary.ByteOrder
	out   []byte // decoded and not handed out yet
	kept  []byte // read and not decoded yet
	err   error
}

func (w *wide) Read(p []byte) (int, error) {
	for len(w.out) == 0 && w.err == nil {
		w.fill()
	}
	if len(w.out) == 0 {
		return 0, w.err
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

func (w *wide) fill() {
	const block = 8 << 10
	had := len(w.kept)
	w.kept = append(w.kept, make([]byte, block)...)
	n, err := w.in.Read(w.kept[had:])
	w.kept = w.kept[:had+n]
	w.out = w.out[:0]
	at := 0
	for w.err == nil && len(w.kept)-at >= w.unit {
		r, size := w.next(w.kept[at:], err != nil)
		if size == 0 {
			break
		}
		at += size
		if r == utf8.RuneError {
			w.err = errors.New("it holds what is no character: the file is damaged, or of another encoding")
			break
		}
		w.out = utf8.AppendRune(w.out, r)
	}
	w.kept = append(w.kept[:0], w.kept[at:]...)
	if w.err == nil && err != nil {
		if w.err = err; err == io.EOF && len(w.kept) > 0 {
			w.err = errors.New("it ends within a character: the file is cut short")
		}
	}
}

// next decodes a character; of size 0 where it is not whole, utf8.RuneError where it is none.
func (w *wide) next(b []byte, last bool) (r rune, size int) {
	if w.unit == 4 {
		v := w.order.Uint32(b)
		if v > utf8.MaxRune || utf16.IsSurrogate(rune(v)) {
			return utf8.RuneError, 4
		}
		return rune(v), 4
	}
	r = rune(w.order.Uint16(b))
	switch {
	case !utf16.IsSurrogate(r):
		return r, 2
	case len(b) >= 4:
		return utf16.DecodeRune(r, rune(w.order.Uint16(b[2:]))), 4
	case last:
		return utf8.RuneError, 2
	}
	return r, 0
}
