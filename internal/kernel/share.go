package kernel

import (
	"runtime"
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
	count int
	next  atomic.Int64
	wait  sync.WaitGroup
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

// helpers are threads that wait for tasks to help with, started with the first large one.
var helpers = sync.OnceValue(func() chan task {
	waiting := make(chan task)
	for range runtime.NumCPU() - 1 {
		go func() {
			for t := range waiting {
				t.work()
				t.state().wait.Done()
			}
		}()
	}
	return waiting
})

// share does a task with as many idle helpers as there are, up to GOMAXPROCS threads in all.
func share(t task) {
	p := t.state()
	for range min(runtime.GOMAXPROCS(0), p.count) - 1 {
		p.wait.Add(1)
		select {
		case helpers() <- t:
			continue
		default:
			p.wait.Done()
		}
		break
	}
	t.work()
	p.wait.Wait()
}

// take and give keep what tasks need beside their operands to be used again and again. A channel holds it: unlike a pool
// it is not emptied by every collection. take returns the zero value where there is no spare one.
func take[T any](spare chan T) (t T) {
	select {
	case t = <-spare:
	default:
	}
	return t
}

func give[T any](spare chan T, t T) {
	select {
	case spare <- t:
	default:
	}
}
