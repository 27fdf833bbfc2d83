package record

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Bounds on the JSON files of a run, which are read whole.
const (
	maxManifestBytes = 16 << 20
	maxEpochBytes    = 64 << 10
	maxEndBytes      = 4 << 10
)

// A Run is a run directory open for reading, which another process may still be writing. It may be used by several
// goroutines at once.
type Run struct {
	dir      string
	root     folder
	manifest manifestJSON

	refresh sync.Mutex // one look at the disk at a time: an earlier one must not be stored over a later

	mu     sync.Mutex
	epochs []int
	state  string
}

// Damage says what is wrong with one file of a run. It is the error of reading that file.
type Damage struct {
	Path  string `json:"path"`
	Epoch int    `json:"epoch"` // -1 for a file that is no epoch's
	Split string `json:"split"` // "" for a file that is no split's
	What  string `json:"what"`
}

func (d *Damage) Error() string { return d.Path + ": " + d.What }

// Open opens the run in dir. A directory without a readable manifest, or with one of a newer format, is an error; damage to
// anything else is met where it is read.
func Open(dir string) (*Run, error) {
	root, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	return keep(root, dir)
}

// OpenIn is Open for a run in a folder of runs. Neither name nor a symbolic link leads out of the folder.
func OpenIn(folder *os.Root, name string) (*Run, error) {
	root, err := osFolder{folder}.OpenFolder(name)
	if err != nil {
		return nil, err
	}
	return keep(root, filepath.Join(folder.Name(), name))
}

// keep opens the run in root, which it closes if there is none.
func keep(root folder, dir string) (*Run, error) {
	r, err := open(root, dir)
	if err != nil {
		root.Close()
		return nil, err
	}
	return r, nil
}

func openRun(dir string) (folder, error) {
	root, err := openFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run %s: %w", dir, fs.ErrNotExist)
	}
	return root, err
}

func open(root folder, dir string) (*Run, error) {
	r := &Run{dir: dir, root: root}
	data, err := readSmall(root, manifestFile, maxManifestBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a run: %s: %w", dir, manifestFile, fs.ErrNotExist)
	}
	if err == nil {
		err = r.readManifest(data)
	}
	if newer := (*newerError)(nil); errors.As(err, &newer) {
		return nil, err
	}
	if err != nil {
		return nil, r.damage(manifestFile, -1, "", err)
	}
	return r, r.Refresh()
}

func (r *Run) readManifest(data []byte) error {
	err := unseal(data, &r.manifest)
	// The version is looked at even where the checksum fails: a later format may seal its manifest in another way.
	var later struct {
		FormatVersion int `json:"format_version"`
	}
	if json.Unmarshal(data, &later) == nil && later.FormatVersion > FormatVersion {
		return &newerError{filepath.Base(r.dir), later.FormatVersion}
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
	for _, f := range r.manifest.Files {
		if err := validFile(f.Name, ownNames...); err != nil {
			return err
		}
	}
	return m.validate()
}

// newerError refuses a run of a format that this package does not know yet.
type newerError struct {
	run     string
	version int
}

func (e *newerError) Error() string {
	return fmt.Sprintf("run %s has format %d, this logitscope reads up to %d: upgrade", e.run, e.version, FormatVersion)
}

// damage makes err the damage of a file.
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

// Manifest returns what the run is. It must not be changed.
func (r *Run) Manifest() *Manifest { return &r.manifest.Manifest }

// Close lets go of the directory. Logits already open stay.
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

// Refresh looks for epochs committed, and for the end of the run, since Open or the last Refresh.
func (r *Run) Refresh() error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	// In this order, the state and the epochs agree: the writer commits, then writes the end, then lets go of the lock.
	alive, err := r.writerLives()
	if err != nil {
		return r.damage(lockName, -1, "", err)
	}
	state := StateInterrupted
	if alive {
		state = StateRunning
	}
	// A damaged end.json, which Check names, keeps nobody from the epochs.
	if end, err := r.readEnd(); end != nil {
		state = end.State
	} else if err != nil {
		state = StateInterrupted
	}
	epochs, _, err := r.list()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.epochs = state, epochs
	return nil
}

