package kernel

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
	"unsafe"

	"github.com/logitscope/logitscope/internal/mmap"
)

// both is a task of two parts that two threads do, each waiting for the other before it does its own.
type both struct {
	parts
	met  [2]chan struct{}
	each func(part int)
}

func (b *both) work() {
	for part := range b.taken {
		close(b.met[part])
		select {
		case <-b.met[1-part]:
		case <-time.After(10 * time.Second):
			panic("the other part is done by nobody")
		}
		b.each(part)
	}
}

func shareBoth(each func(part int)) {
	b := &both{met: [2]chan struct{}{make(chan struct{}), make(chan struct{})}, each: each}
	b.start(2)
	share(b)
}

// A mapped file that is cut short is a panic of whoever shares the task, whichever thread meets it; helpers go on afterwards.
func TestFaultInAHelper(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.NumCPU() < 2 {
		t.Skip("a mapped file cannot be cut, or there is no helper")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n = sharedLogits * 2
	path := filepath.Join(t.TempDir(), "logits")
	if err := os.WriteFile(path, make([]byte, 4*n), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, unmap, err := mmap.Map(file, 4*n)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap()
	z, p := unsafe.Slice((*float32)(unsafe.Pointer(&data[0])), n), make([]float32, n)
	Softmax(p, z, 16, 1)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	fault := func(what string, call func()) {
		t.Helper()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			t.Helper()
			failure := recover()
			if _, ok := failure.(runtime.Error); !ok { // without its address, which an emulator does not tell
				t.Errorf("%s: panic %v, want that of the fault", what, failure)
			}
		}()
		call()
	}
	caller := make(chan int, 2)
	fault("in both threads", func() {
		shareBoth(func(part int) {
			caller <- part
			p[part] = z[part]
		})
	})
	if len(caller) != 2 {
		t.Errorf("%d parts were begun, want 2", len(caller))
	}
	fault("softmax", func() { Softmax(p, z, 16, 1) })

	// In the helper alone: the caller has his guard up only while his own part does not fault.
	helped := 0
	func() {
		defer func() {
			if recover() == "helper" {
				helped++
			}
		}()
		main := goroutine()
		shareBoth(func(int) {
			if goroutine() != main {
				panic("helper")
			}
		})
	}()
	if helped != 1 {
		t.Error("a helper's panic does not reach whoever shares the task")
	}
	shareBoth(func(int) {}) // panics where no helper is left
}

// goroutine is what the first line of a goroutine's stack says.
func goroutine() string {
	stack := make([]byte, 32)
	return string(stack[:runtime.Stack(stack, false)])
}
