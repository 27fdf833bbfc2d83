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

// unicodeMarks lists the byte order marks that Unicode texts may begin with, the longer ones first.
var unicodeMarks = []struct{ mark, name string }{
	{"\xff\xfe\x00\x00", "utf-32le"}, {"\x00\x00\xfe\xff", "utf-32be"}, {"\xff\xfe", "utf-16le"}, {"\xfe\xff", "utf-16be"}, {byteOrderMark, "utf-8"},
}

// decode makes s yield UTF-8. It converts from the encoding that a byte order mark states, else from the one that the user named.
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
		s.in = bufio.NewReaderSize(&checkedText{in: in, path: s.path, name: name, line: 1}, headSize)
	}
	return nil
}

// decoder reads in as UTF-8 from the encoding called name; nil where it is UTF-8 already.
func decoder(in io.Reader, name string) (io.Reader, error) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "", "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii":
		return nil, nil // checkText finds bytes that are not UTF-8
	case "utf-16", "utf16", "utf-16le", "utf-16-le":
		return &wideDecoder{in: in, unit: 2, order: binary.LittleEndian}, nil
	case "utf-16be", "utf-16-be":
		return &wideDecoder{in: in, unit: 2, order: binary.BigEndian}, nil
	case "utf-32", "utf32", "utf-32le", "utf-32-le":
		return &wideDecoder{in: in, unit: 4, order: binary.LittleEndian}, nil
	case "utf-32be", "utf-32-be":
		return &wideDecoder{in: in, unit: 4, order: binary.BigEndian}, nil
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

// checkedText reads decoded text, and fails where the encoding has no character for some bytes.
type checkedText struct {
	in         io.Reader
	path, name string
	line       int
	tail       []byte // the last bytes handed out, in which a replacement character may begin
}

const replaced = "�" // a decoder writes this for bytes that it cannot decode

func (d *checkedText) Read(p []byte) (int, error) {
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

// wideDecoder reads UTF-16 or UTF-32 as UTF-8, and fails on bytes that are neither.
type wideDecoder struct {
	in      io.Reader
	unit    int // bytes of a code unit: 2 or 4
	order   binary.ByteOrder
	out     []byte // decoded, but not yet handed out
	pending []byte // read, but not yet decoded
	err     error
}

func (w *wideDecoder) Read(p []byte) (int, error) {
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

func (w *wideDecoder) fill() {
	const block = 8 << 10
	had := len(w.pending)
	w.pending = append(w.pending, make([]byte, block)...)
	n, err := w.in.Read(w.pending[had:])
	w.pending = w.pending[:had+n]
	w.out = w.out[:0]
	at := 0
	for w.err == nil && len(w.pending)-at >= w.unit {
		r, size := w.next(w.pending[at:], err != nil)
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
	w.pending = append(w.pending[:0], w.pending[at:]...)
	if w.err == nil && err != nil {
		if w.err = err; err == io.EOF && len(w.pending) > 0 {
			w.err = errors.New("it ends within a character: the file is cut short")
		}
	}
}

// next decodes the character that b begins with. Its size is 0 where b ends within it; it is utf8.RuneError where there is no such character.
func (w *wideDecoder) next(b []byte, last bool) (r rune, size int) {
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
