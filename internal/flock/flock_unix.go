//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package flock

import (
	"errors"
	"os"
	"syscall"
)

// Lock takes the exclusive lock on f. ok is false where another open file holds a lock on the same file. On a file system without locks, as some of
// networks are, it reports success and locks nothing.
func Lock(f *os.File) (ok bool, err error) {
	ok, err = lock(f, syscall.LOCK_EX)
	if lacking(err) {
		return true, nil
	}
	return ok, err
}

// Held reports whether another open file holds the exclusive lock on the file of f. To find out, it takes the shared lock, which f keeps until it is
// closed where Held returns false. On a file system without locks it reports that the lock is held.
func Held(f *os.File) (bool, error) {
	ok, err := lock(f, syscall.LOCK_SH)
	if lacking(err) {
		return true, nil
	}
	return !ok, err
}

// lacking reports whether err says that a file system has no locks.
func lacking(err error) bool {
	for _, says := range []error{syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOLCK} {
		if errors.Is(err, says) {
			return true
		}
	}
	return false
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
