package record

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	manifestFile = "manifest.json"
	samplesDir   = "samples"
	epochsDir    = "epochs"
	epochFile    = "epoch.json"
	endFile      = "end.json"
	lockName     = "lock"
	tmpPrefix    = ".tmp-" // begins the names of files and folders that are not committed, which readers ignore
)

// ownNames lists the names in a run's folder that a caller's file must not have.
var ownNames = []string{manifestFile, samplesDir, epochsDir, checkpointsDir, figuresFile, CalibrationFile, FoldsDir, endFile, lockName}

// manifestJSON is the content of manifest.json: a Manifest, in which each split has the size and checksum of its file of samples.
type manifestJSON struct {
	Manifest
	Splits splitFiles `json:"splits"`
	Files  fileInfos  `json:"files,omitempty"`
}

// content is the size and the checksum that a file must have.
type content struct {
	Size   int64  `json:"size,omitempty"`   // the number of bytes
	CRC32C string `json:"crc32c,omitempty"` // eight lower-case hexadecimal digits
}

// splitFile describes a split and its file of samples, SPLIT.arrow.
type splitFile struct {
	SplitInfo
	content
}

// fileInfo describes a file of the caller's own.
type fileInfo struct {
	Name string `json:"name"`
	content
}

// contentOf returns the size and checksum of a file that consists of parts.
func contentOf(parts [][]byte) content {
	size, sum := 0, uint32(0)
	for _, p := range parts {
		size += len(p)
		sum = crc32.Update(sum, castagnoli, p)
	}
	return content{int64(size), fmt.Sprintf("%08x", sum)}
}

// endJSON is the content of end.json.
type endJSON struct {
	owner
	State       string    `json:"state"`
	Epochs      int       `json:"epochs"` // the number of epochs that were committed
	Ended       time.Time `json:"ended"`
	Figures     *content  `json:"figures,omitempty"`     // the size and checksum of figures.json; nil for none
	Checkpoints []int     `json:"checkpoints,omitempty"` // the epochs of the checkpoints, unless there are more than maxNamed
}

// maxNamed bounds the number of checkpoints that end.json names, which keeps it small.
const maxNamed = 64

// epochName returns the name of an epoch's folder.
func epochName(epoch int) string { return fmt.Sprintf("%06d", epoch) }

// A Writer writes one run. Its methods are for one goroutine at a time, Checkpoint excepted; a goroutine of the Writer's own commits epochs.
//
// After the first error of writing nothing more is written, and every later call returns that error. The epochs that were committed before stay
// as they are. A run whose Writer is not closed stays "running" until the process ends.
type Writer struct {
	dir         string
	root        folder
	lock        file
	manifest    Manifest
	frames      []frame // what surrounds the logits of each split, in formats 1 and 2
	last        *int    // the epoch that was given last; nil for none
	logitsGiven []int   // the number of logits of each split of that epoch that were given; nil once the epoch is complete

	// These slices are of format 3 and have one element a split; they are nil in formats 1 and 2.
	samples   []writtenSamples // the samples, with those of the epoch that is being given
	parts     []*splitParts    // what the goroutine that writes uses
	partBytes int64            // the number of bytes of a part
	hasRow    [][]bool         // which samples have a row at the epoch; nil except between AppendPart and Commit
	repeated  []int            // the number of rows whose sample had one already
	before    []int            // the number of samples before the epoch

	blockBytes int // the number of bytes of a block

	free    chan *block    // blocks to fill
	queue   chan *block    // blocks to write, in order
	begun   chan struct{}  // holds one element for each epoch that was begun and is not committed
	pending sync.WaitGroup // counts the epochs that were given completely and are not committed
	stopped chan struct{}  // is closed when the goroutine that writes has ended
	closed  bool           // whether Close was called

	mu            sync.Mutex
	progress      *sync.Cond // is signalled when err or lastCommitted changes
	err           error      // the first error of writing
	committed     int        // the number of epochs that were committed
	queued        int        // the last epoch that was given completely; -1 before the first
	lastCommitted int        // the last epoch that was committed; -1 before the first
	figures       []Figures
	unwritten     bool     // whether some figures are not in figures.json yet
	figuresAre    *content // the size and checksum of figures.json; nil where there is none, or where they are not known
}

