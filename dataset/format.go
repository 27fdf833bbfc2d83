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

// format describes one kind of file: how it is recognised, what of it is read, and the function that reads it. A format is one value in
// one file, which registers it. Recognition, help and docs/data.md all ask the registry.
type format struct {
	name    string   // the name that people use for it
	endings []string // endings of the names of its files, in lower case
	reads   string   // what the program reads of such a file, for help and docs
	instead string   // for a format that is recognised and not read: what the user can do instead

	magic     func(head []byte) bool      // reports whether a file with these first bytes has this format
	zip       func(members []string) bool // reports whether a zip archive with these members has this format
	text      func(head []byte) bool      // reports whether a text with these first bytes has this format
	trustName bool                        // the file's name decides even where the content is text

	unpack func(in io.Reader) (io.Reader, func(), error) // for a packing: a reader of the packed file, and a function that releases it
	table  func(s *source, o Options) (*table, error)    // reads the whole file as a table
	rows   func(s *source, o Options) (blocks, error)    // reads a table block by block; nil where the format cannot
	arrays func(s *source) (*arrayFile, error)           // lists the arrays of a file
}

// blocks hands out a table some rows at a time. A block is valid until the next call; next returns nil at the end.
type blocks interface{ next() (*table, error) }

// formats holds every registered format. The order does not matter, because no two formats recognise the same file.
var formats []*format

// register adds a format to those that files are recognised by; it is called by init functions.
func register(f format) *format {
	formats = append(formats, &f)
	slices.SortFunc(formats, func(a, b *format) int { return cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	return formats[slices.IndexFunc(formats, func(g *format) bool { return g.name == f.name })]
}

// startsWith returns the magic function of a format whose files begin with one of the given byte strings.
func startsWith(magics ...string) func([]byte) bool {
	return func(head []byte) bool {
		return slices.ContainsFunc(magics, func(m string) bool { return bytes.HasPrefix(head, []byte(m)) })
	}
}

func (f *format) isNamed(name string) bool {
	name = strings.ToLower(filepath.Base(name))
	return slices.ContainsFunc(f.endings, func(end string) bool { return strings.HasSuffix(name, end) })
}

// byMagic returns the format whose files begin with these bytes, nil if there is none.
func byMagic(head []byte) *format {
	for _, f := range formats {
		if f.magic != nil && f.magic(head) {
			return f
		}
	}
	return nil
}

// byMembers returns the format of a zip archive with these members, nil if it is just an archive.
func byMembers(members []string) *format {
	for _, f := range formats {
		if f.zip != nil && f.zip(members) {
			return f
		}
	}
	return nil
}

// byName returns the format that a file's name stands for, nil if it stands for none. A text file with the name of a format that is not
// read (many an .xls is really CSV) is read as text, unless that format can be told by its name alone.
func byName(name string, text bool) *format {
	for _, f := range formats {
		packing := f.unpack != nil || f == zipped
		if f.isNamed(name) && f != separated && !packing && !(text && f.instead != "" && !f.trustName) {
			return f
		}
	}
	return nil
}

// recognise finds the format of what s holds, by its first bytes and then by its name. A file that begins as text and is nothing else is
// separated text.
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

// notText returns the error for bytes that are not text: why they are not, and what the user can do.
func notText(head []byte) error {
	for _, e := range []struct {
		name string
		zero int // which byte of each pair is zero in most texts
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
		if f.instead == "" && f.unpack == nil {
			names = append(names, f.name)
		}
	}
	return names
}

// refuse returns the error for a file of a format that is not read: what the file is, and what to do instead.
func (f *format) refuse(path string) error {
	return fmt.Errorf("%s is %s, which is not read: %s", path, f.name, f.instead)
}

// Format describes a kind of file that the program recognises.
type Format struct {
	Name    string   // the name that people use for it
	Reads   string   // what of such a file is read; "" where it is not read
	Instead string   // what to do with a file that is not read; "" where it is read
	Endings []string // endings of the names of its files, in lower case
}

func (f *format) public() Format { return Format{f.name, f.reads, f.instead, f.endings} }

// Names of formats that hold arrays.
const (
	NumPyArray   = "NumPy array"
	NumPyArchive = "NumPy archive"
	Safetensors  = "safetensors"
)

// Recognise returns the format of a file, by its first bytes and, where they do not tell, by its name in any case. packed reports whether
// the file is packed, for example by gzip. A file that cannot be opened, or whose format is not read, is an error.
func Recognise(path string) (f Format, packed bool, err error) {
	s, err := openSource(path, Options{})
	if err != nil {
		return Format{}, false, err
	}
	defer s.Close()
	return s.format.public(), len(s.packings) > 0, nil
}

// Formats lists every kind of file that is recognised. Those that are read come first.
func Formats() []Format {
	list := make([]Format, 0, len(formats))
	for _, unread := range []bool{false, true} {
		for _, f := range formats {
			if (f.instead != "") == unread {
				list = append(list, f.public())
			}
		}
	}
	return list
}
