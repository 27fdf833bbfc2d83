package record

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// An epoch given in parts is the epoch given whole, and is not there before its last row, nor ever where that does not come.
func TestAppend(t *testing.T) {
	m, samples := sampleRun()
	dir := filepath.Join(t.TempDir(), "parts")
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	w.blockBytes = 8 // as small beside a row as those of large epochs may be
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	refuse := func(want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	z := sampleLogits(2)
	parts := []struct {
		split    string
		from, to int
	}{{"train", 0, 6}, {"val", 0, 6}, {"train", 6, 6}, {"train", 6, 9}, {"train", 9, 15}}
	for _, p := range parts {
		if err := w.Append(2, p.split, z[p.split][p.from:p.to]); err != nil {
			t.Fatal(err)
		}
		if p.to == 15 {
			break
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := r.Refresh(); err != nil || len(r.Epochs()) != 0 {
			t.Fatalf("epochs %v, %v before the last row", r.Epochs(), err)
		}
		refuse("epoch 2 is not whole yet", w.Append(3, "train", z["train"]))
		refuse("epoch 2 is not whole yet", w.Write(3, z))
		refuse("want 5 samples × 3 columns in all", w.Append(2, "train", z["train"]))
	}
	refuse("written already", w.Append(2, "train", z["train"]))
	refuse("written already", w.Append(1, "train", z["train"]))
	refuse(`no split "test"`, w.Append(3, "test", z["train"]))
	refuse("2 logits behind 0", w.Append(3, "train", z["train"][:2]))
	if err := w.Append(3, "train", z["train"]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateInterrupted); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, r, 2)
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() || len(report.Notes) > 0 {
		t.Errorf("an epoch that was not whole left %+v, %v", report, err)
	}

	whole := filepath.Join(t.TempDir(), "whole")
	if w, err = Create(whole, m, samples); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(2, z); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"train.arrow", "val.arrow", "epoch.json"} {
		a, err := os.ReadFile(filepath.Join(dir, "epochs", "000002", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(whole, "epochs", "000002", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "epoch.json" { // which names its run, under a seal
			drop := regexp.MustCompile(`"(run|crc32c)": "[0-9A-Za-z]+"\n?[,}]`)
			n := len(a)
			if a, b = drop.ReplaceAll(a, nil), drop.ReplaceAll(b, nil); len(a) >= n-26 {
				t.Errorf("%s names no run: %s", name, a)
			}
		}
		if string(a) != string(b) {
			t.Errorf("%s differs between parts and whole", name)
		}
	}
}

// Writing an epoch of 128 MiB in parts takes the memory that waits for the disk, and no more.
func TestAppendsMemory(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	const n, k, rows = 1 << 15, 1 << 10, 1 << 11
	m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k}
	samples := map[string]Samples{"train": {IDs: make([]int64, n), Labels: make([]int32, n)}, "val": {IDs: []int64{}, Labels: []int32{}}}
	for i := range n {
		samples["train"].IDs[i] = int64(i)
	}
	dir := filepath.Join(t.TempDir(), "run")
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	before, most := memory.HeapInuse, uint64(0)
	part := make([]float32, rows*k)
	for i := 0; i < n; i += rows {
		part[0] = float32(i)
		if err := w.Append(1, "train", part); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&memory)
		most = max(most, memory.HeapInuse)
	}
	if err := w.Append(1, "val", nil); err != nil { // a split without samples needs no part, and bears one
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	if used := most - min(before, most); used > blocks3*blockBytes+partBytes+16<<20 {
		t.Errorf("%d MiB were used for an epoch of 128", used>>20)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Logits(1, "train")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := 0; i < n; i += rows {
		if l.Values[i*k] != float32(i) {
			t.Fatalf("row %d begins with %v", i, l.Values[i*k])
		}
	}
}

// A run whose epochs are far larger than any memory is made like another.
func TestCreateHuge(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("zeros take memory here")
	}
	const n, k = 1 << 18, 1 << 16 // 64 GiB an epoch
	m := Manifest{Classes: make([]string, k), Head: HeadSoftmax, Columns: k}
	s := Samples{IDs: make([]int64, n), Labels: make([]int32, n)}
	for i := range n {
		s.IDs[i] = int64(i)
	}
	w, err := Create(filepath.Join(t.TempDir(), "run"), m, map[string]Samples{"train": s})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(1, "train", make([]float32, k)); err != nil {
		t.Error(err)
	}
	if err := w.Close(StateInterrupted); err != nil {
		t.Error(err)
	}
	var memory runtime.MemStats
	if runtime.ReadMemStats(&memory); memory.HeapSys > 1<<30 {
		t.Errorf("%d MiB of heap", memory.HeapSys>>20)
	}
}
