package dataset

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/unzip"
)

// Bounds on what a packed file may unpack to: deflate can reach 1,032 times its size, text of real data 20.
const maxInflate = 200

var freeBytes int64 = 64 << 20 // tests lower it

// headSize is how much of a file its format is found by.
const headSize = 16 << 10

// source is what a file holds, unpacked and, where it is text, in UTF-8, with the format that it was found to have. It is read once.
// More than its limit of bytes is an error.
type source struct {
	path     string  // as it was given
	name     string  // of what is inside: the path, or the member of an archive, without the endings of packings
	member   string  // what FILE:MEMBER asks for
	on       string  // the path of the file itself, to be mapped
	format   *format // what it was found to be
	packings []string

	file     *os.File
	in       *bufio.Reader
	size     int64 // of the file
	limit    int64 // bytes that may be held at a time
	encoding string
	close    []func()
}

// openSource opens a regular file, or FILE:MEMBER of an archive, to be read once, and finds out what it holds.
func openSource(path string, o Options) (*source, error) {
	file, member := files.Part(path)
	s := &source{path: path, name: file, on: file, member: member, limit: o.maxBytes(), encoding: o.Encoding}
	var info fs.FileInfo
	var err error
	if s.file, info, err = files.Open(s.on); err != nil {
		return nil, err
	}
	s.size = info.Size()
	if err := s.open(o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) open(o Options) error {
	if o.MaxBytes > 0 && s.size > o.MaxBytes {
		return fmt.Errorf("%s holds %d bytes, more than the limit of %d", s.path, s.size, o.MaxBytes)
	}
	s.in = bufio.NewReaderSize(&until{io.LimitReader(s.file, s.size), o.ended}, headSize) // it may shrink, and does not grow
	var err error
	s.format, err = s.openFormat()
	if err == nil && s.format.way != "" {
		err = s.format.refuse(s.path)
	}
	if err == nil && s.member != "" && s.format.arrays == nil && !s.isZipped() {
		err = fmt.Errorf("%s is %s, which has no part called %q", s.on, s.format.name, s.member)
	}
	return err
}

func (s *source) isZipped() bool { return len(s.packings) > 0 && s.packings[0] == zipped.name }

// maxPackings is how deep packings may be nested: a table in a zip in an xz.
const maxPackings = 3

// openFormat finds the format of what is in s, through what it is packed by.
func (s *source) openFormat() (*format, error) {
	for {
		head, err := s.head()
		if err != nil {
			return nil, err
		}
		if startsWith(unzip.Magic, unzip.Empty)(head) {
			if len(s.packings) > 0 {
				return nil, fmt.Errorf("%s holds a zip archive: unpack it first", s.path)
			}
			f, err := s.openZip()
			if f != nil || err != nil {
				return f, err
			}
			continue
		}
		f := byMagic(head)
		if f == nil || f.unpack == nil {
			return recognise(s)
		}
		if len(s.packings) == maxPackings {
			return nil, fmt.Errorf("%s is packed more than %d times: unpack it first", s.path, maxPackings)
		}
		if err := s.unpack(f.name, f.unpack); err != nil {
			return nil, err
		}
		lower := strings.ToLower(s.name)
		for _, end := range f.ends {
			if strings.HasSuffix(lower, end) {
				s.name = s.name[:len(s.name)-len(end)]
				break
			}
		}
	}
}

// unpack puts a packing between s and its reader. What it unpacks to is bounded by the size of the file.
func (s *source) unpack(name string, unpack func(io.Reader) (io.Reader, func(), error)) error {
	in, done, err := unpack(s.in)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.path, name, cutShort(err))
	}
	if done != nil {
		s.close = append(s.close, done)
	}
	u := &unpacked{in: in, path: s.path, by: name, limit: freeBytes + maxInflate*s.size}
	u.left = u.limit
	s.packings = append(s.packings, name)
	s.in = bufio.NewReaderSize(u, headSize)
	return nil
}

// openZip is the format of the archive itself, or opens its only member, or the one that was asked for.
func (s *source) openZip() (*format, error) {
	members, err := unzip.List(s.file, s.size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	var names []string
	var files []*zip.File
	for _, m := range members {
		names = append(names, m.Name)
		// Finder writes its own files beside those that were packed.
		if !m.FileInfo().IsDir() && !strings.HasPrefix(m.Name, "__MACOSX/") && !strings.HasSuffix(m.Name, ".DS_Store") && (s.member == "" || m.Name == s.member) {
			files = append(files, m)
		}
	}
	if f := byMembers(names); f != nil {
		return f, nil
	}
	switch {
	case len(files) == 0 && s.member != "":
		return nil, fmt.Errorf("%s holds no %q: it has %s", s.on, s.member, listed(names))
	case len(files) == 0:
		return nil, fmt.Errorf("%s holds no file", s.path)
	case len(files) > 1:
		return nil, fmt.Errorf("%s holds %d files: name one as %s:NAME, of %s; or unpack a folder of images first", s.path, len(files), s.path, listed(names))
	}
	if err := unzip.Check(files[0]); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.path, files[0].Name, err)
	}
	s.name = files[0].Name
	return nil, s.unpack(zipped.name, func(io.Reader) (io.Reader, func(), error) {
		in, err := files[0].Open()
		if err != nil {
			return nil, nil, err
		}
		return in, func() { in.Close() }, nil
	})
}

// head returns the first bytes of what is left to be read.
func (s *source) head() ([]byte, error) {
	head, err := s.in.Peek(headSize)
	if err == io.EOF {
		err = nil
	}
	return head, err
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) { return s.in.Read(p) }

// until is a reader that ends with an error of its own once there is one, and is asked at least once a MiB.
type until struct {
	in    io.Reader
	ended func() error
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ended(); err != nil {
		return 0, err
	}
	return u.in.Read(p[:min(len(p), 1<<20)])
}

// Close gives up the file.
func (s *source) Close() error {
	for _, done := range s.close {
		done()
	}
	s.close = nil
	return s.file.Close()
}

// all returns everything that s holds, at most its limit of bytes.
func (s *source) all() ([]byte, error) {
	room := s.size
	if len(s.packings) > 0 {
		room = min(4*s.size, freeBytes+s.size)
	}
	if s.size > s.limit {
		return nil, s.tooLarge()
	}
	var held bytes.Buffer
	held.Grow(int(min(room, s.limit)) + bytes.MinRead)
	n, err := held.ReadFrom(io.LimitReader(s, min(s.limit, math.MaxInt64-1)+1))
	if err == nil && n > s.limit {
		err = s.tooLarge()
	}
	return held.Bytes(), err
}

func (s *source) tooLarge() error {
	return fmt.Errorf("%s holds more than the limit of %d bytes that are held at a time: give its numbers as .npy, or a part of its rows", s.path, s.limit)
}

// unpacked reads what is in a packing, up to a limit of bytes.
type unpacked struct {
	in          io.Reader
	path, by    string
	limit, left int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.in.Read(p[:min(int64(len(p)), u.left+1)])
	u.left -= int64(n)
	switch {
	case u.left < 0:
		return n, fmt.Errorf("%s unpacks to more than %d bytes: unpack it first if that is right", u.path, u.limit)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("%s: %s: %w", u.path, u.by, cutShort(err))
	}
	return n, err
}

// cutShort says what an early end of a packed file means.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut short: it ends early")
	}
	return err
}
