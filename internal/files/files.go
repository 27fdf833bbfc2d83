// Package files opens what a user names and writes what a user asks for.
//
// A path is opened only when it is known to be a regular file: reading a pipe may wait for ever, and opening a device may have an effect.
// A file is written completely or not at all.
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

// Open opens a regular file for reading and returns its state. Links are followed. A directory, a pipe, a device or a socket is an error at once,
// also where it replaces a file between the check and the opening.
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

// Read returns the content of a regular file. More than most bytes are an error.
func Read(path string, most int64) ([]byte, error) {
	f, info, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > most {
		return nil, tooLong(path, most)
	}
	// The file may grow while it is read, and files such as those in /proc say that they are empty and are not.
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = tooLong(path, most)
	}
	return data, err
}

// Part splits FILE:PART, which names a part of a regular file, such as an array of an archive. part is "" where path names a file itself, or where no
// file FILE exists.
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

// regular returns an error unless info is that of a regular file.
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
