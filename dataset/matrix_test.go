package dataset

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// A matrix is read from whatever form a table of numbers has, and the column that is asked for from a table of several.
func TestReadMatrix(t *testing.T) {
	for _, c := range []struct {
		name, body, what string
		columns          int
		want             []float64
	}{
		{"z.jsonl", "[1.5, -2]\n[3, 4e1]\n", "logits", 2, []float64{1.5, -2, 3, 40}},
		{"z.json", "[[1.5, -2], [3, NaN]]", "logits", 2, []float64{1.5, -2, 3, math.NaN()}},
		{"p.jsonl", `{"row": 0, "logits": [1, 2], "label": 1}` + "\n" + `{"row": 1, "logits": [3, 4], "label": 0}`, "logits", 2, []float64{1, 2, 3, 4}},
		{"p.jsonl", `{"row": 7, "logits": [1, 2], "label": 1}` + "\n" + `{"row": 9, "logits": [3, 4], "label": 0}`, "labels", 1, []float64{1, 0}},
		{"z.csv", "1.5,2\n3,-inf\n", "logits", 2, []float64{1.5, 2, 3, math.Inf(-1)}},
		{"z.csv", "1.5,-inf\n3,4\n", "logits", 2, []float64{1.5, math.Inf(-1), 3, 4}},
		{"y.txt", "0\n2\n", "labels", 1, []float64{0, 2}},
		{"p.csv", "row,label,logit:a,logit:b\n0,1,0.5,2\n1,0,3,4\n", "logits", 2, []float64{0.5, 2, 3, 4}},
	} {
		got, rows, columns, err := ReadMatrix(file(t, c.name, c.body), c.what)
		same := slices.EqualFunc(got, c.want, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
		if err != nil || rows*columns != len(c.want) || columns != c.columns || !same {
			t.Errorf("%s of %q: %v, %d×%d, %v", c.what, c.body, got, rows, columns, err)
		}
	}
	for want, body := range map[string]string{"row 2: \"x\" in column c1 is not a number": "[1]\n[\"x\"]", "cut short": "[1, 2]\n[3", "was taken for names": "1,2,3\n5,9,7\n1,8,2\n4,4,4\n"} {
		if _, _, _, err := ReadMatrix(file(t, map[bool]string{true: "z.jsonl", false: "z.csv"}[body[0] == 0x5b], body), "logits"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