// frame holds the bytes before and after the logits in the Arrow file of a split, which are the same at every epoch. ids is the caller's memory: there may
// be a hundred million of them.
type frame struct{ head, ids, tail []byte }

// Create makes the directory dir, which must not exist, and the parents that do not exist. It writes the manifest, the samples of every
// split and the caller's own files to it. The directory appears whole or not at all. Where m.Splits is nil, it is taken from
// samples, train first. A manifest, samples or a name of a file that readers would refuse is an error. The IDs are not copied and must not
// change before Close.
//
// The caller closes the Writer.
func Create(dir string, m Manifest, samples map[string]Samples, files ...File) (*Writer, error) {
	path, err := filepath.Abs(dir) // an absolute path has a last component even where dir is "."
	if err != nil {
		return nil, err
	}
	w, err := newWriter(dir, filepath.Base(path), m, samples)
	for _, f := range files {
		err = cmp.Or(err, validFile(f.Name, ownNames...))
	}
	if err != nil {
		return nil, fmt.Errorf("create run %s: %w", dir, err)
	}
	if err := mkdirSynced(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create run %s: %w", dir, err)
	}
	parent, err := openFolder(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("create run %s: %w", dir, err)
	}
	defer parent.Close()
	err = w.create(parent, filepath.Base(path), samples, files...)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w: choose another directory, or remove it first", dir, fs.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("create run %s: %w", dir, err)
	}
	return w, nil
}

// newWriter validates the manifest and the samples and returns a Writer, which has written nothing yet.
func newWriter(dir, base string, m Manifest, samples map[string]Samples) (*Writer, error) {
	m.ID = rand.Text()
	m.Name = cmp.Or(m.Name, base)
	if m.Created.IsZero() {
		m.Created = time.Now()
	}
	m.Created = m.Created.UTC().Round(0)
	if m.Config != nil && !json.Valid(m.Config) {
		return nil, errors.New("its config is not JSON")
	}
	if m.Splits == nil {
		for _, name := range slices.SortedFunc(maps.Keys(samples), trainFirst) {
			m.Splits = append(m.Splits, SplitInfo{Name: name, N: len(samples[name].IDs)})
		}
	}
	m.Splits = slices.Clone(m.Splits)
	for i := range m.Splits {
		if rows := &m.Splits[i].Rows; rows.Logits == floatEncoding.name {
			rows.Logits = "" // as in formats 1 and 2
		}
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	if m.FormatVersion != FormatVersion {
		m.FormatVersion = m.leastFormat()
	}
	m.Needs = m.needs()
	for name := range samples {
		if m.split(name) < 0 {
			return nil, fmt.Errorf("samples of split %q, which the manifest does not name", name)
		}
	}
	for _, split := range m.Splits {
		s, ok := samples[split.Name]
		if !ok {
			return nil, fmt.Errorf("no samples of split %q", split.Name)
		}
		if err := s.validate(&m, split.N); err != nil {
			return nil, fmt.Errorf("split %q: %w", split.Name, err)
		}
	}
	return startWriter(dir, m), nil
}

func startWriter(dir string, m Manifest) *Writer {
	w := &Writer{
		dir: dir, manifest: m, queued: -1, lastCommitted: -1,
		free: make(chan *block, blocks), queue: make(chan *block, blocks), begun: make(chan struct{}, inFlight), stopped: make(chan struct{}),
	}
	w.progress = sync.NewCond(&w.mu)
	if m.FormatVersion >= 3 {
		w.partBytes, w.samples = partBytes, make([]writtenSamples, len(m.Splits))
		for i := range m.Splits {
			w.parts = append(w.parts, w.newParts(i))
		}
	}
	waiting := blocks
	w.blockBytes = blockBytes
	if w.parts != nil {
		waiting = blocks3
	} else if m.epochBytes() > largeEpoch {
		w.blockBytes = smallBlock
	}
	for range waiting {
		w.free <- &block{}
	}
	return w
}

// create makes the run's folder, called base, in parent. It writes a temporary folder and renames it.
func (w *Writer) create(parent folder, base string, samples map[string]Samples, files ...File) (err error) {
	if _, err := parent.Lstat(base); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	clearLeft(parent, base)
	tmp := tmpPrefix + base + "-" + rand.Text()[:8]
	made := tmp
	if err := parent.Mkdir(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.release()
			parent.RemoveAll(made) // a folder that cannot be removed is not taken for a run
		}
	}()
	if w.root, err = parent.OpenFolder(tmp); err != nil {
		return err
	}
	if err := w.writeRun(samples, files); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // which renames no folder in which a file is open
		w.lock.Close()
	}
	if err := parent.Rename(tmp, base); err != nil {
		return err
	}
	made = base
	if runtime.GOOS == "windows" {
		if w.lock, err = w.root.Open(lockName); err != nil {
			return err
		}
		if err := w.takeLock(); err != nil {
			return err
		}
	}
	if err := parent.SyncDir("."); err != nil {
		return err
	}
	go w.writeBlocks()
	return nil
}

