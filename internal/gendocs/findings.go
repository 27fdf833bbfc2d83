package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/diagnose"
)

// findings writes the table of the findings of diagnose, with a row for each finding, which several rules may make.
func findings(b *bytes.Buffer) {
	var rows [][]string
	var known []string
	for _, r := range diagnose.Rules() {
		for _, kind := range r.Finds {
			if slices.Contains(known, kind.ID) {
				continue // the row of an earlier rule describes the finding
			}
			known = append(known, kind.ID)
			rows = append(rows, []string{"`" + kind.ID + "`", kind.Text, strings.Join(r.Needs, ", "), code(r.Voids)})
		}
	}
	table(b, []string{"finding", "what it says", "needs", "makes void"}, rows)
}

// findingIDs writes the list of the ids of findings.
func findingIDs(b *bytes.Buffer) {
	var ids []string
	for _, r := range diagnose.Rules() {
		for _, kind := range r.Finds {
			if !slices.Contains(ids, kind.ID) {
				ids = append(ids, kind.ID)
			}
		}
	}
	b.WriteString("The ids: " + code(ids) + ".\n")
}

// code lists words, each set as code.
func code(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}
