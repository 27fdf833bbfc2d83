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

var active, activeErr = choose(environment(), supported())

func (p path) String() string { return [...]string{"generic", "avx2", "avx512"}[p] }

// choose returns the path asked for by name, the best one where none was. A name that is unknown or not to be had is an
// error beside the best path: whoever sets it measures, or looks for an error, and must be told.
func choose(asked string, best path) (path, error) {
	if asked == "" {
		return best, nil
	}
	for p := portable; p <= best; p++ {
		if p.String() == asked {
			return p, nil
		}
	}
	return best, fmt.Errorf("LOGITSCOPE_KERNEL=%s: this processor and build have generic to %s", asked, best)
}

// Path names the code that float32 runs on: generic, avx2 or avx512. The error is for a LOGITSCOPE_KERNEL that is not to
// be had.
func Path() (string, error) { return active.String(), activeErr }
