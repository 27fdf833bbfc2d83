package parallel_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/logitscope/logitscope/internal/mmap"
	"github.com/logitscope/logitscope/internal/parallel"
)

func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		times := make([]int, n)
		parallel.Each(n, func(i int) { times[i]++ })
		for i, v := range times {
			if v != 1 {
				t.Errorf("%d of %d was done %d times", i, n, v)
			}
		}
	}
}

func TestPanicIsTheCallers(t *testing.T) {
	var done atomic.Int32
	defer func() {
		if p := recover(); p != "three" {
			t.Errorf("panic %v, want three", p)
		}
		if n := done.Load(); n > 1<<20 {
			t.Errorf("%d were done after it", n)
		}
	}()
	parallel.Each(1<<30, func(i int) {
		if i == 3 {
			panic("three")
		}
		done.Add(1)
	})
}

// A mapped file that is cut short while it is read.
func TestFaultIsTheCallers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, unmap, err := mmap.Map(file, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap()
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			t.Error("no fault")
		}
	}()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	var sum atomic.Int32
	parallel.Each(len(data), func(i int) { sum.Add(int32(data[i])) })
	t.Errorf("sum %d of a file that is not there", sum.Load())
}
