// Package mmap maps files into memory to be read. A file that shrinks while it is mapped faults where it is read: whoever
// reads one that others may change guards that with debug.SetPanicOnFault.
package mmap
