package dataset

import (
	"bytes"
	"slices"
)

const (
	headerRows      = 1000 // rows that the first record is compared with
	enoughRows      = 10   // values that a column must have before what they have in common means anything
	certainRows     = 20   // the same where a value of another kind would not be unusual
	surveyedColumns = 1000 // columns whose categories are counted
)

// looksLikeHeader reports whether the first record names the columns. It does where, in some column, the record's field is of another kind
// than the values below it. A field that occurs again in its column speaks against a header.
func looksLikeHeader(text []byte, first []uint32, s scanner) bool {
	h := compare(text, first, s)
	return h.decide()
}

// surelyHeader reports whether the record has a word above numbers, or is called as a target is.
func surelyHeader(text []byte, first []uint32, s scanner) bool {
	h := compare(text, first, s)
	return h.decide() && slices.ContainsFunc(h.columns, func(b headerField) bool { return b.namesNumbers() || b.isTarget() })
}

// compare compares the first record with the rows that s has next.
func compare(text []byte, first []uint32, s scanner) header {
	h := header{columns: make([]headerField, len(first)-1)}
	row := table{data: text, starts: first, quotes: !s.literal, names: make([]string, len(first)-1)}
	h.setNames(&row)
	var room []uint32
	for h.rows < headerRows {
		starts, err := s.record(room[:0])
		if err != nil || len(starts) == 0 {
			break
		}
		room, row.starts = starts, padRecord(starts, len(first)-1)
		h.add(&row)
	}
	return h
}

// header is the first record of a table, with what is known of the rows below it.
type header struct {
	columns       []headerField
	rows          int  // rows below the record that were compared with it
	ascendingRows int  // those whose numbers ascend, as the wavelengths in a header do
	countingRows  int  // those whose numbers count up by one, as the years in a header do
	repeated      bool // the whole record occurs again below
}

// headerField is one field of the first record, with what is known of the values below it.
type headerField struct {
	name         []byte         // the field itself
	quoted       bool           // the field is in quotes
	isNumber     bool           // the field is a number
	present      int            // values below that are not missing
	numbers      int            // values that are numbers
	quotedValues int            // values in quotes
	fractions    int            // numbers with a point, a comma or an exponent
	withDigits   int            // values with a digit
	sentences    int            // values of three words or more
	valueCounts  map[string]int // how often each value occurs, as long as there are few different ones
	repeated     bool           // the field itself is one of the values
}

func (h *header) setNames(row *table) {
	for c := range h.columns {
		b := &h.columns[c]
		b.name = bytes.TrimSpace(row.field(0, c))
		b.quoted = len(row.raw(0, c)) > 0 && row.raw(0, c)[0] == '"'
		b.isNumber = isWritten(b.name)
		if c < surveyedColumns {
			b.valueCounts = map[string]int{}
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
		if (marks{}).missingNumber(f) {
			continue
		}
		b.present++
		b.repeated = b.repeated || same
		if isWritten(f) {
			b.numbers++
			if bytes.ContainsAny(f, ".,eE") {
				b.fractions++
			}
			if value, plain := parseNumber(f); plain {
				ascends = ascends && (numbers == 0 || value > last)
				counts = counts && (numbers == 0 || value == last+1)
				last = value
				numbers++
			}
		}
		if raw := row.raw(0, c); raw[0] == '"' {
			b.quotedValues++
		}
		if bytes.ContainsAny(f, "0123456789") {
			b.withDigits++
		}
		if wordsOf(f) > 2 {
			b.sentences++
		}
		if b.valueCounts != nil && len(b.valueCounts) <= headerRows/4 {
			b.valueCounts[string(f)]++
		}
	}
	if ascends && numbers >= 3 {
		h.ascendingRows++
		if counts {
			h.countingRows++
		}
	}
	h.repeated = h.repeated || whole
}

// decide weighs the evidence of all columns.
func (h *header) decide() bool {
	sure, likely, repeated, values := 0, 0, 0, 0
	numbers, words := 0, 0
	whole, again := 0, false // whole numbers above fractions, and whether two numbers are the same, which names are not
	seen := map[string]bool{}
	for c := range h.columns {
		b := &h.columns[c]
		switch {
		case len(b.name) == 0 || (marks{}).missingNumber(b.name):
			continue
		case b.isNumber:
			numbers++
			again = again || seen[string(b.name)]
			seen[string(b.name)] = true
		default:
			words++
			if b.repeated {
				repeated++
			}
		}
		switch {
		case b.namesNumbers() || b.isTarget():
			sure++
		case b.differsInKind() && b.isNumber && b.numbers == b.present:
			whole++
		case b.differsInKind():
			likely++
		case b.isNumber && b.numbers == b.present && bytes.ContainsAny(b.name, ".,-"):
			values++ // a fraction above numbers is hardly the name of a column
		}
	}
	switch {
	case sure > 0:
		return sure >= repeated || h.repeated
	case repeated > 0:
		return false
	case h.isSequence():
		return true
	case likely > 0 && likely+whole > values, whole > 0 && values == 0 && !again:
		return true
	case likely+whole > 0:
		return false
	case h.rows == 0:
		return numbers == 0
	}
	return numbers == 0 && words > 0
}

// namesNumbers reports whether the field is a word above numbers, or a quoted number above bare ones.
func (b *headerField) namesNumbers() bool {
	if b.present == 0 || b.numbers*20 < b.present*19 {
		return false
	}
	return !b.isNumber || b.quoted && b.quotedValues == 0
}

// differsInKind reports whether the field is of another kind than all values below it, of which there must be enough: it is not one of a few
// categories, it lacks the digits that all values have or has digits that none has, it is a word above sentences, or a whole number above
// fractions.
func (b *headerField) differsInKind() bool {
	if b.present < enoughRows || b.repeated {
		return false
	}
	if b.isNumber && b.numbers == b.present {
		return b.present >= certainRows && b.fractions == b.present && !bytes.ContainsAny(b.name, ".,eE")
	}
	digits := bytes.ContainsAny(b.name, "0123456789")
	switch {
	case b.withDigits == b.present && !digits, b.withDigits == 0 && digits:
		return true
	case b.sentences == b.present && len(bytes.Fields(b.name)) < 3:
		return true
	}
	// The chance that the next row has a category of its own is that of the categories which came once (Good, 1953).
	single := 0
	for _, n := range b.valueCounts {
		if n == 1 {
			single++
		}
	}
	return b.valueCounts != nil && len(b.valueCounts) <= headerRows/4 && single*20 < b.present
}

func (b *headerField) isTarget() bool {
	return !b.repeated && Options{}.isTarget(string(b.name))
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
	return h.rows >= 3 && (byOne && n >= 3 && h.countingRows == 0 || n >= 8 && h.ascendingRows == 0)
}
