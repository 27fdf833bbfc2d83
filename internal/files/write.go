package files

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/logitscope/logitscope/internal/flock"
)

// Early is after how many bytes of a long file StartSync is worth its call.
const Early = 8 << 20

// Write puts what write writes into the file at path: aside, synced, and renamed into place once it is whole, so that any
// failure leaves what was there. The file keeps its permissions; a new one has those of the umask. A link is followed to its
// file; what is no file, such as a device, is refused, and so is a file that may not be written.
//
// What is written aside has a name of its own, and is locked as long as it is being written: what a process left that was
// killed is removed by the next Write to the same directory.
func Write(path string, write func(io.Writer) error) (err error) {
	path, old, err := target(path)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o666) // of which the umask takes away what it will
	if old != nil {
		perm = old.Mode().Perm()
	}
	dir := filepath.Dir(path)
	removeLeft(dir)
	f, err := create(dir, perm)
	if err != nil {
		return wrap(path, err)
	}
	unfinished.Store(f.Name(), nil)
	defer unfinished.Delete(f.Name())
	placed := false
	defer func() {
		if !placed { // by an error or a panic
			f.Close() // before it is removed, as Windows asks
			os.Remove(f.Name())
		}
	}()
	buffer := bufio.NewWriterSize(f, 1<<16)
	if err = write(buffer); err == nil {
		err = buffer.Flush()
	}
	if err == nil && old != nil {
		err = f.Chmod(perm) // beyond the umask
	}
	if err == nil {
		err = f.Sync()
	}
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	placed = err == nil
	if e := (*fs.PathError)(nil); errors.As(err, &e) && e.Path == f.Name() {
		err = wrap(path, err) // nobody knows the name that it has aside
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		err = wrap(path, e.Err)
	}
	return err
}

// Check returns what would keep Write from writing to path, as far as that is known before there is anything to write.
func Check(path string) error {
	path, _, err := target(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = errors.New("its folder is no directory")
	}
	return wrap(path, err)
}

// CheckGiven is Check of a path that may be "", where nothing is to be written.
func CheckGiven(path string) error {
	if path == "" {
		return nil
	}
	return Check(path)
}

// wrap makes err the error of writing to path.
func wrap(path string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// target returns the file that path leads to and what it is, nil where there is none yet.
func target(path string) (string, fs.FileInfo, error) {
	refuse := func(path, why string) (string, fs.FileInfo, error) { return "", nil, wrap(path, errors.New(why)) }
	if path == "" || os.IsPathSeparator(path[len(path)-1]) {
		return refuse(path, "it names no file")
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		link := path
		if path, err = filepath.EvalSymlinks(link); err == nil {
			info, err = os.Lstat(path)
		}
		if err != nil {
			return refuse(link, "it is a link that leads to no file")
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil, nil
	}
	if err == nil {
		err = regular(path, info)
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_WRONLY|NoWait, 0) // to rename a file over it, nobody asks whether it may be written
	}
	if err == nil {
		err = f.Close()
	}
	return path, info, wrap(path, err)
}

const (
	prefix = ".logitscope-"
	suffix = ".tmp"
)

var aside = regexp.MustCompile(`^` + regexp.QuoteMeta(prefix) + `[A-Z2-7]{26}` + regexp.QuoteMeta(suffix) + `$`)

// create makes a new file in dir and locks it.
func create(dir string, perm fs.FileMode) (*os.File, error) {
	for range 100 {
		if f, err := createLocked(filepath.Join(dir, prefix+rand.Text()+suffix), perm|0o200); err != nil || f != nil {
			return f, err
		}
	}
	return nil, fmt.Errorf("%s: a file written there is removed before it is locked", dir)
}

// createLocked makes a new file and locks it; nil where another process took it for one left behind before it was locked.
func createLocked(path string, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	ok, err := flock.Lock(f)
	if err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	if now, err := os.Lstat(path); ok && err == nil {
		if own, err := f.Stat(); err == nil && os.SameFile(own, now) {
			return f, nil
		}
	}
	f.Close()
	return nil, nil
}

// removeLeft removes from dir what a process that was killed wrote aside. What it may not remove it leaves.
func removeLeft(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix) || !aside.MatchString(entry.Name()) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if entry.IsDir() {
			removeLeftFolder(path)
			continue
		}
		if !entry.Type().IsRegular() {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR|NoWait, 0)
		if err != nil {
			continue
		}
		ok, err := flock.Lock(f)
		remove := ok && err == nil
		if remove && os.Remove(path) == nil {
			remove = false
		}
		f.Close()
		if remove {
			os.Remove(path) // where an open file cannot be
		}
	}
}

// unfinished are the files that this process writes aside.
var unfinished sync.Map

// RemoveUnfinished removes what is being written, for a process that ends in the middle.
func RemoveUnfinished() {
	unfinished.Range(func(path, _ any) bool {
		os.RemoveAll(path.(string))
		return true
	})
}

// WriteFolder puts the folder that fill makes, under the name it is given, in the place of path, where nothing may be yet: it is there whole or not at
// all. What a process left that was killed is removed by the next Write or WriteFolder to the same directory.
func WriteFolder(path string, fill func(dir string) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already: give the name of a folder to make", path)
	}
	parent := filepath.Dir(path)
	removeLeft(parent)
	temporary, lock, err := createFolder(parent)
	if err != nil {
		return wrap(path, err)
	}
	unfinished.Store(temporary, nil)
	defer func() {
		lock.Close()
		os.RemoveAll(temporary)
		unfinished.Delete(temporary)
	}()
	made := filepath.Join(temporary, filepath.Base(path))
	if err := fill(made); err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil {
		return wrap(path, err)
	}
	return SyncFolder(os.Open(parent))
}

const lockName = "lock"

// createFolder makes a new folder in dir, with a file in it that is locked.
func createFolder(dir string) (path string, lock *os.File, err error) {
	for range 100 {
		path = filepath.Join(dir, prefix+rand.Text()+suffix)
		if err := os.Mkdir(path, 0o700); err != nil {
			return "", nil, err
		}
		lock, err := createLocked(filepath.Join(path, lockName), 0o600)
		if lock != nil {
			return path, lock, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it is gone: another process took it for one left behind
			os.RemoveAll(path)
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("%s: a folder made there is removed before it is locked", dir)
}

// removeLeftFolder removes a folder that createFolder made, unless its process lives.
func removeLeftFolder(path string) {
	if os.Remove(path) == nil { // empty: its process was killed, or makes another
		return
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|NoWait, 0)
	if err != nil {
		return
	}
	ok, err := flock.Lock(f)
	f.Close()
	if ok && err == nil {
		os.RemoveAll(path)
	}
}

// SyncFolder makes durable what was created in a folder, renamed into it or removed from it, where its system can. It takes what opening
// the folder gave, and closes it.
func SyncFolder(folder *os.File, err error) error {
	if err != nil {
		return err
	}
	return cmp.Or(syncFolder(folder), folder.Close())
}
