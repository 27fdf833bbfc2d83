// Package flock locks open files. A lock lasts until its file is closed or its process ends, however it ends, and binds
// only those who ask for it.
package flock
