package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// A Run is a run directory that is open for reading. Another process may still be writing it. A Run may be used by several
// goroutines at once.
type Run struct {
	dir      string
	root     folder
	manifest manifestJSON

	refresh sync.Mutex // lets one Refresh run at a time, so that an earlier result never replaces a later one

	mu           sync.Mutex
	epochs       []int                    // the committed epochs, in rising order
	state        string                   // the state of the run
	end          *endJSON                 // the content of end.json; nil where the run has not ended
	endErr       error                    // the damage of end.json; nil for none
	knownSamples map[string]*knownSamples // what is known of the samples of each split whose samples were read
}

// Open opens the run in dir. The error is ErrNoRun where dir holds no run, a *NewerError for a run of a newer format, and a *Damage where the manifest
// is damaged. Damage to other files is an error of the methods that read them.
func Open(dir string) (*Run, error) {
	root, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	return keep(root, dir)
}

// OpenIn is Open for the run called name in a folder of runs. It is an error where name, or a symbolic link, leads out of the folder.
func OpenIn(folder *os.Root, name string) (*Run, error) {
	root, err := osFolder{folder}.OpenFolder(name)
	if err != nil {
		return nil, err
	}
	return keep(root, filepath.Join(folder.Name(), name))
}

// keep opens the run in root, and closes root where that fails.
func keep(root folder, dir string) (*Run, error) {
	r, err := open(root, dir)
	if err != nil {
		root.Close()
		return nil, err
	}
	return r, nil
}

// giveRun is the advice in the error for a directory that holds no run.
const giveRun = "give the directory that a run was written to"

func openRun(dir string) (folder, error) {
	root, err := openFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, lacks(ErrNoRun, "run %s: %v: %s", dir, fs.ErrNotExist, giveRun)
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return nil, fmt.Errorf("run %s: %w: %s", dir, e.Err, giveRun)
	}
	return root, err
}

func open(root folder, dir string) (*Run, error) {
	r := &Run{dir: dir, root: root, knownSamples: map[string]*knownSamples{}}
	data, err := readSmall(root, manifestFile, ruleOf(manifestFile).sealed)
	if errors.Is(err, fs.ErrNotExist) {
		if inside := runsIn(root, dir); len(inside) > 0 {
			return nil, lacks(ErrNoRun, "%s is a folder of runs, not a run: give one of them: %s", dir, strings.Join(inside, ", "))
		}
		return nil, lacks(ErrNoRun, "%s is not a run: %s: %v: %s", dir, manifestFile, fs.ErrNotExist, giveRun)
	}
	if err == nil {
		err = r.readManifest(data)
	}
	if newer := (*NewerError)(nil); errors.As(err, &newer) {
		return nil, err
	}
	if err != nil {
		return nil, r.damage(manifestFile, -1, "", err)
	}
	return r, r.Refresh()
}

// runsIn returns the paths of runs that lie in the folder dir, the first five by name and "…" for the rest.
func runsIn(root folder, dir string) (paths []string) {
	entries, err := root.ReadDir(".")
	if err != nil {
		return nil // what there is to give is advice only
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !e.IsDir() {
			continue
		}
		if _, err := root.Lstat(path.Join(e.Name(), manifestFile)); err == nil {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	if len(paths) > 5 {
		paths = append(paths[:5], "…")
	}
	return paths
}

// readManifest decodes and validates manifest.json.
func (r *Run) readManifest(data []byte) error {
	var read boundedManifest
	err := Unseal(data, &read)
	later := struct {
		FormatVersion int `json:"format_version"`
	}{read.FormatVersion}
	// The version counts even where the checksum is wrong, because a later format may seal its manifest in another way.
	if err != nil && json.Unmarshal(data, &later) != nil {
		return err
	}
	if later.FormatVersion > FormatVersion {
		return &NewerError{Run: filepath.Base(r.dir), Version: later.FormatVersion, seal: err}
	}
	if err == nil {
		r.manifest, err = read.manifest()
	}
	if err != nil {
		return err
	}
	m := &r.manifest.Manifest
	if m.FormatVersion < 1 {
		return fmt.Errorf("format %d: want 1 or more", m.FormatVersion)
	}
	m.Splits = nil
	for _, s := range r.manifest.Splits {
		m.Splits = append(m.Splits, s.SplitInfo)
	}
	for _, need := range m.Needs {
		if !slices.Contains(knownNeeds(), need) {
			return &NewerError{Run: filepath.Base(r.dir), Version: m.FormatVersion, Need: need}
		}
	}
	for _, f := range r.manifest.Files {
		if err := validFile(f.Name, ownNames...); err != nil {
			return err
		}
	}
	if err := m.validate(); err != nil {
		return err
	}
	if m.FormatVersion < 3 && m.uses3() {
		return fmt.Errorf("format %d, but it says what only format 3 does", m.FormatVersion)
	}
	return nil
}

// damage returns err as the damage of a file. epoch is -1, and split "", where the file belongs to none.
func (r *Run) damage(name string, epoch int, split string, err error) *Damage {
	what := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		what = "it is missing"
	} else if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "it is cut short"
	} else if e := (*fs.PathError)(nil); errors.As(err, &e) {
		what = e.Err.Error()
	}
	return &Damage{filepath.Join(r.dir, filepath.FromSlash(name)), epoch, split, what}
}

// Manifest returns the manifest of the run, which must not be changed.
func (r *Run) Manifest() *Manifest { return &r.manifest.Manifest }

