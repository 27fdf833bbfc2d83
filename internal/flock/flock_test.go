package flock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logitscope/logitscope/internal/flock"
)

// One of two open files has the lock, both can be read meanwhile, and it is free when that one is closed.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	open := func() *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second, third := open(), open(), open()
	if held, err := flock.Held(third); held || err != nil {
		t.Errorf("a lock that nobody took is held: %v, %v", held, err)
	}
	third.Close()
	if ok, err := flock.Lock(first); !ok || err != nil {
		t.Fatalf("the first lock: %v, %v", ok, err)
	}
	if ok, err := flock.Lock(second); ok || err != nil {
		t.Errorf("a second lock: %v, %v", ok, err)
	}
	if held, err := flock.Held(second); !held || err != nil {
		t.Errorf("a lock that is taken is not held: %v, %v", held, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "content" {
		t.Errorf("a locked file reads %q, %v", text, err)
	}
	first.Close()
	if ok, err := flock.Lock(second); !ok || err != nil {
		t.Errorf("the lock of a file that is closed: %v, %v", ok, err)
	}
}
