package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.html")
	succeed(t, "report", small(t), "-o", path)
	raw, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(raw), "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(string(raw)), "</html>") {
		t.Errorf("%v, %d bytes", err, len(raw))
	}
	code, _, stderr := call(t, "report", t.TempDir(), "-o", filepath.Join(t.TempDir(), "x.html"))
	if code != exitFailure || !strings.Contains(stderr, "not a run") {
		t.Errorf("no run: exit code %d: %s", code, stderr)
	}
}
