//go:build !amd64 || noasm

package kernel

// available returns the portable path alone, since there is vector code only for amd64 so far.
func available() []*path { return []*path{portable} }

// spin waits for a moment where the processor has an instruction for that. Here it does not wait.
func spin(int) {}
