// Package push copies runs from one machine to another while they are being written.
//
// What a run has committed never changes, so that a run is copied by sending its files: first those that a sealed file names, each with its size and
// CRC-32C, and then the sealed file itself, which commits the epoch or the run at the other end. Push sends the files over HTTP and a Receiver takes
// them. docs/http.md describes the requests for clients in other languages.
package push

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/internal/flock"
	"github.com/logitscope/logitscope/record"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Limits bound what a Receiver takes. What exceeds them is refused with an HTTP status and a reason.
type Limits struct {
	Bytes   int64         // bytes of all files together, since the Receiver was made
	File    int64         // bytes of one file
	Uploads int           // uploads at the same time; clients with further ones are asked to try again
	Stalled time.Duration // how long an upload may bring no byte before it is ended
	Yields  time.Duration // how long it may bring none before another request for its run ends it
	Idle    time.Duration // how long after its last file a run still counts as being written
}

// DefaultLimits are the limits of the command line.
var DefaultLimits = Limits{Bytes: 1 << 40, File: 64 << 30, Uploads: 64, Stalled: 30 * time.Second, Yields: 3 * time.Second, Idle: time.Minute}

// maxRuns bounds the number of runs that a Receiver remembers.
const maxRuns = 100_000

// maxSealed is the most bytes of a JSON file of a run; such a file is held in memory.
const maxSealed = 256 << 20

// Receiver writes the files of runs that clients send into a folder. It lets every client write: its caller must let only those with the token through.
type Receiver struct {
	root   *os.Root
	limits Limits

	mu         sync.Mutex
	bytesTaken int64
	uploads    int
	runs       map[string]*receiving // by the run's path in the folder, NAME or NAME/folds
}

// receiving is a run that is being received.
type receiving struct {
	busy  sync.Mutex              // held by the request that writes to the run: one at a time
	body  atomic.Pointer[patient] // the body that this request reads; nil where it reads none
	sums  map[string]string       // CRC-32C of files that are not committed yet, by their path in the run
	lock  *os.File                // the run's lock file, which tells readers that the run is being written; nil where it is not held
	timer *time.Timer             // releases the lock when no file comes for as long as Limits.Idle

	part     partly      // the incomplete file whose last part came last
	manifest fs.FileInfo // the manifest that id was read from
	id       string      // the id of the run
}

// NewReceiver returns a Receiver that writes into an existing folder. Call Close when it is no longer used.
func NewReceiver(folder string, limits Limits) (*Receiver, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &Receiver{root: root, limits: limits, runs: map[string]*receiving{}}, nil
}

// Close releases the folder and the locks of the runs. Uploads that are not finished fail.
func (s *Receiver) Close() error {
	s.mu.Lock()
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	for _, r := range runs {
		r.busy.Lock()
		r.unlock()
		r.busy.Unlock()
	}
	return s.root.Close()
}

// refusal is an error with the HTTP status of its answer.
type refusal struct {
	status int
	text   string
	offset int64 // how many bytes of the file the Receiver has; -1 where the answer does not say so
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...), -1}
}

// answer writes the answer to a request: body as JSON, or a problem document (RFC 9457) for an error.
func answer(w http.ResponseWriter, status int, body any, err error) {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		status = refused.status
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		status = http.StatusInsufficientStorage
		err = errors.New("the disk is full")
	case err != nil:
		status = http.StatusInternalServerError
	}
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if body != nil {
			_ = json.NewEncoder(w).Encode(body)
		}
		return
	}
	if refused != nil && refused.offset >= 0 {
		w.Header().Set("Upload-Offset", strconv.FormatInt(refused.offset, 10))
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if status == http.StatusAccepted {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]int64{"offset": refused.offset})
		return
	}
	Problem(w, status, err.Error())
}

// Problem writes the answer to a request that is refused, as a problem document (RFC 9457).
func Problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

// place returns the run's folder and the path within the run that a request names.
func place(r *http.Request) (run, name string, err error) {
	run, name = r.PathValue("run"), r.PathValue("path")
	if !record.ValidName(run) {
		return "", "", refuse(http.StatusNotFound, "run name %q: want %s", run, record.NameRule)
	}
	if inside, ok := strings.CutPrefix(name, record.FoldsDir+"/"); ok {
		run, name = run+"/"+record.FoldsDir, inside
	}
	return run, name, nil
}

