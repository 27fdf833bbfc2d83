package record_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/flock"
	"github.com/logitscope/logitscope/record"
)

// What killed processes left of a run that they were about to make is removed by who makes it: not what another holds or has just begun, nor what
// only looks like it.
func TestLeftBesideARun(t *testing.T) {
	dir := t.TempDir()
	const left, held, begun = ".tmp-run-ABCDEFGH", ".tmp-run-ABCDEFG2", ".tmp-run-ABCDEFG3"
	want := []string{held, begun, ".tmp-run-2-ABCDEFGH", ".tmp-run-abcdefgh", "run"}
	for _, name := range append(want[:4:4], left) {
		if err := os.MkdirAll(filepath.Join(dir, name, "samples"), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == begun {
			continue
		}
		lock, err := os.Create(filepath.Join(dir, name, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		if name == held {
			if ok, err := flock.Lock(lock); !ok || err != nil {
				t.Fatal(ok, err)
			}
			defer lock.Close()
			continue
		}
		lock.Close()
	}
	w, err := record.Create(filepath.Join(dir, "run"), record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2},
		map[string]record.Samples{"val": {IDs: []int64{1}, Labels: []int32{0}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("the folder has %q, want %q", names, want)
	}
}
