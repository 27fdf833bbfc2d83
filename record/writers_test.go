package record

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// Whatever a reader's bound is, what is just within it is written and read again, and what is beyond is refused by the writer,
// which leaves no run behind.
func TestWritersRefuseWhatReadersWould(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	long := func(n, size int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprint(i) + strings.Repeat("x", size)
		}
		return names
	}
	run := func(change func(m *Manifest, s map[string]Samples)) error {
		m := Manifest{Name: "run", Classes: []string{"a", "b"}, Head: HeadSoftmax, Columns: 2, Splits: []SplitInfo{{Name: "train", N: 1}}}
		s := map[string]Samples{"train": {IDs: []int64{0}, Labels: []int32{0}}}
		change(&m, s)
		dir := filepath.Join(t.TempDir(), "run")
		w, err := Create(dir, m, s)
		if err != nil {
			if _, left := os.Lstat(dir); !errors.Is(left, fs.ErrNotExist) {
				t.Errorf("%v, and something is left", err)
			}
			return err
		}
		if err := w.Close(StateComplete); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatalf("it was written, and cannot be opened: %v", err)
		}
		defer r.Close()
		if _, err := r.Samples("train"); err != nil {
			t.Fatalf("it was written, and its samples cannot be read: %v", err)
		}
		return nil
	}
	classes := func(names []string) func(*Manifest, map[string]Samples) {
		return func(m *Manifest, _ map[string]Samples) { m.Classes, m.Columns = names, len(names) }
	}
	splits := func(n int) func(*Manifest, map[string]Samples) {
		return func(m *Manifest, s map[string]Samples) {
			for i := range n - 1 {
				name := fmt.Sprintf("split%d", i)
				m.Splits = append(m.Splits, SplitInfo{Name: name})
				s[name] = Samples{}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Manifest, map[string]Samples)
		says   string // "" where it is written
	}{
		"class names of 1 MB":           {classes(long(20, 1<<20)), "shorten the names"},
		"class names below the bound":   {classes(long(15, 1<<20)), ""},
		"class names that grow as JSON": {classes([]string{"a", strings.Repeat("\x01", 3<<20)}), "shorten the names"},
		"a class name that is no UTF-8": {classes([]string{"a", "b\xff"}), "no UTF-8"},
		"many classes":                  {classes(long(1<<17, 1)), ""},
		"a large configuration": {func(m *Manifest, _ map[string]Samples) {
			m.Config = []byte(`{"a":"` + strings.Repeat("x", 17<<20) + `"}`)
		}, "configuration"},
		"a configuration that grows by its indentation": {func(m *Manifest, _ map[string]Samples) {
			m.Config = []byte(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))
		}, "configuration"},
		"versions": {func(m *Manifest, _ map[string]Samples) {
			m.Versions = map[string]string{"a": strings.Repeat("x", 17<<20)}
		}, "would have"},
		"planned epochs":          {func(m *Manifest, _ map[string]Samples) { m.PlannedEpochs = math.MaxInt32 + 1 }, "planned epochs"},
		"planned epochs, at most": {func(m *Manifest, _ map[string]Samples) { m.PlannedEpochs = math.MaxInt32 }, ""},
		"64 splits":               {splits(64), ""},
		"65 splits":               {splits(65), "splits"},
		"a long name":             {func(m *Manifest, _ map[string]Samples) { m.Name = strings.Repeat("a", 129) }, "name"},
		"preview": {func(m *Manifest, _ map[string]Samples) {
			m.Preview = &Preview{Kind: "image", Height: 1 << 12, Width: 1 << 12, Channels: 2, Max: 255}
		}, "preview"},
		"extreme ids": {func(m *Manifest, s map[string]Samples) {
			m.Splits[0].N = 2
			s["train"] = Samples{IDs: []int64{math.MinInt64, math.MaxInt64}, Labels: []int32{0, Ignored}}
		}, ""},
	} {
		if err := run(c.change); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

// A checkpoint of more files than its list may name is refused before any is written.
func TestCheckpointWithinBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w, err := Create(dir, Manifest{Classes: []string{"a", "b"}, Head: HeadSoftmax, Columns: 2}, map[string]Samples{"train": {IDs: []int64{0}, Labels: []int32{0}}})
	if err != nil {
		t.Fatal(err)
	}
	files := make([]File, 1000)
	for i := range files {
		files[i].Name = fmt.Sprintf("%04d", i) + strings.Repeat("x", 100)
	}
	if err := w.Checkpoint(0, files); err == nil || !strings.Contains(err.Error(), "checkpoint.json would have") {
		t.Errorf("1,000 files of long names: error %v", err)
	}
	w.Close(StateInterrupted)
	if r, err := Open(dir); err != nil {
		t.Error(err)
	} else if left, err := r.Checkpoints(); err != nil || len(left) > 0 {
		t.Errorf("checkpoints %v, %v", left, err)
	}
}

