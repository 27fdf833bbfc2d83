//go:build !unix

package files

import "os"

// NoWait is 0 on systems that have no such flag.
const NoWait = 0

// syncFolder does nothing on systems that cannot sync folders.
func syncFolder(*os.File) error { return nil }
