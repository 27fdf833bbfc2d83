package analysis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/record"
)

// Lacking is what an answer had to do without: each that rests on more than what it was asked of by name has it, so that nothing
// damaged is passed over in silence.
type Lacking struct {
	Damaged []string `json:"damaged"` // files that cannot be read, and why
	Missing []string `json:"missing"` // epochs that were committed and are gone
}

// Lost is what any answer about the whole run has to do without: epochs that are gone. It reads no logits.
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

// missing is that of a run on the disk.
func (a *Analyzer) missing() (gaps []record.Gap, damaged []error) {
	if d, ok := a.source.(Directory); ok {
		return d.Missing()
	}
	return nil, nil
}

// lackingLast is what the choice of the last epoch has to do without: epochs that are gone behind it.
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

// AddDamage adds what was passed over because of an error, once.
func (l *Lacking) AddDamage(err error) {
	if err != nil {
		l.Damaged = union(l.Damaged, strings.Split(err.Error(), "\n"))
	}
}

// Add adds what another answer, that this one rests on, lacks.
func (l *Lacking) Add(other Lacking) {
	l.Damaged, l.Missing = union(l.Damaged, other.Damaged), union(l.Missing, other.Missing)
}

// union is a new slice, never nil, with what is in a or b.
func union(a, b []string) []string {
	all := append([]string{}, a...)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Any reports whether there is anything.
func (l *Lacking) Any() bool { return len(l.Damaged)+len(l.Missing) > 0 }

// Sentence names it in one line.
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
