//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Links and pipes in a run lead nowhere, and no reader waits for them.
func TestLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	writeSample(t, outside, 2)
	relative := filepath.Join("..", "..", filepath.Base(filepath.Dir(outside)), "outside")
	for _, name := range []string{manifestFile, "samples", "samples/train.arrow", "epochs", "epochs/000001", "epochs/000001/val.arrow", "epochs/000001/epoch.json", endFile, lockName} {
		for how, plant := range map[string]func(at string) error{
			"a link":          func(at string) error { return os.Symlink(filepath.Join(outside, name), at) },
			"a relative link": func(at string) error { return os.Symlink(filepath.Join(relative, name), at) },
			"a pipe":          func(at string) error { return syscall.Mkfifo(at, 0o600) },
			"a directory":     func(at string) error { return os.Mkdir(at, 0o700) },
		} {
			if how == "a directory" && (name == "samples" || name == "epochs" || name == "epochs/000001") {
				continue
			}
			dir := filepath.Join(t.TempDir(), "run")
			writeSample(t, dir, 2)
			at := filepath.Join(dir, name)
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			if err := plant(at); err != nil {
				t.Fatal(err)
			}
			report, err := Check(t.Context(), dir)
			if err == nil && report.OK() {
				t.Errorf("%s in place of %s passes: %+v", how, name, report)
			}
			if r, err := Open(dir); err == nil {
				for _, split := range []string{"train", "val"} {
					if _, err := r.Logits(2, split); err != nil && name != "epochs" {
						t.Errorf("%s in place of %s: epoch 2 is not readable: %v", how, name, err)
					}
				}
				r.Close()
			}
		}
	}
}

// A link in a folder of runs leads to no run outside it.
func TestOpenIn(t *testing.T) {
	dir := t.TempDir()
	writeSample(t, filepath.Join(dir, "runs", "inside"), 1)
	writeSample(t, filepath.Join(dir, "outside"), 1)
	for link, target := range map[string]string{"absolute": filepath.Join(dir, "outside"), "relative": "../outside"} {
		if err := os.Symlink(target, filepath.Join(dir, "runs", link)); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := os.OpenRoot(filepath.Join(dir, "runs"))
	if err != nil {
		t.Fatal(err)
	}
	defer runs.Close()
	r, err := OpenIn(runs, "inside")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustHold(t, r, 1)
	for _, name := range []string{"absolute", "relative", "../outside", filepath.Join(dir, "outside")} {
		if _, err := OpenIn(runs, name); err == nil {
			t.Errorf("%s leads to a run outside", name)
		}
	}
}

// A link within the run is no more than one that leads out of it: what is reached by one is refused by readers and by Check.
func TestLinksWithin(t *testing.T) {
	for _, name := range []string{
		"samples", "epochs", "checkpoints", "folds", "epochs/000001", "checkpoints/000001", "samples/val.arrow", "epochs/000001/val.arrow",
		"epochs/000001/epoch.json", "checkpoints/000001/weights", "checkpoints/000001/checkpoint.json", figuresFile, endFile, CalibrationFile, "config.yaml",
	} {
		dir := filepath.Join(t.TempDir(), "run")
		m, samples := sampleRun()
		w, err := Create(dir, m, samples, File{"config.yaml", nil})
		if err != nil {
			t.Fatal(err)
		}
		for epoch := 1; epoch <= 2; epoch++ {
			w.Figures(figuresOf(epoch))
			if err := errors.Join(w.WriteEpoch(epoch, sampleLogits(epoch)), w.Checkpoint(epoch, []File{{"weights", nil}}, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(StateComplete); err != nil {
			t.Fatal(err)
		}
		m.PartOf = w.manifest.ID
		writeRun(t, filepath.Join(dir, FoldsDir), m, samples, 1)
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.WriteCalibration(calibrator{2, m.PartOf, 1}), r.Close()); err != nil {
			t.Fatal(err)
		}
		at, moved := filepath.Join(dir, name), filepath.Join(dir, "moved")
		if err := os.Rename(at, moved); err != nil {
			t.Fatal(err)
		}
		target, err := filepath.Rel(filepath.Dir(at), moved)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
		if report, err := Check(t.Context(), dir); err != nil || report.OK() {
			t.Errorf("a link in place of %s passes: %v %+v", name, err, report)
		}
		root, err := openFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		refused := false
		for _, got := range everything(t, root) {
			refused = refused || strings.Contains(got, "is not a folder") || strings.Contains(got, "not a regular file")
		}
		if r, err := open(root, "run"); err == nil {
			folds, err := r.Folds()
			if refused = refused || err != nil && strings.Contains(err.Error(), "is not a folder"); folds != nil {
				folds.Close()
			}
		}
		if root.Close(); !refused {
			t.Errorf("no reader refuses a link in place of %s", name)
		}
	}
}
