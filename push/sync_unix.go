//go:build unix

package push

import "os"

func syncFolder(f *os.File) error { return f.Sync() }
