// Package parallel runs independent pieces of work on every processor.
package parallel

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Each calls do with 0 to n−1, in any order, on every processor, and returns when all calls have returned. After a panic in one of them no
// further call is made, and Each panics with the same value in the caller's goroutine. This includes the fault of reading a mapped file
// that another program has cut short.
func Each(n int, do func(i int)) {
	_ = Until(context.Background(), n, func(i int) error {
		do(i)
		return nil
	})
}

// Until is Each for work that may fail. Once ctx has ended or a call has returned an error, no further call is made. It returns the error of
// ctx, or else the error of the call with the lowest number among those that were made.
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
