package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Decimal marks, which stand between a number's whole part and its fraction.
const (
	point = '.'
	comma = ','
)

// currencies lists those that are written in letters, before or after an amount. Signs such as € are known by their Unicode category, Sc.
var currencies = []string{
	"AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR", "JPY", "KRW", "MXN", "NOK", "NZD",
	"PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "ZAR",
	"US$", "A$", "AU$", "C$", "CA$", "NZ$", "HK$", "S$", "R$", "SFr.", "Fr.", "fr.", "Rs.", "Rs", "kr.", "kr", "zł", "Kč", "Ft", "лв", "руб.",
}

// parseWritten reads a number as people write it, given the decimal mark: with separated thousands ("1,234.5", "1 234", "1'234", "12,34,567"),
// with a currency before or behind it, in percent (a hundredth), with a plus, a typographic minus or a minus behind it, or in brackets, which
// stand for minus. Thousands must be separated throughout: "1,23" is not a number where the decimal mark is the point.
func parseWritten(f []byte, decimal byte) (float64, bool) {
	if decimal == point {
		if value, ok := parseNumber(f); ok {
			return value, true
		}
	}
	f = bytes.TrimSpace(f)
	if len(f) > 64 || !bytes.ContainsAny(f, "0123456789") {
		return 0, false
	}
	f, negative, exponent, ok := bareDigits(f)
	if !ok {
		return 0, false
	}
	var room [72]byte
	digits := room[:0]
	if negative {
		digits = append(digits, '-')
	}
	if digits, ok = joinThousands(digits, f, decimal); !ok {
		return 0, false
	}
	if exponent != "" {
		if bytes.IndexByte(digits, 'e') >= 0 {
			return 0, false
		}
		digits = append(digits, exponent...)
	}
	return parseNumber(digits)
}

// bareDigits strips the sign, the currency, the brackets and the percent sign from a number.
func bareDigits(f []byte) (digits []byte, negative bool, exponent string, ok bool) {
	if len(f) > 2 && f[0] == '(' && f[len(f)-1] == ')' {
		f, negative = bytes.TrimSpace(f[1:len(f)-1]), true
	}
	signed, money := negative, false
	for {
		r, size := utf8.DecodeRune(f)
		last, lastSize := utf8.DecodeLastRune(f)
		switch {
		case len(f) == 0:
			return nil, false, "", false
		case r == '+' || isMinus(r):
			if signed {
				return nil, false, "", false
			}
			f, signed, negative = f[size:], true, r != '+'
		case isMinus(last):
			if signed {
				return nil, false, "", false
			}
			f, signed, negative = f[:len(f)-lastSize], true, true
		case (last == '%' || last == '％' || last == '٪') && exponent == "":
			f, exponent = f[:len(f)-lastSize], "e-2"
		case r == '%' && exponent == "":
			f, exponent = f[size:], "e-2"
		case last == '‰' && exponent == "":
			f, exponent = f[:len(f)-lastSize], "e-3"
		case !money && unicode.Is(unicode.Sc, r):
			f, money = f[size:], true
		case !money && unicode.Is(unicode.Sc, last):
			f, money = f[:len(f)-lastSize], true
			f = cutCode(f, false) // as in R$ and US$
		case !money && unicode.IsLetter(r):
			rest := cutCode(f, true)
			if len(rest) == len(f) {
				return nil, false, "", false
			}
			f, money = rest, true
		case !money && (unicode.IsLetter(last) || last == '.' && !digitBefore(f)):
			rest := cutCode(f, false)
			if len(rest) == len(f) {
				return nil, false, "", false
			}
			f, money = rest, true
		default:
			return f, negative, exponent, true
		}
		f = bytes.TrimSpace(f)
	}
}

func isMinus(r rune) bool { return r == '-' || r == '−' || r == '–' }

func digitBefore(f []byte) bool { return len(f) > 1 && f[len(f)-2] >= '0' && f[len(f)-2] <= '9' }

// cutCode strips the letters of a currency from the front or the back of f.
func cutCode(f []byte, front bool) []byte {
	for _, code := range currencies {
		switch {
		case front && bytes.HasPrefix(f, []byte(code)):
			return f[len(code):]
		case !front && bytes.HasSuffix(f, []byte(code)):
			return f[:len(f)-len(code)]
		}
	}
	return f
}

// joinThousands appends the digits of f without the separators between thousands, and with a point before the fraction.
func joinThousands(digits, f []byte, decimal byte) ([]byte, bool) {
	separator, group, groups := rune(0), 0, [24]int{}
	n := 0 // groups before this one
	at := 0
whole:
	for at < len(f) {
		r, size := rune(f[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(f[at:])
		}
		switch {
		case r >= '0' && r <= '9':
			digits, group = append(digits, byte(r)), group+1
		case r == rune(decimal) || r == 'e' || r == 'E':
			break whole
		case r == '.' || r == ',' || r == '\'' || r == '’' || unicode.IsSpace(r):
			if r == '’' {
				r = '\''
			} else if unicode.IsSpace(r) {
				r = ' '
			}
			if separator != 0 && r != separator || n == len(groups)-1 {
				return nil, false
			}
			separator, groups[n], group = r, group, 0
			n++
		default:
			return nil, false
		}
		at += size
	}
	groups[n] = group
	if !wellGrouped(groups[:n+1]) || n > 0 && bytes.TrimLeft(f, "'’ ")[0] == '0' {
		return nil, false
	}
	if at < len(f) && f[at] == decimal {
		digits = append(digits, point)
		at++
	}
	for _, c := range f[at:] {
		if (c < '0' || c > '9') && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return nil, false
		}
	}
	return append(digits, f[at:]...), true
}

