//go:build !unix

package push

import "os"

// syncFolder does nothing: elsewhere a folder cannot be synced.
func syncFolder(*os.File) error { return nil }
