//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package flock

import (
	"errors"
	"os"
	"syscall"
)

// Lock takes the exclusive lock on f; it is not ok where another open file holds one.
func Lock(f *os.File) (ok bool, err error) { return lock(f, syscall.LOCK_EX) }

// Held reports whether another open file holds the exclusive lock on f. f then holds a shared one until it is closed.
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
