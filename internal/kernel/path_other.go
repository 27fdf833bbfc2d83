//go:build !amd64 || noasm

package kernel

// available are the paths of this processor: vector code is written for amd64 alone so far.
func available() []*path { return []*path{portable} }

// spin waits for a moment; without an instruction for it, not at all.
func spin(int) {}
