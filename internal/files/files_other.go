//go:build !unix

package files

const doNotWait = 0
