//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"os"
	"path/filepath"
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
			report, err := Check(dir)
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
