package dataset

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"
)

var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseNumber reads a decimal number, spaces around it allowed, and reports whether f is one. The common case, up to 15
// digits without an exponent, is exact: both the digits and the power of ten are float64 numbers (Clinger, 1990).
func parseNumber(f []byte) (float64, bool) {
	f = bytes.TrimSpace(f)
	at, negative := 0, false
	if at < len(f) && (f[at] == '-' || f[at] == '+') {
		negative = f[at] == '-'
		at++
	}
	digits, fraction, point := 0, 0, false
	mantissa := uint64(0)
	for ; at < len(f); at++ {
		switch c := f[at]; {
		case c >= '0' && c <= '9':
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
			if point {
				fraction++
			}
			if digits > 15 {
				return slowNumber(f)
			}
		case c == '.' && !point:
			point = true
		default:
			return slowNumber(f)
		}
	}
	if digits == 0 {
		return 0, false
	}
	value := float64(mantissa) / powersOfTen[fraction]
	if negative {
		value = -value
	}
	return value, true
}

// slowNumber parses numbers with many digits or an exponent by strconv. Unlike strconv it accepts no names such as inf, no hexadecimals and no
// underscores.
func slowNumber(f []byte) (float64, bool) {
	for _, c := range f {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	value, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(f), len(f)), 64)
	if err != nil {
		return math.Inf(1), false
	}
	return value, true
}
