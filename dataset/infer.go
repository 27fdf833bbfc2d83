package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// inferColumns decides what each column of t is, by a sample of its rows and o's wishes. skip are columns that serve
// another purpose: target and group.
func inferColumns(t *table, o Options, skip map[string]string) ([]Column, error) {
	for name := range o.Types {
		if t.column(name) < 0 {
			return nil, optionErrorf("%s has no column %q to give a type: it has %s", t.path, name, listed(t.names))
		}
	}
	samples := make([]*sample, t.columns())
	_ = inParallel(len(samples), func(c int) error {
		samples[c] = takeSample(t, c, o.marks())
		return nil
	})
	decimal := commonDecimal(samples, t.delimiter, o)
	columns := make([]Column, t.columns())
	for c, name := range t.names {
		col := &columns[c]
		*col = Column{Name: name, Type: Ignore, Note: skip[name]}
		s := samples[c]
		wish := o.Types[name]
		switch {
		case skip[name] != "":
			continue
		case t.unread[name] != "" && wish != "" && wish != Ignore:
			return nil, optionErrorf("%s: column %s cannot be %s: %s", t.path, name, wish, t.unread[name])
		case t.unread[name] != "":
			col.Note = t.unread[name]
			continue
		case wish != "":
			col.Type, col.Note = wish, "as asked"
		case o.Text != "" && name == o.Text:
			col.Type, col.Note = Text, "as asked"
		case o.Text != "":
			col.Note = "text alone was asked for"
		default:
			col.Type, col.Note = s.kind()
			if col.Type == Numeric {
				col.Marks = s.marks()
			}
		}
		if col.Type == Numeric {
			mark := decimal(s)
			col.Decimal = string(mark)
			col.Note = joined(col.Note, s.numbers.note(mark, o.Decimal != ""))
			if col.Marks != nil {
				col.Note = joined(col.Note, fmt.Sprintf("%s taken for missing", strings.Join(quotedAll(col.Marks), " and ")))
			}
		}
	}
	textOfNames(columns, samples)
	return columns, nil
}

// commonDecimal returns what says which mark stands before a column's fractions: o's where it was given, else what the
// column's own values call for, else what other columns do, since a file is written in one place. Where nothing tells, a point
// stands before fractions, and so does the comma of a file whose fields are parted by semicolons, as it is where the comma is taken.
func commonDecimal(samples []*sample, delimiter byte, o Options) func(*sample) byte {
	votes := map[byte]int{}
	for _, s := range samples {
		if s.isNumeric() {
			votes[s.numbers.decides()]++
		}
	}
	return func(s *sample) byte {
		own := s.numbers.decides()
		switch {
		case o.Decimal != "":
			return decimals[o.Decimal]
		case own != 0:
			return own
		case votes[comma] > 0 && votes[point] == 0:
			return comma
		case votes[point] == 0 && delimiter == ';' && s.numbers.looseComma > 0 && s.numbers.loosePoint == 0:
			return comma
		}
		return point
	}
}

// decimals are the marks that can be asked for, by their names.
var decimals = map[string]byte{"point": point, ".": point, "comma": comma, ",": comma}

const (
	sampleRows = 2000
	fewLevels  = 50 // a category of more says why it is none of numbers
	maxMarks   = 2  // words in a column of numbers that may stand for a missing value
)

// sample is what up to sampleRows rows of a column hold, evenly spaced.
type sample struct {
	rows, present int
	seen          map[string]bool
	numbers       notations
	different     int // numbers
	units         int // words, and signs and letters that are words alone
	counts        bool
	others        map[string]int // that are no numbers, with the row that each was first met in
	other         string         // the first of them
	otherAt       string         // where it stands
	othersPresent int
}

