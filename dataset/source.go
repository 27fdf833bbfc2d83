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

// maxInflate bounds how many times its size a packed file may unpack to, beyond freeBytes. Real text reaches about 20, deflate could reach 1,032.
const maxInflate = 200

var freeBytes int64 = 64 << 20 // tests lower it

// headSize is the number of bytes by which a file's format is found.
const headSize = 16 << 10

// source reads the content of a file, unpacked and, where it is text, converted to UTF-8, and knows the format that it was found to have. It can be
// read once. More bytes than the limit are an error.
type source struct {
	path     string   // as the user gave it, FILE or FILE:MEMBER
	file     string   // FILE
	member   string   // MEMBER, or ""
	name     string   // name of the content: FILE, or the member of an archive, without the endings of packings
	format   *format  // the format of the content
	packings []string // names of the packings around the content, the outermost first

	handle   *os.File
	in       *bufio.Reader // the content
	size     int64         // bytes of the file
	limit    int64         // bytes that may be in memory at a time
	encoding string        // the encoding that the user named, or ""
	close    []func()      // functions that release the packings
}

// openSource opens a regular file, or FILE:MEMBER of an archive, and finds its format. A format that is not read is an error.
func openSource(path string, o Options) (*source, error) {
	file, member := files.Part(path)
	s := &source{path: path, name: file, file: file, member: member, limit: o.maxBytes(), encoding: o.Encoding}
	var info fs.FileInfo
	var err error
	if s.handle, info, err = files.Open(s.file); err != nil {
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
	s.in = bufio.NewReaderSize(&until{io.LimitReader(s.handle, s.size), o.ended}, headSize) // bytes that are appended meanwhile are not read
	var err error
	s.format, err = s.openFormat()
	if err == nil && s.format.instead != "" {
		err = s.format.refuse(s.path)
	}
	if err == nil && s.member != "" && s.format.arrays == nil && !s.isZipped() {
		err = fmt.Errorf("%s is %s, which has no part called %q", s.file, s.format.name, s.member)
	}
	return err
}

func (s *source) isZipped() bool { return len(s.packings) > 0 && s.packings[0] == zipped.name }

// maxPackings is the number of packings that may lie around each other, such as a zip archive in an xz file.
const maxPackings = 3

// openFormat unpacks s as often as it is packed, and finds the format of the content.
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
		for _, end := range f.endings {
			if strings.HasSuffix(lower, end) {
				s.name = s.name[:len(s.name)-len(end)]
				break
			}
		}
	}
}

// unpack makes s yield the content of a packing. The number of bytes that it may unpack to is bounded by the size of the file.
func (s *source) unpack(name string, unpack func(io.Reader) (io.Reader, func(), error)) error {
	in, done, err := unpack(s.in)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.path, name, cutShort(err))
	}
	if done != nil {
		s.close = append(s.close, done)
	}
	u := &unpacked{in: in, path: s.path, packing: name, limit: freeBytes + maxInflate*s.size}
	u.left = u.limit
	s.packings = append(s.packings, name)
	s.in = bufio.NewReaderSize(u, headSize)
	return nil
}

// openZip returns the format of an archive that is a format of its own, such as .npz. Otherwise it returns nil and makes s yield the
// archive's only member, or the one that the user named.
func (s *source) openZip() (*format, error) {
	members, err := unzip.List(s.handle, s.size)
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
		return nil, fmt.Errorf("%s holds no %q: it has %s", s.file, s.member, listed(names))
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

// head returns the first bytes that are still to be read, without reading them.
func (s *source) head() ([]byte, error) {
	head, err := s.in.Peek(headSize)
	if err == io.EOF {
		err = nil
	}
	return head, err
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) { return s.in.Read(p) }

// until is a reader that fails once ended returns an error. It asks at least once a MiB.
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

// Close closes the file.
func (s *source) Close() error {
	for _, done := range s.close {
		done()
	}
	s.close = nil
	return s.handle.Close()
}

// all returns the whole content of s. More bytes than the limit are an error.
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

// unpacked reads the content of a packing, up to a limit of bytes.
type unpacked struct {
	in            io.Reader
	path, packing string // names for messages
	limit, left   int64  // bytes that it may unpack to, and those of them that are left
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.in.Read(p[:min(int64(len(p)), u.left+1)])
	u.left -= int64(n)
	switch {
	case u.left < 0:
		return n, fmt.Errorf("%s unpacks to more than %d bytes: unpack it first if that is right", u.path, u.limit)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("%s: %s: %w", u.path, u.packing, cutShort(err))
	}
	return n, err
}

// cutShort replaces the error of an early end by one that says what it means for a packed file.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut short: it ends early")
	}
	return err
}
