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

// inferColumns decides the type of each column of t, from a sample of its rows and from the types that o asks for. skip names the columns that
// serve another purpose, target and group, with that purpose as their note.
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
		askedType := o.Types[name]
		switch {
		case skip[name] != "":
			continue
		case t.unread[name] != "" && askedType != "" && askedType != Ignore:
			return nil, optionErrorf("%s: column %s cannot be %s: %s", t.path, name, askedType, t.unread[name])
		case t.unread[name] != "":
			col.Note = t.unread[name]
			continue
		case askedType != "":
			col.Type, col.Note = askedType, "as asked"
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
			col.Note = joinNotes(col.Note, s.numbers.note(mark, o.Decimal != ""))
			if s.infinite > 0 {
				col.Note = joinNotes(col.Note, fmt.Sprintf("%d of %d sampled values are infinite: taken for missing", s.infinite, s.rows))
			}
			if col.Marks != nil {
				col.Note = joinNotes(col.Note, fmt.Sprintf("%s taken for missing", strings.Join(quotedAll(col.Marks), " and ")))
			}
		}
	}
	textOfNames(columns, samples)
	return columns, nil
}

// commonDecimal returns a function that tells which mark stands before a column's fractions: the one that o names, else the one that the
// column's own values call for, else the one that the other columns call for, since one file is usually written in one country. Where nothing
// tells, it is the point; in a file whose fields are separated by semicolons, as where the comma is the decimal mark, it is the comma.
func commonDecimal(samples []*sample, delimiter byte, o Options) func(*sample) byte {
	votes := map[byte]int{}
	for _, s := range samples {
		if s.isNumeric() {
			votes[s.numbers.decimalMark()]++
		}
	}
	return func(s *sample) byte {
		mark := s.numbers.decimalMark()
		switch {
		case o.Decimal != "":
			return decimals[o.Decimal]
		case mark != 0:
			return mark
		case votes[comma] > 0 && votes[point] == 0:
			return comma
		case votes[point] == 0 && delimiter == ';' && s.numbers.ambiguousComma > 0 && s.numbers.ambiguousPoint == 0:
			return comma
		}
		return point
	}
}

// decimals maps the names of decimal marks to the marks.
var decimals = map[string]byte{"point": point, ".": point, "comma": comma, ",": comma}

const (
	sampleRows = 2000 // rows by which the type of a column is decided
	fewLevels  = 50   // a categorical column with more levels gets a note that says why it is not numeric
	maxMarks   = 2    // different words in a column of numbers that may stand for a missing value
)

// sample describes the values of up to sampleRows rows of a column, evenly spaced.
type sample struct {
	rows             int             // rows in the sample
	present          int             // rows whose value is not missing
	infinite         int             // rows whose value is infinite, which is taken for a missing one
	distinct         map[string]bool // the different values
	numbers          notations       // how the numbers among them are written
	distinctNumbers  int             // different values that are numbers
	wordUnits        int             // words in all values, as unitsOf counts them
	countsUp         bool            // the values are the whole numbers that number the rows
	nonNumbers       map[string]int  // values that are not numbers, and how often each occurs; up to maxMarks+1 of them
	firstNonNumber   string          // the first such value, clipped
	firstNonNumberAt string          // its row or line
	nonNumberRows    int             // rows with such a value
}

