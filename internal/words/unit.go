package words

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Unit is what the number of an epoch of a run counts, as its manifest has it: step or round; "" for epochs. Sentences about runs are written of
// epochs, and In has them speak of the run's unit.
type Unit string

// String returns the noun, in the singular.
func (u Unit) String() string { return cmp.Or(string(u), "epoch") }

// ofEpochs finds the word epoch in a sentence, with an article that must fit it. What stands in quotation marks, as names of classes do, and what is
// part of a path, a flag or a field comes first, so that it is passed over.
var ofEpochs = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[^\s"(]*[-/=._{][Ee]poch\S*|\b[Ee]pochs?[/=]\S*|(\b[Aa])n ([Ee]poch)|\b([Ee]poch)`)

// In returns a sentence of epochs as one of the unit: "at epoch 3" is "at round 3".
func (u Unit) In(sentence string) string {
	if u.String() == "epoch" {
		return sentence
	}
	return ofEpochs.ReplaceAllStringFunc(sentence, func(found string) string {
		parts := ofEpochs.FindStringSubmatch(found)
		article, noun := parts[1], cmp.Or(parts[2], parts[3])
		if noun == "" {
			return found
		}
		unit := string(u)
		if noun[0] == 'E' {
			unit = strings.ToUpper(unit[:1]) + unit[1:]
		}
		if article != "" {
			return article + " " + unit
		}
		return unit
	})
}

// Sprintf is fmt.Sprintf with a format that is a sentence of epochs; names among args stay as they are.
func (u Unit) Sprintf(format string, args ...any) string {
	if false {
		_ = fmt.Sprintf(format, args...) // tells go vet to check calls as those of fmt.Sprintf
	}
	return fmt.Sprintf(u.In(format), args...)
}
