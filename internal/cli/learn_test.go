package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/web"
)

// -o writes one file that asks nothing of any host; it replaces one that is there, and leaves nothing beside it.
func TestLearnWritesAFile(t *testing.T) {
	if _, err := fs.Stat(web.FS(), "offline/learn.html"); err != nil && os.Getenv("CI") == "" {
		t.Skip("the pages are not built: make web")
	}
	dir := filepath.Join(t.TempDir(), "a", "course")
	for range 2 {
		out := succeed(t, "learn", "-o", dir)
		if want := filepath.Join(dir, "index.html"); !strings.Contains(out, want) {
			t.Errorf("%q does not say %s", out, want)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want index.html alone", files, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if !strings.Contains(page, "Content-Security-Policy") || !strings.Contains(page, "default-src 'none'") {
		t.Error("the page has no policy")
	}
	for _, from := range []string{` src="`, "<link ", "@import", "url(http", `type="module"`} {
		if strings.Contains(page, from) {
			t.Errorf("the page fetches something: it holds %s", from)
		}
	}
}

// What learn is not given rightly is one line, with exit code 2.
func TestLearnUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"learn", "softmaks"}, `"softmaks" is no step: name one of logit, binary, softmax`},
		{[]string{"learn", "log", "nll"}, `"log nll" is no step`},
		{[]string{"learn", "log", "-o", t.TempDir()}, "-o writes all steps: leave log away"},
		{[]string{"learn", "-o", ""}, "-o needs a folder"},
		{[]string{"learn", "--addr", "nowhere"}, "give HOST:PORT"},
	} {
		code, _, stderr := call(t, c.args...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q, want %q", c.args, code, stderr, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, "learn", "-o", file); code != exitFailure || !strings.Contains(stderr, file) {
		t.Errorf("-o over a file: exit code %d, %q", code, stderr)
	}
}
