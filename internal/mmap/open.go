package mmap

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/files"
)

// Open maps all of a regular file for reading. unmap must be called when data is no longer used. A path that is not a regular file is an error.
func Open(path string) (data []byte, unmap func() error, err error) {
	f, info, err := files.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info.Size() > math.MaxInt {
		return nil, nil, fmt.Errorf("%s has %d bytes, more than this machine addresses", path, info.Size())
	}
	return Map(f, int(info.Size()))
}
