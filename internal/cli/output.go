package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// output is a standard stream of a command. It keeps the first error of a write. It writes control characters as escapes, since names come out of
// data and could otherwise control the terminal. Within JSON the escape stands for the same character.
type output struct {
	to   io.Writer
	err  error
	rest []byte // the first bytes of a character that the last write did not complete
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	text := append(o.rest, p...)
	whole := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				whole = start
			}
			break
		}
	}
	err := o.put([]byte(escaped(string(text[:whole]), "\n\t")))
	o.rest = append([]byte(nil), text[whole:]...)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes the bytes of a character that was not completed, and returns the first error of all writes.
func (o *output) flush() error {
	if len(o.rest) > 0 {
		_ = o.put([]byte(escaped(string(o.rest), "")))
	}
	return o.err
}

func (o *output) put(p []byte) error {
	if o.err == nil {
		_, o.err = o.to.Write(p)
	}
	return o.err
}

// unchanged writes to the stream without escapes, for data that a program reads.
type unchanged struct{ *output }

// Write implements io.Writer.
func (o unchanged) Write(p []byte) (int, error) { return len(p), o.put(p) }

// plainly returns a writer for data to a command's stream, which writes without escapes unless the stream is a terminal.
func plainly(out io.Writer) io.Writer {
	if o, ok := out.(*output); ok && !isTerminal(o.to) {
		return unchanged{o}
	}
	return out
}

// escaped returns text in which control characters, characters that change the direction of writing, and bytes that are not UTF-8 are escapes.
// Characters in keep stay.
func escaped(text, keep string) string {
	risky := func(r rune) bool {
		return (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029') && !strings.ContainsRune(keep, r)
	}
	if utf8.ValidString(text) && !strings.ContainsFunc(text, risky) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case risky(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}

// printable returns a name out of data so that it can be printed within a line: line breaks are escapes too.
func printable(name string) string { return escaped(name, "") }
