//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package flock

import (
	"errors"
	"os"
	"syscall"
)

// Lock takes the exclusive lock on f. ok is false where another open file holds a lock on the same file.
func Lock(f *os.File) (ok bool, err error) { return lock(f, syscall.LOCK_EX) }

// Held reports whether another open file holds the exclusive lock on the file of f. To find out, it takes the shared lock, which f keeps until it is
// closed where Held returns false.
func Held(f *os.File) (bool, error) {
	ok, err := lock(f, syscall.LOCK_SH)
	return !ok, err
}

func lock(f *os.File, how int) (ok bool, err error) {
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
