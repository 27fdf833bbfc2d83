//go:build unix

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// descriptors returns how many files this process has open.
func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// copies makes a folder of n runs, of which each is a copy of one.
func copies(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	recorded(t, first)
	root := filepath.Join(dir, "runs")
	for i := range n {
		if err := os.CopyFS(filepath.Join(root, fmt.Sprintf("run-%04d", i)), os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

type listed struct{ Name, Error, State string }

func listOf(t testing.TB, handler http.Handler) (all []listed) {
	t.Helper()
	answer := ask(handler, "/api/runs", nil)
	if err := json.Unmarshal(answer.Body.Bytes(), &all); err != nil {
		t.Fatalf("%v: %.200s", err, answer.Body)
	}
	return all
}

const fewDescriptors = "LOGITSCOPE_TEST_FEW_DESCRIPTORS"

// With far fewer descriptors than runs the list has every run, every run is served, and none is left out.
func TestFewDescriptors(t *testing.T) {
	if os.Getenv(fewDescriptors) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFewDescriptors$", "-test.v")
		child.Env = append(os.Environ(), fewDescriptors+"=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	root := copies(t, 200)
	handler, _ := serving(t, server.Config{Root: root})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 48, Max: 48}); err != nil {
		t.Skip(err)
	}
	all := listOf(t, handler)
	if len(all) != 200 {
		t.Fatalf("the list has %d of 200 runs", len(all))
	}
	for _, run := range all {
		if run.Error != "" || run.State != record.StateComplete {
			t.Fatalf("%+v", run)
		}
		if w := ask(handler, "/api/runs/"+run.Name+"/curves", nil); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", run.Name, w.Code, w.Body)
		}
	}
}

// Descriptors stay few whatever is asked for, deleted or replaced, by several at once.
func TestDescriptorsAreBounded(t *testing.T) {
	const n = 150
	root := copies(t, n)
	handler, _ := serving(t, server.Config{Root: root})
	before := descriptors(t)
	var wait sync.WaitGroup
	for part := range 4 {
		wait.Go(func() {
			for i := part; i < n; i += 4 {
				for _, what := range []string{"", "/curves", "/epochs/2/graphs"} {
					if w := ask(handler, fmt.Sprintf("/api/runs/run-%04d%s", i, what), nil); w.Code != http.StatusOK {
						t.Errorf("run %d: %d %s", i, w.Code, w.Body)
					}
				}
			}
		})
	}
	wait.Wait()
	if more := descriptors(t) - before; more > 20 {
		t.Errorf("%d descriptors more after %d runs", more, n)
	}
	for i := range n {
		if err := os.RemoveAll(filepath.Join(root, fmt.Sprintf("run-%04d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if all := listOf(t, handler); len(all) != 0 {
		t.Errorf("the list has %d runs that are deleted", len(all))
	}
	if more := descriptors(t) - before; more > 4 {
		t.Errorf("%d descriptors more after every run is deleted", more)
	}
}

// What is a run and cannot be served stands in the list with its reason, also where the list grows too long.
func TestListNamesWhatItLacks(t *testing.T) {
	root := copies(t, 4)
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
			t.Fatal(err)
		}
	}
	rename("run-0000", "a b")
	rename("run-0001", "x\x1b<i>")
	if err := os.WriteFile(filepath.Join(root, "run-0003", "manifest.json"), []byte(`{"format_version":9}`), 0o644); err != nil {
		t.Fatal(err)
	}
	handler, _ := serving(t, server.Config{Root: root})
	want := map[string]string{"a b": "rename it", "x\x1b<i>": "rename it", "run-0003": "upgrade", "run-0002": ""}
	all := listOf(t, handler)
	if len(all) != len(want) {
		t.Fatalf("%d runs in the list %+v, want %d", len(all), all, len(want))
	}
	for _, run := range all {
		if says := want[run.Name]; (run.Error == "") != (says == "") || !strings.Contains(run.Error, says) {
			t.Errorf("%q: error %q, want one that says %q", run.Name, run.Error, says)
		}
	}
	server.SetMaxList(t, 10)
	long := listOf(t, handler)
	if len(long) != len(want) || !strings.Contains(long[len(long)-1].Error, "too long") && !strings.Contains(long[len(long)-2].Error, "too long") {
		t.Errorf("a list that is too long: %+v", long)
	}
}
