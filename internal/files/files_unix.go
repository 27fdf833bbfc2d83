//go:build unix

package files

import (
	"os"
	"syscall"
)

// NoWait is a flag of os.OpenFile with which opening a pipe does not wait for its other end.
const NoWait = syscall.O_NONBLOCK

func syncFolder(f *os.File) error { return f.Sync() }
