package dataset

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// inParallel calls work(0) to work(n-1) on all cores and returns the error of the lowest index that had one.
func inParallel(n int, work func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = work(i)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
