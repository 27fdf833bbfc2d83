package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// push and view --accept say what they lack before anything is done.
func TestPushRefuses(t *testing.T) {
	dir := small(t)
	t.Setenv("LOGITSCOPE_TOKEN", "")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"push", dir}, exitUsage, "URL is missing"},
		{[]string{"push", dir, "https://host"}, exitFailure, "LOGITSCOPE_TOKEN"},
		{[]string{"push", filepath.Join(dir, "none"), "https://host"}, exitFailure, "does not exist"},
		{[]string{"view", t.TempDir(), "--accept", "--addr", "127.0.0.1:0"}, exitUsage, "LOGITSCOPE_TOKEN"},
	} {
		if code, _, stderr := call(t, c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d: %s", c.args, code, stderr)
		}
	}
	t.Setenv("LOGITSCOPE_TOKEN", "0123456789abcdef0123456789abcdef")
	if code, _, stderr := call(t, "view", dir, "--accept", "--addr", "127.0.0.1:0"); code != exitUsage || !strings.Contains(stderr, "name a folder of runs") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
