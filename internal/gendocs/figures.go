package main

import (
	"bytes"

	"github.com/logitscope/logitscope/analysis"
)

// figures writes the table of the figures that score prints.
func figures(b *bytes.Buffer) {
	var rows [][]string
	for _, f := range analysis.Figures() {
		interval := ""
		if f.Interval {
			interval = "yes"
		}
		rows = append(rows, []string{"`" + f.Name + "`", f.Text, f.Source, string(f.Needs), interval})
	}
	table(b, []string{"key", "definition", "source", "made of", "interval"}, rows)
}
