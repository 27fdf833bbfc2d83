//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"errors"
	"os"
	"syscall"
)

const doNotWait = syscall.O_NONBLOCK

func syncDir(f *os.File) error { return f.Sync() }

// lockFile locks f until it is closed or the process ends, however it ends.
func lockFile(f *os.File) (ok bool, err error) { return flock(f, syscall.LOCK_EX) }

// lockHeld reports whether another open file holds the lock on f.
func lockHeld(f *os.File) (bool, error) {
	ok, err := flock(f, syscall.LOCK_SH)
	return !ok, err
}

func flock(f *os.File, how int) (ok bool, err error) {
	for {
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}
