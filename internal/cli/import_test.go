package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// import says what it made, and every command reads it.
func TestImport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	const folder = "../../convert/testdata/imported/"
	out := succeed(t, "import", folder+"history/{epoch}_{split}.npz", "--classes", folder+"classes.txt", "--out", dir)
	if want := "wrote " + dir + ": 2 epochs of 3 classes; samples: val 12\n"; out != want {
		t.Errorf("it says %q, want %q", out, want)
	}
	for _, args := range [][]string{{"show", dir}, {"score", dir}, {"diagnose", dir}, {"labels", dir}, {"check", dir}} {
		succeed(t, args...)
	}
	if text := succeed(t, "explain", dir, "--epoch", "2", "--split", "val", "--sample", "10"); !strings.Contains(text, "maybe") {
		t.Errorf("explain does not name the classes: %s", text)
	}
	for _, c := range [][]string{{"import"}, {"import", "x.npy"}, {"import", "x.npy", "--out", "r", "--kind", "odds"}, {"import", "x.npy", "--out", "r", "--first", "-1"}} {
		if code, _, _ := call(t, c...); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", c, code, exitUsage)
		}
	}
}
