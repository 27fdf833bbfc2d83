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
	m, samples := sampleRun()
	m.PartOf = r.Manifest().ID
	writeRun(t, path, m, samples, 2)
	folds, err := r.Folds()
	if err != nil {
		t.Fatal(err)
	}
	defer folds.Close()
	if n := len(folds.Epochs()); n != 2 || folds.State() != StateComplete {
		t.Errorf("%d epochs, %s", n, folds.State())
	}
	report, err := Check(t.Context(), dir)
	if err != nil || !report.OK() || len(report.Notes) != 0 || report.Folds == nil || report.Folds.Epochs != 2 {
		t.Errorf("check: %+v, %v", report, err)
	}
	// Damage to the folds is found by looking into the run.
	file := filepath.Join(path, "epochs", "000002", "val.arrow")
	if err := os.Truncate(file, 10); err != nil {
		t.Fatal(err)
	}
	if report, err = Check(t.Context(), dir); err != nil || report.OK() || len(report.Damaged) != 0 || len(report.Folds.Damaged) != 1 || report.Folds.Damaged[0].Path != file {
		t.Errorf("check of damaged folds: %+v, %v", report, err)
	}
	for _, place := range []func() error{
		func() error { return os.WriteFile(path, nil, 0o666) }, func() error { return os.Symlink(".", path) }, func() error { return os.Mkdir(path, 0o777) },
	} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := place(); err != nil {
			t.Fatal(err)
		}
		if report, err = Check(t.Context(), dir); err != nil || len(report.Damaged) != 1 || report.Damaged[0].Path != path {
			t.Errorf("check of what are no folds: %+v, %v", report, err)
		}
	}
}