func takeSample(t *table, c int, m marks) *sample {
	s := &sample{seen: map[string]bool{}, counts: true}
	rows := t.rows()
	step := max(1, rows/sampleRows)
	last := math.Inf(-1)
	for r := 0; r < rows; r += step {
		s.rows++
		f := t.field(r, c)
		if m.number(f) {
			continue
		}
		s.present++
		again := s.seen[string(f)]
		s.seen[string(f)] = true
		if s.numbers.add(f) {
			if !again {
				s.different++
			}
			value, plain := parseNumber(f)
			s.counts = s.counts && plain && value == math.Trunc(value) && (s.present == 1 || value-last == float64(step))
			last = value
		} else {
			s.counts = false
			s.othersPresent++
			word := string(bytes.TrimSpace(f))
			if s.other == "" {
				s.other, s.otherAt = clip(f), strings.TrimPrefix(t.at(r), t.path+": ")
			}
			if s.others == nil {
				s.others = map[string]int{}
			}
			if len(s.others) <= maxMarks {
				s.others[word]++
			}
		}
		s.units += unitsOf(f)
	}
	return s
}

// wordsOf counts words.
func wordsOf(f []byte) (n int) {
	for range bytes.FieldsSeq(f) {
		n++
	}
	return n
}

// unitsOf counts words, and the letters and signs that stand for one: two of a script without spaces, or an emoji.
func unitsOf(f []byte) int {
	units, dense := wordsOf(f), 0
	for at := 0; at < len(f); {
		if f[at] < utf8.RuneSelf {
			at++
			continue
		}
		r, size := utf8.DecodeRune(f[at:])
		switch {
		case isDense(r):
			dense++
		case unicode.Is(unicode.So, r):
			units++
		}
		at += size
	}
	return units + dense/2
}

// isNumeric reports whether the values are numbers, but for a few or for words that stand for missing ones.
func (s *sample) isNumeric() bool {
	most := max(s.numbers.pointed, s.numbers.commaed)
	return s.present > 0 && (most*20 >= s.present*19 || s.marks() != nil && most*20 >= s.numbers.either*19)
}

// isPlain reports whether all numbers are as a program writes them.
func (s *sample) isPlain() bool { return s.numbers.plain == s.numbers.either }

// marks are the words in a column of many different numbers that stand for a missing one, since there are no more than two of them and
// they have no digits.
func (s *sample) marks() []string {
	if s.othersPresent == 0 || len(s.others) > maxMarks || s.different < 10 || s.numbers.either*5 < s.present {
		return nil
	}
	var words []string
	for word := range s.others {
		if strings.ContainsAny(word, "0123456789") || len(word) > 20 {
			return nil
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// kind decides what the column is taken as, and why.
func (s *sample) kind() (name, note string) {
	switch {
	case s.present == 0:
		return Ignore, "every value is missing"
	case s.numbers.either == s.present && s.counts && s.present > 20:
		return Ignore, "it counts the rows"
	case s.isNumeric():
		return Numeric, ""
	case s.units >= 3*s.present && len(s.seen)*2 > s.present:
		return Text, ""
	case s.isNames():
		return Ignore, "every value is another one, as in a column of names" + s.why()
	case len(s.seen) > fewLevels:
		return Categorical, strings.TrimPrefix(s.why(), ": ")
	}
	return Categorical, ""
}

func (s *sample) isNames() bool { return len(s.seen) == s.present && s.present > 100 }

// why says why a column of many values is none of numbers.
func (s *sample) why() string {
	switch {
	case s.other != "" && s.numbers.either > 0:
		return fmt.Sprintf(": %d of %d sampled values are numbers, %q (%s) is none", s.numbers.either, s.present, s.other, s.otherAt)
	case s.other != "":
		return fmt.Sprintf(": not numbers, such as %q", s.other)
	case s.numbers.either > 0:
		return fmt.Sprintf(": its numbers have both decimal points and decimal commas, such as %q; --decimal point or comma says which they are", s.numbers.example)
	}
	return ""
}

// textOfNames takes columns in which every value is another one as text where nothing else would be left to learn from.
func textOfNames(columns []Column, samples []*sample) {
	for _, col := range columns {
		if col.Type != Ignore {
			return
		}
	}
	for c := range columns {
		if s := samples[c]; columns[c].Type == Ignore && strings.HasPrefix(columns[c].Note, "every value is another one") && s.numbers.either < s.present {
			columns[c].Type, columns[c].Note = Text, "every value is another one, and no other column says anything"
		}
	}
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func quotedAll(words []string) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = fmt.Sprintf("%q", word)
	}
	return all
}
