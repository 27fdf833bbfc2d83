package record

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/flock"
	"github.com/logitscope/logitscope/internal/mmap"
)

// folder is a directory that no name leads out of. Its methods are everything that this package does to a disk. It is an os.Root, and in
// tests a simulated disk that loses power, fills up or fails.
type folder interface {
	Open(name string) (file, error)   // opens a file for reading
	Create(name string) (file, error) // makes a file for writing; an error if the name exists
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Mkdir(name string) error
	Rename(from, to string) error
	RemoveAll(name string) error
	SyncDir(name string) error // makes what was created in the folder or renamed into it survive a loss of power
	OpenFolder(name string) (folder, error)
	Close() error
}

// file is an open file of a folder.
type file interface {
	io.ReaderAt
	io.Writer
	Sync() error
	Map(size int) (data []byte, unmap func() error, err error) // maps the first size bytes into memory, read only
	Lock() (ok bool, err error)                                // takes the file's lock until the file is closed; false where another holds it
	LockHeld() (bool, error)                                   // reports whether another process or open file holds the lock
	Close() error
}

type osFolder struct{ root *os.Root }

func openFolder(dir string) (folder, error) {
	if dir != "" {
		dir += string(filepath.Separator) + "." // only a directory has this entry, and opening a pipe would wait for its other end
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return osFolder{root}, nil
}

func (d osFolder) Open(name string) (file, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return osFile{files.NewEarlyFile(f, 0)}, nil
}

func (d osFolder) Create(name string) (file, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return osFile{files.NewEarlyFile(f, 0)}, nil
}

// open opens a file or a directory for reading. It does not wait for the other end of a pipe that someone put in its place.
func (d osFolder) open(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDONLY|files.NoWait, 0)
}

func (d osFolder) Lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }
func (d osFolder) Mkdir(name string) error                { return d.root.Mkdir(name, 0o777) }
func (d osFolder) Rename(from, to string) error           { return d.root.Rename(from, to) }
func (d osFolder) RemoveAll(name string) error            { return d.root.RemoveAll(name) }
func (d osFolder) Close() error                           { return d.root.Close() }

func (d osFolder) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

func (d osFolder) SyncDir(name string) error {
	return files.SyncFolder(d.open(name))
}

func (d osFolder) OpenFolder(name string) (folder, error) {
	root, err := d.root.OpenRoot(name + "/.") // fails for a pipe, as in openFolder
	if err != nil {
		return nil, err
	}
	return osFolder{root}, nil
}

// osFile is a file of the operating system.
type osFile struct{ *files.EarlyFile }

func (f osFile) Map(size int) ([]byte, func() error, error) { return mmap.Map(f.File, size) }
func (f osFile) Lock() (bool, error)                        { return flock.Lock(f.File) }
func (f osFile) LockHeld() (bool, error)                    { return flock.Held(f.File) }

// mkdirSynced makes dir and the parents that do not exist, so that each survives a loss of power.
func mkdirSynced(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file, not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := mkdirSynced(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return files.SyncFolder(os.Open(parent))
}

// writeFile writes a new file, which consists of parts that follow one another, and syncs it.
func writeFile(d folder, name string, parts ...[]byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err == nil && len(p) > 0 {
			_, err = f.Write(p)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return cmp.Or(err, f.Close())
}
