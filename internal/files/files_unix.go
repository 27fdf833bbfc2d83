//go:build unix

package files

import "syscall"

// doNotWait keeps an open from waiting for the other end of a pipe.
const doNotWait = syscall.O_NONBLOCK
