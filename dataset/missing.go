package dataset

import (
	"bytes"
	"slices"
)

// marks say what stands for a value that is not there. Fields are compared without the spaces around them.
type marks struct {
	more   []string // as asked for
	keepNA bool     // None, NA and the like are categories and classes of that name
	none   bool     // nothing does: the groups of rows
	old    bool     // as pipelines of version 0 have it
}

func (o Options) marks() marks { return marks{more: o.Missing, keepNA: o.KeepNA} }

func (p *Pipeline) marks() marks {
	return marks{more: p.Missing, keepNA: p.KeepNA, old: p.Version == 0}
}

// category reports whether f, in a column of categories or classes, is no value.
func (m marks) category(f []byte) bool {
	f = bytes.TrimSpace(f)
	return !m.none && (len(f) == 0 || !m.keepNA && m.word(f) || m.asked(f))
}

// number reports whether f, in a column of numbers, is no value. A sign alone is none there, where among categories it is one.
func (m marks) number(f []byte) bool {
	f = bytes.TrimSpace(f)
	if !m.old && len(f) < 4 && len(bytes.Trim(f, "-.*–—")) == 0 {
		return true
	}
	return len(f) == 0 || m.word(f) || m.asked(f)
}

func (m marks) asked(f []byte) bool { return len(m.more) > 0 && slices.Contains(m.more, asString(f)) }

// word reports whether f is a usual name of a missing value: those of pandas, R, SQL, spreadsheets and C.
func (m marks) word(f []byte) bool {
	if len(f) > 8 {
		return false
	}
	switch string(f) {
	case "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none":
		return true
	case "N.A.", "n.a.", "na", "NAN", "Nan", "-nan", "-NaN", "Null", "<NA>", "#N/A", "#NA", "#NULL!", "(null)", "NaT", `\N`,
		"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "nil":
		return !m.old
	}
	return false
}