// bound makes the bound on a sealed file small for the time of a test.
func bound(t *testing.T, name string, most int64) {
	t.Helper()
	i := slices.IndexFunc(layout, func(r rule) bool { return r.pattern == name })
	before := layout[i].sealed
	layout[i].sealed = most
	t.Cleanup(func() { layout[i].sealed = before })
}

// A calibrator of as many bytes as are read is kept and read; one byte more is refused, and what was there stays.
func TestCalibrationWithinBounds(t *testing.T) {
	_, root := smallDisk(t)
	r := mustOpen(t, root)
	calibrator := func(n int) map[string]string {
		return map[string]string{"text": strings.Repeat("x", n), "run": r.Manifest().ID}
	}
	data, err := Seal(calibrator(100))
	if err != nil {
		t.Fatal(err)
	}
	bound(t, CalibrationFile, int64(len(data)))
	if err := r.WriteCalibration(calibrator(100)); err != nil {
		t.Fatal(err)
	}
	err = r.WriteCalibration(calibrator(101))
	if want := fmt.Sprintf("%s would have %d bytes, and is read up to %d", CalibrationFile, len(data)+1, len(data)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one that says %q", err, want)
	}
	if got, _, err := r.Calibration(); err != nil || string(got) != string(data) {
		t.Errorf("%v; it holds %q, want %q", err, got, data)
	}
	bound(t, CalibrationFile, int64(len(data))-1)
	if _, _, err := r.Calibration(); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("a reader of a lower bound: %v", err)
	}
}

// Figures of more epochs than are read end the run in an error, by a checkpoint as by Close; those before stay.
func TestFiguresWithinBounds(t *testing.T) {
	bound(t, figuresFile, 4<<10)
	for _, by := range []string{"a checkpoint", "Close"} {
		dir := filepath.Join(t.TempDir(), "run")
		w, err := Create(dir, Manifest{Classes: []string{"a", "b"}, Head: HeadSoftmax, Columns: 2}, map[string]Samples{"train": {IDs: []int64{0}, Labels: []int32{0}}})
		if err != nil {
			t.Fatal(err)
		}
		figures := func(epoch int) { w.Figures(Figures{epoch, []SplitFigures{{"train", 0.5, 1}}}) }
		figures(1)
		if err := w.Checkpoint(1, nil); err != nil {
			t.Fatal(err)
		}
		for epoch := 2; epoch < 200; epoch++ {
			figures(epoch)
		}
		if by == "a checkpoint" {
			err = w.Checkpoint(199, nil)
		} else {
			err = w.Close(StateComplete)
		}
		if err == nil || !strings.Contains(err.Error(), "figures.json would have") || !strings.Contains(err.Error(), "fewer epochs") {
			t.Errorf("by %s: error %v", by, err)
		}
		w.Close(StateComplete)
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := r.Figures(); err != nil || len(kept) != 1 || r.State() != StateFailed {
			t.Errorf("by %s: %d epochs' figures, %v, state %s", by, len(kept), err, r.State())
		}
		r.Close()
	}
}

// A file of the caller's that could not be read again is refused before it is looked at, and so is a run that says to have one.
func TestOwnFileWithinBounds(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	dir := filepath.Join(t.TempDir(), "run")
	m := Manifest{Classes: []string{"a", "b"}, Head: HeadSoftmax, Columns: 2}
	samples := map[string]Samples{"train": {IDs: []int64{0}, Labels: []int32{0}}}
	_, err := Create(dir, m, samples, File{Name: "large.bin", Data: make([]byte, maxFileBytes+1)})
	if err == nil || !strings.Contains(err.Error(), "large.bin would have 1073741825 bytes") {
		t.Errorf("error %v", err)
	}
	w, err := Create(dir, m, samples, File{Name: "small.bin", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	w.Close(StateComplete)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.manifest.Files[0].Size = maxFileBytes + 1
	if _, err := r.File("small.bin"); err == nil || !strings.Contains(err.Error(), "want at most 1073741824") {
		t.Errorf("error %v", err)
	}
}
