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

// Write writes the file at path with the content that write writes. The content goes to a temporary file beside path, which is synced and then
// renamed to path, so that after any failure path is as it was before. An existing file keeps its permissions; a new one has those of the umask. A
// link is followed to its file. A path that is not a regular file, such as a device, is an error, and so is a file that may not be written.
//
// The temporary file has a name of its own and is locked while it is written. One that a killed process left is removed by the next Write to the same
// directory.
func Write(path string, write func(io.Writer) error) (err error) {
	path, old, err := target(path)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o666) // less what the umask takes away
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
		if !placed { // there was an error or a panic
			f.Close() // Windows removes no open file
			os.Remove(f.Name())
		}
	}()
	buffer := bufio.NewWriterSize(f, 1<<16)
	if err = write(buffer); err == nil {
		err = buffer.Flush()
	}
	if err == nil && old != nil {
		err = f.Chmod(perm) // sets the permissions that the umask took away
	}
	if err == nil {
		err = f.Sync()
	}
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	placed = err == nil
	if e := (*fs.PathError)(nil); errors.As(err, &e) && e.Path == f.Name() {
		err = wrap(path, err) // the error names path, not the temporary file
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		err = wrap(path, e.Err)
	}
	return err
}

// Check returns the error that Write would return for path, as far as it is known before anything is written.
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

// CheckGiven is Check for a path that may be "", which stands for no file and is no error.
func CheckGiven(path string) error {
	if path == "" {
		return nil
	}
	return Check(path)
}

// wrap returns err as an error of writing to path.
func wrap(path string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// target returns the path of the file that path leads to, links followed, and the file's state, which is nil where the file does not exist.
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
		f, err = os.OpenFile(path, os.O_WRONLY|NoWait, 0) // renaming another file over it would not check that it may be written
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

// create creates a temporary file in dir and locks it.
func create(dir string, perm fs.FileMode) (*os.File, error) {
	for range 100 {
		if f, err := createLocked(filepath.Join(dir, prefix+rand.Text()+suffix), perm|0o200); err != nil || f != nil {
			return f, err
		}
	}
	return nil, fmt.Errorf("%s: a file written there is removed before it is locked", dir)
}

// createLocked creates a file and locks it. It returns nil where another process removed the file before it was locked, as one left by a killed
// process.
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

// removeLeft removes the temporary files and folders in dir that killed processes left. It ignores errors.
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
			os.Remove(path) // on systems that remove no open file
		}
	}
}

// unfinished holds the temporary files that this process is writing.
var unfinished sync.Map

// RemoveUnfinished removes the temporary files of this process, which is about to end while it writes them.
func RemoveUnfinished() {
	unfinished.Range(func(path, _ any) bool {
		os.RemoveAll(path.(string))
		return true
	})
}

// WriteFolder writes a folder at path, completely or not at all. fill makes the folder under the name that it is given, which is then renamed to path;
// nothing may exist at path. A folder that a killed process left is removed by the next Write or WriteFolder to the same directory.
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
		return &unmade{err, made, path}
	}
	if err := os.Rename(made, path); err != nil {
		return wrap(path, err)
	}
	return SyncFolder(os.Open(parent))
}

// unmade is an error of filling a folder, whose text names the folder that was asked for and not the temporary one.
type unmade struct {
	error
	temporary, path string
}

func (e *unmade) Error() string { return strings.ReplaceAll(e.error.Error(), e.temporary, e.path) }
func (e *unmade) Unwrap() error { return e.error }

const lockName = "lock"

// createFolder creates a temporary folder in dir, with a locked file in it.
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
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // where it does not exist, another process removed the folder as one left by a killed process
			os.RemoveAll(path)
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("%s: a folder made there is removed before it is locked", dir)
}

// removeLeftFolder removes a folder that createFolder made, unless the process that made it is running.
func removeLeftFolder(path string) {
	if os.Remove(path) == nil { // the folder was empty: its process was killed, or will create another
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

// SyncFolder writes the entries of a folder to the disk, so that what was created in it, renamed into it or removed from it survives a power cut, on
// systems that can. It takes the results of opening the folder, and closes it.
func SyncFolder(folder *os.File, err error) error {
	if err != nil {
		return err
	}
	return cmp.Or(syncFolder(folder), folder.Close())
}
