package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes the exclusive lock on f; it is not ok where another open file holds one.
func Lock(f *os.File) (ok bool, err error) { return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// Held reports whether another open file holds the exclusive lock on f. f then holds a shared one until it is closed.
func Held(f *os.File) (bool, error) {
	ok, err := lock(f, 0)
	return !ok, err
}

// lock locks a byte far behind the end of any file: Windows keeps everyone else from reading or writing the bytes locked,
// and the content is not what the lock is about.
func lock(f *os.File, how uint32) (ok bool, err error) {
	place := &windows.Overlapped{Offset: 0xffffffff, OffsetHigh: 0x7fffffff}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, place)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("LockFileEx", err)
}
