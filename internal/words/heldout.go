package words

import (
	"regexp"
	"strings"

	"github.com/logitscope/logitscope/internal/splitname"
)

// HeldOut is the name of the split that tells how the network does on new samples. Sentences about runs are written of validation, and In has them
// speak of a run's own.
type HeldOut string

// ofValidation finds the word validation in a sentence, with a noun that it stands before. What stands in quotation marks is passed over.
var ofValidation = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b([Vv])alidation( NLL| accuracy| samples)?\b`)

// In returns a sentence of validation as one of the split: "validation NLL" is "NLL on test".
func (h HeldOut) In(sentence string) string {
	if h == splitname.Val {
		return sentence
	}
	return ofValidation.ReplaceAllStringFunc(sentence, func(found string) string {
		parts := ofValidation.FindStringSubmatch(found)
		if parts[1] == "" {
			return found
		}
		said := string(h)
		if noun := strings.TrimSpace(parts[2]); noun == "samples" {
			said = noun + " of " + said
		} else if noun != "" {
			said = noun + " on " + said
		}
		if parts[1] == "V" {
			said = strings.ToUpper(said[:1]) + said[1:]
		}
		return said
	})
}
