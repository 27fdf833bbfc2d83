package analysis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/record"
)

// Lacking is what an answer had to do without. Every answer that rests on more than the epoch and the split that it was asked for has it, so that damage
// is never passed over in silence.
type Lacking struct {
	Damaged []string `json:"damaged"` // one text for each file that cannot be read, which says why
	Missing []string `json:"missing"` // one text for each gap of epochs that were committed and are gone
}

// Lost returns what every answer about the whole run has to do without, which is the epochs that are gone. It reads no logits.
func (a *Analyzer) Lost() Lacking {
	l := Lacking{Damaged: []string{}, Missing: []string{}}
	gaps, damaged := a.missing()
	for _, gap := range gaps {
		l.Missing = append(l.Missing, gap.String())
	}
	for _, err := range damaged {
		l.AddDamage(err)
	}
	return l
}

// missing returns what Directory.Missing does for a run on the disk, and nothing for another Source.
func (a *Analyzer) missing() (gaps []record.Gap, damaged []error) {
	if d, ok := a.source.(Directory); ok {
		return d.Missing()
	}
	return nil, nil
}

// lackingLast returns what the choice of the last epoch has to do without, which is damage and the epochs after it that are gone.
func (a *Analyzer) lackingLast() Lacking {
	l := a.Lost()
	gaps, _ := a.missing()
	l.Missing = l.Missing[:0]
	for _, gap := range gaps {
		if gap.Before < 0 {
			l.Missing = append(l.Missing, gap.String())
		}
	}
	return l
}

// AddDamage adds each line of an error to Damaged, unless it is there already. A nil error adds nothing.
func (l *Lacking) AddDamage(err error) {
	if err != nil {
		l.Damaged = union(l.Damaged, strings.Split(err.Error(), "\n"))
	}
}

// Add adds what another answer lacks that this one rests on.
func (l *Lacking) Add(other Lacking) {
	l.Damaged, l.Missing = union(l.Damaged, other.Damaged), union(l.Missing, other.Missing)
}

// union returns a new slice, never nil, of a and of those in b that are not in a.
func union(a, b []string) []string {
	all := append([]string{}, a...)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Any reports whether anything is lacking.
func (l *Lacking) Any() bool { return len(l.Damaged)+len(l.Missing) > 0 }

// Sentence names what is lacking in one line, of the damaged files the first eight.
func (l *Lacking) Sentence() string {
	const most = 8
	var parts []string
	if n := len(l.Damaged); n > 0 {
		files := "1 file"
		if n > 1 {
			files = fmt.Sprintf("%d files", n)
		}
		text := files + " cannot be read: " + strings.Join(l.Damaged[:min(n, most)], "; ")
		if n > most {
			text += fmt.Sprintf("; and %d more", n-most)
		}
		parts = append(parts, text)
	}
	return strings.Join(append(parts, l.Missing...), "; ")
}
