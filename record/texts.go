package record

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// TextBytes is how many bytes of a text are kept as its sample's preview where nobody says otherwise: a paragraph or two.
const TextBytes = 1000

// textNeed is what a manifest names in its needs where previews are texts.
const textNeed = "preview"

// cutMark is the last character of a text that was cut.
const cutMark = "\u2026"

// hasTexts reports whether the previews of samples are texts.
func (m *Manifest) hasTexts() bool { return m.Preview != nil && m.Preview.Kind == PreviewText }

// CutText returns text as it is kept in at most most bytes: longer text ends in an ellipsis, and what is not UTF-8 is replaced by U+FFFD. The result
// shares no memory with a text that is longer than it, so that this can be forgotten. most must be 3 or more, which an ellipsis has.
func CutText(text string, most int) string {
	long := len(text) > most
	if text = text[:min(len(text), most)]; !utf8.ValidString(text) { // which is found out faster than ToValidUTF8 does
		text = strings.ToValidUTF8(text, "\uFFFD") // which may be longer than what it stands for, or shorter
	}
	if !long && len(text) <= most {
		return text
	}
	end := min(most-len(cutMark), len(text))
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutMark
}

// validateTexts returns what is wrong with p as the layout of texts, nil for nothing.
func (p *Preview) validateTexts() error {
	if p.Height != 0 || p.Width != 0 || p.Channels != 0 {
		return fmt.Errorf("preview of texts that is %d×%d×%d: texts have no size", p.Height, p.Width, p.Channels)
	}
	if p.Max < len(cutMark) || p.Max > maxPreview {
		return fmt.Errorf("preview of texts of at most %d bytes: want %d to %d", p.Max, len(cutMark), maxPreview)
	}
	return nil
}

// validTexts returns what is wrong with the texts of n samples, nil for nothing.
func validTexts(texts []string, m *Manifest, n int) error {
	if texts != nil && len(texts) != n {
		return fmt.Errorf("%d texts for %d samples", len(texts), n)
	}
	for i, text := range texts {
		if len(text) > m.Preview.Max {
			return fmt.Errorf("row %d: a text of %d bytes: want at most %d", i, len(text), m.Preview.Max)
		}
		if !utf8.ValidString(text) {
			return fmt.Errorf("row %d: a text that is no UTF-8", i)
		}
	}
	if all := bytesOfTexts(texts); all > math.MaxInt32 {
		return fmt.Errorf("texts of %d bytes: want at most %d in a file", all, math.MaxInt32)
	}
	return nil
}

func bytesOfTexts(texts []string) (all int64) {
	for _, text := range texts {
		all += int64(len(text))
	}
	return all
}

// textBytes returns texts as Arrow keeps them: where each begins and the last ends, and all of them one behind the other. Both are nil where texts is.
func textBytes(texts []string) (offsets, text []byte) {
	if texts == nil {
		return nil, nil
	}
	ends := make([]int32, 1, len(texts)+1)
	text = make([]byte, 0, bytesOfTexts(texts))
	for _, one := range texts {
		text = append(text, one...)
		ends = append(ends, int32(len(text)))
	}
	return bytesOf(ends), text
}

// textsOf returns the texts that textBytes was given, of offsets that decodeArrow has checked.
func textsOf(offsets, text []byte) []string {
	if offsets == nil {
		return nil
	}
	ends := view[int32](offsets)
	all := string(text) // one piece of memory, which the texts share
	texts := make([]string, len(ends)-1)
	for i := range texts {
		texts[i] = all[ends[i]:ends[i+1]]
	}
	return texts
}
