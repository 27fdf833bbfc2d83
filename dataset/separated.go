package dataset

import (
	"bytes"
	"fmt"
	"io"
)

// separated is text whose rows are lines and whose fields are separated by a delimiter. A text of no other format is taken for it.
var separated *format

func init() {
	separated = register(format{
		name: "separated text", endings: []string{".csv", ".tsv", ".txt", ".tab", ".data", ".dat"},
		reads: "rows of fields (RFC 4180); lines end in LF, CRLF or CR; the delimiter (`, tab ; |`, spaces) and the header are found out: `--delimiter`, `--header yes`, `--quote none`",
		table: func(s *source, o Options) (*table, error) {
			text, err := s.all()
			if err != nil {
				return nil, err
			}
			o.tabFirst = tabbed(s.name)
			return parseCSV(s.path, text, o)
		},
		rows: func(s *source, o Options) (blocks, error) {
			o.tabFirst = tabbed(s.name)
			return newTextBlocks(s.path, s, o), nil
		},
	})
}

// textBlocks reads a text file as tables of some rows each, one of which is in memory at a time.
type textBlocks struct {
	in      io.Reader
	options Options
	scanner scanner
	table   table
	text    []byte // read from the file and not handed out yet; its capacity is reused
}

// tableBlock is the number of bytes that are read at a time; a longer record is read in one piece. Tests lower it.
var tableBlock = 1 << 20

// sampledRecords is the number of records by which the delimiter is found. The first block holds as many.
const sampledRecords = 20

func newTextBlocks(path string, in io.Reader, o Options) *textBlocks {
	return &textBlocks{in: in, options: o, scanner: scanner{path: path, moreFollows: true}, table: table{path: path}}
}

// next returns the next rows, which are valid until it is called again; nil at the end.
func (s *textBlocks) next() (*table, error) {
	first := s.table.names == nil
	for size := tableBlock; s.scanner.moreFollows; size *= 2 {
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
		if s.scanner.moreFollows && (rows == 0 || first && rows < sampledRecords) {
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

// fill drops the text that was handed out, and reads until there are size bytes or the file ends.
func (s *textBlocks) fill(size int) error {
	if size > maxTable {
		return fmt.Errorf("%s: line %d begins a row of more than 4 GiB", s.table.path, s.table.line(s.scanner.offset))
	}
	if s.table.names != nil {
		s.scanner.origin += linesOf(s.text[:s.scanner.offset])
		s.text = append(s.text[:0], s.text[s.scanner.offset:]...)
	}
	s.scanner.offset = 0
	had := len(s.text)
	if cap(s.text) < size {
		s.text = append(make([]byte, 0, size), s.text...)
	}
	n, err := io.ReadFull(s.in, s.text[had:max(size, had)])
	s.text = s.text[:had+n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		s.scanner.moreFollows = false
		err = nil
	}
	return err
}

// parse makes rows of the complete records in the text.
func (s *textBlocks) parse() error {
	s.scanner.data, s.table.origin = s.text, s.scanner.origin
	if s.table.names == nil {
		s.scanner.data = bytes.TrimPrefix(s.text, []byte(byteOrderMark))
		err := s.table.begin(&s.scanner, s.options)
		s.text = s.scanner.data
		if err != nil || s.table.names == nil {
			return err
		}
	} else {
		s.table.data = s.text
		if err := s.table.checkText(s.scanner.moreFollows); err != nil {
			return err
		}
		if s.scanner.delimiter == ' ' {
			s.scanner.data = squeeze(s.text, s.table.quotes, s.scanner.moreFollows)
			s.text = s.scanner.data
		}
	}
	return s.table.parse(&s.scanner)
}

// squeeze replaces, in place, every run of spaces and tabs between fields by one space, and removes those at the ends of lines. open says that
// more text follows. Squeezing twice is the same as squeezing once.
func squeeze(text []byte, quotes, open bool) []byte {
	out, begins, spaces := 0, true, false // begins says that a field, and with it a quote, may begin here
	start := true                         // nothing but spaces came since the line began
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case c == ' ' || c == '\t':
			spaces, begins = !start, true
			continue
		case c == '\n' || c == '\r':
			spaces, start, begins = false, true, true
			text[out] = c
			out++
			continue
		case spaces:
			text[out] = ' '
			out++
		}
		spaces, start = false, false
		if quotes && begins && text[at] == '"' {
			end := endOfQuoted(text, at)
			out += copy(text[out:], text[at:end])
			at, begins = end-1, false
			continue
		}
		begins = false
		text[out] = text[at]
		out++
	}
	if spaces && open {
		text[out] = ' '
		out++
	}
	return text[:out]
}

// endOfQuoted returns the index behind the quote that closes the one at from, or the length of the text.
func endOfQuoted(text []byte, from int) int {
	for at := from + 1; at < len(text); at++ {
		if text[at] != '"' {
			continue
		}
		if at+1 == len(text) || text[at+1] != '"' {
			return at + 1
		}
		at++
	}
	return len(text)
}
