//go:build darwin || linux

package experiment

import "syscall"

// freeBytes returns how many bytes are free on the disk that dir is on, or will be on; -1 where that is not known.
func freeBytes(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(existing(dir), &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
