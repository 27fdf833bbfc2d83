package dataset

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

func init() {
	register(format{
		name: "ARFF", endings: []string{".arff"},
		reads: "Weka's tables, dense and sparse; ? is a missing value. A column has the type that it would have in a CSV file",
		text:  isARFF,
		table: func(s *source, o Options) (*table, error) {
			raw, err := s.all()
			if err != nil {
				return nil, err
			}
			return parseARFF(s.path, raw)
		},
	})
}

// isARFF reports whether the first line behind the comments is the keyword @relation.
func isARFF(head []byte) bool {
	for line := range bytes.Lines(bytes.ReplaceAll(head, []byte{'\r'}, []byte{'\n'})) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '%' {
			return len(line) > 9 && strings.EqualFold(string(line[:9]), "@relation")
		}
	}
	return false
}

// parseARFF reads a table: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
func parseARFF(path string, raw []byte) (*table, error) {
	t := &table{path: path, countRows: true}
	if err := (&table{path: path, data: raw}).checkText(false); err != nil {
		return nil, err
	}
	var zeros []string // the value of each column that a sparse row leaves out: 0, or the first of a list of values
	data, number := false, 0
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\r", "\n")) {
		number++
		line = strings.TrimSpace(line)
		fail := func(format string, args ...any) (*table, error) {
			return nil, fmt.Errorf("%s: line %d: %s", path, number, fmt.Sprintf(format, args...))
		}
		if line == "" || line[0] == '%' {
			continue
		}
		if !data {
			keyword, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
			switch strings.ToLower(keyword) {
			case "@relation":
			case "@attribute":
				name, kind, err := arffWord(strings.TrimSpace(rest), " ")
				if err != nil {
					return fail("%v", err)
				}
				kind = strings.TrimSpace(kind)
				zero := "0"
				if strings.HasPrefix(kind, "{") {
					if zero, _, err = arffWord(strings.TrimSpace(strings.Trim(kind, "{}")), ","); err != nil {
						return fail("%v", err)
					}
				}
				t.names, zeros = append(t.names, name), append(zeros, zero)
				if strings.EqualFold(kind, "relational") {
					return fail("column %s holds tables, which are not read", name)
				}
			case "@data":
				data = true
				t.nameColumns()
			default:
				return fail("%q is none of @relation, @attribute and @data", clip([]byte(line)))
			}
			continue
		}
		fields, err := arffFields(line, zeros)
		if err != nil {
			return fail("%v", err)
		}
		if len(fields) != len(t.names) {
			return fail("%s, but there are %d attributes", plural(len(fields), "field"), len(t.names))
		}
		if len(t.data)+len(line)+len(fields)*8 > maxTable || int64(len(t.data)) > freeBytes+maxWiden*int64(len(raw)) {
			return nil, fmt.Errorf("%s: its sparse rows stand for more than %d bytes", path, len(t.data))
		}
		for _, f := range fields {
			t.addField([]byte(f))
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	if t.rows() == 0 || len(t.names) == 0 {
		return nil, fmt.Errorf("%s has no rows behind @data", path)
	}
	return t, nil
}

// arffFields returns the fields of a row, dense or sparse.
func arffFields(line string, zeros []string) ([]string, error) {
	if line[0] != '{' {
		var fields []string
		for more := true; more; {
			field, rest, err := arffWord(line, ",")
			if err != nil {
				return nil, err
			}
			fields = append(fields, field)
			if rest = strings.TrimLeft(rest, " \t"); rest != "" && rest[0] != ',' {
				return nil, fmt.Errorf("%q stands behind a field", clip([]byte(rest)))
			}
			line, more = strings.TrimLeft(strings.TrimPrefix(rest, ","), " \t"), rest != ""
		}
		return fields, nil
	}
	fields := append([]string(nil), zeros...)
	inside, ok := strings.CutSuffix(line[1:], "}")
	if !ok {
		return nil, fmt.Errorf("a sparse row ends with }, and with no weight behind it")
	}
	for inside = strings.TrimSpace(inside); inside != ""; {
		index, rest, _ := strings.Cut(inside, " ")
		at, err := strconv.Atoi(index)
		if err != nil || at < 0 || at >= len(zeros) {
			return nil, fmt.Errorf("%q is no attribute's number from 0 to %d", clip([]byte(index)), len(zeros)-1)
		}
		if fields[at], rest, err = arffWord(strings.TrimLeft(rest, " "), ","); err != nil {
			return nil, err
		}
		inside = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), ","))
	}
	return fields, nil
}

// arffWord reads a word, in quotes or up to a separator, and returns what follows.
func arffWord(text, separator string) (word, rest string, err error) {
	if text == "" || text[0] != '\'' && text[0] != '"' {
		at := strings.IndexAny(text, separator)
		if at < 0 {
			at = len(text)
		}
		return strings.TrimSpace(text[:at]), text[at:], nil
	}
	var b strings.Builder
	for at := 1; at < len(text); at++ {
		switch c := text[at]; {
		case c == text[0]:
			return b.String(), text[at+1:], nil
		case c == '\\' && at+1 < len(text):
			at++
			b.WriteByte(text[at])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("%q opens a quote that nothing closes", clip([]byte(text)))
}
