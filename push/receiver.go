// Package push copies runs from one machine to another while they are being written.
//
// What a run has committed never changes, so a copy is a matter of sending files: those that a sealed file names, each known by its size and CRC-32C,
// and then the sealed file itself, with which the epoch, or the run, is there. A Receiver takes them over HTTP, Push sends them;
// docs/http.md says how, for clients in other languages.
package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
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
	"syscall"
	"time"

	"github.com/logitscope/logitscope/internal/flock"
	"github.com/logitscope/logitscope/record"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Limits bound what a Receiver takes.
type Limits struct {
	Bytes   int64         // of all files together, since it began
	File    int64         // of one file
	Uploads int           // at once; further ones are told to come again
	Stalled time.Duration // how long an upload may bring nothing
	Idle    time.Duration // how long a run counts as running when nothing comes any more
}

// DefaultLimits are those of the command line.
var DefaultLimits = Limits{Bytes: 1 << 40, File: 64 << 30, Uploads: 64, Stalled: 30 * time.Second, Idle: time.Minute}

// maxRuns bounds what is kept in memory of runs.
const maxRuns = 100_000

// maxSealed bounds the JSON files of a run, which are held whole.
const maxSealed = 256 << 20

// Receiver takes the files of runs into a folder. Whoever may reach it may write: the caller lets nobody through without a token.
type Receiver struct {
	root   *os.Root
	limits Limits

	mu      sync.Mutex
	taken   int64
	uploads int
	runs    map[string]*receiving // by the run's folder, such as NAME or NAME/folds
}

// receiving is a run that is being received.
type receiving struct {
	busy  sync.Mutex        // held by the one request that writes to it
	sums  map[string]string // CRC-32C of files that are not yet committed, by their path in the run
	lock  *os.File          // the run's, which says to readers that it is being written
	timer *time.Timer       // lets the lock go
}

// NewReceiver receives runs into a folder, which is there. Close it.
func NewReceiver(folder string, limits Limits) (*Receiver, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return &Receiver{root: root, limits: limits, runs: map[string]*receiving{}}, nil
}

// Close lets go of the folder and of the runs' locks. What is on its way fails.
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

// refusal is an answer that is no success.
type refusal struct {
	status int
	text   string
	offset int64 // how much of an upload is there; -1 where that is not asked
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...), -1}
}

// answer writes what a request came to: a problem document (RFC 9457) where it was refused.
func answer(w http.ResponseWriter, status int, body any, err error) {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		status = refused.status
	case errors.Is(err, syscall.ENOSPC):
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
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": err.Error()})
}

// place takes a path of a request apart: the folder of the run, and the path in it.
func place(r *http.Request) (run, name string, err error) {
	run, name = r.PathValue("run"), r.PathValue("path")
	if !record.ValidName(run) {
		return "", "", refuse(http.StatusNotFound, "a run's name holds letters, digits, '.', '_' and '-'")
	}
	if inside, ok := strings.CutPrefix(name, record.FoldsDir+"/"); ok {
		run, name = run+"/"+record.FoldsDir, inside
	}
	return run, name, nil
}

// Status is what a Receiver has of a run.
type Status struct {
	Run    string `json:"run"`    // its ID; "" where its manifest is not there yet
	Epochs []int  `json:"epochs"` // that are there

	Checkpoints []int             `json:"checkpoints"` // likewise
	Files       map[string]string `json:"files"`       // CRC-32C by path, of files that are there and not yet part of anything, and of those that may change
	Partial     map[string]int64  `json:"partial"`     // bytes by path, of files that are there in part
	Ended       bool              `json:"ended"`       // end.json is there
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
	answer(w, http.StatusOK, status, err)
}

