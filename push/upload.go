package push

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

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
	if kind, _ := record.PlaceOf(u.name); kind != record.NamedPlace {
		most = min(most, maxSealed) // it is held whole
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
	s.extend(w)
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
		return refuse(http.StatusServiceUnavailable, "%d uploads at once are the most: try again in a second", s.limits.Uploads)
	case s.bytesTaken+bytes > s.limits.Bytes:
		return refuse(http.StatusInsufficientStorage, "%d bytes were taken since the server began, and it takes %d", s.bytesTaken, s.limits.Bytes)
	}
	s.uploads++
	s.bytesTaken += bytes
	return nil
}

func (s *Receiver) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads--
}

// extend gives an answer time to go out, however long it took to come to it: a disk may be slow.
func (s *Receiver) extend(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.Stalled))
}

// patient reads a body that may be as slow as it likes, but must bring something now and then.
type patient struct {
	body    io.Reader
	control *http.ResponseController
	stalled time.Duration
}

// errBody is of a body that ended before its time, in contrast to a disk that fails.
type errBody struct{ error }

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.stalled))
	_ = p.control.SetWriteDeadline(time.Now().Add(2 * p.stalled))
	n, err := p.body.Read(b)
	if err != nil && err != io.EOF {
		err = errBody{err}
	}
	return n, err
}

// receive puts a file in its place; created is false where it was there already.
func (s *Receiver) receive(u *upload, body io.Reader) (created bool, err error) {
	kind, sealed := record.PlaceOf(u.name)
	if kind == record.NoPlace {
		return false, refuse(http.StatusNotFound, "no run has a file %q that is copied", u.name)
	}
	one, err := s.acquire(u.run)
	if err != nil {
		return false, err
	}
	defer one.busy.Unlock()
	there, err := s.checkRun(one, u)
	if err != nil {
		return false, err
	}
	if done, err := s.isCommitted(u, kind, sealed, there); done || err != nil {
		return false, err
	}
	to, at := u.run, ""
	switch ofManifest := sealed == "manifest.json"; {
	case ofManifest && there:
		return false, refuse(http.StatusConflict, "%s is not what the run's manifest names, and a run that is there never changes", u.name)
	case ofManifest:
		at = path.Join(aside(u.run), u.name)
	case !there:
		return false, refuse(http.StatusConflict, "the run's manifest is not there yet: send what it names, then it, then the rest")
	default:
		if err := one.lockRun(s, u.run); err != nil {
			return false, err
		}
		if kind == record.MayBeChanged {
			at = path.Join(u.run, ".tmp-"+u.name) // which no reader looks at
		} else {
			to = path.Join(u.run, path.Dir(sealed))
			at = path.Join(path.Dir(to), ".tmp-"+path.Base(to), path.Base(u.name))
		}
	}
	if kind == record.NamedPlace {
		if done, err := s.staged(u, at); done || err != nil {
			return false, err
		}
	}
	if err := s.write(one, u, at, body); err != nil {
		return false, err
	}
	switch kind {
	case record.SealedPlace:
		return true, s.commit(one, u, at, to)
	case record.MayBeChanged:
		return true, s.replace(one, u, at)
	}
	delete(one.sums, u.name)
	if err := s.root.Rename(at+partEnd, at); err != nil {
		return false, err
	}
	if err := s.settle(at, path.Dir(at)); err != nil {
		_ = s.root.Remove(at) // what failed to become durable once is not believed to be so the next time
		return false, err
	}
	one.sums[u.name] = u.sum
	return true, nil
}

// staged reports whether a file is there already, whole and not yet part of anything: its acknowledgement was lost on the way, or another client sent it.
func (s *Receiver) staged(u *upload, at string) (bool, error) {
	info, err := s.root.Stat(at)
	if err != nil || info.Size() != u.size {
		return false, nil
	}
	same := false
	if u.sha != nil {
		same, err = s.hasSum(at, u.sha)
	} else {
		var sum string
		sum, err = s.sum(u.run, u.name, at)
		same = sum == u.sum
	}
	if err != nil || !same {
		return false, err
	}
	return true, s.settle(at, path.Dir(at)) // whoever put it there may have been killed before that
}

// checkRun reports whether the run exists, and refuses files of another run under its name.
func (s *Receiver) checkRun(entry *receiving, u *upload) (there bool, err error) {
	id, err := s.idOf(entry, u.run)
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
	if id != u.id {
		return false, refuse(http.StatusConflict, "another run is here under that name: choose another name")
	}
	return true, nil
}

