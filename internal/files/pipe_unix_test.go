//go:build unix

package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/files"
)

// A pipe is refused without waiting for its other end, also where it takes the place of a file while that is opened.
func TestPipes(t *testing.T) {
	dir := t.TempDir()
	pipe, file, swapped := filepath.Join(dir, "pipe"), filepath.Join(dir, "file"), filepath.Join(dir, "swapped")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, file, "text")
	if _, _, err := files.Open(pipe); err == nil || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("error %v, want one that says that it is a pipe", err)
	}
	if err := put(pipe, "text"); err == nil || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("writing: error %v, want one that says that it is a pipe", err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { // or it would link into the folder that is being removed
		close(stop)
		<-stopped
	}()
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			os.Remove(next)
			os.Link([]string{pipe, file}[i%2], next)
			os.Rename(next, swapped)
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			if f, info, err := files.Open(swapped); err == nil {
				if !info.Mode().IsRegular() {
					t.Errorf("opened %v", info.Mode())
				}
				f.Close()
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("an open waits for the other end of a pipe")
	}
}