// Close closes the directory. Rows that are open already can still be read.
func (r *Run) Close() error { return r.root.Close() }

// Epochs returns the epochs that were committed at the last Refresh, in rising order.
func (r *Run) Epochs() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.epochs)
}

// State returns the state of the run at the last Refresh: StateRunning, StateComplete, StateInterrupted or StateFailed.
func (r *Run) State() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Refresh reads which epochs are committed, and the state of the run, anew.
func (r *Run) Refresh() error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	// Read in this order, the state and the epochs agree, because the writer commits first, then writes the end, then releases the lock.
	alive, err := r.writerLives()
	if err != nil {
		return r.damage(lockName, -1, "", err)
	}
	state := StateInterrupted
	if alive {
		state = StateRunning
	}
	// Where end.json is damaged, the epochs can be read nevertheless; Missing returns the damage.
	end, endErr := r.readEnd()
	if end != nil {
		state = end.State
	} else if endErr != nil {
		state = StateInterrupted
	}
	epochs, err := listNumbered(r.root, epochsDir)
	if err != nil {
		return r.damage(epochsDir, -1, "", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.epochs, r.end, r.endErr = state, epochs, end, endErr
	return nil
}

// writerLives reports whether a writer holds the run's lock.
func (r *Run) writerLives() (bool, error) {
	f, _, err := openRegular(r.root, lockName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a copy of a run may lack the lock
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return f.LockHeld()
}

// readEnd returns how the run ended, nil where it has not.
func (r *Run) readEnd() (*endJSON, error) {
	var end endJSON
	_, err := r.sealed(endFile, &end)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && end.State != StateComplete && end.State != StateInterrupted && end.State != StateFailed {
		err = fmt.Errorf("state %q", end.State)
	}
	if err != nil {
		return nil, r.damage(endFile, -1, "", err)
	}
	return &end, nil
}

// listNumbered returns the numbers, in rising order, of all entries of a folder that have the name of an epoch's folder. An entry that is no folder is
// damage to who reads the epoch.
func listNumbered(d folder, name string) (epochs []int, err error) {
	entries, err := readFolder(d, name)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		epoch, err := strconv.Atoi(entry.Name())
		if err == nil && epoch >= 0 && epoch <= maxEpoch && epochName(epoch) == entry.Name() {
			epochs = append(epochs, epoch)
		}
	}
	slices.Sort(epochs)
	return epochs, nil
}

func (r *Run) noSplit(split string) error {
	var names []string
	for _, s := range r.manifest.Splits {
		names = append(names, s.Name)
	}
	return lacks(ErrNoSplit, "run %s has no split %q: it has %s", r.manifest.Name, split, strings.Join(names, ", "))
}

// columns verifies a file against want and maps it. It calls use with the file, which has the checksum of its bytes before mark, and with the bytes of
// the wanted columns, which are views.
func (r *Run) columns(ctx context.Context, name string, want content, wanted []column, n int, mark int64, use func(f mappedFile, values [][]byte)) (unmap func() error, err error) {
	f, err := r.mapped(ctx, name, want, mark)
	if err != nil {
		return nil, err
	}
	values, err := decodeArrow(f.data, wanted, n)
	if err != nil {
		f.unmap()
		return nil, err
	}
	use(f, values)
	return f.unmap, nil
}

// mappedFile is a verified file that is mapped into memory.
type mappedFile struct {
	data  []byte
	head  uint32       // the CRC-32C of the bytes before the mark that was asked for
	unmap func() error // releases data
}

// endOf returns the offset in data at which part, a part of data, ends.
func (f mappedFile) endOf(part []byte) int64 {
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(part)))-uintptr(unsafe.Pointer(unsafe.SliceData(f.data)))) + int64(len(part))
}

// mapped verifies the size and the checksum of a file and maps it. It panics for a file that no sealed file names, because size and checksum of such a
// file are not known; only a mistake in this package can bring one here.
func (r *Run) mapped(ctx context.Context, name string, want content, mark int64) (m mappedFile, err error) {
	if ruleOf(name).named == "" {
		panic("record: nothing names " + name)
	}
	f, size, err := openRegular(r.root, name)
	if err != nil {
		return m, err
	}
	defer f.Close()
	if size != want.Size {
		return m, fmt.Errorf("%d bytes, want %d: the file is damaged", size, want.Size)
	}
	// The checksum is of bytes that are read and not mapped: where the disk fails, a read returns an error and a mapping kills the process.
	sum, head, err := checksum(ctx, f, size, mark)
	if err != nil {
		return m, err
	}
	if sum := fmt.Sprintf("%08x", sum); sum != want.CRC32C {
		return m, fmt.Errorf("CRC-32C %s, want %s: the file is damaged", sum, want.CRC32C)
	}
	m.head = head
	m.data, m.unmap, err = f.Map(int(size))
	return m, err
}

// buffers holds buffers for checksum.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// checksum returns the CRC-32C of the first size bytes of f as sum, and that of the bytes before mark as head. It stops when ctx ends.
func checksum(ctx context.Context, f io.ReaderAt, size, mark int64) (sum, head uint32, err error) {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		part := buf[:min(size-at, int64(len(buf)))]
		if n, err := f.ReadAt(part, at); n < len(part) {
			return 0, 0, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		at += int64(len(part))
		if left := mark - (at - int64(len(part))); left > 0 && left <= int64(len(part)) {
			sum = crc32.Update(sum, castagnoli, part[:left])
			head, part = sum, part[left:]
		}
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum, head, nil
}
