// Package files opens what a user names and writes what a user asks for.
//
// Nothing is opened before it is known to be a regular file: a pipe would never answer, and to open a device may do something.
// What is written is there whole or not at all.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Open opens a regular file to be read, and says what it is. Links are followed. What else the name stands for, a directory,
// a pipe, a device or a socket, is an error at once, also where it takes the place of a file between two looks.
func Open(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: %w", path, syscall.ENOENT) // without the name of the system call
	}
	if err != nil {
		return nil, nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|NoWait, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read returns what a regular file holds, at most so many bytes of it.
func Read(path string, most int64) ([]byte, error) {
	f, info, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > most {
		return nil, tooLong(path, most)
	}
	// It may grow, and some say that they are empty and are not.
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = tooLong(path, most)
	}
	return data, err
}

// Part splits FILE:PART, which names one of the parts of a regular file, whatever FILE ends in. part is "" where path names no part:
// it is a file itself, or there is none that it begins with.
func Part(path string) (file, part string) {
	if _, err := os.Stat(path); err == nil {
		return path, ""
	}
	for at := strings.LastIndexByte(path, ':'); at > 0; at = strings.LastIndexByte(path[:at], ':') {
		if info, err := os.Stat(path[:at]); err == nil && info.Mode().IsRegular() {
			return path[:at], path[at+1:]
		}
	}
	return path, ""
}

func tooLong(path string, most int64) error {
	return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it holds more than %d bytes, which is the limit here", most)}
}

// regular is the error of what is no regular file.
func regular(path string, info fs.FileInfo) error {
	if mode := info.Mode(); !mode.IsRegular() {
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("it is " + kind(mode) + ", not a regular file")}
	}
	return nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}
