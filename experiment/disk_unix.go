//go:build darwin || linux

package experiment

import "syscall"

// freeBytes is how much the disk that dir is, or will be, on has room for; -1 where that is not known.
func freeBytes(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(existing(dir), &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
