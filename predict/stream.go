package predict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/logitscope/logitscope/dataset"
)

// streamBytes is how much of a stream of lines is in memory at a time. A longer row is an error.
const streamBytes = 4 << 20

// Stream predicts rows as they arrive from in, and calls do with their predictions, in order. Lines of a table with the columns of the
// training data, or of JSON objects, are predicted as soon as they are whole. Anything else, such as a Parquet file or packed data, is read to
// its end first. Stream returns how many rows there were, and how often they held what the training data did not.
func (m *Model) Stream(ctx context.Context, in io.Reader, do func([]Prediction) error) (counts dataset.Counts, rows int, err error) {
	folder, err := os.MkdirTemp("", "logitscope-")
	if err != nil {
		return counts, 0, err
	}
	defer os.RemoveAll(folder)
	s := &stream{m: m, file: folder + "/rows", do: do, rng: m.source(), counts: &counts}
	arrived, failed := make(chan []byte), make(chan error, 1)
	done := make(chan struct{})
	defer close(done)
	go func() { // reads one piece ahead while rows are predicted
		defer close(arrived)
		for {
			piece := make([]byte, 1<<16)
			n, err := in.Read(piece)
			if n > 0 {
				select {
				case arrived <- piece[:n]:
				case <-done:
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failed <- err
				}
				return
			}
		}
	}()
	for more := true; more; {
		var piece []byte
		select {
		case piece, more = <-arrived:
		case <-ctx.Done():
			return counts, s.rows, context.Cause(ctx)
		}
		if err := s.add(piece); err != nil {
			return counts, s.rows, err
		}
	}
	select {
	case err := <-failed:
		return counts, s.rows, err
	default:
	}
	if err := s.predict(len(s.held)); err != nil {
		return counts, s.rows, err
	}
	switch {
	case s.rows == 0 && s.above > 0 && s.header == nil:
		return counts, 0, errors.New("standard input holds no line that names the columns which the model was trained on")
	case s.rows == 0:
		return counts, 0, errors.New("standard input holds no row")
	}
	return counts, s.rows, nil
}

// stream cuts off whole rows of what arrives. They are written to a file, which is read as any file of rows is.
type stream struct {
	m      *Model
	file   string // the path of that file
	do     func([]Prediction) error
	rng    *rand.Rand
	counts *dataset.Counts
	rows   int // the number of rows that were predicted

	held     []byte // what has arrived and was not predicted yet
	searched int    // how many bytes of held were searched for ends of rows
	end      int    // where in held the last whole row ends
	quoted   bool   // whether the search is within quotation marks
	header   []byte // the line that names the columns, where there is one
	began    bool   // whether anything has arrived
	asWhole  bool   // whether the stream is not one of lines, and is kept to its end
	above    int    // how many lines above the header were passed over
}

// add takes what has arrived, and predicts the rows that are whole.
func (s *stream) add(piece []byte) error {
	s.held = append(s.held, piece...)
	if !s.began && len(piece) > 0 {
		s.asWhole = !lines(s.held)
		s.began = true
	}
	if s.asWhole {
		if len(s.held) > 64*streamBytes {
			return fmt.Errorf("standard input is no table of lines, and more than %d MiB: give it as a file", 64*streamBytes>>20)
		}
		return nil
	}
	for ; s.searched < len(s.held); s.searched++ {
		switch s.held[s.searched] {
		case '"':
			s.quoted = s.quoted != (s.m.Pipeline.Quote != "none" && !s.json() && !s.comment())
		case '\n':
			if s.quoted {
				continue
			}
			first := s.header == nil && s.rows == 0 && s.end == 0 && !s.json()
			if line := s.held[:s.searched]; s.comment() && !s.m.names(line) || first && s.title(line) {
				s.above++
				s.held, s.searched = s.held[s.searched+1:], -1
				continue
			}
			if first && s.m.namesColumns(s.held[:s.searched]) {
				s.header = bytes.Clone(s.held[:s.searched+1])
				s.held, s.searched = s.held[s.searched+1:], -1
				continue
			}
			s.end = s.searched + 1
		}
	}
	if s.end > 0 {
		return s.predict(s.end)
	}
	if len(s.held) > streamBytes {
		return fmt.Errorf("standard input, row %d: no end of it in %d MiB: is a quotation mark open?", s.rows, streamBytes>>20)
	}
	return nil
}

