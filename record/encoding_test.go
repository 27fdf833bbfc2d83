package record

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// topEncoding keeps the largest logit and its class: it stands for encodings to come, which keep no dense logits.
var topEncoding = encoding{
	name:   "top",
	needed: true,
	columns: func(*Manifest) []column {
		return []column{{name: "classes", kind: kindInts, width: 1}, {name: "logits", kind: kindHalves, width: 1}}
	},
	encode: func(dst [][]byte, z []float32, k int) (overflowed int) {
		for ; len(z) > 0; z = z[k:] {
			top := 0
			for j, v := range z[:k] {
				if v > z[top] {
					top = j
				}
			}
			dst[0] = binary.LittleEndian.AppendUint32(dst[0], uint32(top))
			dst[1], _ = appendHalves(dst[1], z[top:top+1])
		}
		return 0
	},
}

// noneEncoding keeps statistics alone.
var noneEncoding = encoding{
	name: "none", needed: true,
	columns: func(*Manifest) []column { return nil },
	encode:  func([][]byte, []float32, int) int { return 0 },
}

// An encoding is one value in one list: all that reads and writes runs takes it from there. Where it keeps no dense logits, whoever asks
// for them is told so, statistics are there, and a reader that does not know it refuses the run.
func TestEncodingsToCome(t *testing.T) {
	known := encodings
	defer func() { encodings = known }()
	for _, e := range []encoding{topEncoding, noneEncoding} {
		encodings = append(slices.Clip(known), e)
		const n, k = 12, 5
		m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k, Splits: []SplitInfo{{Name: "val", N: n, Rows: RowFormat{e.name}}}}
		s, z := samplesOf(0, n, k), wideLogits(n, k, 2)
		dir := t.TempDir() + "/run"
		w, err := Create(dir, m, map[string]Samples{"val": s})
		if err != nil {
			t.Fatal(err)
		}
		w.partBytes = 5 * 70
		if err := errors.Join(w.Append(1, "val", z), w.Close(StateInterrupted)); err != nil {
			t.Fatal(err)
		}
		if w, err = Resume(dir); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Append(2, "val", z), w.Close(StateComplete)); err != nil {
			t.Fatal(err)
		}
		r := openDir(t, dir)
		if got := r.Manifest().Needs; !slices.Equal(got, []string{e.name}) {
			t.Errorf("needs %q", got)
		}
		rows, err := r.Rows(t.Context(), 2, "val")
		if err != nil {
			t.Fatal(err)
		}
		if rows.Dense || !rows.Stats || !rows.Whole() {
			t.Errorf("%+v", rows.RowsInfo)
		}
		err = rows.Each(t.Context(), func(b Block) error {
			for i, stat := range b.Stats {
				row := b.First + i
				want := statByDefinition(z[row*k:(row+1)*k], s.Labels[row])
				if diff := math.Abs(float64(stat.NLL - want.NLL)); b.Logits != nil || stat.Top != want.Top || !(diff < 1e-5 || stat.NLL != stat.NLL && want.NLL != want.NLL) {
					t.Errorf("row %d: %+v, want %+v", row, stat, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		rows.Close()
		var kept *NotKeptError
		if _, err := r.Logits(1, "val"); !errors.As(err, &kept) || kept.What != KeptLogits || kept.Epoch != 1 || kept.Split != "val" {
			t.Errorf("logits: %v", err)
		}
		if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) != 0 {
			t.Errorf("%v %+v", err, report)
		}
		encodings = known
		var newer *NewerError
		if _, err := Open(dir); !errors.As(err, &newer) || newer.Need != e.name {
			t.Errorf("who does not know %s: %v", e.name, err)
		}
	}
}

// Who gives a folder of runs for a run is told the paths of those inside, five at most.
func TestFolderOfRuns(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		writeSample(t, filepath.Join(dir, name), 1)
		paths = append(paths, filepath.Join(dir, name))
	}
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o777); err != nil {
		t.Fatal(err)
	}
	want := dir + " is a folder of runs, not a run: give one of them: " + strings.Join(paths, ", ")
	if _, err := Open(dir); !errors.Is(err, ErrNoRun) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	writeSample(t, filepath.Join(dir, "f"), 1)
	if _, err := Open(dir); !errors.Is(err, ErrNoRun) || err.Error() != want+", …" {
		t.Errorf("of six: %v", err)
	}
}

// Errors are told apart without their words.
func TestErrors(t *testing.T) {
	dir := t.TempDir() + "/small"
	writeSample(t, dir, 1)
	r := openDir(t, dir)
	openOf := func(dir string) error { _, err := Open(dir); return err }
	_, noSplit := r.Rows(t.Context(), 1, "test")
	_, noEpoch := r.Rows(t.Context(), 2, "val")
	_, noInfo := r.Epoch(2)
	_, noCheckpoint := r.Checkpoint(1)
	_, noFile := r.File("config.yaml")
	for _, test := range []struct {
		err, is error
	}{
		{openOf(dir + "s"), ErrNoRun},
		{openOf(t.TempDir()), ErrNoRun},
		{noSplit, ErrNoSplit},
		{noEpoch, ErrNoEpoch},
		{noInfo, ErrNoEpoch},
		{noCheckpoint, ErrNoCheckpoint},
		{noFile, ErrNoFile},
	} {
		if !errors.Is(test.err, test.is) || !errors.Is(test.err, fs.ErrNotExist) {
			t.Errorf("%v is no %v", test.err, test.is)
		}
		for _, other := range []error{ErrNoRun, ErrNoSplit, ErrNoEpoch, ErrNoCheckpoint, ErrNoFile} {
			if other != test.is && errors.Is(test.err, other) {
				t.Errorf("%v is %v too", test.err, other)
			}
		}
	}
}
