package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A dashboard served by name answers under that name, which is what its user's browser asks for.
func TestViewByName(t *testing.T) {
	dir := small(t)
	name, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	const token = "00112233445566778899aabbccddeeff"
	t.Setenv("LOGITSCOPE_TOKEN", token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	printed := make(chan string)
	codes := make(chan int, 1)
	go func() {
		codes <- run(ctx, []string{"view", dir, "--addr", name + ":0"}, chanWriter(printed), io.Discard)
	}()
	var line string
	select {
	case code := <-codes:
		t.Skipf("exit code %d: %s is no name of this machine", code, name)
	case line = <-printed:
	}
	url := regexp.MustCompile(`http://` + regexp.QuoteMeta(name) + `:\d+/`).FindString(line)
	if url == "" {
		t.Fatalf("printed %q, want the name %s", line, name)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"api/runs", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", url, answer.Status)
	}
	cancel()
	if code := <-codes; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A folder without a run is served, for one may come, and how to make one is said. Of a folder of runs nothing is said.
func TestViewOfAnEmptyFolder(t *testing.T) {
	empty, full := t.TempDir(), filepath.Dir(small(t))
	want := empty + " holds no run yet: make one with logitscope train --out " + filepath.Join(empty, "mine") + ", or logitscope.record("
	for dir, want := range map[string]string{empty: want, full: ""} {
		ctx, cancel := context.WithCancel(t.Context())
		printed := make(chan string)
		var errs bytes.Buffer
		codes := make(chan int, 1)
		go func() { codes <- run(ctx, []string{"view", dir, "--addr", "127.0.0.1:0"}, chanWriter(printed), &errs) }()
		line := <-printed
		cancel()
		if code := <-codes; code != exitOK || !strings.HasPrefix(line, "serving "+dir+" on ") {
			t.Errorf("exit code %d, printed %q", code, line)
		}
		if got := errs.String(); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: said %q, want %q", dir, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8321": "http://127.0.0.1:8321/",
		"gpu-box:1":      "http://gpu-box:1/",
		"[::1]:2":        "http://[::1]:2/",
		"0.0.0.0:3":      "http://127.0.0.1:3/ and every other address of this machine",
		"[::]:4":         "http://127.0.0.1:4/ and every other address of this machine",
	} {
		if got := page(addr, ""); got != want {
			t.Errorf("page(%q) = %q, want %q", addr, got, want)
		}
	}
	if got := page("127.0.0.1:1", "learn/log"); got != "http://127.0.0.1:1/learn/log" {
		t.Errorf("a step's page is %q", got)
	}
}

// chanWriter hands on what is written.
type chanWriter chan string

func (c chanWriter) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}
