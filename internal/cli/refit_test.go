package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// A run without validation rows has nothing to be trained on anew.
func TestRefitNeedsValidation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := call(t, "train", "--epochs", "1", "--train-size", "50", "--val-fraction", "0", "--refit", "--out", dir)
	if code != exitUsage || !strings.Contains(stderr, "--refit: no rows are kept for validation") {
		t.Errorf("code %d, %q, want %d and what --refit needs", code, stderr, exitUsage)
	}
}
