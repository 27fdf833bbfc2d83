package kernel

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// task is work in parts that several threads do at once. Each thread takes the next part until there is none left. The result of a part must not
// depend on which thread does it.
type task interface {
	work()
	state() *parts
}

// parts has the state of a task, which is shared by the threads that do it.
type parts struct {
	count   int                 // the number of parts
	next    atomic.Int64        // the first part that nobody has taken
	self    task                // the task itself, while it is shared
	helping atomic.Int32        // the number of helpers that were asked and are not done
	wait    sync.WaitGroup      // counts the same helpers
	failed  atomic.Pointer[any] // the first panic, nil while there was none
}

func (p *parts) state() *parts { return p }

// start begins a task with a number of parts, of which none is taken.
func (p *parts) start(count int) {
	p.count = count
	p.next.Store(0)
}

// taken takes one part after the other and yields it, until there is none left.
func (p *parts) taken(yield func(part int) bool) {
	for {
		part := int(p.next.Add(1)) - 1
		if part >= p.count || !yield(part) {
			return
		}
	}
}

// ask counts a helper that is about to be asked. done is called when it is done, or was not asked after all.
func (p *parts) ask() {
	p.wait.Add(1)
	p.helping.Add(1)
}

// try works on the task. A panic ends the task and is kept, so that share can raise it in the caller's thread. The operands may lie in a mapped
// file that another program cuts short, and only the caller can say which file that is.
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

// spins is how often a thread looks for work again, about every microsecond, before it goes to sleep. A training step shares one product after
// another, and waking a thread takes longer than a small product.
const spins = 60

// helper is a goroutine that waits for tasks to help with.
type helper struct {
	job    atomic.Pointer[parts] // the task that it was asked to help with and has not begun
	asleep atomic.Bool           // whether it waits for wake
	wake   chan struct{}
}

// run waits for tasks and helps with them, for ever.
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

// offer asks a helper to help with a task, and returns false where the helper has another.
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

// helpers returns the helpers, one for each processor but one. The first large task starts them.
var helpers = sync.OnceValue(func() []*helper {
	all := make([]*helper, runtime.NumCPU()-1)
	for i := range all {
		all[i] = &helper{wake: make(chan struct{}, 1)}
		go all[i].run()
	}
	return all
})

// share does a task with the help of all idle helpers, by at most GOMAXPROCS threads in all, and returns when it is done. A panic in any of the
// threads is raised here.
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
	// There are no parts left, so a helper that has not begun is not needed.
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

// pause waits for about a microsecond, in which other goroutines may run.
func pause() {
	spin(32)
	runtime.Gosched()
}
