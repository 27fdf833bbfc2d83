package cli

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type ranked struct {
	Evidence                string
	Folds, Samples, Flagged int
	Suspects                []struct {
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
	dir, _ := demo(t)
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

// The folds are a run within the run; labels takes them in, and check finds nothing odd.
func TestFolds(t *testing.T) {
	args := []string{"--train-size", "200", "--hidden", "64", "--epochs", "12", "--lr", "0.01", "--label-noise", "0.2", "--label-noise-kind", "confused"}
	alone, dir := small(t, args...), small(t, append(args, "--folds", "4")...)
	var s, without, with ranked
	for _, c := range []struct {
		dir  string
		into *ranked
	}{{alone, &without}, {dir, &with}, {dir, &s}} {
		if err := json.Unmarshal([]byte(succeed(t, "labels", c.dir, "--json")), c.into); err != nil {
			t.Fatal(err)
		}
	}
	if with.Evidence != "early_epochs_and_folds" || without.Evidence != "early_epochs" || with.Folds < 1 || without.Folds != 0 {
		t.Errorf("evidence %s to epoch %d, without folds %s to %d", with.Evidence, with.Folds, without.Evidence, without.Folds)
	}
	if !(with.Truth.AveragePrecision >= 0.7) || with.Truth.AveragePrecision == without.Truth.AveragePrecision {
		t.Errorf("average precision %v, without folds %v", with.Truth.AveragePrecision, without.Truth.AveragePrecision)
	}
	if out := succeed(t, "check", dir); strings.Contains(out, "note") || strings.Contains(out, "damaged") {
		t.Errorf("check: %s", out)
	}
	succeed(t, "check", filepath.Join(dir, "folds"))
	main, folds := show(t, dir), show(t, filepath.Join(dir, "folds"))
	if len(folds.Epochs) != 12 || folds.Epochs[11].Splits["train"].N != main.Epochs[11].Splits["train"].N {
		t.Errorf("the folds have %d epochs: %+v", len(folds.Epochs), folds.Epochs)
	}
	// The samples of the run stay as they are, wherever the folds are.
	if got, want := samplesOf(t, filepath.Join(dir, "folds"), "train"), samplesOf(t, alone, "train"); !slices.Equal(got.IDs, want.IDs) || !slices.Equal(got.Labels, want.Labels) {
		t.Error("the folds are of other samples")
	}
	// Damage to the folds leaves what the run itself says, and is told.
	if err := os.Truncate(filepath.Join(dir, "folds", "samples", "train.arrow"), 10); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := call(t, "labels", dir, "--json")
	if code != exitFailure || !strings.Contains(stderr, "folds") {
		t.Errorf("damaged folds: exit code %d, %q", code, stderr)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Evidence != "early_epochs" || s.Truth != without.Truth {
		t.Errorf("damaged folds: %+v, %v; want %+v", s.Truth, err, without.Truth)
	}
	for _, args := range [][]string{{"--folds", "1"}, {"--folds", "-3"}, {"--folds", "5000"}, {"--label-noise", "0.1", "--label-noise-kind", "odd"}} {
		if code, _, stderr := call(t, append([]string{"train", "--out", filepath.Join(t.TempDir(), "r")}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}
