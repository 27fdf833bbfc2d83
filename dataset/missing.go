package dataset

import (
	"bytes"
	"slices"
	"strings"
)

// marks decides which fields stand for a missing value. Fields are compared without the spaces around them.
type marks struct {
	extra    []string // words that the user named
	keepNA   bool     // None, NA and the like are categories and classes of that name
	disabled bool     // no field of a category stands for a missing value, as in a column of groups
	version0 bool     // the rules of pipelines of version 0 hold
}

func (o Options) marks() marks { return marks{extra: o.Missing, keepNA: o.KeepNA} }

func (p *Pipeline) marks() marks {
	return marks{extra: p.Missing, keepNA: p.KeepNA, version0: p.Version == 0}
}

// missingCategory reports whether f, in a column of categories or classes, stands for a missing value.
func (m marks) missingCategory(f []byte) bool {
	f = bytes.TrimSpace(f)
	return !m.disabled && (len(f) == 0 || !m.keepNA && m.isUsual(f) || m.isExtra(f))
}

// missingNumber reports whether f, in a column of numbers, stands for a missing value. A sign alone does there, though it may be a category.
func (m marks) missingNumber(f []byte) bool {
	f = bytes.TrimSpace(f)
	if !m.version0 && len(f) < 4 && len(bytes.Trim(f, "-.*–—")) == 0 {
		return true
	}
	return len(f) == 0 || m.isUsual(f) || m.isExtra(f) || !m.version0 && isInfinite(f)
}

// isInfinite reports whether f is infinity as a program writes it, the overflow of what it computed. No feature can be infinite.
func isInfinite(f []byte) bool {
	f = bytes.TrimLeft(f, "+-")
	return len(f) > 2 && (f[0] == 'i' || f[0] == 'I' || f[0] == '\xe2') && slices.Contains([]string{"inf", "infinity", "∞"}, strings.ToLower(asString(f)))
}

func (m marks) isExtra(f []byte) bool {
	return len(m.extra) > 0 && slices.Contains(m.extra, asString(f))
}

// isUsual reports whether f is a usual word for a missing value: one of pandas, R, SQL, spreadsheets or C.
func (m marks) isUsual(f []byte) bool {
	if len(f) > 8 {
		return false
	}
	switch string(f) {
	case "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none":
		return true
	case "N.A.", "n.a.", "na", "NAN", "Nan", "-nan", "-NaN", "Null", "<NA>", "#N/A", "#NA", "#NULL!", "(null)", "NaT", `\N`,
		"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "nil":
		return !m.version0
	}
	return false
}
