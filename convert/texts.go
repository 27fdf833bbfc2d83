package convert

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/logitscope/logitscope/record"
)

// maxTexts is how many bytes of texts an importer holds.
var maxTexts = 256 << 20

// textBudget says how much of each text an importer keeps. All texts together have at most maxTexts bytes: where they would have more, less is kept
// of each.
type textBudget struct {
	most   int // the most bytes of a text; 0 before the first
	held   int // the bytes of all texts
	broken int // texts with a character that stands for bytes that are no UTF-8
}

// keepText keeps the text of row i of a block as that of a split's sample. It is an error where the sample has another one already.
func (m *importer) keepText(s *importedSplit, r *rows, i, sample int) error {
	t := &m.texts
	if t.most == 0 {
		t.most = record.TextBytes
	}
	text := record.CutText(r.texts[i], t.most)
	if text == "" {
		return nil
	}
	for len(s.texts) <= sample {
		s.texts = append(s.texts, "")
	}
	if known := s.texts[sample]; known != "" && known != text {
		return fmt.Errorf("%s: sample %d of split %s has the text %.40q, and before it had %.40q", r.location(i), s.ids[sample], s.name, text, known)
	}
	if s.texts[sample] == "" {
		t.held += len(text)
		if strings.ContainsRune(text, utf8.RuneError) {
			t.broken++
		}
	}
	s.texts[sample] = text
	for t.held > maxTexts && t.most > 16 {
		t.most, t.held = t.most-t.most/4, 0
		for _, s := range m.splits {
			for i, text := range s.texts {
				s.texts[i] = record.CutText(text, t.most)
				t.held += len(s.texts[i])
			}
		}
	}
	return nil
}

// settleTexts sets the layout of the previews, and says what is kept, where samples have texts.
func (m *importer) settleTexts() error {
	if m.texts.held == 0 {
		return nil
	}
	if m.preview != nil {
		return errors.New("some samples have pictures and some texts: a run has previews of one kind; --text - leaves the texts out")
	}
	m.preview = &record.Preview{Kind: record.PreviewText, Max: m.texts.most}
	for _, s := range m.splits {
		if s.texts != nil {
			s.texts = append(s.texts, make([]string, len(s.ids)-len(s.texts))...)
		}
	}
	m.notes = append(m.notes, fmt.Sprintf("the samples' texts are kept with the run, %d bytes of each at most: --text - leaves them out", m.texts.most))
	if n := m.texts.broken; n > 0 {
		m.notes = append(m.notes, fmt.Sprintf("%d of the texts hold \uFFFD, as where a file is not in UTF-8: iconv -f WINDOWS-1252 -t UTF-8, say, makes it so", n))
	}
	return nil
}