// idOf is the id of the run that is there, whose manifest is read again only where it is another file: it may be long.
func (s *Receiver) idOf(entry *receiving, run string) (string, error) {
	info, err := s.root.Stat(run + "/manifest.json")
	if err != nil {
		return "", err
	}
	if entry.manifest != nil && os.SameFile(entry.manifest, info) && entry.manifest.ModTime().Equal(info.ModTime()) {
		return entry.id, nil
	}
	data, err := s.read(run + "/manifest.json")
	if err != nil {
		return "", err
	}
	id, _, err := record.NamedIn("manifest.json", data)
	if err != nil {
		return "", refuse(http.StatusConflict, "the run that is here under that name cannot be read: %v", err)
	}
	entry.manifest, entry.id = info, id
	return id, nil
}

// isCommitted reports whether the file is already part of the run, and refuses a file that differs from the committed one.
func (s *Receiver) isCommitted(u *upload, kind record.Place, sealed string, there bool) (bool, error) {
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
		if !u.matches(data) {
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

// matches reports whether data is the content that the upload announces.
func (u *upload) matches(data []byte) bool {
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

// checksum is a CRC-32C that goes on.
type checksum uint32

func (c *checksum) Write(data []byte) (int, error) {
	*c = checksum(crc32.Update(uint32(*c), castagnoli, data))
	return len(data), nil
}

// partly is the file of a run whose last part came last, with the checksum so far: parts are not read again for the next.
type partly struct {
	name  string
	bytes int64
	sum   checksum
}

// copyBuffer is how much of a body is written at once.
const copyBuffer = 1 << 20

// early writes to a file whose bytes start on their way to the disk while more of them come: what is synced then is little.
type early struct {
	*os.File
	written, started int64 // places in the file
}

func (f *early) Write(data []byte) (int, error) {
	n, err := f.File.Write(data)
	if f.written += int64(n); f.written-f.started >= files.Early {
		files.StartSync(f.File, f.started, f.written-f.started)
		f.started = f.written
	}
	return n, err
}

// write appends a part to the file at a place, beside which it is put together. It returns nil once the file is whole and verified; it is then to be
// renamed and synced, in whatever order, for what is not acknowledged is read again before it is believed. A part is synced.
func (s *Receiver) write(one *receiving, u *upload, at string, body io.Reader) (err error) {
	in, err := s.mkdir(path.Dir(at))
	if err != nil {
		return err
	}
	made := make(chan error, 1)
	go func() { made <- s.sync(in...) }()
	defer func() { err = cmp.Or(<-made, err) }()
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
	before := one.part
	one.part = partly{}
	sum, sha := new(checksum), sha256.New()
	into := io.Writer(sum)
	if u.sha != nil {
		into = io.MultiWriter(sum, sha)
	}
	switch {
	case u.from == 0:
	case u.sha == nil && before.name == u.name && before.bytes == u.from:
		*sum = before.sum
	default: // what came before is read again
		if _, err := io.Copy(into, io.NewSectionReader(f, 0, u.from)); err != nil {
			return err
		}
	}
	to := struct{ io.Writer }{&early{f, u.from, u.from}}
	n, err := io.CopyBuffer(to, io.TeeReader(io.LimitReader(body, u.size-u.from), into), make([]byte, max(1, min(copyBuffer, u.size-u.from))))
	if broken := (errBody{}); errors.As(err, &broken) {
		return refuse(http.StatusBadRequest, "%d bytes of %s came, and then no more: %v", u.from+n, u.name, err)
	}
	if err != nil {
		return err
	}
	if have := u.from + n; have < u.size {
		if err := f.Sync(); err != nil {
			return err
		}
		one.part = partly{u.name, have, *sum}
		return &refusal{http.StatusAccepted, fmt.Sprintf("%d of %d bytes are here", have, u.size), have}
	}
	came := fmt.Sprintf("%08x", uint32(*sum))
	if u.sha != nil && !bytes.Equal(sha.Sum(nil), u.sha) || u.sha == nil && came != u.sum {
		_ = f.Truncate(0)
		return refuse(http.StatusUnprocessableEntity, "%s did not come as its Content-Digest says: send it again", u.name)
	}
	u.sum = came
	return nil
}
