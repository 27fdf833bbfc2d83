package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that fills up while a run is recorded: one clear line, and the epochs before are whole.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=400k"); err != nil {
		t.Skipf("mounting a small disk: %v (it takes root)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(disk, "run")
	cmd := exec.CommandContext(t.Context(), binary(t), "train", "--quiet", "--out", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), "no space left on device") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if s := show(t, dir); len(s.Epochs) == 0 {
		t.Error("the epochs recorded before are gone")
	}
	if out := logitscope(t, "check", dir); !strings.Contains(out, "failed") {
		t.Errorf("check says %q", out)
	}
}