// wellGrouped reports whether the digits were separated in groups of three, or, as in India, in groups of two before the last three.
func wellGrouped(groups []int) bool {
	last := len(groups) - 1
	if last == 0 {
		return true
	}
	if groups[last] != 3 || groups[0] < 1 || groups[0] > 3 {
		return false
	}
	threes, twos := true, groups[0] < 3
	for _, size := range groups[1:last] {
		threes, twos = threes && size == 3, twos && size == 2
	}
	return threes || twos
}

// isWritten reports whether f is a number in some notation.
func isWritten(f []byte) bool {
	_, ok := parseWritten(f, point)
	if !ok {
		_, ok = parseWritten(f, comma)
	}
	return ok
}

// notations counts how the values of a column can be read.
type notations struct {
	numbers        int      // values that are numbers in some notation
	withPoint      int      // values that are numbers where the decimal mark is the point
	withComma      int      // values that are numbers where it is the comma
	ambiguousComma int      // values that are numbers either way and have a comma, such as 1,234
	ambiguousPoint int      // values that are numbers either way and have a point, such as 1.234
	plain          int      // values that are written as a program writes them
	percent        int      // values in percent or per mille
	money          []string // the currencies, as they are written; four at most
	example        string   // a value that is not plain
	ambiguous      string   // a value that can be read either way
}

// add reports whether f is a number.
func (n *notations) add(f []byte) bool {
	value, plain := parseNumber(f)
	_, pointed := value, plain
	if !pointed {
		_, pointed = parseWritten(f, point)
	}
	_, commaed := parseWritten(f, comma)
	if !pointed && !commaed {
		return false
	}
	n.numbers++
	if pointed {
		n.withPoint++
	}
	if commaed {
		n.withComma++
	}
	if pointed && commaed {
		if bytes.ContainsAny(f, ".,") {
			n.ambiguous = string(bytes.TrimSpace(f))
		}
		if bytes.IndexByte(f, ',') >= 0 {
			n.ambiguousComma++
		}
		if bytes.IndexByte(f, '.') >= 0 {
			n.ambiguousPoint++
		}
	}
	if plain {
		n.plain++
		return true
	}
	if bytes.ContainsAny(f, "%‰٪％") {
		n.percent++
	}
	mark := strings.TrimFunc(string(f), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.Is(unicode.Sc, r)
	})
	if sign := strings.IndexFunc(mark, func(r rune) bool { return unicode.IsLetter(r) || unicode.Is(unicode.Sc, r) }); sign >= 0 && !slices.Contains(n.money, mark) && len(n.money) < 4 && !strings.ContainsAny(mark, "0123456789") {
		n.money = append(n.money, mark)
	}
	if n.example == "" || len(f) > len(n.example) && len(f) < 24 {
		n.example = string(bytes.TrimSpace(f))
	}
	return true
}

// decimalMark returns the decimal mark that the column's values call for, 0 where they can be read either way.
func (n *notations) decimalMark() byte {
	switch {
	case n.withPoint > n.withComma:
		return point
	case n.withComma > n.withPoint:
		return comma
	}
	return 0
}

// note says how the numbers are written, "" where they are plain.
func (n *notations) note(decimal byte, asked bool) string {
	var notes []string
	if n.example != "" && n.plain < n.numbers {
		text := "written as \"" + n.example + "\""
		switch {
		case n.ambiguousComma+n.ambiguousPoint == 0 && n.withPoint == n.withComma:
		case decimal == comma:
			text += ", with a decimal comma"
		case n.withPoint != n.withComma || n.ambiguousComma > 0:
			text += ", with a decimal point"
		}
		notes = append(notes, text)
	}
	if n.percent > 0 && n.percent < n.numbers {
		notes = append(notes, "some in percent, which are hundredths")
	}
	if len(n.money) > 1 {
		notes = append(notes, "in several currencies ("+strings.Join(n.money, ", ")+")")
	}
	if !asked && n.ambiguous != "" && n.decimalMark() == 0 {
		name, other := "comma", byte(comma)
		if decimal == comma {
			name, other = "point", point
		}
		read, _ := parseWritten([]byte(n.ambiguous), decimal)
		instead, _ := parseWritten([]byte(n.ambiguous), other)
		notes = append(notes, fmt.Sprintf("%q is read as %v; --decimal %s reads it as %v", n.ambiguous, read, name, instead))
	}
	return strings.Join(notes, "; ")
}
