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

// streamBytes bounds what of a stream is held at a time; a row that is longer is an error.
const streamBytes = 4 << 20

// Stream predicts rows as they come: lines of a table with the columns of the training data, or of JSON objects, that are whole are
// answered at once. A stream of anything else, a Parquet file or one that is packed, is read to its end first. counts is what the rows held that training
// did not have.
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
	go func() { // reads on while rows are predicted, a piece ahead
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
		if err := s.take(piece); err != nil {
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

// stream cuts what arrives behind whole rows. What is cut goes through a file, so that it is read as any file of rows is.
type stream struct {
	m      *Model
	file   string
	do     func([]Prediction) error
	rng    *rand.Rand
	counts *dataset.Counts
	rows   int

	held     []byte
	searched int    // bytes of held that were looked through
	end      int    // of the last whole row among them
	quoted   bool   // within quotation marks
	header   []byte // the line that names the columns, where there is one
	began    bool
	asWhole  bool // not lines: it is kept till its end
	above    int  // lines above the header that were passed over
}

func (s *stream) take(piece []byte) error {
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
			if first && s.m.heads(s.held[:s.searched]) {
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

// json reports whether the rows are JSON objects.
func (s *stream) json() bool {
	return s.header == nil && bytes.HasPrefix(bytes.TrimSpace(s.held), []byte("{"))
}

// comment reports whether what is held begins with a line above the rows, which may be none of the table: with #, as no column's name does.
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

// heads reports whether the first line of a table names its columns: as that of the training table did, or, of a run that does not
// remember, where the name of the first column is in it.
func (m *Model) heads(line []byte) bool {
	p := m.Pipeline
	return p.Header == "yes" || p.Header == "" && len(p.Columns) > 0 && bytes.Contains(line, []byte(p.Columns[0].Name))
}

// predict answers the first n bytes held, which are whole rows.
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
		return s.named(err)
	}
	defer rows.Close()
	before := s.rows
	if err := s.m.each(rows, s.rng, before, s.do); err != nil {
		return s.named(err)
	}
	s.rows = before + rows.Read()
	s.counts.Add(&rows.Counts)
	return nil
}

func (s *stream) drop(n int) {
	s.held, s.searched, s.end = append(s.held[:0], s.held[n:]...), s.searched-n, 0
}

// named tells of a row of the stream, where what read it tells of a file.
func (s *stream) named(err error) error {
	if text := err.Error(); strings.Contains(text, s.file) {
		if s.rows == 0 {
			return errors.New(strings.ReplaceAll(text, s.file, "standard input"))
		}
		return fmt.Errorf("%s (lines counted from row %d)", strings.ReplaceAll(text, s.file, "standard input"), s.rows)
	}
	return err
}

// lines reports whether what a stream begins with is rows, each ended by the end of a line, as text that is not packed has them.
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
