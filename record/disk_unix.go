//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"os"
	"syscall"
)

const doNotWait = syscall.O_NONBLOCK

func syncDir(f *os.File) error { return f.Sync() }