func (s *Receiver) status(run string) (*Status, error) {
	one, err := s.take(run)
	if err != nil {
		return nil, err
	}
	defer one.busy.Unlock()
	status := &Status{Epochs: []int{}, Checkpoints: []int{}, Files: map[string]string{}, Partial: map[string]int64{}}
	if data, err := s.read(run + "/manifest.json"); err == nil {
		if status.Run, _, err = record.NamedIn("manifest.json", data); err != nil {
			return nil, refuse(http.StatusConflict, "the run that is here under that name cannot be read: %v", err)
		}
	}
	for _, folder := range []string{aside(run), run + "/epochs", run + "/checkpoints", run} {
		if err := s.survey(status, run, folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return status, nil
}

// survey adds what is in a folder of a run, or in the folder where it is put together.
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
			if info, err := d.Info(); err == nil {
				status.Partial[strings.TrimSuffix(name, partEnd)] = info.Size()
			}
			return nil
		}
		kind, _ := record.PlaceOf(name)
		if kind == record.MayBeChanged && !staged {
			status.Ended = status.Ended || name == "end.json"
		} else if !staged || kind == record.NoPlace {
			return nil
		}
		status.Files[name], err = s.sum(run, name, at)
		return err
	})
}

const partEnd = ".part"

// aside is the folder in which a run is put together before its manifest is there.
func aside(run string) string { return path.Join(path.Dir(run), ".tmp-push-"+path.Base(run)) }

var stagedFolder = regexp.MustCompile(`^(epochs|checkpoints)/\.tmp-([0-9]+)(/|$)`)

// nameOf is the path in the run of a file at a place in the root; staged where it is not committed.
func (s *Receiver) nameOf(run, at string) (name string, staged bool) {
	if rest, ok := strings.CutPrefix(at, aside(run)); ok {
		return strings.TrimPrefix(rest, "/"), true
	}
	name = strings.TrimPrefix(strings.TrimPrefix(at, run), "/")
	if stagedFolder.MatchString(name) {
		return stagedFolder.ReplaceAllString(name, "$1/$2$3"), true
	}
	return name, strings.HasSuffix(name, partEnd)
}