// Status says what a Receiver has of a run.
type Status struct {
	Run    string `json:"run"`    // the run's ID; "" before its manifest has come
	Epochs []int  `json:"epochs"` // the committed epochs, rising

	Checkpoints []int             `json:"checkpoints"` // the epochs of the committed checkpoints, rising
	Files       map[string]string `json:"files"`       // CRC-32C by path of the files that are complete and not committed yet, and of those that may change
	Partial     map[string]int64  `json:"partial"`     // how many bytes there are of each incomplete file, by path
	Ended       bool              `json:"ended"`       // whether end.json is there
}

// ServeStatus answers GET with the Status of a run.
func (s *Receiver) ServeStatus(w http.ResponseWriter, r *http.Request) {
	run, name, err := place(r)
	if err == nil && name != "" && name != "status" {
		err = refuse(http.StatusNotFound, "ask for the run alone")
	}
	var status *Status
	if err == nil {
		status, err = s.status(run)
	}
	s.extend(w)
	answer(w, http.StatusOK, status, err)
}

func (s *Receiver) status(run string) (*Status, error) {
	entry, err := s.acquire(run)
	if err != nil {
		return nil, err
	}
	defer entry.busy.Unlock()
	status := &Status{Epochs: []int{}, Checkpoints: []int{}, Files: map[string]string{}, Partial: map[string]int64{}}
	if status.Run, err = s.idOf(entry, run); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, folder := range []string{aside(run), run + "/epochs", run + "/checkpoints", run} {
		if err := s.survey(status, run, folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return status, nil
}

// survey adds to status the files of folder, which is the run's or the one in which the run is collected before its manifest comes.
func (s *Receiver) survey(status *Status, run, folder string) error {
	return fs.WalkDir(s.root.FS(), folder, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, staged := s.nameOf(run, at)
		switch {
		case d.IsDir():
			parent := path.Dir(name)
			if at == folder || staged {
				return nil
			}
			if epoch, err := strconv.Atoi(path.Base(name)); err == nil && parent == "epochs" {
				status.Epochs = append(status.Epochs, epoch)
			} else if err == nil && parent == "checkpoints" {
				status.Checkpoints = append(status.Checkpoints, epoch)
			}
			return fs.SkipDir
		case strings.HasSuffix(name, partEnd):
			if info, err := d.Info(); err == nil && staged {
				status.Partial[strings.TrimSuffix(name, partEnd)] = info.Size()
			}
			return nil
		}
		kind, _ := record.PlaceOf(name)
		switch {
		case kind == record.MayBeChanged && !staged:
			status.Ended = status.Ended || name == "end.json"
			status.Files[name], err = s.read32(at)
		case kind == record.NamedPlace && staged:
			status.Files[name], err = s.sum(run, name, at)
		}
		return err
	})
}

// partEnd is the ending of a file that is incomplete.
const partEnd = ".part"

// aside returns the folder in which the files of a run are collected before its manifest comes.
func aside(run string) string { return path.Join(path.Dir(run), ".tmp-push-"+path.Base(run)) }

// stagedFolder matches a path in a folder of an epoch or a checkpoint that is not committed yet.
var stagedFolder = regexp.MustCompile(`^(epochs|checkpoints)/\.tmp-([0-9]+)(/|$)`)

// nameOf returns the path within the run of the file at path at in the Receiver's folder; staged says that the file is not committed yet.
func (s *Receiver) nameOf(run, at string) (name string, staged bool) {
	if rest, ok := strings.CutPrefix(at, aside(run)); ok {
		return strings.TrimPrefix(rest, "/"), true
	}
	name = strings.TrimPrefix(strings.TrimPrefix(at, run), "/")
	if stagedFolder.MatchString(name) {
		return stagedFolder.ReplaceAllString(name, "$1/$2$3"), true
	}
	return name, false
}

// acquire locks a run for a request. Where another holds the lock for a second or longer, the request is refused. An upload that has brought
// nothing for as long as Limits.Yields is ended: its client has often lost the connection, which the server has not heard of yet, and this is the
// same client again.
func (s *Receiver) acquire(run string) (*receiving, error) {
	s.mu.Lock()
	entry := s.runs[run]
	if entry == nil && len(s.runs) >= maxRuns {
		s.mu.Unlock()
		return nil, refuse(http.StatusInsufficientStorage, "%d runs were received since the server began, and that is enough", maxRuns)
	}
	if entry == nil {
		entry = &receiving{sums: map[string]string{}}
		s.runs[run] = entry
	}
	s.mu.Unlock()
	for range 20 {
		if entry.busy.TryLock() {
			return entry, nil
		}
		if body := entry.body.Load(); body != nil {
			body.giveWay(s.limits.Yields)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, refuse(http.StatusServiceUnavailable, "another request writes to this run: come again in a second")
}

// read reads a JSON file in the Receiver's folder, of at most maxSealed bytes.
func (s *Receiver) read(at string) ([]byte, error) {
	f, err := s.root.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSealed+1))
	if err == nil && len(data) > maxSealed {
		err = fmt.Errorf("%s has more than %d bytes", at, maxSealed)
	}
	return data, err
}

// sum returns the CRC-32C of a file that is not committed yet. It is computed once and remembered. The process that received the file may have been
// killed before the file was on the disk, so the first call also syncs it.
func (s *Receiver) sum(run, name, at string) (string, error) {
	s.mu.Lock()
	one := s.runs[run]
	s.mu.Unlock()
	if sum, ok := one.sums[name]; ok {
		return sum, nil
	}
	sum, err := s.read32(at)
	if err == nil {
		err = s.settle(at, path.Dir(at))
	}
	if err == nil {
		one.sums[name] = sum
	}
	return sum, err
}

// read32 reads a file and returns its CRC-32C.
func (s *Receiver) read32(at string) (string, error) {
	f, err := s.root.Open(at)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := crc32.New(castagnoli)
	_, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// sync writes the entries of folders to the disk, all at the same time: a disk takes little longer for several than for one.
func (s *Receiver) sync(folders ...string) error {
	errs := make([]error, len(folders))
	var wait sync.WaitGroup
	for i, folder := range folders {
		wait.Go(func() { errs[i] = files.SyncFolder(s.root.Open(folder)) })
	}
	wait.Wait()
	return cmp.Or(errs...)
}

// settle writes a file and the entries of folders to the disk, all at the same time.
func (s *Receiver) settle(file string, folders ...string) error {
	var synced error
	var wait sync.WaitGroup
	wait.Go(func() {
		f, err := s.root.OpenFile(file, os.O_RDWR, 0)
		if err == nil {
			err = cmp.Or(f.Sync(), f.Close())
		}
		synced = err
	})
	err := s.sync(folders...)
	wait.Wait()
	return cmp.Or(synced, err)
}

// mkdir makes a folder and the missing ones above it. It returns the folders in which it made them: they survive a power cut once those are synced.
func (s *Receiver) mkdir(folder string) (in []string, err error) {
	err = s.root.Mkdir(folder, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		if in, err = s.mkdir(path.Dir(folder)); err != nil {
			return in, err
		}
		err = s.root.Mkdir(folder, 0o777)
	}
	if errors.Is(err, fs.ErrExist) {
		return in, nil
	}
	return append(in, path.Dir(folder)), err
}

// lockRun holds the lock of the run's directory while files arrive, so that readers see that the run is being written.
func (o *receiving) lockRun(s *Receiver, run string) error {
	if o.lock != nil { // of a run that was removed and is sent anew the lock is another file
		held, err := o.lock.Stat()
		if there, gone := s.root.Stat(run + "/lock"); cmp.Or(err, gone) != nil || !os.SameFile(held, there) {
			o.unlock()
		}
	}
	if o.lock == nil {
		f, err := s.root.OpenFile(run+"/lock", os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		if ok, err := flock.Lock(f); err != nil || !ok {
			f.Close()
			if err == nil {
				err = refuse(http.StatusConflict, "a writer on the server's own machine writes this run")
			}
			return err
		}
		o.lock = f
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	o.timer = time.AfterFunc(s.limits.Idle, func() {
		o.busy.Lock()
		defer o.busy.Unlock()
		o.unlock()
	})
	return nil
}

// unlock releases the lock of the run's directory.
func (o *receiving) unlock() {
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.lock != nil {
		o.lock.Close()
	}
	o.lock, o.timer = nil, nil
}
