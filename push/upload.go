package push

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
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
	"sync"
	"time"

	"github.com/logitscope/logitscope/internal/files"
	"github.com/logitscope/logitscope/record"
)

// upload describes a request that carries a file, or a part of one.
type upload struct {
	run, name  string
	id         string // the id of the run
	size, from int64  // bytes of the whole file, and the byte at which this part begins
	sum        string // CRC-32C of the whole file; "" where the client gave its SHA-256 and the file is not complete yet
	sha        []byte // SHA-256 of the whole file, where the client gave it and not the CRC-32C
}

var contentRange = regexp.MustCompile(`^bytes ([0-9]+)-([0-9]+)/([0-9]+)$`)

// uploadOf reads an upload's description from the headers of a request.
func (s *Receiver) uploadOf(r *http.Request) (*upload, error) {
	run, name, err := place(r)
	if err != nil {
		return nil, err
	}
	u := &upload{run: run, name: name, id: r.Header.Get("Logitscope-Run"), size: r.ContentLength}
	if u.id == "" {
		return nil, refuse(http.StatusBadRequest, "Logitscope-Run is not given: want the run's id, as its manifest has it")
	}
	for digest := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Digest"), ","), ",") { // by several algorithms, of which one is enough
		kind, text, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(digest), ":"), "=:")
		sum, err := base64.StdEncoding.DecodeString(text)
		switch {
		case err == nil && kind == "crc32c" && len(sum) == crc32.Size:
			u.sum, u.sha = hex.EncodeToString(sum), nil
		case err == nil && kind == "sha-256" && len(sum) == sha256.Size && u.sum == "":
			u.sha = sum
		}
	}
	if u.sum == "" && u.sha == nil {
		return nil, refuse(http.StatusBadRequest, "Content-Digest is %q: want sha-256=:BASE64: of the whole file, or crc32c=:BASE64:, 4 bytes, the highest first",
			r.Header.Get("Content-Digest"))
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Encoding is %q: files come as they are", encoding)
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
			var err error
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
		most = min(most, maxSealed) // a JSON file is held in memory
	}
	if u.size > most {
		return nil, refuse(http.StatusRequestEntityTooLarge, "%s has %d bytes: want at most %d", u.name, u.size, most)
	}
	return u, nil
}

// ServeFile answers PUT requests that carry a file of a run, or a part of one. A file that it acknowledges is verified and on the disk.
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

// enter counts an upload of so many bytes; one that exceeds the Limits is refused. leave must follow one that is not.
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

// extend sets the deadline of the answer anew, since writing the file to a slow disk may have taken long.
func (s *Receiver) extend(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.Stalled))
}

// patient reads the body of a request. It fails when no byte has come for as long as Limits.Stalled, however long the whole takes.
type patient struct {
	body    io.Reader
	control *http.ResponseController
	stalled time.Duration

	mu    sync.Mutex
	since time.Time // when the wait for the next byte began; zero where nothing waits for one
	over  bool      // whether another request ended this one
}

// errBody is the error of reading a body, in contrast to an error of the disk.
type errBody struct{ error }

func (p *patient) Read(b []byte) (int, error) {
	if !p.await() {
		return 0, errBody{os.ErrDeadlineExceeded}
	}
	n, err := p.body.Read(b)
	p.mu.Lock()
	p.since = time.Time{}
	p.mu.Unlock()
	if err != nil && err != io.EOF {
		err = errBody{err}
	}
	return n, err
}

// await sets the deadlines of a Read that begins. It returns false where another request has ended this one.
func (p *patient) await() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.since = time.Now()
	_ = p.control.SetReadDeadline(p.since.Add(p.stalled))
	_ = p.control.SetWriteDeadline(p.since.Add(2 * p.stalled))
	return true
}

// giveWay ends the upload if no byte of it has come for that long.
func (p *patient) giveWay(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() && time.Since(p.since) >= after {
		p.over = true
		_ = p.control.SetReadDeadline(time.Unix(1, 0)) // long ago: the Read that waits returns
	}
}

