package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes the exclusive lock on f. ok is false where another open file holds a lock on the same file.
func Lock(f *os.File) (ok bool, err error) { return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// Held reports whether another open file holds the exclusive lock on the file of f. To find out, it takes the shared lock, which f keeps until it is
// closed where Held returns false.
func Held(f *os.File) (bool, error) {
	ok, err := lock(f, 0)
	return !ok, err
}

// lock locks a byte far behind the end of any file. Windows lets nobody else read or write locked bytes, and the content must stay readable.
func lock(f *os.File, how uint32) (ok bool, err error) {
	place := &windows.Overlapped{Offset: 0xffffffff, OffsetHigh: 0x7fffffff}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, place)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("LockFileEx", err)
}
