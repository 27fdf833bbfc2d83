package dataset

import (
	"bytes"
	"slices"
	"strings"
)

const (
	headerRows = 1000 // rows below the first that it is compared with
	enoughRows = 10   // of a column, to say what all of its values have in common
	surveyed   = 1000 // columns whose categories are counted
	surely     = 20   // likewise, where a value of another kind is nothing strange
)

// targetNames are what the column of the classes is called.
var usualTargets = []string{"target", "label", "class", "y"}

// looksLikeHeader reports whether the first record names the columns: in some column it is of another kind than what stands below. A
// field that is met again in its own column speaks against it.
func looksLikeHeader(text []byte, first []uint32, s scanner) bool {
	h := header{columns: make([]below, len(first)-1)}
	row := table{data: text, starts: first, quotes: !s.literal, names: make([]string, len(first)-1)}
	h.take(&row)
	var room []uint32
	for h.rows < headerRows {
		starts, err := s.record(room[:0])
		if err != nil || len(starts) == 0 {
			break
		}
		room, row.starts = starts, fitted(starts, len(first)-1)
		h.add(&row)
	}
	return h.decide()
}

// header is the first record of a table, compared with those below it.
type header struct {
	columns   []below
	rows      int
	ascending int  // rows below whose numbers ascend, as those of a row of wavelengths do
	counting  int  // and those in which they count up by one, as years do
	whole     bool // the record is met again whole
}

// below is what stands below a field of the first record.
type below struct {
	name                     []byte
	quoted                   bool // the field stands in quotes
	number                   bool // it is one
	present, numbers, quotes int
	pointed, digits, words   int            // values with a decimal point or comma, with a digit, of three words or more
	seen                     map[string]int // as long as there are few
	again                    bool           // the field is one of them
}

func (h *header) take(row *table) {
	for c := range h.columns {
		b := &h.columns[c]
		b.name = bytes.TrimSpace(row.field(0, c))
		b.quoted = len(row.raw(0, c)) > 0 && row.raw(0, c)[0] == '"'
		b.number = isWritten(b.name)
		if c < surveyed {
			b.seen = map[string]int{}
		}
	}
}

func (h *header) add(row *table) {
	h.rows++
	last, ascends, counts, numbers, whole := 0.0, true, true, 0, true
	for c := range h.columns {
		b := &h.columns[c]
		f := bytes.TrimSpace(row.field(0, c))
		same := bytes.Equal(f, b.name)
		whole = whole && same
		if (marks{}).number(f) {
			continue
		}
		b.present++
		b.again = b.again || same
		if isWritten(f) {
			b.numbers++
			if bytes.ContainsAny(f, ".,eE") {
				b.pointed++
			}
			if value, plain := parseNumber(f); plain {
				ascends = ascends && (numbers == 0 || value > last)
				counts = counts && (numbers == 0 || value == last+1)
				last = value
				numbers++
			}
		}
		if raw := row.raw(0, c); raw[0] == '"' {
			b.quotes++
		}
		if bytes.ContainsAny(f, "0123456789") {
			b.digits++
		}
		if wordsOf(f) > 2 {
			b.words++
		}
		if b.seen != nil && len(b.seen) <= headerRows/4 {
			b.seen[string(f)]++
		}
	}
	if ascends && numbers >= 3 {
		h.ascending++
		if counts {
			h.counting++
		}
	}
	h.whole = h.whole || whole
}

// decide weighs what the columns say.
func (h *header) decide() bool {
	sure, likely, again, values := 0, 0, 0, 0
	numbers, words := 0, 0
	for c := range h.columns {
		b := &h.columns[c]
		switch {
		case len(b.name) == 0 || (marks{}).number(b.name):
			continue
		case b.number:
			numbers++
		default:
			words++
			if b.again {
				again++
			}
		}
		switch {
		case b.namesNumbers() || b.isTarget():
			sure++
		case b.isAnother():
			likely++
		case b.number && b.numbers == b.present && bytes.ContainsAny(b.name, ".,-"):
			values++ // a fraction above numbers is hardly a name
		}
	}
	switch {
	case sure > 0:
		return sure >= again || h.whole
	case again > 0:
		return false
	case h.isSequence():
		return true
	case likely > 0:
		return likely > values
	case h.rows == 0:
		return numbers == 0
	}
	return numbers == 0 && words > 0
}

// namesNumbers reports whether the field is a word above numbers, or a quoted number above bare ones.
func (b *below) namesNumbers() bool {
	if b.present == 0 || b.numbers*20 < b.present*19 {
		return false
	}
	return !b.number || b.quoted && b.quotes == 0
}

// isAnother reports whether the field is of another kind than all values below it, of which there are enough: no member of a
// few categories, without the digits that all have or with ones that none has, a word above sentences, or a whole number above fractions.
func (b *below) isAnother() bool {
	if b.present < enoughRows || b.again {
		return false
	}
	if b.number && b.numbers == b.present {
		return b.present >= surely && b.pointed == b.present && !bytes.ContainsAny(b.name, ".,eE")
	}
	digits := bytes.ContainsAny(b.name, "0123456789")
	switch {
	case b.digits == b.present && !digits, b.digits == 0 && digits:
		return true
	case b.words == b.present && len(bytes.Fields(b.name)) < 3:
		return true
	}
	// The chance that the next row has a category of its own is that of the categories which came once (Good, 1953).
	single := 0
	for _, n := range b.seen {
		if n == 1 {
			single++
		}
	}
	return b.seen != nil && len(b.seen) <= headerRows/4 && single*20 < b.present
}

func (b *below) isTarget() bool {
	return !b.again && slices.ContainsFunc(usualTargets, func(name string) bool { return strings.EqualFold(name, string(b.name)) })
}

// isSequence reports whether the record's numbers count up by one, as names of pixels and years do, or ascend over many columns as
// wavelengths do, where no row below does.
func (h *header) isSequence() bool {
	last, n, byOne := 0.0, 0, true
	for _, b := range h.columns {
		value, ok := parseNumber(b.name)
		if !ok {
			continue
		}
		if n > 0 && !(value > last) {
			return false
		}
		byOne = byOne && (n == 0 || value == last+1)
		last = value
		n++
	}
	return h.rows >= 3 && (byOne && n >= 3 && h.counting == 0 || n >= 8 && h.ascending == 0)
}
