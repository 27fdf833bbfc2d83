// Package flock locks open files. A lock lasts until the file is closed or the process ends, in whatever way. It does not keep anyone from
// reading or writing the file who does not ask for the lock.
package flock
