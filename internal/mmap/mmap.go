// Package mmap maps files into memory for reading. Reading beyond the end of a file that has shrunk since it was mapped is a fault, which kills the
// process unless debug.SetPanicOnFault is set: code that reads files that others may change must set it.
package mmap
