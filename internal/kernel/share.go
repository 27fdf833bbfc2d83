package kernel

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// task is work in parts that several threads do at once, each taking the next until there is none. What a part holds must
// not depend on who does it.
type task interface {
	work()
	state() *parts
}

// parts counts the parts of a task.
type parts struct {
	count   int
	next    atomic.Int64
	self    task
	helping atomic.Int32   // helpers that have been asked and have not said that they are done
	wait    sync.WaitGroup // of the same
	failed  atomic.Pointer[any]
}

func (p *parts) state() *parts { return p }

// start makes ready for a task of so many parts.
func (p *parts) start(count int) {
	p.count = count
	p.next.Store(0)
}

// taken yields the parts that fall to whoever asks.
func (p *parts) taken(yield func(part int) bool) {
	for {
		part := int(p.next.Add(1)) - 1
		if part >= p.count || !yield(part) {
			return
		}
	}
}

func (p *parts) ask() {
	p.wait.Add(1)
	p.helping.Add(1)
}

// try works on the task. A panic ends the task and is kept for whoever shares it: the operands may be a mapped file that another
// program cuts short, and that fault is his to name, in whichever thread it is met.
func (p *parts) try() {
	defer func() {
		if r := recover(); r != nil {
			failure := r
			p.failed.CompareAndSwap(nil, &failure)
			p.next.Store(int64(p.count))
		}
	}()
	p.self.work()
}

func (p *parts) done() {
	p.helping.Add(-1)
	p.wait.Done()
}

// spins is how often someone looks again, about a microsecond each time, before he goes to sleep: a training step shares one
// product after another, and waking a thread costs more than a small product.
const spins = 60

// helper is a goroutine that waits for tasks to help with.
type helper struct {
	job    atomic.Pointer[parts]
	asleep atomic.Bool
	wake   chan struct{}
}

func (h *helper) run() {
	debug.SetPanicOnFault(true)
	for {
		p := h.job.Load()
		for i := 0; p == nil; i++ {
			if i < spins {
				pause()
			} else {
				h.asleep.Store(true)
				if h.job.Load() == nil {
					<-h.wake
				}
				h.asleep.Store(false)
				i = 0
			}
			p = h.job.Load()
		}
		if h.job.CompareAndSwap(p, nil) {
			p.try()
			p.done()
		}
	}
}

// offer gives an idle helper a task; false where it is not idle.
func (h *helper) offer(p *parts) bool {
	if h.job.Load() != nil || !h.job.CompareAndSwap(nil, p) {
		return false
	}
	if h.asleep.Load() {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// helpers are started with the first large task.
var helpers = sync.OnceValue(func() []*helper {
	all := make([]*helper, runtime.NumCPU()-1)
	for i := range all {
		all[i] = &helper{wake: make(chan struct{}, 1)}
		go all[i].run()
	}
	return all
})

// share does a task with as many idle helpers as there are, up to GOMAXPROCS threads in all.
func share(t task) {
	p := t.state()
	p.self = t
	left := min(runtime.GOMAXPROCS(0), p.count) - 1
	for _, h := range helpers() {
		if left <= 0 {
			break
		}
		p.ask()
		if h.offer(p) {
			left--
		} else {
			p.done()
		}
	}
	p.try()
	// A helper that has not begun need not.
	for _, h := range helpers() {
		if h.job.CompareAndSwap(p, nil) {
			p.done()
		}
	}
	for i := 0; p.helping.Load() > 0 && i < spins; i++ {
		pause()
	}
	p.wait.Wait()
	p.self = nil
	if failure := p.failed.Swap(nil); failure != nil {
		panic(*failure)
	}
}

// pause passes about a microsecond, in which other goroutines may run.
func pause() {
	spin(32)
	runtime.Gosched()
}
