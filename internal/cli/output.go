package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// output is a standard stream of a command. It remembers a write that failed, whoever made it, and shows what would make a
// terminal do more than show letters as an escape: names come out of data, and a terminal obeys. Within JSON the escape stands
// for the same character.
type output struct {
	to   io.Writer
	err  error
	rest []byte // the beginning of a character that the last write ended in
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

// flush writes what is left of a character that never became whole, and returns the first error of all writes.
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

// unchanged writes to the stream as it is: data, which is not for a person to look at.
type unchanged struct{ *output }

// Write implements io.Writer.
func (o unchanged) Write(p []byte) (int, error) { return len(p), o.put(p) }

// plainly returns what writes data to a command's stream: as it is, where no terminal reads it.
func plainly(out io.Writer) io.Writer {
	if o, ok := out.(*output); ok && !isTerminal(o.to) {
		return unchanged{o}
	}
	return out
}

// escaped is text with its control characters, those that turn the direction of writing and bytes that are no UTF-8 written
// as escapes, except those in keep.
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

// printable is a name out of data within a line or a cell of a table, of which it must not make two.
func printable(name string) string { return escaped(name, "") }
