//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"errors"
	"os"
	"syscall"
)

const doNotWait = syscall.O_NONBLOCK

// mapFile maps the first size bytes of f, to read.
func mapFile(f *os.File, size int) (data []byte, unmap func() error, err error) {
	if size == 0 {
		return nil, func() error { return nil }, nil
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return data, func() error { return os.NewSyscallError("munmap", syscall.Munmap(data)) }, nil
}

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
