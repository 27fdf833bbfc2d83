package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExport(t *testing.T) {
	dir, out := small(t), filepath.Join(t.TempDir(), "best.csv")
	succeed(t, "export", dir, "--out", out, "--epochs", "best", "--splits", "train")
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != 1+100 {
		t.Errorf("%d lines, want a header and 100 samples", lines)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"export", dir}, exitUsage, "--out"},
		{[]string{"export", dir, "--out", "x.doc"}, exitUsage, `".doc" tells no format`},
		{[]string{"export", dir, "--out", out, "--format", "xml"}, exitUsage, "unknown format"},
		{[]string{"export", dir, "--out", out, "--epochs", "9"}, exitFailure, "epoch 9"},
		{[]string{"export", dir, "--out", out, "--splits", "dev"}, exitFailure, `no split "dev"`},
	} {
		if code, _, stderr := call(t, c.args...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, stderr)
		}
	}
}