// json reports whether the rows are JSON objects, one a line.
func (s *stream) json() bool {
	return s.header == nil && bytes.HasPrefix(bytes.TrimSpace(s.held), []byte("{"))
}

// comment reports whether held begins with a comment above the rows: a line that begins with #, where no column's name does.
func (s *stream) comment() bool {
	p := s.m.Pipeline
	return p.Header == "yes" && s.header == nil && s.rows == 0 && s.end == 0 && bytes.HasPrefix(s.held, []byte("#")) &&
		!slices.ContainsFunc(p.Columns, func(c dataset.Column) bool { return strings.HasPrefix(c.Name, "#") })
}

// title reports whether a first line is a title, or Excel's "sep=;": it has one field, where the model reads several columns.
func (s *stream) title(line []byte) bool {
	p := s.m.Pipeline
	line = bytes.TrimRight(line, p.Parted+"\r")
	return p.Header == "yes" && len(p.Parted) == 1 && p.Parted != " " && !bytes.Contains(line, []byte(p.Parted)) && !s.m.names(line) && s.m.reads() > 1
}

// names reports whether a line has the names of all columns that the model reads.
func (m *Model) names(line []byte) bool {
	return !slices.ContainsFunc(m.Pipeline.Columns, func(c dataset.Column) bool {
		return c.Type != dataset.Ignore && !bytes.Contains(line, []byte(c.Name))
	})
}

// reads returns how many columns the model reads.
func (m *Model) reads() (n int) {
	for _, c := range m.Pipeline.Columns {
		if c.Type != dataset.Ignore {
			n++
		}
	}
	return n
}

// namesColumns reports whether the first line of a table names its columns: whether that of the training table did or, for an older run that
// does not say, whether the name of the first column is in it.
func (m *Model) namesColumns(line []byte) bool {
	p := m.Pipeline
	return p.Header == "yes" || p.Header == "" && len(p.Columns) > 0 && bytes.Contains(line, []byte(p.Columns[0].Name))
}

// predict predicts the first n bytes of held, which are whole rows, and drops them.
func (s *stream) predict(n int) error {
	if len(bytes.TrimSpace(s.held[:n])) == 0 {
		s.drop(n)
		return nil
	}
	if err := os.WriteFile(s.file, append(bytes.Clone(s.header), s.held[:n]...), 0o600); err != nil {
		return err
	}
	s.drop(n)
	rows, err := s.m.Open(s.file)
	if err != nil {
		return s.inStream(err)
	}
	defer rows.Close()
	before := s.rows
	if err := s.m.each(rows, s.rng, before, s.do); err != nil {
		return s.inStream(err)
	}
	s.rows = before + rows.Read()
	s.counts.Add(&rows.Counts)
	return nil
}

// drop drops the first n bytes of held.
func (s *stream) drop(n int) {
	s.held, s.searched, s.end = append(s.held[:0], s.held[n:]...), s.searched-n, 0
}

// inStream returns an error of reading the file in terms of the stream: it names standard input and counts from the right row.
func (s *stream) inStream(err error) error {
	if text := err.Error(); strings.Contains(text, s.file) {
		if s.rows == 0 {
			return errors.New(strings.ReplaceAll(text, s.file, "standard input"))
		}
		return fmt.Errorf("%s (lines counted from row %d)", strings.ReplaceAll(text, s.file, "standard input"), s.rows)
	}
	return err
}

// lines reports whether a stream that begins with head has one row a line: whether it is text, not packed and not one JSON array.
func lines(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if text := bytes.TrimSpace(head); len(text) > 0 && text[0] == '[' {
		return false // one array of objects
	}
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError && size == 1 && len(head) >= utf8.UTFMax {
			return false
		}
		head = head[size:]
	}
	return true
}
