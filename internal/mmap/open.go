package mmap

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/files"
)

// Open maps a regular file that a user names, to read.
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
