package dataset

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// format is one kind of file: how it is known, what is read of it, and the function that reads it. Each is one value in one file,
// which registers it: whatever lists formats (recognition, help, docs/data.md) asks the registry.
type format struct {
	name  string   // as people call it
	ends  []string // of names, in lower case
	reads string   // what of it is read
	way   string   // of what is not read: what to do instead

	magic  func(head []byte) bool      // whether a file that begins so is of this format
	zipped func(members []string) bool // whether a zip archive of these members is
	text   func(head []byte) bool      // whether a text that begins so is
	named  bool                        // the name tells though the content is text

	unpack func(in io.Reader) (io.Reader, func(), error) // of a packing: what is in it, and what gives it up
	table  func(s *source, o Options) (*table, error)    // the whole file as a table
	rows   func(s *source, o Options) (blocks, error)    // a table block by block, where the format can
	arrays func(s *source) (*arrayFile, error)           // the arrays of a file
}

// blocks hands out a table some rows at a time, each of which holds until the next; nil at the end.
type blocks interface{ next() (*table, error) }

// formats are all of them. Their order says nothing: no two know the same file as theirs.
var formats []*format

// register adds a format to those that files are recognised by; it is called by init functions.
func register(f format) *format {
	formats = append(formats, &f)
	slices.SortFunc(formats, func(a, b *format) int { return cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	return formats[slices.IndexFunc(formats, func(g *format) bool { return g.name == f.name })]
}

// startsWith is the magic of formats that begin with one of these bytes.
func startsWith(magics ...string) func([]byte) bool {
	return func(head []byte) bool {
		return slices.ContainsFunc(magics, func(m string) bool { return bytes.HasPrefix(head, []byte(m)) })
	}
}

func (f *format) isNamed(name string) bool {
	name = strings.ToLower(filepath.Base(name))
	return slices.ContainsFunc(f.ends, func(end string) bool { return strings.HasSuffix(name, end) })
}

// byMagic is the format that begins with these bytes, nil where none does.
func byMagic(head []byte) *format {
	for _, f := range formats {
		if f.magic != nil && f.magic(head) {
			return f
		}
	}
	return nil
}

// byMembers is the format that a zip archive of these members is.
func byMembers(members []string) *format {
	for _, f := range formats {
		if f.zipped != nil && f.zipped(members) {
			return f
		}
	}
	return nil
}

// byName is the format of files that are called so. A text that is called as what is not read is, such as an .xls, is a text, unless
// nothing but the name tells.
func byName(name string, text bool) *format {
	for _, f := range formats {
		packing := f.unpack != nil || f == zipped
		if f.isNamed(name) && f != separated && !packing && !(text && f.way != "" && !f.named) {
			return f
		}
	}
	return nil
}

// recognise finds the format of what s holds: by its first bytes, then by its name. What begins as text is one.
func recognise(s *source) (*format, error) {
	head, err := s.head()
	if err != nil {
		return nil, err
	}
	if f := byMagic(head); f != nil {
		return f, nil
	}
	if err := s.decode(); err != nil {
		return nil, err
	}
	if head, err = s.head(); err != nil {
		return nil, err
	}
	if !isText(head) {
		if f := byName(s.name, false); f != nil {
			return f, nil
		}
		return nil, fmt.Errorf("%s%w", s.path, notText(head))
	}
	for _, f := range formats {
		if f.text != nil && f.text(head) {
			return f, nil
		}
	}
	if f := byName(s.name, true); f != nil {
		return f, nil
	}
	return separated, nil
}

// isText reports whether a file that begins so can be text: it has no zero byte.
func isText(head []byte) bool { return bytes.IndexByte(head, 0) < 0 }

// notText says why bytes are no text, and what to do.
func notText(head []byte) error {
	for _, e := range []struct {
		name string
		zero int // which byte of each two is zero in the text of most files
	}{{"utf-16le", 1}, {"utf-16be", 0}} {
		zeros := 0
		for i := e.zero; i < len(head); i += 2 {
			if head[i] == 0 {
				zeros++
			} else if head[i] > utf8.RuneSelf {
				zeros--
			}
		}
		if others := bytes.Count(head, []byte{0}) - zeros; zeros > len(head)/4 && others == 0 {
			return fmt.Errorf(" looks like UTF-16 without its mark: say --encoding %s", e.name)
		}
	}
	line := 1 + bytes.Count(head[:bytes.IndexByte(head, 0)], []byte{'\n'})
	return fmt.Errorf(": line %d holds a zero byte: this is no text file, nor does it begin as any of %s do", line, listed(readable()))
}

// readable names the formats that are read.
func readable() []string {
	var names []string
	for _, f := range formats {
		if f.way == "" && f.unpack == nil {
			names = append(names, f.name)
		}
	}
	return names
}

// refuse says what a file is that is not read, and what to do instead.
func (f *format) refuse(path string) error {
	return fmt.Errorf("%s is %s, which is not read: %s", path, f.name, f.way)
}

// Format is what a kind of file is called, which names of files are its, and what of it is read; Instead says what to do with one that
// is not read.
type Format struct {
	Name, Reads, Instead string
	Ends                 []string
}

func (f *format) public() Format { return Format{f.name, f.reads, f.way, f.ends} }

// Names of formats that hold arrays.
const (
	NumPyArray   = "NumPy array"
	NumPyArchive = "NumPy archive"
	Safetensors  = "safetensors"
)

// Recognise returns the format of a file: by what it begins with, and by its name, in any case, where that says nothing. packed reports
// whether it is inside of a packing, such as gzip.
func Recognise(path string) (f Format, packed bool, err error) {
	s, err := openSource(path, Options{})
	if err != nil {
		return Format{}, false, err
	}
	defer s.Close()
	return s.format.public(), len(s.packings) > 0, nil
}

// Formats lists every kind of file that is known, those that are read first.
func Formats() []Format {
	list := make([]Format, 0, len(formats))
	for _, unread := range []bool{false, true} {
		for _, f := range formats {
			if (f.way != "") == unread {
				list = append(list, f.public())
			}
		}
	}
	return list
}
