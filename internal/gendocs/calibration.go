package main

import (
	"bytes"

	"github.com/logitscope/logitscope/calibrate"
)

// calibrationMethods writes the table of the methods of calibration.
func calibrationMethods(b *bytes.Buffer) {
	names := []string{string(calibrate.Auto)}
	for _, m := range calibrate.Methods {
		names = append(names, string(m))
	}
	b.WriteString("The methods: " + code(names) + ".\n")
}
