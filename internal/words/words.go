// Package words writes what a sentence about a run says of splits and numbers, everywhere the same way.
package words

import (
	"fmt"
	"math"
	"strings"

	"github.com/logitscope/logitscope/internal/splitname"
)

// Split is a split's name in a sentence.
func Split(split string) string {
	switch split {
	case splitname.Train:
		return "training"
	case splitname.Val:
		return "validation"
	}
	return split
}

// Numbers lists numbers as a sentence does.
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

// Digits writes an NLL or a difference of two with three digits that say something.
func Digits(v float64) string {
	decimals := 3
	for bound := 0.1; decimals < 6 && math.Abs(v) < bound && v != 0; bound /= 10 {
		decimals++
	}
	return fmt.Sprintf("%.*f", decimals, v)
}
