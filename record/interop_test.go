package record

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/half"
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
	dir := t.TempDir() + "/small"
	writeSample(t, dir, 2)
	got := readByNode(t, dir)
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

// readByNode is what testdata/interop/read.mjs finds in a run.
func readByNode(t *testing.T, dir string) (got foreign) {
	t.Helper()
	node, err := exec.LookPath("node")
	if _, missing := os.Stat("testdata/interop/node_modules"); err != nil || missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has no node, or no testdata/interop/node_modules: npm ci")
		}
		t.Skip("no node, or no testdata/interop/node_modules: make test installs them")
	}
	out, err := exec.Command(node, "testdata/interop/read.mjs", dir).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// And in a run of format 3: rows of halves, statistics, labels of rows, samples that came later.
func TestOtherArrow3(t *testing.T) {
	dir := t.TempDir() + "/small"
	writeSample3(t, dir)
	got := readByNode(t, dir)
	r := openDir(t, dir)
	for epoch := 1; epoch <= 2; epoch++ {
		files := got.Epochs[fmt.Sprint(epoch)]
		if want := map[int]int{1: 7, 2: 6}[epoch]; len(files) != want {
			t.Errorf("epoch %d: %d files", epoch, len(files))
		}
		for _, split := range []string{"train", "val"} {
			rows, err := r.Rows(t.Context(), epoch, split)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			at := 0
			for part := 0; at < rows.N; part++ {
				f, stats := files[strings.TrimSuffix(partFile(split, part, false), ".arrow")], files[strings.TrimSuffix(partFile(split, part, true), ".arrow")]
				b := rows.At(at, f.Rows)
				at += f.Rows
				var logits []float32
				for _, row := range values[[]uint16](t, f, "logits", "FixedSizeList[3]<Float16>") {
					for _, bits := range row {
						logits = append(logits, half.Float32(bits))
					}
				}
				if !slices.Equal(foreignIDs(t, f), b.IDs) || !sameBits(logits, b.Logits) || !slices.Equal(foreignIDs(t, stats), b.IDs) {
					t.Errorf("epoch %d, %s, part %d: %v", epoch, split, part, logits)
				}
				if labels := values[int32](t, f, "label", "Int32"); labels != nil && !slices.Equal(labels, b.Labels) {
					t.Errorf("labels %v, want %v", labels, b.Labels)
				}
				var top []int32
				for _, s := range b.Stats {
					top = append(top, s.Top)
				}
				if got := values[int32](t, stats, "top", "Int32"); !slices.Equal(got, top) || len(stats.Columns) < 11 {
					t.Errorf("epoch %d, %s, part %d: top %v, want %v", epoch, split, part, got, top)
				}
			}
		}
	}
	if ids := foreignIDs(t, got.Epochs["1"]["train.samples"]); !slices.Equal(ids, []int64{99}) {
		t.Errorf("further samples %v", ids)
	}
}

// writeSample3 writes sampleRun as a run of format 3 with all that is particular to it.
func writeSample3(t testing.TB, dir string) {
	t.Helper()
	m, samples := sampleRun()
	m.Splits = []SplitInfo{{Name: "train", N: 5, Rows: RowFormat{"float16"}, Samples: SamplesGrowing}, {Name: "val", N: 2, Rows: RowFormat{"float16"}}}
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	asSmall3(w)
	if err := errors.Join(writeEpoch3(w, 1), writeEpoch3(w, 2), w.Close(StateComplete)); err != nil {
		t.Fatal(err)
	}
}

// mustHold3 checks that r holds what writeSample3 wrote.
func mustHold3(t *testing.T, r *Run) {
	t.Helper()
	disk, root := smallDisk3(t)
	_ = disk
	want := mustOpen(t, root)
	for epoch := 1; epoch <= 2; epoch++ {
		for _, split := range []string{"train", "val"} {
			a, err := allRows(want, epoch, split)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := allRows(r, epoch, split); err != nil || a != b {
				t.Errorf("epoch %d, %s: %v, %s, want %s", epoch, split, err, b, a)
			}
		}
	}
	s, err := r.Samples("train")
	if err != nil || len(s.IDs) != 6 || s.IDs[5] != 99 || s.Labels[5] != 2 || string(s.Previews[20:]) != "new!" {
		t.Errorf("%+v, %v", s, err)
	}
}

// A run that was written when format 3 was new is read today, and by every version to come.
func TestFormat3(t *testing.T) {
	const dir = "testdata/format3"
	if os.Getenv("WRITE_FORMAT3") != "" { // once, when the format is new
		writeSample3(t, dir)
	}
	r := openDir(t, dir)
	if r.State() != StateComplete || r.Manifest().FormatVersion != 3 {
		t.Errorf("state %q, manifest %+v", r.State(), r.Manifest())
	}
	mustHold3(t, r)
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) != 1 || !strings.HasSuffix(report.Notes[0], "beyond float16: 1 of them") {
		t.Errorf("%+v, %v", report, err)
	}
}

// What formats 1 and 2 can say is written as ever, to the byte.
func TestFormat1IsWritten(t *testing.T) {
	dir := t.TempDir() + "/small"
	writeSample(t, dir, 2)
	files := 0
	err := filepath.WalkDir("testdata/format1", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".arrow" {
			return err
		}
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		now, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(filepath.ToSlash(path), "testdata/format1")))
		if err != nil || !bytes.Equal(old, now) {
			t.Errorf("%s is written otherwise: %v", path, err)
		}
		return nil
	})
	if err != nil || files != 6 {
		t.Errorf("%d files, %v", files, err)
	}
	for _, name := range []string{"manifest.json", "epochs/000002/epoch.json"} {
		var members [2][]string
		for i, dir := range []string{"testdata/format1", dir} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if member, _, ok := strings.Cut(line, ":"); ok && !strings.Contains(member, `"id"`) && !strings.Contains(member, `"run"`) {
					members[i] = append(members[i], member)
				}
			}
		}
		if !slices.Equal(members[0], members[1]) {
			t.Errorf("%s has the members %q, had %q", name, members[1], members[0])
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
	// Its files do not name it, which is said; nothing else is amiss.
	if report, err := Check(t.Context(), "testdata/format1"); err != nil || !report.OK() || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "older version") || report.Files != 10 {
		t.Errorf("%+v, %v", report, err)
	}
}