// clearLeft removes the folders in parent that killed processes left, in which they were about to make the run called base. A folder whose lock is
// held, or which has none yet, is another process's who may be alive. It ignores errors: what stays is not taken for a run.
func clearLeft(parent folder, base string) {
	entries, err := parent.ReadDir(".")
	if err != nil {
		return
	}
	left := regexp.MustCompile("^" + regexp.QuoteMeta(tmpPrefix+base) + "-[A-Z2-7]{8}$")
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || !left.MatchString(name) {
			continue
		}
		lock, err := parent.Open(name + "/" + lockName)
		if err != nil {
			continue
		}
		ok, err := lock.Lock()
		if ok = ok && err == nil; ok {
			parent.RemoveAll(name)
		}
		lock.Close()
		if ok {
			parent.RemoveAll(name) // on systems that remove no open file
		}
	}
}

func (w *Writer) takeLock() error {
	if ok, err := w.lock.Lock(); err != nil || !ok {
		return cmp.Or(err, errors.New("its lock is held by another writer"))
	}
	return nil
}

// trainFirst compares the names of splits: TrainSplit comes first, and the others follow in alphabetical order.
func trainFirst(a, b string) int {
	if (a == TrainSplit) != (b == TrainSplit) {
		if a == TrainSplit {
			return -1
		}
		return 1
	}
	return cmp.Compare(a, b)
}

// writeRun writes everything that a run has before its first epoch.
func (w *Writer) writeRun(samples map[string]Samples, extra []File) (err error) {
	if w.lock, err = w.root.Create(lockName); err != nil {
		return err
	}
	if err := w.takeLock(); err != nil {
		return err
	}
	for _, name := range []string{samplesDir, epochsDir} {
		if err := w.root.Mkdir(name); err != nil {
			return err
		}
	}
	m := manifestJSON{Manifest: w.manifest}
	var files []newFile
	for _, split := range w.manifest.Splits {
		s := samples[split.Name]
		file := newFile{samplesDir + "/" + split.Name + ".arrow", arrowParts(sampleColumns(&w.manifest), s.values(&w.manifest), split.N)}
		m.Splits = append(m.Splits, splitFile{split, contentOf(file.parts)})
		files = append(files, file)
		w.addSplit(len(m.Splits)-1, &s)
	}
	for _, f := range extra {
		if len(f.Data) > maxFileBytes {
			return fmt.Errorf("%s would have %d bytes, and is read up to %d", f.Name, len(f.Data), maxFileBytes)
		}
		file := newFile{f.Name, [][]byte{f.Data}}
		m.Files = append(m.Files, fileInfo{f.Name, contentOf(file.parts)})
		files = append(files, file)
	}
	data, err := sealAs(manifestFile, m)
	if err != nil {
		return err
	}
	files = append(files, newFile{manifestFile, [][]byte{data}})
	if err := writeFiles(w.root, files); err != nil {
		return err
	}
	for _, name := range []string{samplesDir, epochsDir, "."} {
		if err := w.root.SyncDir(name); err != nil {
			return err
		}
	}
	return nil
}

// addSplit keeps what the files of epochs need of the samples of the i-th split. It is called for the splits in order.
func (w *Writer) addSplit(i int, s *Samples) {
	if w.parts != nil {
		w.samples[i].add(s)
		return
	}
	w.frames = append(w.frames, frameArrow(logitColumns(&w.manifest), viewBytes(s.IDs), len(s.IDs)))
}

