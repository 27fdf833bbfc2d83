// Package parallel does independent pieces of work on every processor.
package parallel

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Each calls do with 0 to n−1, in any order, on every processor, and returns when all are done. A panic in one of them begins no
// others and is then the caller's: that of a mapped file which another program cuts short too, whatever goroutine meets it.
func Each(n int, do func(i int)) {
	_ = Until(context.Background(), n, func(i int) error {
		do(i)
		return nil
	})
}

// Until is Each for work that may fail: where ctx ends, or where a piece fails, no others are begun. It returns the error of ctx, or
// else that of the failed piece with the lowest number among those that were begun.
func Until(ctx context.Context, n int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[any]
	var mu sync.Mutex
	first, firstErr := n, error(nil)
	work := func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if p := recover(); p != nil {
				failed.CompareAndSwap(nil, &p)
				next.Store(int64(n))
			}
		}()
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			if err := do(i); err != nil {
				next.Store(int64(n))
				mu.Lock()
				if i < first {
					first, firstErr = i, err
				}
				mu.Unlock()
			}
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
	if err := ctx.Err(); err != nil {
		return err
	}
	return firstErr
}
