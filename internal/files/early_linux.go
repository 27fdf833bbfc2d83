//go:build linux && (amd64 || arm64)

package files

import (
	"os"
	"syscall"
)

// startSync has a part of a file that was written begin its way to the disk, and does not wait for it. It promises nothing: Sync does.
func startSync(f *os.File, from, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SyncFileRange(int(fd), from, n, write) })
}