// take takes hold of a run for one request.
func (s *Receiver) take(run string) (*receiving, error) {
	s.mu.Lock()
	one := s.runs[run]
	if one == nil && len(s.runs) >= maxRuns {
		s.mu.Unlock()
		return nil, refuse(http.StatusInsufficientStorage, "%d runs were received since the server began, and that is enough", maxRuns)
	}
	if one == nil {
		one = &receiving{sums: map[string]string{}}
		s.runs[run] = one
	}
	s.mu.Unlock()
	for range 20 {
		if one.busy.TryLock() {
			return one, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, refuse(http.StatusServiceUnavailable, "another request writes to this run: come again in a second")
}

// read reads a small file of the root.
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

// sum is the CRC-32C of a file, which is read where it is not known.
func (s *Receiver) sum(run, name, at string) (string, error) {
	s.mu.Lock()
	one := s.runs[run]
	s.mu.Unlock()
	if sum, ok := one.sums[name]; ok {
		return sum, nil
	}
	f, err := s.root.Open(at)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := crc32.New(castagnoli)
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	one.sums[name] = sum
	return sum, nil
}

// upload is a request that brings a file, or a part of one.
type upload struct {
	run, name  string
	id         string // of the run
	size, from int64  // of the whole file, and where this part begins
	sum        string // CRC-32C of the whole file; "" until it is known
	sha        []byte // SHA-256 of it, where that was given in its place
}

var contentRange = regexp.MustCompile(`^bytes ([0-9]+)-([0-9]+)/([0-9]+)$`)

// uploadOf reads the headers of a request.
func (s *Receiver) uploadOf(r *http.Request) (*upload, error) {
	run, name, err := place(r)
	if err != nil {
		return nil, err
	}
	u := &upload{run: run, name: name, id: r.Header.Get("Logitscope-Run"), size: r.ContentLength}
	if u.id == "" {
		return nil, refuse(http.StatusBadRequest, "Logitscope-Run is not given: want the run's id, as its manifest has it")
	}
	kind, text, _ := strings.Cut(strings.TrimSuffix(r.Header.Get("Content-Digest"), ":"), "=:")
	sum, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err == nil && kind == "crc32c" && len(sum) == crc32.Size:
		u.sum = hex.EncodeToString(sum)
	case err == nil && kind == "sha-256" && len(sum) == sha256.Size:
		u.sha = sum
	default:
		return nil, refuse(http.StatusBadRequest, "Content-Digest is not given: want sha-256=:BASE64: of the whole file, or crc32c=:BASE64:, 4 bytes, the highest first")
	}
	if u.size < 0 {
		return nil, refuse(http.StatusLengthRequired, "Content-Length is not given")
	}
	if text := r.Header.Get("Content-Range"); text != "" {
		match := contentRange.FindStringSubmatch(text)
		var numbers [3]int64
		for i := range numbers {
			if match == nil {
				return nil, refuse(http.StatusBadRequest, "Content-Range %q: want bytes FIRST-LAST/SIZE", text)
			}
			if numbers[i], err = strconv.ParseInt(match[i+1], 10, 64); err != nil {
				return nil, refuse(http.StatusBadRequest, "Content-Range %q: %v", text, err)
			}
		}
		if numbers[1]-numbers[0]+1 != r.ContentLength || numbers[1] >= numbers[2] {
			return nil, refuse(http.StatusBadRequest, "Content-Range %q does not fit %d bytes", text, r.ContentLength)
		}
		u.from, u.size = numbers[0], numbers[2]
	}
	most := s.limits.File
	if !strings.HasSuffix(u.name, ".arrow") {
		most = min(most, maxSealed)
	}
	if u.size > most {
		return nil, refuse(http.StatusRequestEntityTooLarge, "%s has %d bytes: want at most %d", u.name, u.size, most)
	}
	return u, nil
}

// ServeFile answers PUT with a file of a run, or a part of one. What it acknowledges is durable, and verified.
func (s *Receiver) ServeFile(w http.ResponseWriter, r *http.Request) {
	u, err := s.uploadOf(r)
	if err == nil {
		err = s.enter(r.ContentLength)
		if err == nil {
			defer s.leave()
		}
	}
	created := false
	if err == nil {
		created, err = s.receive(u, &patient{body: r.Body, control: http.NewResponseController(w), stalled: s.limits.Stalled})
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	answer(w, status, map[string]string{"path": r.PathValue("path")}, err)
}

// enter counts an upload.
func (s *Receiver) enter(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.uploads >= s.limits.Uploads:
		return refuse(http.StatusServiceUnavailable, "%d uploads at once are enough: come again in a second", s.limits.Uploads)
	case s.taken+bytes > s.limits.Bytes:
		return refuse(http.StatusInsufficientStorage, "%d bytes were taken since the server began, and it takes %d", s.taken, s.limits.Bytes)
	}
	s.uploads++
	s.taken += bytes
	return nil
}

func (s *Receiver) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads--
}

// patient reads a body that may be as slow as it likes, but must bring something now and then.
type patient struct {
	body    io.Reader
	control *http.ResponseController
	stalled time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.stalled))
	_ = p.control.SetWriteDeadline(time.Now().Add(2 * p.stalled))
	return p.body.Read(b)
}

// receive puts a file in its place; created is false where it was there already.
func (s *Receiver) receive(u *upload, body io.Reader) (created bool, err error) {
	kind, sealed := record.PlaceOf(u.name)
	if kind == record.NoPlace {
		return false, refuse(http.StatusNotFound, "no run has a file %q that is copied", u.name)
	}
	one, err := s.take(u.run)
	if err != nil {
		return false, err
	}
	defer one.busy.Unlock()
	there, err := s.belongs(u)
	if err != nil {
		return false, err
	}
	if done, err := s.known(u, kind, sealed, there); done || err != nil {
		return false, err
	}
	at, to := path.Join(u.run, u.name), u.run
	switch ofManifest := sealed == "manifest.json"; {
	case ofManifest && there:
		return false, refuse(http.StatusConflict, "%s is not what the run's manifest names, and a run that is there never changes", u.name)
	case ofManifest:
		at = path.Join(aside(u.run), u.name)
	case !there:
		return false, refuse(http.StatusConflict, "the run's manifest is not there yet: send what it names, then it, then the rest")
	default:
		if err := one.hold(s, u.run); err != nil {
			return false, err
		}
		if kind != record.MayBeChanged {
			to = path.Join(u.run, path.Dir(sealed))
			at = path.Join(path.Dir(to), ".tmp-"+path.Base(to), path.Base(u.name))
		}
	}
	if err := s.write(u, at, body); err != nil {
		return false, err
	}
	one.sums[u.name] = u.sum
	switch kind {
	case record.SealedPlace:
		return true, s.commit(one, u, at, to)
	case record.MayBeChanged:
		return true, s.replace(one, u, at)
	}
	return true, s.root.Rename(at+partEnd, at)
}

