package kernel

import "fmt"

// path is the code that float32 runs on. It is chosen once, at start-up, by what the processor has; LOGITSCOPE_KERNEL
// (generic, avx2 or avx512) asks for another, and the build tag noasm leaves only the portable one.
type path uint8

const (
	portable path = iota
	avx2
	avx512
)

var active = choose(environment(), supported())

func (p path) String() string { return [...]string{"generic", "avx2", "avx512"}[p] }

// choose returns the best path there is, or the one asked for by name. A name that is unknown or not to be had stops the
// program: whoever sets it measures or looks for an error, and must not get another path in silence.
func choose(asked string, best path) path {
	if asked == "" {
		return best
	}
	for p := portable; p <= best; p++ {
		if p.String() == asked {
			return p
		}
	}
	panic(fmt.Sprintf("kernel: LOGITSCOPE_KERNEL=%s: this processor and build have generic to %s", asked, best))
}

// Path names the code that float32 runs on: generic, avx2 or avx512.
func Path() string { return active.String() }
