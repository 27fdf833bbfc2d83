package record

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// memDisk is a file system in memory that knows what has been synced: crash returns what a loss of power leaves of it. A
// file's bytes last once the file is synced, a name once the folder that holds it is, and neither sync does the other's work.
type memDisk struct {
	mu    sync.Mutex
	root  *inode
	fault func(op, name string) error // called before each operation, which fails with what it returns
	after func(op, name string)       // called after each operation that changes something, holding mu

	ignored string // operation and name of what is not done, with success
}

type inode struct {
	dir    bool
	locked *memFile

	data, synced []byte // of a file: now, and at the last sync

	entries, syncedEntries map[string]*inode // of a folder: now, and at the last sync
	unsynced               []change          // between the two, in order
}

// change is one thing done to a folder: "from" is gone, "to" is there. A rename is both, and atomic.
type change struct {
	from, to string
	what     *inode
}

func newMemDisk() *memDisk {
	return &memDisk{root: newFolder(), fault: func(string, string) error { return nil }, after: func(string, string) {}}
}

func newFolder() *inode {
	return &inode{dir: true, entries: map[string]*inode{}, syncedEntries: map[string]*inode{}}
}

// remains says what a crash keeps of what is not synced: each change with probability keep, and of a file's bytes each
// block of the given size.
type remains struct {
	keep  float64
	block int
	rng   *rand.Rand
}

// crash returns a disk as a loss of power leaves it now. The caller holds mu.
func (d *memDisk) crash(r remains) *memDisk {
	left := newMemDisk()
	left.root = d.root.crash(r, map[*inode]*inode{})
	return left
}