// belongs reports whether the run is there, and refuses files of another run under its name.
func (s *Receiver) belongs(u *upload) (there bool, err error) {
	data, err := s.read(u.run + "/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.root.Stat(u.run); err == nil && path.Base(u.run) != record.FoldsDir {
			return false, refuse(http.StatusConflict, "there is something under that name that is no run: choose another name")
		}
		if run, ok := strings.CutSuffix(u.run, "/"+record.FoldsDir); ok {
			if _, err := s.root.Stat(run + "/manifest.json"); err != nil {
				return false, refuse(http.StatusConflict, "the run is not there yet that these are folds of")
			}
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	id, _, err := record.NamedIn("manifest.json", data)
	if err != nil {
		return false, refuse(http.StatusConflict, "the run that is here under that name cannot be read: %v", err)
	}
	if id != u.id {
		return false, refuse(http.StatusConflict, "another run is here under that name: choose another name")
	}
	return true, nil
}

// known reports whether the file is there as it is sent, and refuses one that differs from what is committed.
func (s *Receiver) known(u *upload, kind record.Place, sealed string, there bool) (bool, error) {
	if !there || kind == record.MayBeChanged {
		return false, nil
	}
	data, err := s.read(path.Join(u.run, sealed))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if u.name == sealed {
		if !u.is(data) {
			return false, refuse(http.StatusConflict, "%s is here and differs: what is committed never changes", u.name)
		}
		return true, nil
	}
	_, files, err := record.NamedIn(sealed, data)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(files, func(f record.Named) bool { return f.Path == u.name })
	same := i >= 0 && files[i].Size == u.size && files[i].CRC32C == u.sum
	if i >= 0 && u.sha != nil {
		if same, err = s.hasSum(path.Join(u.run, u.name), u.sha); err != nil {
			return false, err
		}
	}
	if !same {
		return false, refuse(http.StatusConflict, "%s is not as %s names it, and what is committed never changes", u.name, sealed)
	}
	info, err := s.root.Stat(path.Join(u.run, u.name))
	return err == nil && info.Size() == u.size, nil
}

// is reports whether data is the file that is sent.
func (u *upload) is(data []byte) bool {
	if u.sha != nil {
		sum := sha256.Sum256(data)
		return bytes.Equal(sum[:], u.sha)
	}
	return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) == u.sum
}

