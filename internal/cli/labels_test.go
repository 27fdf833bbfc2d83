package cli

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

type ranked struct {
	Samples, Flagged int
	Suspects         []struct {
		Rank     int
		ID       int64
		Label    int
		Likelier int
		Score    float64
	}
	Truth struct {
		Wrong            int
		AveragePrecision float64 `json:"average_precision"`
		ByConfidence     float64 `json:"by_confidence"`
	}
}

// The demo's eighty wrong labels are found, and better than by the mean confidence.
func TestLabelsOfTheDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	succeed(t, "demo", "--no-serve", "--out", dir)
	var r ranked
	if err := json.Unmarshal([]byte(succeed(t, "labels", dir, "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if tr := r.Truth; tr.Wrong != 80 || !(tr.AveragePrecision >= 0.97) || !(tr.AveragePrecision >= tr.ByConfidence) {
		t.Errorf("%+v, want an average precision of 0.97 for 80 wrong labels", tr)
	}
	path := filepath.Join(t.TempDir(), "suspects.csv")
	if out := succeed(t, "labels", dir, "--top", "50", "-o", path); !strings.Contains(out, "50 suspects") {
		t.Errorf("printed %q", out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 51 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows[1:] {
		s := r.Suspects[i]
		if row[1] != strconv.FormatInt(s.ID, 10) || row[2] != strconv.Itoa(s.Label) || row[3] != strconv.Itoa(s.Likelier) {
			t.Errorf("row %d is %q, --json has %+v", i+1, row, s)
		}
	}
	table := succeed(t, "labels", dir, "--top", "3")
	if strings.Count(table, "mean p of") != 3 || !strings.Contains(table, "80 labels known to be wrong") {
		t.Errorf("the table is %q", table)
	}
	if code, _, _ := call(t, "labels", dir, "--top", "-1"); code != exitUsage {
		t.Errorf("--top -1: exit code %d", code)
	}
	if code, _, stderr := call(t, "labels", dir, "--split", "test"); code != exitFailure || !strings.Contains(stderr, "no split") {
		t.Errorf("--split test: exit code %d, %q", code, stderr)
	}
}
