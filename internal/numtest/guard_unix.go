//go:build unix

package numtest

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Guarded returns n zeroed elements that end where memory that cannot be touched begins (or begin where it ends, with
// atStart set): a routine that reads or writes one element too far kills the test at that instruction.
func Guarded[T Float | int32 | uint8](t testing.TB, n int, atStart bool) []T {
	t.Helper()
	var zero T
	page, size := unix.Getpagesize(), n*int(unsafe.Sizeof(zero))
	inner := (size + page - 1) / page * page
	memory, err := unix.Mmap(-1, 0, inner+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	for _, guard := range [][]byte{memory[:page], memory[page+inner:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return []T{}
	}
	start := page
	if !atStart {
		start += inner - size
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[start])), n)
}