func (n *inode) crash(r remains, done map[*inode]*inode) *inode {
	if left := done[n]; left != nil {
		return left
	}
	if !n.dir {
		left := &inode{data: r.tear(n.synced, n.data)}
		left.synced = left.data
		done[n] = left
		return left
	}
	left := newFolder()
	done[n] = left
	entries := maps.Clone(n.syncedEntries)
	for _, c := range n.unsynced {
		if r.rng.Float64() < r.keep {
			delete(entries, c.from)
			if c.what != nil {
				entries[c.to] = c.what
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) { // sorted, for a seed to give the same disk again
		left.entries[name] = entries[name].crash(r, done)
	}
	left.syncedEntries = maps.Clone(left.entries)
	return left
}

// tear returns a mixture of a file's bytes before and after what was written since the last sync, by whole blocks; a
// block of neither is zero.
func (r remains) tear(before, after []byte) []byte {
	if slices.Equal(before, after) {
		return before
	}
	size := len(before)
	if r.rng.Float64() < r.keep {
		size = len(after)
	}
	torn := make([]byte, size)
	for at := 0; at < size; at += r.block {
		from := before
		if r.rng.Float64() < r.keep {
			from = after
		}
		if at < len(from) {
			copy(torn[at:min(at+r.block, size)], from[at:])
		}
	}
	return torn
}

// do runs an operation on the disk.
func (d *memDisk) do(op, name string, changes bool, act func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	// A run is made under another name, and its folder is known by that name from then on, as an os.Root's is.
	name = unfinished.ReplaceAllString(name, "run")
	if op+" "+name == d.ignored {
		return nil
	}
	err := d.fault(op, name)
	if err == nil {
		err = act()
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	if changes {
		d.after(op, name)
	}
	return nil
}

var unfinished = regexp.MustCompile(`^\.tmp-run-\w+`)

func (n *inode) walk(name string) (*inode, error) {
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part == "." {
			continue
		}
		if n = n.entries[part]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

func (n *inode) change(c change) {
	delete(n.entries, c.from)
	if c.what != nil {
		n.entries[c.to] = c.what
	}
	n.unsynced = append(n.unsynced, c)
}

// memFolder is the folder of a memDisk at a path.
type memFolder struct {
	disk *memDisk
	at   *inode
	path string
}

func (d *memDisk) folder() memFolder { return memFolder{d, d.root, "."} }

func (f memFolder) do(op, name string, changes bool, act func() error) error {
	return f.disk.do(op, path.Join(f.path, name), changes, act)
}

func (f memFolder) Open(name string) (file, error) {
	var n *inode
	err := f.do("open", name, false, func() (err error) {
		n, err = f.at.walk(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &memFile{f.disk, n, path.Join(f.path, name)}, nil
}

func (f memFolder) add(name string, what *inode) error {
	parent, err := f.at.walk(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if parent.entries[base] != nil {
		return syscall.EEXIST
	}
	parent.change(change{base, base, what})
	return nil
}

func (f memFolder) Create(name string) (file, error) {
	n := &inode{}
	if err := f.do("create", name, true, func() error { return f.add(name, n) }); err != nil {
		return nil, err
	}
	return &memFile{f.disk, n, path.Join(f.path, name)}, nil
}

func (f memFolder) Mkdir(name string) error {
	return f.do("mkdir", name, true, func() error { return f.add(name, newFolder()) })
}

func (f memFolder) Lstat(name string) (info fs.FileInfo, err error) {
	err = f.do("lstat", name, false, func() error {
		n, err := f.at.walk(name)
		info = memInfo{path.Base(name), n}
		return err
	})
	return info, err
}

func (f memFolder) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = f.do("readdir", name, false, func() error {
		n, err := f.at.walk(name)
		if err != nil {
			return err
		}
		for name, n := range n.entries {
			entries = append(entries, fs.FileInfoToDirEntry(memInfo{name, n}))
		}
		return nil
	})
	return entries, err
}

func (f memFolder) Rename(from, to string) error {
	return f.do("rename", from, true, func() error {
		n, err := f.at.walk(from)
		if err != nil {
			return err
		}
		parent, err := f.at.walk(path.Dir(from))
		if err != nil || path.Dir(to) != path.Dir(from) {
			return syscall.EINVAL // the writer renames within one folder only
		}
		parent.change(change{path.Base(from), path.Base(to), n})
		return nil
	})
}

func (f memFolder) RemoveAll(name string) error {
	return f.do("remove", name, true, func() error {
		parent, err := f.at.walk(path.Dir(name))
		if err == nil {
			parent.change(change{path.Base(name), "", nil})
		}
		return err
	})
}

func (f memFolder) SyncDir(name string) error {
	return f.do("syncdir", name, true, func() error {
		n, err := f.at.walk(name)
		if err == nil {
			n.syncedEntries, n.unsynced = maps.Clone(n.entries), nil
		}
		return err
	})
}

func (f memFolder) OpenFolder(name string) (sub folder, err error) {
	err = f.do("openfolder", name, false, func() error {
		n, err := f.at.walk(name)
		sub = memFolder{f.disk, n, path.Join(f.path, name)}
		return err
	})
	return sub, err
}

func (f memFolder) Close() error { return nil }

type memFile struct {
	disk *memDisk
	node *inode
	path string
}

func (f *memFile) Write(data []byte) (int, error) {
	before := f.node.data // of which synced may be a part, so it is not written over
	err := f.disk.do("write", f.path, true, func() error {
		f.node.data = append(slices.Clip(before), data...)
		return nil
	})
	if err != nil {
		f.node.data = append(slices.Clip(before), data[:len(data)/2]...) // a disk fills up in the middle
		return len(data) / 2, err
	}
	return len(data), nil
}

func (f *memFile) Sync() error {
	err := f.disk.do("sync", f.path, true, func() error {
		f.node.synced = f.node.data
		return nil
	})
	if err != nil {
		f.node.data = f.node.synced // as Linux does: the data is dropped, and a second sync succeeds without it
	}
	return err
}

func (f *memFile) ReadAt(p []byte, at int64) (n int, err error) {
	err = f.disk.do("read", f.path, false, func() error {
		if at <= int64(len(f.node.data)) {
			n = copy(p, f.node.data[at:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *memFile) Map(size int) (data []byte, unmap func() error, err error) {
	err = f.disk.do("map", f.path, false, func() error {
		data = slices.Clone(f.node.data[:size])
		return nil
	})
	return data, func() error { return nil }, err
}

func (f *memFile) Lock() (ok bool, err error) {
	err = f.disk.do("lock", f.path, false, func() error {
		if ok = f.node.locked == nil; ok {
			f.node.locked = f
		}
		return nil
	})
	return ok, err
}

func (f *memFile) LockHeld() (held bool, err error) {
	err = f.disk.do("testlock", f.path, false, func() error {
		held = f.node.locked != nil
		return nil
	})
	return held, err
}

func (f *memFile) Close() error {
	return f.disk.do("close", f.path, false, func() error {
		if f.node.locked == f {
			f.node.locked = nil
		}
		return nil
	})
}

type memInfo struct {
	name string
	node *inode
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return int64(len(i.node.data)) }
func (i memInfo) IsDir() bool        { return i.node.dir }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() fs.FileMode {
	if i.node.dir {
		return fs.ModeDir | 0o777
	}
	return 0o666
}

// A disk that loses what was synced would let every crash test pass.
func TestMemDiskLosesOnlyWhatIsNotSynced(t *testing.T) {
	disk := newMemDisk()
	root := disk.folder()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"both", "file", "name", "none"} {
		f, err := root.Create(name)
		must(err)
		_, err = f.Write([]byte("data"))
		must(err)
		if name == "both" || name == "file" {
			must(f.Sync())
		}
		if name == "both" {
			must(root.SyncDir("."))
		}
	}
	must(root.Mkdir("sub"))
	must(root.RemoveAll("none"))
	tests := []struct {
		keep float64
		want map[string]string
	}{
		{0, map[string]string{"both": "data"}},
		{1, map[string]string{"both": "data", "file": "data", "name": "data", "sub": "folder"}},
	}
	for _, test := range tests {
		left := disk.crash(remains{test.keep, 512, rand.New(rand.NewPCG(1, 1))})
		got := map[string]string{}
		for name, n := range left.root.entries {
			got[name] = string(n.data)
			if n.dir {
				got[name] = "folder"
			}
		}
		if !maps.Equal(got, test.want) {
			t.Errorf("keeping %v: got %v, want %v", test.keep, got, test.want)
		}
	}
}
