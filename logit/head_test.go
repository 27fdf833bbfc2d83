package logit_test

import (
	"strings"
	"testing"

	"github.com/logitscope/logitscope/logit"
)

func TestHeads(t *testing.T) {
	for _, c := range []struct {
		head                 logit.Head
		classes, columns     int
		multiLabel, together bool
	}{
		{"softmax", 3, 3, false, true}, {"softmax", 2, 2, false, true}, {"binary", 2, 1, false, false}, {"sigmoid", 3, 3, true, false}, {"sigmoid", 1, 1, true, false},
	} {
		if got := c.head.Columns(c.classes); got != c.columns {
			t.Errorf("%s: %d columns for %d classes, want %d", c.head, got, c.classes, c.columns)
		}
		if c.head.MultiLabel() != c.multiLabel || c.head.AcrossColumns() != c.together {
			t.Errorf("%s: several labels %v, softmax across columns %v", c.head, c.head.MultiLabel(), c.head.AcrossColumns())
		}
		if err := c.head.Validate(c.columns, c.classes); err != nil {
			t.Errorf("%s: %v", c.head, err)
		}
	}
	for _, c := range []struct {
		head             logit.Head
		columns, classes int
		want             string
	}{
		{"hardmax", 3, 3, `head "hardmax": want "softmax", "binary" or "sigmoid"`},
		{"", 3, 3, `head ""`},
		{"Softmax", 3, 3, `head "Softmax"`},
		{"softmax", 1, 2, "has one a class"},
		{"sigmoid", 2, 3, "has one a class"},
		{"binary", 2, 2, "1 column and 2 classes"},
		{"binary", 1, 3, "1 column and 2 classes"},
	} {
		if err := c.head.Validate(c.columns, c.classes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %d columns and %d classes: %v, want %q", c.head, c.columns, c.classes, err, c.want)
		}
	}
}
