//go:build !unix

package files

import "os"

// NoWait is no flag where there is none.
const NoWait = 0

// syncFolder does nothing where folders cannot be synced.
func syncFolder(*os.File) error { return nil }
