package record

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"
)

// foreign is what testdata/interop/read.mjs found in a run.
type foreign struct {
	Name    string
	Classes []string
	Samples map[string]foreignFile
	Epochs  map[string]map[string]foreignFile
}

type foreignFile struct {
	Rows, Batches int
	Columns       map[string]struct {
		Type     string
		Nullable bool
		Nulls    int
		Values   json.RawMessage
	}
}

// values reads a column, whose type it checks.
func values[T any](t *testing.T, f foreignFile, column, wantType string) (values []T) {
	t.Helper()
	c, ok := f.Columns[column]
	if !ok {
		return nil
	}
	if c.Type != wantType || c.Nullable || c.Nulls != 0 {
		t.Errorf("%s is %s, nullable %v, with %d nulls; want %s", column, c.Type, c.Nullable, c.Nulls, wantType)
	}
	if err := json.Unmarshal(c.Values, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// Another implementation of Arrow reads in a run what was written, to the last bit.
func TestOtherArrow(t *testing.T) {
	node, err := exec.LookPath("node")
	if _, missing := os.Stat("testdata/interop/node_modules"); err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no node, or no testdata/interop/node_modules: npm ci")
		}
		t.Skip("no node, or no testdata/interop/node_modules: make test installs them")
	}
	dir := t.TempDir() + "/small"
	writeSample(t, dir, 2)
	out, err := exec.Command(node, "testdata/interop/read.mjs", dir).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var got foreign
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	m, samples := sampleRun()
	if got.Name != m.Name || !slices.Equal(got.Classes, m.Classes) || len(got.Samples) != 2 || len(got.Epochs) != 2 {
		t.Errorf("got %+v", got)
	}
	for split, want := range samples {
		f := got.Samples[split]
		if f.Rows != len(want.IDs) || f.Batches != 1 {
			t.Errorf("%s: %d rows in %d batches", split, f.Rows, f.Batches)
		}
		s := Samples{
			IDs: foreignIDs(t, f), Labels: values[int32](t, f, "label", "Int32"), CleanLabels: values[int32](t, f, "clean_label", "Int32"),
		}
		for _, preview := range values[string](t, f, "preview", "FixedSizeBinary[4]") {
			b, err := hex.DecodeString(preview)
			if err != nil {
				t.Fatal(err)
			}
			s.Previews = append(s.Previews, b...)
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s: %+v, want %+v", split, s, want)
		}
		for epoch := 1; epoch <= 2; epoch++ {
			f := got.Epochs[fmt.Sprint(epoch)][split]
			var logits []float32
			for _, row := range values[[]uint32](t, f, "logits", "FixedSizeList[3]<Float32>") {
				for _, bits := range row {
					logits = append(logits, math.Float32frombits(bits))
				}
			}
			if !slices.Equal(foreignIDs(t, f), want.IDs) || !sameBits(logits, sampleLogits(epoch)[split]) {
				t.Errorf("epoch %d, %s: %v", epoch, split, logits)
			}
		}
	}
}

func foreignIDs(t *testing.T, f foreignFile) (ids []int64) {
	t.Helper()
	for _, id := range values[json.Number](t, f, "id", "Int64") {
		n, err := id.Int64()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, n)
	}
	return ids
}

// A run that was written when format 1 was new is read today, and by every version to come.
func TestFormat1(t *testing.T) {
	r, err := Open("testdata/format1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustHold(t, r, 1, 2)
	if r.State() != StateComplete || r.Manifest().FormatVersion != 1 || r.Manifest().Created.Year() != 2026 {
		t.Errorf("state %q, manifest %+v", r.State(), r.Manifest())
	}
	_, samples := sampleRun()
	for split, want := range samples {
		if got, err := r.Samples(split); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", split, got, err)
		}
	}
	if report, err := Check("testdata/format1"); err != nil || !report.OK() || len(report.Notes) != 0 || report.Files != 10 {
		t.Errorf("%+v, %v", report, err)
	}
}
