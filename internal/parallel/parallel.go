// Package parallel does independent pieces of work on every processor.
package parallel

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Each calls do with 0 to n−1, in any order, on every processor, and returns when all are done. A panic in one of them begins no
// others and is then the caller's: that of a mapped file which another program cuts short too, whatever goroutine meets it.
func Each(n int, do func(i int)) {
	var next atomic.Int64
	var failed atomic.Pointer[any]
	work := func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if p := recover(); p != nil {
				failed.CompareAndSwap(nil, &p)
				next.Store(int64(n))
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(work)
	}
	wait.Wait()
	if p := failed.Load(); p != nil {
		panic(*p)
	}
}
