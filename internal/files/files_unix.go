//go:build unix

package files

import (
	"os"
	"syscall"
)

// NoWait is a flag of an open that does not wait for the other end of a pipe.
const NoWait = syscall.O_NONBLOCK

func syncFolder(f *os.File) error { return f.Sync() }
