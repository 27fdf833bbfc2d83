package dataset

import (
	"bytes"
	"fmt"
)

// scanner cuts text into records: RFC 4180 with any delimiter of one byte, lines that end in LF, CRLF, CR or the end.
type scanner struct {
	path        string
	data        []byte
	offset      int
	delimiter   byte
	literal     bool // quotes have no meaning
	moreFollows bool // data is not the end of the text, so that a record that reaches its end is incomplete
	origin      int  // lines before data[0]
}

// record appends to starts where each field of the next record begins, and the index behind its last field's end plus one. It appends nothing
// at the end of the text, or where the record is incomplete. Blank lines are skipped.
func (s *scanner) record(starts []uint32) ([]uint32, error) {
	data, at, before := s.data, s.offset, len(starts)
	for at < len(data) && (data[at] == '\n' || data[at] == '\r') {
		at++
	}
	if at == len(data) {
		s.offset = at
		return starts, nil
	}
	starts = append(starts, uint32(at))
	at, err := s.quoted(at)
	if err != nil {
		return starts[:before], err
	}
	for ; at < len(data); at++ {
		switch c := data[at]; c {
		case s.delimiter:
			starts = append(starts, uint32(at+1))
			if at+1 < len(data) && (data[at+1] == '"' || data[at+1] == ' ') {
				end, err := s.quoted(at + 1)
				if err != nil {
					return starts[:before], err
				}
				at = end - 1
			}
		case '\n', '\r':
			if c == '\r' && at+1 == len(data) && s.moreFollows {
				return starts[:before], nil // the next byte may be a line feed, which belongs to the same line end
			}
			s.offset = at + 1
			if c == '\r' && s.offset < len(data) && data[s.offset] == '\n' {
				s.offset++
			}
			return append(starts, uint32(at+1)), nil
		}
	}
	if s.moreFollows {
		return starts[:before], nil
	}
	s.offset = at
	return append(starts, uint32(at+1)), nil
}

// quoted returns the index behind the closing quote of the field that begins at from, or the length of the data where the closing quote may
// still follow; from where the field is not quoted. A quote behind spaces, as people write it after a comma, opens a field that ends on its
// line; where it does not, the field is text with quotes in it.
func (s *scanner) quoted(from int) (int, error) {
	if from >= len(s.data) || s.literal {
		return from, nil
	}
	if s.data[from] == ' ' {
		if _, closes := quotedBehindSpaces(s.data[from:], s.delimiter); closes > 0 {
			return from + closes, nil
		}
	}
	if s.data[from] != '"' {
		return from, nil
	}
	t := table{data: s.data, origin: s.origin}
	for at := from + 1; ; {
		next := bytes.IndexByte(s.data[at:], '"')
		if next < 0 && s.moreFollows {
			return len(s.data), nil
		}
		if next < 0 {
			return 0, fmt.Errorf("%s: line %d opens a quote that nothing closes: close it, double a quote that is part of a quoted field, or say --quote none where quotes are characters as any other", s.path, t.line(from))
		}
		at += next + 1
		switch {
		case at == len(s.data) || s.data[at] == s.delimiter || s.data[at] == '\n' || s.data[at] == '\r':
			return at, nil
		case s.data[at] == '"':
			at++
		case s.data[at-2] == '\\':
			return 0, fmt.Errorf(`%s: line %d writes a quote within a quoted field as \", which CSV writes as "": replace each \" by ""`, s.path, t.line(at))
		default:
			return 0, fmt.Errorf("%s: line %d has text after a closing quote: double a quote that is part of a quoted field, or say --quote none where quotes are characters as any other", s.path, t.line(at))
		}
	}
}

// quotedBehindSpaces says where in text, which begins with spaces, a quoted field opens and where it ends, behind its closing quote: on the same
// line, and before a delimiter or the end. It returns 0, 0 where the spaces begin no such field.
func quotedBehindSpaces(text []byte, delimiter byte) (opens, closes int) {
	for opens < len(text) && text[opens] == ' ' {
		opens++
	}
	if opens == len(text) || text[opens] != '"' {
		return 0, 0
	}
	for at := opens + 1; at < len(text) && text[at] != '\n' && text[at] != '\r'; at++ {
		if text[at] != '"' {
			continue
		}
		if at++; at == len(text) || text[at] == delimiter || text[at] == '\n' || text[at] == '\r' {
			return opens, at
		}
		if text[at] != '"' {
			return 0, 0
		}
	}
	return 0, 0
}
