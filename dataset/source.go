package dataset

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
)

// Bounds on what a packed file may unpack to: deflate can reach 1,032 times its size, text of real data 20.
const maxInflate = 200

var freeBytes int64 = 64 << 20 // tests lower it

// source is what a file holds, unpacked where it is gzip. More than its limit of bytes is an error.
type source struct {
	path        string
	file        *os.File
	in          io.Reader
	size        int64 // of the file
	limit, left int64
}

// openSource opens a regular file to be read once, up to limit bytes.
func openSource(path string, limit int64) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{path: path, file: file, in: file}
	if err := s.open(limit); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) open(limit int64) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", s.path)
	}
	s.size = info.Size()
	if s.size > limit {
		return fmt.Errorf("%s holds %d bytes, more than the limit of %d", s.path, s.size, limit)
	}
	var magic [2]byte
	n, _ := io.ReadFull(s.file, magic[:])
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.limit, s.left = s.size, s.size // it may shrink, and does not grow
	if n == 2 && magic == [2]byte{0x1f, 0x8b} {
		if s.in, err = gzip.NewReader(s.file); err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		s.limit = min(limit, freeBytes+maxInflate*s.size)
		s.left = s.limit + 1
	}
	return nil
}

// packed reports whether the file is gzip.
func (s *source) packed() bool { return s.in != io.Reader(s.file) }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.left <= 0 && !s.packed() {
		return 0, io.EOF
	}
	n, err := s.in.Read(p[:min(int64(len(p)), max(s.left, 1))])
	s.left -= int64(n)
	switch {
	case s.packed() && s.left <= 0:
		return n, fmt.Errorf("%s unpacks to more than %d bytes: unpack it first if that is right", s.path, s.limit)
	case s.packed() && err != nil && err != io.EOF:
		return n, fmt.Errorf("%s: gzip: %w", s.path, err)
	}
	return n, err
}

func (s *source) Close() error { return s.file.Close() }

// readFile returns a file's bytes, unpacked where it is gzip, at most limit of them.
func readFile(path string, limit int64) ([]byte, error) {
	s, err := openSource(path, limit)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var text bytes.Buffer
	room := s.size
	if s.packed() {
		room = min(s.limit, 4*s.size)
	}
	text.Grow(int(room) + bytes.MinRead)
	_, err = text.ReadFrom(s)
	return text.Bytes(), err
}

// tables reads a text file as tables of some rows each, of which one at a time is held.
type tables struct {
	source  *source
	options Options
	scanner scanner
	table   table
	text    []byte // what is read of the file and not handed out yet, and room for more
}

// tableBlock is how much text is read at a time, where a record is no longer. Tests lower it.
var tableBlock = 1 << 20

// sampledRecords are what the delimiter is found by: so many rows stand in the first block.
const sampledRecords = 20

// openTables opens a text file of any size.
func openTables(path string, o Options) (*tables, error) {
	limit := o.MaxBytes
	if limit == 0 {
		limit = math.MaxInt64
	}
	s, err := openSource(path, limit)
	if err != nil {
		return nil, err
	}
	return &tables{source: s, options: o, scanner: scanner{path: path, open: true}, table: table{path: path, quotes: true}}, nil
}

// next returns the next rows, which hold until it is called again; nil at the end.
func (s *tables) next() (*table, error) {
	first := s.table.names == nil
	for size := tableBlock; s.scanner.open; size *= 2 {
		if err := s.fill(size); err != nil {
			return nil, err
		}
		if err := s.parse(); err != nil {
			return nil, err
		}
		rows := 0
		if s.table.names != nil {
			rows = s.table.rows()
		}
		if s.scanner.open && (rows == 0 || first && rows < sampledRecords) {
			if first {
				s.table.names = nil
			}
			continue // a longer block holds more of them
		}
		if rows == 0 && first {
			return nil, s.table.noRows()
		}
		if rows > 0 {
			return &s.table, nil
		}
	}
	return nil, nil
}

// fill drops what the last block handed out and reads on, to size bytes or the file's end.
func (s *tables) fill(size int) error {
	if size > maxTable {
		return fmt.Errorf("%s: line %d begins a row of more than 4 GiB", s.source.path, s.table.line(s.scanner.at))
	}
	if s.table.names != nil {
		s.scanner.origin += bytes.Count(s.text[:s.scanner.at], []byte{'\n'})
		s.text = append(s.text[:0], s.text[s.scanner.at:]...)
	}
	s.scanner.at = 0
	had := len(s.text)
	if cap(s.text) < size {
		s.text = append(make([]byte, 0, size), s.text...)
	}
	n, err := io.ReadFull(s.source, s.text[had:max(size, had)])
	s.text = s.text[:had+n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		s.scanner.open = false
		err = nil
	}
	return err
}

// parse makes rows of the whole records in the text.
func (s *tables) parse() error {
	s.scanner.data, s.table.origin = s.text, s.scanner.origin
	if s.table.names == nil {
		s.scanner.data = bytes.TrimPrefix(s.text, []byte(byteOrderMark))
		s.text = s.scanner.data
		if err := s.table.begin(&s.scanner, s.options); err != nil || s.table.names == nil {
			return err
		}
	} else {
		s.table.data = s.text
		if err := s.table.checkText(s.scanner.open); err != nil {
			return err
		}
	}
	return s.table.parse(&s.scanner)
}