// Close waits until the epochs on their way are committed, drops an epoch that is not complete, writes how the run ended (StateComplete, StateInterrupted
// or StateFailed) and closes the directory. Where writing has failed, it returns the first error, and the run has ended as StateFailed if that can
// still be written. A second Close does nothing more. Another state is an error, and closes nothing.
func (w *Writer) Close(state string) error {
	if state != StateComplete && state != StateInterrupted && state != StateFailed {
		return fmt.Errorf("close %s: state %q: want %q, %q or %q", w.dir, state, StateComplete, StateInterrupted, StateFailed)
	}
	if w.closed {
		return w.error()
	}
	w.closed = true
	close(w.queue)
	<-w.stopped
	if w.error() == nil {
		if err := w.writeFigures(maxEpoch); err != nil {
			w.fail(fmt.Errorf("close %s: %w", w.dir, named(err)))
		}
	}
	if w.error() != nil {
		state = StateFailed
	}
	if err := w.writeEnd(state); err != nil {
		w.fail(fmt.Errorf("close %s: %w", w.dir, err))
	}
	w.release()
	return w.error()
}

func (w *Writer) writeEnd(state string) error {
	end := endJSON{w.owner(), state, w.committed, time.Now().UTC().Round(0), w.figuresAre, nil}
	kept, err := listNumbered(w.root, checkpointsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(kept) <= maxNamed {
		end.Checkpoints = kept
	}
	data, err := sealAs(endFile, end)
	if err != nil {
		return err
	}
	return w.replace(endFile, data)
}

// replace writes a file in the run's folder, in place of an older one. It writes and syncs a temporary file and renames it.
func (w *Writer) replace(name string, data []byte) error {
	tmp := tmpPrefix + name
	if err := writeFile(w.root, tmp, data); err != nil {
		return err
	}
	if err := w.root.Rename(tmp, name); err != nil {
		return err
	}
	return w.root.SyncDir(".")
}

// release closes what the writer holds open, which releases the lock.
func (w *Writer) release() {
	if w.lock != nil {
		w.lock.Close()
	}
	if w.root != nil {
		w.root.Close()
	}
}

// owner returns what each sealed file says of the run that it belongs to.
func (w *Writer) owner() owner { return owner{w.manifest.ID} }

func (w *Writer) error() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = cmp.Or(w.err, err)
	w.progress.Broadcast()
}

// named returns err with the base name of its file in place of the path, because the path is of a folder that is renamed later.
func named(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return fmt.Errorf("%s: %w", filepath.Base(e.Path), e.Err)
	}
	return err
}

// place writes files to a temporary folder and settles it.
func (w *Writer) place(parent, name string, files []newFile, wait func() error) (err error) {
	tmp := parent + "/" + tmpPrefix + name
	defer func() {
		if err != nil {
			w.root.RemoveAll(tmp) // frees the space; readers ignore a temporary folder that cannot be removed
		}
	}()
	if err := w.root.Mkdir(tmp); err != nil {
		return err
	}
	for i := range files {
		files[i].name = tmp + "/" + files[i].name
	}
	if err := writeFiles(w.root, files); err != nil {
		return err
	}
	return w.settle(parent, name, wait)
}

// settle syncs the temporary folder of name, calls wait where that is not nil, renames the folder into parent and syncs parent.
func (w *Writer) settle(parent, name string, wait func() error) error {
	tmp := parent + "/" + tmpPrefix + name
	if err := w.root.SyncDir(tmp); err != nil {
		return err
	}
	if wait != nil {
		if err := wait(); err != nil {
			return err
		}
	}
	if err := w.root.Rename(tmp, parent+"/"+name); err != nil {
		return err
	}
	return w.root.SyncDir(parent)
}

// newFile is a file to write, which consists of parts that follow one another.
type newFile struct {
	name  string
	parts [][]byte
}

// writeFiles writes and syncs new files. It does so with all at once, because a disk needs little more time for several than for one.
func writeFiles(d folder, files []newFile) error {
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() { errs[i] = writeFile(d, f.name, f.parts...) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}
