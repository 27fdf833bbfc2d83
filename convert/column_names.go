package convert

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/logitscope/logitscope/record"
)

// The names of table columns, and of members of JSON objects, that hold what is known of a row. Upper and lower case are the same.
var (
	idNames    = []string{"id", "guid", "index", "sample_id", "sample", "idx"}
	labelNames = []string{"label", "labels", "gold", "target", "y", "class"}
	textName   = "text" // other columns are texts where ImportOptions.Text names them
	logitName  = regexp.MustCompile(`(?i)^(?:logits?|scores?|outputs?|probs?|logprobs?|z)(?:[:._ ](.*)|([0-9]+))$`)
	dynamics   = regexp.MustCompile(`^logits_epoch_([0-9]+)$`)
)

// columnsOf holds the index of each column of a table by what it holds; -1 where the table has no such column.
type columnsOf struct {
	epoch, split, id, label int
	text                    int
	logits                  []int
	classes                 []string // the class that each column of logits is named after; nil where the columns are only numbered
}

// noText is the ImportOptions.Text that keeps no texts.
const noText = "-"

// isTextName reports whether a column, or a member, has the name of the samples' texts. text is ImportOptions.Text; where it does not say, surely
// tells whether a column of the usual name holds texts and nothing else.
func isTextName(name, text string, surely bool) bool {
	lower := strings.ToLower(strings.TrimSpace(name))
	switch text {
	case "":
		return surely && lower == textName
	case noText:
		return false
	}
	return lower == strings.ToLower(text)
}

// namedLogits reports whether some column is named as logits are.
func namedLogits(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return logitName.MatchString(strings.TrimSpace(name)) })
}

// findColumns finds the columns of a table by their names. mayBe reports whether a column may hold logits. Where no column is named as logits
// are, all columns that hold nothing else are taken for logits. isText is as surely of isTextName.
func findColumns(names []string, o *ImportOptions, mayBe, isText func(i int) bool) (columnsOf, error) {
	text := o.Text
	c := columnsOf{epoch: -1, split: -1, id: -1, label: -1, text: -1}
	var called []string
	var left []int
	for i, name := range names {
		lower := strings.ToLower(strings.TrimSpace(name))
		at := &c.epoch
		switch {
		case isTextName(name, text, isText(i)):
			at = &c.text
		case lower == "epoch":
		case lower == "split":
			at = &c.split
		case slices.Contains(idNames, lower):
			at = &c.id
		case slices.Contains(labelNames, lower):
			at = &c.label
		case lower == "label_name" || lower == "clean_label":
			continue
		case lower == "targets":
			return c, errors.New("it has a column targets: logits of samples with several classes each are not imported")
		default:
			if match := logitName.FindStringSubmatch(strings.TrimSpace(name)); match != nil && mayBe(i) {
				c.logits, called = append(c.logits, i), append(called, match[1]+match[2])
			} else if mayBe(i) {
				left = append(left, i)
			}
			continue
		}
		if *at >= 0 {
			return c, fmt.Errorf("columns %s and %s both tell the same: leave one out", names[*at], name)
		}
		*at = i
	}
	if c.text < 0 && text != "" && text != noText {
		return c, fmt.Errorf("no column is called %s, which is to hold the texts: it has %s", text, strings.Join(names[:min(len(names), 12)], ", "))
	}
	if o.skipTexts {
		c.text = -1
	}
	if c.logits == nil {
		for _, i := range left {
			c.logits, called = append(c.logits, i), append(called, names[i])
		}
	}
	if c.logits == nil {
		return c, fmt.Errorf("no column holds logits: it has %s; call them logit:CLASS", strings.Join(names[:min(len(names), 12)], ", "))
	}
	if slices.ContainsFunc(called, func(name string) bool { _, err := strconv.Atoi(name); return err != nil }) {
		c.classes = called
	}
	return c, nil
}

// rowCost returns how many logits take as much memory as a row of so many logits and what else is read of it.
func (c *columnsOf) rowCost(columns int) int {
	if c.text >= 0 {
		columns += record.TextBytes / 4
	}
	return columns
}
