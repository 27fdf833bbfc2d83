package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/record"
)

// show names how many of a split's samples an epoch holds, figures that were seen while the weights moved, and what an epoch is.
func TestShowNamesCoverage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w, err := record.Create(dir, record.Manifest{FormatVersion: 3, Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2, Unit: record.UnitRound},
		map[string]record.Samples{"train": {IDs: []int64{0, 1, 2, 3}, Labels: []int32{0, 1, 0, 1}}, "val": {IDs: []int64{0, 1}, Labels: []int32{0, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for split, part := range map[string]record.Part{
		"train": {IDs: []int64{3, 1, 0}, Logits: []float32{1, 2, 1, 2, 2, 1}}, "val": {IDs: []int64{0, 1}, Logits: []float32{1, 2, 1, 2}},
	} {
		if err := w.AppendPart(1, split, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(1, map[string]record.Measured{"train": {When: record.MeasuredDuring}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	text := succeed(t, "show", dir)
	for _, want := range []string{"3 of 4", "figures of train were seen while its samples were trained on", "round  split", "After round 1 validation NLL"} {
		if !strings.Contains(text, want) {
			t.Errorf("show does not say %q: %s", want, text)
		}
	}
	if strings.Contains(text, "2 of 2") || strings.Contains(text, "figures of val") {
		t.Errorf("show says of validation what is not so: %s", text)
	}
	json := succeed(t, "show", dir, "--json")
	if strings.Count(json, `"of": 4`) != 1 || strings.Count(json, `"measured": "during"`) != 1 || !strings.Contains(json, `"unit": "round"`) {
		t.Errorf("JSON: %s", json)
	}
}
