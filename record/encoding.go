package record

import (
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/logit"
)

// An encoding is a way to keep rows of logits. What is not in this list is unknown to writers and readers alike; each entry stands in a
// file of its own, or here.
var encodings = []encoding{floatEncoding, halfEncoding}

type encoding struct {
	name    string
	dense   bool                       // whether it keeps all logits of a row
	needed  bool                       // whether a manifest names it in its needs
	columns func(m *Manifest) []column // the columns of an epoch's file that follow id and label
	// encode appends rows of k logits each to the bytes of the columns. It returns how many finite logits could be kept as
	// infinities only.
	encode func(dst [][]byte, z []float32, k int) (overflowed int)
	// decode appends the dense logits that the bytes of the columns hold. It is nil where these are float32 already, or where there
	// are none.
	decode func(dst []float32, values [][]byte) []float32
}

// floatEncoding keeps logits as float32, without loss.
var floatEncoding = encoding{
	name:  "float32",
	dense: true,
	columns: func(m *Manifest) []column {
		return []column{{name: "logits", kind: kindFloats, width: m.Columns}}
	},
	encode: func(dst [][]byte, z []float32, _ int) int {
		start := len(dst[0])
		dst[0] = slices.Grow(dst[0], 4*len(z))[:start+4*len(z)]
		putNumbers(dst[0][start:], z)
		return 0
	},
}

// Encodings returns the names of the encodings of rows, for RowFormat.
func Encodings() []string {
	var names []string
	for _, e := range encodings {
		names = append(names, e.name)
	}
	return names
}

// knownNeeds returns what a manifest may name in its needs.
func knownNeeds() (needs []string) {
	for _, e := range encodings {
		if e.needed {
			needs = append(needs, e.name)
		}
	}
	return append(needs, textNeed)
}

// needs returns the needs of the encodings of the manifest's rows, and of previews that are texts.
func (m *Manifest) needs() (needs []string) {
	for _, known := range knownNeeds() {
		if slices.ContainsFunc(m.Splits, func(s SplitInfo) bool { return s.Rows.Logits == known }) || known == textNeed && m.hasTexts() {
			needs = append(needs, known)
		}
	}
	return needs
}

// RowFormat says how a split's rows of logits are kept.
type RowFormat struct {
	Logits string `json:"logits,omitempty"` // one of Encodings; "" is float32
}

// Keep appends to dst what a reader would get of logits that are written in this format.
func (f RowFormat) Keep(dst, logits []float32) []float32 {
	e, err := f.encoding()
	if err != nil || e.decode == nil {
		return append(dst, logits...)
	}
	values := make([][]byte, 1)
	e.encode(values, logits, 1)
	return e.decode(dst, values)
}

// RowBytes returns the number of bytes that a row of columns logits takes at an epoch, with its id and its statistics.
func (f RowFormat) RowBytes(head logit.Head, columns int) int64 {
	m := Manifest{Head: head, Columns: columns, Splits: []SplitInfo{{Rows: f}}}
	bytes := int64(0)
	for _, c := range rowColumns(&m, m.encodingOf(0)) {
		bytes += c.rowBytes()
	}
	if m.keepsStats(0) {
		bytes += 48
	}
	return bytes
}

// encoding returns the encoding of the rows of a split.
func (f RowFormat) encoding() (encoding, error) {
	if f.Logits == "" {
		return floatEncoding, nil
	}
	i := slices.IndexFunc(encodings, func(e encoding) bool { return e.name == f.Logits })
	if i < 0 {
		return encoding{}, fmt.Errorf("rows of %q: want %s", f.Logits, strings.Join(Encodings(), " or "))
	}
	return encodings[i], nil
}

// encodingOf returns the encoding of the rows of a split. It panics for an encoding that is not known, which no file and no caller can bring here:
// validate refuses such a manifest where it is read and where it is written.
func (m *Manifest) encodingOf(split int) encoding {
	e, err := m.Splits[split].Rows.encoding()
	if err != nil {
		panic(err)
	}
	return e
}

// validLabels returns an error for labels of rows that the run does not have.
func validLabels(labels []int32, m *Manifest) error {
	for i, label := range labels {
		if label != Ignored && (label < 0 || int(label) >= len(m.Classes) || m.Head.MultiLabel()) {
			return fmt.Errorf("row %d: label %d of %d classes", i, label, len(m.Classes))
		}
	}
	return nil
}
