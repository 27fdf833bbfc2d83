//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package flock

import (
	"os"
	"syscall"
	"testing"
)

// What a file system without locks says is told from other errors.
func TestLacking(t *testing.T) {
	for err, want := range map[error]bool{
		os.NewSyscallError("flock", syscall.ENOLCK): true,
		os.NewSyscallError("flock", syscall.ENOSYS): true,
		os.NewSyscallError("flock", syscall.EIO):    false,
		nil:                                         false,
	} {
		if got := lacking(err); got != want {
			t.Errorf("lacking(%v) is %v", err, got)
		}
	}
}