// hasSum reports whether a file has a SHA-256.
func (s *Receiver) hasSum(at string, sum []byte) (bool, error) {
	f, err := s.root.Open(at)
	if err != nil {
		return false, err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return bytes.Equal(hash.Sum(nil), sum), err
}

// write appends a part to the file at a place, beside which it is put together, and syncs it. It returns nil once the file is whole and verified.
func (s *Receiver) write(u *upload, at string, body io.Reader) error {
	if err := s.root.MkdirAll(path.Dir(at), 0o777); err != nil {
		return err
	}
	f, err := s.root.OpenFile(at+partEnd, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if u.from == 0 && info.Size() > 0 {
		err = f.Truncate(0)
	} else if u.from != info.Size() {
		return &refusal{http.StatusConflict, fmt.Sprintf("%d bytes of %s are here, and this begins at %d", info.Size(), u.name, u.from), info.Size()}
	}
	if err != nil {
		return err
	}
	if _, err := f.Seek(u.from, io.SeekStart); err != nil {
		return err
	}
	sum, sha := crc32.New(castagnoli), sha256.New()
	into := io.Writer(sum)
	if u.sha != nil {
		into = io.MultiWriter(sum, sha)
	}
	if u.from > 0 { // what came before
		if _, err := io.Copy(into, io.NewSectionReader(f, 0, u.from)); err != nil {
			return err
		}
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, io.TeeReader(io.LimitReader(body, u.size-u.from), into), make([]byte, 1<<20))
	if err != nil {
		return refuse(http.StatusBadRequest, "%d bytes of %s came, and then no more: %v", u.from+n, u.name, err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if have := u.from + n; have < u.size {
		return &refusal{http.StatusAccepted, fmt.Sprintf("%d of %d bytes are here", have, u.size), have}
	}
	came := hex.EncodeToString(sum.Sum(nil))
	if u.sha != nil && !bytes.Equal(sha.Sum(nil), u.sha) || u.sha == nil && came != u.sum {
		_ = f.Truncate(0)
		return refuse(http.StatusUnprocessableEntity, "%s did not come as its Content-Digest says: send it again", u.name)
	}
	u.sum = came
	return nil
}

// commit puts a sealed file beside what it names, once all of that is there, and the folder of them in its place.
func (s *Receiver) commit(one *receiving, u *upload, at, to string) error {
	from := path.Dir(at)
	data, err := s.read(at + partEnd)
	if err != nil {
		return err
	}
	id, files, err := record.NamedIn(u.name, data)
	if err == nil && id != u.id {
		err = errors.New("it is of another run")
	}
	if err != nil {
		_ = s.root.Remove(at + partEnd)
		return refuse(http.StatusUnprocessableEntity, "%s: %v", u.name, err)
	}
	for _, f := range files {
		place := path.Join(from, f.Path)
		if u.name != "manifest.json" {
			place = path.Join(from, path.Base(f.Path))
		}
		info, err := s.root.Stat(place)
		if err != nil || info.Size() != f.Size {
			return refuse(http.StatusConflict, "%s is not there yet: send it before %s", f.Path, u.name)
		}
		if sum, err := s.sum(u.run, f.Path, place); err != nil || sum != f.CRC32C {
			return refuse(http.StatusConflict, "%s is not what %s names: send it again", f.Path, u.name)
		}
	}
	if err := s.root.Rename(at+partEnd, at); err != nil {
		return err
	}
	for _, folder := range foldersOf(from, files, u.name == "manifest.json") {
		if err := s.sync(folder); err != nil {
			return err
		}
	}
	if err := s.root.Rename(from, to); err != nil {
		return err
	}
	clear(one.sums)
	if u.name == "manifest.json" {
		if err := s.root.Mkdir(path.Join(to, "epochs"), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := errors.Join(s.sync(to), one.hold(s, u.run)); err != nil {
			return err
		}
	}
	// The folder of epochs, or of checkpoints, may be new as well.
	return errors.Join(s.sync(path.Dir(to)), s.sync(path.Dir(path.Dir(to))))
}

// foldersOf are the folders that hold what is committed.
func foldersOf(from string, files []record.Named, manifest bool) []string {
	folders := []string{from}
	for _, f := range files {
		if folder := path.Join(from, path.Dir(f.Path)); manifest && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// replace puts a file in the place of the one before, once its seal and its run are verified.
func (s *Receiver) replace(one *receiving, u *upload, at string) error {
	data, err := s.read(at + partEnd)
	if err != nil {
		return err
	}
	if id, err := record.OwnerOf(data); err != nil || id != u.id {
		_ = s.root.Remove(at + partEnd)
		if err == nil {
			err = errors.New("it is of another run")
		}
		return refuse(http.StatusUnprocessableEntity, "%s: %v", u.name, err)
	}
	if err := s.root.Rename(at+partEnd, at); err != nil {
		return err
	}
	if u.name == "end.json" {
		one.unlock()
	}
	return s.sync(path.Dir(at))
}

// sync makes what happened in a folder durable, where its system can.
func (s *Receiver) sync(folder string) error {
	f, err := s.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFolder(f)
}

// hold locks a run, so that it counts as running, for as long as something comes.
func (o *receiving) hold(s *Receiver, run string) error {
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

// unlock lets go of a run's lock.
func (o *receiving) unlock() {
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.lock != nil {
		o.lock.Close()
	}
	o.lock, o.timer = nil, nil
}
