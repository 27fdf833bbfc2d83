package record

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Folds are a run in the run's own folder: none, one, or something in its place.
func TestFolds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	writeSample(t, dir, 1)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if folds, err := r.Folds(); folds != nil || err != nil {
		t.Errorf("a run without folds: %v, %v", folds, err)
	}
	path := filepath.Join(dir, FoldsDir)
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	var damage *Damage
	if _, err := r.Folds(); !errors.As(err, &damage) {
		t.Errorf("a file in place of the folds: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeSample(t, path, 2)
	folds, err := r.Folds()
	if err != nil {
		t.Fatal(err)
	}
	defer folds.Close()
	if n := len(folds.Epochs()); n != 2 || folds.State() != StateComplete {
		t.Errorf("%d epochs, %s", n, folds.State())
	}
	if report, err := Check(dir); err != nil || !report.OK() || len(report.Notes) != 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
}