// writerLives reports whether a writer holds the run's lock.
func (r *Run) writerLives() (bool, error) {
	f, _, err := openRegular(r.root, lockName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a copy without it
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return f.LockHeld()
}

// readEnd returns how the run ended, nil if it has not.
func (r *Run) readEnd() (*endJSON, error) {
	data, err := readSmall(r.root, endFile, maxEndBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var end endJSON
	if err == nil {
		err = unseal(data, &end)
	}
	if err == nil && end.State != StateComplete && end.State != StateInterrupted && end.State != StateFailed {
		err = fmt.Errorf("state %q", end.State)
	}
	if err != nil {
		return nil, r.damage(endFile, -1, "", err)
	}
	return &end, nil
}

// list returns the epochs that are there, and what else is in their folder.
func (r *Run) list() (epochs []int, others []string, err error) {
	epochs, others, err = listNumbered(r.root, epochsDir)
	if err != nil {
		return nil, nil, r.damage(epochsDir, -1, "", err)
	}
	return epochs, others, nil
}

// listNumbered returns the folders in a folder whose names are those of epochs, and what else is there.
func listNumbered(d folder, name string) (epochs []int, others []string, err error) {
	entries, err := d.ReadDir(name)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		epoch, err := strconv.Atoi(entry.Name())
		if err != nil || epoch < 0 || epoch > maxEpoch || epochName(epoch) != entry.Name() || !entry.IsDir() {
			others = append(others, entry.Name())
			continue
		}
		epochs = append(epochs, epoch)
	}
	slices.Sort(epochs)
	slices.Sort(others)
	return epochs, others, nil
}

// Samples reads the samples of a split.
func (r *Run) Samples(split string) (*Samples, error) {
	i := r.manifest.split(split)
	if i < 0 {
		return nil, r.noSplit(split)
	}
	name := samplesDir + "/" + split + ".arrow"
	m, s, f := r.Manifest(), &Samples{}, r.manifest.Splits[i]
	unmap, err := r.columns(name, f, sampleColumns(m), func(values [][]byte) {
		s.take(m, values) // copies, so that nobody has to close them
	})
	if err == nil {
		err = unmap()
	}
	if err == nil {
		err = s.validate(m, f.N)
	}
	if err != nil {
		return nil, r.damage(name, -1, split, err)
	}
	return s, nil
}

func (r *Run) noSplit(split string) error {
	var names []string
	for _, s := range r.manifest.Splits {
		names = append(names, s.Name)
	}
	return fmt.Errorf("run %s has no split %q: it has %s", r.manifest.Name, split, strings.Join(names, ", "))
}

// Logits are the logits of one split at one epoch, in memory that is the file's own: it must not be written to, nor read
// after Close.
type Logits struct {
	IDs    []int64   // [N], as in Samples
	Values []float32 // [N,Columns]
	unmap  func() error
}

// Close gives back the memory of IDs and Values.
func (l *Logits) Close() error {
	unmap := l.unmap
	l.IDs, l.Values, l.unmap = nil, nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}

// Logits opens the logits of a split at an epoch, once their checksum is verified. Damage is an error of type *Damage; the
// other splits and epochs stay readable. Close what it returns.
func (r *Run) Logits(epoch int, split string) (*Logits, error) {
	i := r.manifest.split(split)
	if i < 0 {
		return nil, r.noSplit(split)
	}
	info, err := r.readEpoch(epoch)
	if err != nil {
		return nil, err
	}
	l := &Logits{}
	name := epochsDir + "/" + epochName(epoch) + "/" + split + ".arrow"
	l.unmap, err = r.columns(name, info.Splits[i], logitColumns(r.Manifest()), func(values [][]byte) {
		l.IDs, l.Values = view[int64](values[0]), view[float32](values[1])
	})
	if err != nil {
		return nil, r.damage(name, epoch, split, err)
	}
	return l, nil
}

// readEpoch reads an epoch's epoch.json.
func (r *Run) readEpoch(epoch int) (*epochJSON, error) {
	folder := epochsDir + "/" + epochName(epoch)
	if _, err := r.root.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run %s has no epoch %d", r.manifest.Name, epoch)
	}
	var info epochJSON
	data, err := readSmall(r.root, folder+"/"+epochFile, maxEpochBytes)
	if err == nil {
		err = unseal(data, &info)
	}
	if err == nil && info.Epoch != epoch {
		err = fmt.Errorf("it is of epoch %d", info.Epoch)
	}
	if err == nil && !slices.EqualFunc(info.Splits, r.manifest.Splits, func(a, b splitFile) bool { return a.SplitInfo == b.SplitInfo }) {
		err = errors.New("its splits are not those of the manifest")
	}
	if err != nil {
		return nil, r.damage(folder+"/"+epochFile, epoch, "", err)
	}
	return &info, nil
}

// columns verifies a file against what it must be, maps it and hands its columns, which are views, to use.
func (r *Run) columns(name string, want splitFile, wanted []column, use func(values [][]byte)) (unmap func() error, err error) {
	data, unmap, err := verified(r.root, name, want.content)
	if err != nil {
		return nil, err
	}
	values, err := decodeArrow(data, wanted, want.N)
	if err != nil {
		unmap()
		return nil, err
	}
	use(values)
	return unmap, nil
}

// verified maps a file that is what it must be.
func verified(d folder, name string, want content) (data []byte, unmap func() error, err error) {
	f, size, err := openRegular(d, name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if size != want.Size {
		return nil, nil, fmt.Errorf("%d bytes, want %d: the file is damaged", size, want.Size)
	}
	// Read, not mapped: where the disk fails, a read returns an error and a mapping kills the process.
	sum, err := checksum(f, size)
	if err != nil {
		return nil, nil, err
	}
	if sum != want.CRC32C {
		return nil, nil, fmt.Errorf("CRC-32C %s, want %s: the file is damaged", sum, want.CRC32C)
	}
	return f.Map(int(size))
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// checksum returns the CRC-32C of the first size bytes of f.
func checksum(f io.ReaderAt, size int64) (string, error) {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	sum := uint32(0)
	for at := int64(0); at < size; {
		part := buf[:min(size-at, int64(len(buf)))]
		if n, err := f.ReadAt(part, at); n < len(part) {
			return "", cmp.Or(err, io.ErrUnexpectedEOF)
		}
		sum = crc32.Update(sum, castagnoli, part)
		at += int64(len(part))
	}
	return fmt.Sprintf("%08x", sum), nil
}
