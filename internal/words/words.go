// Package words writes the names of splits and numbers for sentences about a run, so that all sentences do it in the same way.
package words

import (
	"fmt"
	"math"
	"strings"

	"github.com/logitscope/logitscope/internal/splitname"
)

// Split returns the name of a split for a sentence, such as "training" for train.
func Split(split string) string {
	switch split {
	case splitname.Train:
		return "training"
	case splitname.Val:
		return "validation"
	}
	return split
}

// Numbers lists numbers for a sentence, such as "1, 2 and 3".
func Numbers(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, fmt.Sprint(n))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// Digits writes an NLL, or a difference of two NLLs, with three decimals, or for a small value with up to six, so that three digits are not zero.
func Digits(v float64) string {
	decimals := 3
	for bound := 0.1; decimals < 6 && math.Abs(v) < bound && v != 0; bound /= 10 {
		decimals++
	}
	return fmt.Sprintf("%.*f", decimals, v)
}
