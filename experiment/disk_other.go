//go:build !darwin && !linux

package experiment

// freeBytes returns -1: on this system it is not known how much room a disk has.
func freeBytes(string) int64 { return -1 }