// receive writes a file to its place; created is false where the file was there already.
func (s *Receiver) receive(u *upload, body *patient) (created bool, err error) {
	kind, sealed := record.PlaceOf(u.name)
	if kind == record.NoPlace {
		return false, refuse(http.StatusNotFound, "no run has a file %q that is copied", u.name)
	}
	one, err := s.acquire(u.run)
	if err != nil {
		return false, err
	}
	defer one.busy.Unlock()
	one.body.Store(body)
	defer one.body.Store(nil)
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
			at = path.Join(u.run, ".tmp-"+u.name) // readers skip names that begin with .tmp-
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

// staged reports whether a file is complete already and not committed yet: an acknowledgement was lost on the way, or another client sent the file.
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
	return true, s.settle(at, path.Dir(at)) // the process that wrote it may have been killed before it synced the folder
}

// checkRun reports whether the run exists. A file of another run with the same name is refused.
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

// idOf returns the id of the run in the folder. The manifest, which may be long, is read again only when it is another file than last time.
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

// isCommitted reports whether the file is part of the run already. A file that differs from the committed one is refused.
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

// matches reports whether data has the checksum that the upload gives.
func (u *upload) matches(data []byte) bool {
	if u.sha != nil {
		sum := sha256.Sum256(data)
		return bytes.Equal(sum[:], u.sha)
	}
	return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) == u.sum
}

// hasSum reports whether the SHA-256 of the file is sum.
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

// checksum is the CRC-32C of what was written to it.
type checksum uint32

func (c *checksum) Write(data []byte) (int, error) {
	*c = checksum(crc32.Update(uint32(*c), castagnoli, data))
	return len(data), nil
}

// partly is an incomplete file with the checksum of its bytes so far, so that they need not be read again when its next part comes.
type partly struct {
	name  string
	bytes int64
	sum   checksum
	sha   hash.Hash // nil where the SHA-256 was not asked for
}

// copyBuffer is how many bytes of a body are written at once.
const copyBuffer = 1 << 20

// write appends the body to the incomplete file beside at. It returns nil when the file is complete and verified; the caller then renames and syncs
// it, in either order, since a file that was not acknowledged is read again before it is trusted. A part that does not complete the file is synced here.
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
	part := one.part
	one.part = partly{}
	if u.from == 0 || part.name != u.name || part.bytes != u.from || u.sha != nil && part.sha == nil {
		part = partly{name: u.name, sha: sha256.New()}
	}
	into := io.Writer(&part.sum)
	if u.sha == nil {
		part.sha = nil
	} else {
		into = io.MultiWriter(&part.sum, part.sha)
	}
	if part.bytes < u.from { // the bytes before this part are read again
		if _, err := io.Copy(into, io.NewSectionReader(f, 0, u.from)); err != nil {
			return err
		}
	}
	to := struct{ io.Writer }{files.NewEarlyFile(f, u.from)}
	n, err := io.CopyBuffer(to, io.TeeReader(io.LimitReader(body, u.size-u.from), into), make([]byte, max(1, min(copyBuffer, u.size-u.from))))
	if broken := (errBody{}); errors.As(err, &broken) {
		came := fmt.Sprintf("%d bytes of %s came, and then no more", u.from+n, u.name)
		if errors.Is(broken.error, os.ErrDeadlineExceeded) { // the network may have been gone, and a client that is asked to may try again
			return refuse(http.StatusRequestTimeout, "%s: send the rest", came)
		}
		return refuse(http.StatusBadRequest, "%s: %v", came, err)
	}
	if err != nil {
		return err
	}
	if have := u.from + n; have < u.size {
		if err := f.Sync(); err != nil {
			return err
		}
		part.bytes = have
		one.part = part
		return &refusal{http.StatusAccepted, fmt.Sprintf("%d of %d bytes are here", have, u.size), have}
	}
	came := fmt.Sprintf("%08x", uint32(part.sum))
	if u.sha != nil && !bytes.Equal(part.sha.Sum(nil), u.sha) || u.sha == nil && came != u.sum {
		_ = f.Truncate(0)
		return refuse(http.StatusUnprocessableEntity, "%s did not come as its Content-Digest says: send it again", u.name)
	}
	u.sum = came
	return nil
}