func takeSample(t *table, c int, m marks) *sample {
	s := &sample{distinct: map[string]bool{}, countsUp: true}
	rows := t.rows()
	step := max(1, rows/sampleRows)
	last := math.Inf(-1)
	for r := 0; r < rows; r += step {
		s.rows++
		f := t.field(r, c)
		if m.missingNumber(f) {
			if isInfinite(bytes.TrimSpace(f)) {
				s.infinite++
			}
			continue
		}
		s.present++
		repeated := s.distinct[string(f)]
		s.distinct[string(f)] = true
		if s.numbers.add(f) {
			if !repeated {
				s.distinctNumbers++
			}
			value, plain := parseNumber(f)
			s.countsUp = s.countsUp && plain && value == math.Trunc(value) && (s.present == 1 || value-last == float64(step))
			last = value
		} else {
			s.countsUp = false
			s.nonNumberRows++
			word := string(bytes.TrimSpace(f))
			if s.firstNonNumber == "" {
				s.firstNonNumber, s.firstNonNumberAt = clip(f), strings.TrimPrefix(t.location(r), t.path+": ")
			}
			if s.nonNumbers == nil {
				s.nonNumbers = map[string]int{}
			}
			if len(s.nonNumbers) <= maxMarks {
				s.nonNumbers[word]++
			}
		}
		s.wordUnits += unitsOf(f)
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

// unitsOf counts the words of a text. An emoji counts as a word, and so do two letters of a script that is written without spaces.
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

// isNumeric reports whether the values are numbers, apart from a few, or from words that stand for missing values.
func (s *sample) isNumeric() bool {
	most := max(s.numbers.withPoint, s.numbers.withComma)
	return s.present > 0 && (most*20 >= s.present*19 || s.marks() != nil && most*20 >= s.numbers.numbers*19)
}

// isPlain reports whether all numbers are written as a program writes them.
func (s *sample) isPlain() bool { return s.numbers.plain == s.numbers.numbers }

// marks returns the words that stand for a missing value in a column of many different numbers: at most two words, without digits. It
// returns nil where the values that are not numbers cannot be taken for such words.
func (s *sample) marks() []string {
	if s.nonNumberRows == 0 || len(s.nonNumbers) > maxMarks || s.distinctNumbers < 10 || s.numbers.numbers*5 < s.present {
		return nil
	}
	var words []string
	for word := range s.nonNumbers {
		if strings.ContainsAny(word, "0123456789") || len(word) > 20 {
			return nil
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// kind decides the type of the column, and says why.
func (s *sample) kind() (name, note string) {
	switch {
	case s.present == 0:
		return Ignore, "every value is missing"
	case s.numbers.numbers == s.present && s.countsUp && s.present > 20:
		return Ignore, "it counts the rows"
	case s.isNumeric():
		return Numeric, ""
	case s.wordUnits >= 3*s.present && len(s.distinct)*2 > s.present:
		return Text, ""
	case s.isNames():
		return Ignore, "every value is another one, as in a column of names" + s.why()
	case len(s.distinct) > fewLevels:
		return Categorical, strings.TrimPrefix(s.why(), ": ")
	}
	return Categorical, ""
}

func (s *sample) isNames() bool { return len(s.distinct) == s.present && s.present > 100 }

// why says why a column of many values is not numeric.
func (s *sample) why() string {
	switch {
	case s.firstNonNumber != "" && s.numbers.numbers > 0:
		return fmt.Sprintf(": %d of %d sampled values are numbers, %q (%s) is none", s.numbers.numbers, s.present, s.firstNonNumber, s.firstNonNumberAt)
	case s.firstNonNumber != "":
		return fmt.Sprintf(": not numbers, such as %q", s.firstNonNumber)
	case s.numbers.numbers > 0:
		return fmt.Sprintf(": its numbers have both decimal points and decimal commas, such as %q; --decimal point or comma says which they are", s.numbers.example)
	}
	return ""
}

// textOfNames makes columns in which every value is different text columns, where no other column is left to learn from.
func textOfNames(columns []Column, samples []*sample) {
	for _, col := range columns {
		if col.Type != Ignore {
			return
		}
	}
	for c := range columns {
		if s := samples[c]; columns[c].Type == Ignore && strings.HasPrefix(columns[c].Note, "every value is another one") && s.numbers.numbers < s.present {
			columns[c].Type, columns[c].Note = Text, "every value is another one, and no other column says anything"
		}
	}
}

func joinNotes(a, b string) string {
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
