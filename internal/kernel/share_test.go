package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// counted writes down each part that it is given. Nothing here is atomic: parts that two threads do, or one does after share
// has returned, are a race.
type counted struct {
	parts
	done []int
}

func (c *counted) work() {
	for part := range c.taken {
		c.done[part]++
		for range part % 7 {
			pause()
		}
	}
}

// Every part is done once and before share returns, however many share at once, of whatever size, while helpers fall asleep and
// wake, on fewer processors than helpers and on more.
func TestShareUnderStress(t *testing.T) {
	all := make([]*helper, 3)
	for i := range all {
		all[i] = &helper{wake: make(chan struct{}, 1)}
		go all[i].run()
	}
	defer func(was func() []*helper) { helpers = was }(helpers)
	helpers = func() []*helper { return all }
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, procs := range []int{1, 2, 4} {
		for _, callers := range []int{1, 2, 16} {
			t.Run(fmt.Sprintf("%d processors, %d callers", procs, callers), func(t *testing.T) {
				runtime.GOMAXPROCS(procs)
				var running sync.WaitGroup
				for caller := range callers {
					running.Go(func() {
						rng := seeded(uint64(caller))
						c := new(counted)
						for range 400 / callers {
							count := rng.IntN(40)
							c.done = make([]int, count)
							c.start(count)
							share(c)
							for part, times := range c.done {
								if times != 1 {
									t.Errorf("part %d of %d was done %d times", part, count, times)
								}
							}
							if rng.IntN(20) == 0 {
								time.Sleep(200 * time.Microsecond) // longer than a helper stays awake
							}
						}
					})
				}
				running.Wait()
				for i, h := range all {
					if h.job.Load() != nil {
						t.Errorf("helper %d was left a task", i)
					}
				}
			})
		}
	}
}

// What shares its work calls from any number of goroutines gives the bits that one gives alone.
func TestSharedCallsAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const m, n, k = 130, 140, 150 // a product and rows large enough to be shared
	const rows, classes = sharedLogits/10 + 1, 10
	a, b := normal(seeded(1), m*k), normal(seeded(2), n*k)
	z, labels := normal(seeded(3), rows*classes), make([]int32, rows)
	once := func() (c, nll, grad []float32) {
		c, nll, grad = make([]float32, m*n), make([]float32, rows), make([]float32, len(z))
		MatMul(NT, c, a, b, m, n, k, Epilogue[float32]{})
		CrossEntropy(nll, grad, z, labels, classes, 1)
		return c, nll, grad
	}
	wantC, wantNLL, wantGrad := once()
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 10 {
				c, nll, grad := once()
				if !slices.Equal(c, wantC) || !slices.Equal(nll, wantNLL) || !slices.Equal(grad, wantGrad) {
					t.Error("other bits")
				}
			}
		})
	}
	running.Wait()
}
