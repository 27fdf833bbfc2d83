package numtest

import (
	"runtime"
	"runtime/debug"
	"time"
)

// HeapDuring returns how many bytes of heap are in use at most, while something is done, beyond those before it. Collections are spaced
// closely, so that little of it is garbage that a busy machine has not come round to.
func HeapDuring(do func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	before, most, ended := memory.HeapInuse, make(chan uint64), make(chan struct{})
	go func() {
		high := uint64(0)
		for {
			runtime.ReadMemStats(&memory)
			high = max(high, memory.HeapInuse)
			select {
			case <-ended:
				most <- high
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	do()
	close(ended)
	return max(<-most, before) - before
}
