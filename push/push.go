package push

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logitscope/logitscope/record"
)

// Options say where a run goes.
type Options struct {
	URL      string        // of the server, such as https://host:8321
	Token    string        // that it wants
	Name     string        // of the run there; "" for its own
	Patience time.Duration // how long a server is asked again while nothing gets through
	Follow   bool          // whether to go on with what a run that is being written still brings
	// Progress, where it is not nil, is called when a file is there.
	Progress func(path string, bytes int64)
	Warn     func(text string) // where it is not nil, of trouble that is tried again
}

// Pushed is what a Push sent.
type Pushed struct {
	Files  int
	Bytes  int64
	Epochs int // that are at the server now
}

// Push copies a run, with its folds, to a server that accepts runs, and returns when all of it is there, durable and verified. What is there already is
// not sent again: a Push that was cut off is done again by calling it again. Checkpoints are sent when the run has ended.
func Push(ctx context.Context, dir string, o Options) (Pushed, error) {
	run, err := record.Open(dir)
	if err != nil {
		return Pushed{}, err
	}
	defer run.Close()
	base, err := address(o)
	if err != nil {
		return Pushed{}, err
	}
	id := run.Manifest().ID
	if id == "" {
		return Pushed{}, fmt.Errorf("run %s is of an older version, whose runs have no id to tell them apart by: it cannot be pushed", run.Manifest().Name)
	}
	name := o.Name
	if name == "" {
		name = run.Manifest().Name
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Pushed{}, err
	}
	defer root.Close()
	s := &sender{
		ctx: ctx, options: o, base: base + "/api/push/" + url.PathEscape(name), run: id, root: root,
		client: &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dial, ExpectContinueTimeout: 5 * time.Second, ResponseHeaderTimeout: unanswered,
		}},
	}
	defer s.client.CloseIdleConnections()
	for {
		ended := run.State() != record.StateRunning // before it is looked at for the last time
		if err := run.Refresh(); err != nil {
			return s.pushed, err
		}
		if err := s.all(run, "", ended); err != nil {
			return s.pushed, err
		}
		if ended || !o.Follow {
			return s.pushed, s.whole()
		}
		select {
		case <-ctx.Done():
			return s.pushed, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// address is the server's URL, which must not give the token away.
func address(o Options) (string, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("%q: want the address of a server, such as https://host:8321", o.URL)
	}
	if o.Token == "" {
		return "", errors.New("a token is wanted to write to a server: set LOGITSCOPE_TOKEN to the server's")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("%s would send the token where others can read it: use https, or a tunnel to 127.0.0.1 (ssh -L 8321:127.0.0.1:8321 host)", o.URL)
	}
	return u.Scheme + "://" + u.Host, nil
}

// sender sends the files of a run.
type sender struct {
	ctx     context.Context
	options Options
	client  *http.Client
	base    string
	run     string
	root    *os.Root
	pushed  Pushed
	sent    map[string]string // CRC-32C of files that may change, as they were sent last
	piece   int64             // bytes of a request, where something on the way takes no more; else 0
	damaged map[string]error  // epochs and checkpoints that cannot be read here, by their sealed files
}

// all sends what the server lacks of a run, or of the folds in it; folder is "" or ends in a slash.
func (s *sender) all(run *record.Run, folder string, ended bool) error {
	id, before := run.Manifest().ID, s.pushed.Files
	var there Status
	if err := s.ask(folder, &there); err != nil {
		return err
	}
	if there.Run != "" && there.Run != id {
		return fmt.Errorf("another run is at the server under that name: give this one another with --name")
	}
	if there.Run == "" {
		if err := s.unit(id, folder, "manifest.json", there); err != nil {
			return err
		}
	}
	for _, epoch := range run.Epochs() {
		if !slices.Contains(there.Epochs, epoch) {
			if err := s.orLeave(id, folder, fmt.Sprintf("epochs/%06d/epoch.json", epoch), there); err != nil {
				return err
			}
		}
	}
	if ended { // before, they come and go
		checkpoints, err := run.Checkpoints()
		if err != nil {
			return err
		}
		for _, epoch := range checkpoints {
			if !slices.Contains(there.Checkpoints, epoch) {
				if err := s.orLeave(id, folder, fmt.Sprintf("checkpoints/%06d/checkpoint.json", epoch), there); err != nil {
					return err
				}
			}
		}
	}
	folds, err := run.Folds()
	if err != nil {
		return err
	}
	if folds != nil {
		defer folds.Close()
		if err := s.all(folds, record.FoldsDir+"/", ended); err != nil {
			return err
		}
	}
	s.pushed.Epochs = len(run.Epochs())
	last := []string{"figures.json", record.CalibrationFile}
	if ended {
		last = append(last, "end.json")
	}
	if s.pushed.Files > before {
		delete(there.Files, "end.json") // with what came, the run was no longer at its end
	}
	for _, name := range last {
		if err := s.changed(id, folder+name, there.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

// errDamaged is of what cannot be read here as it was written.
type errDamaged struct{ error }

// orLeave is unit, but for what is damaged here: that is left out, and said in the end, so that the rest comes across.
func (s *sender) orLeave(id, folder, sealed string, there Status) error {
	if s.damaged[folder+sealed] != nil {
		return nil
	}
	err := s.unit(id, folder, sealed, there)
	if damage := (errDamaged{}); errors.As(err, &damage) {
		if s.damaged == nil {
			s.damaged = map[string]error{}
		}
		s.damaged[folder+sealed] = err
		return nil
	}
	return err
}

// whole is the error of a push that left something out.
func (s *sender) whole() error {
	for _, sealed := range slices.Sorted(maps.Keys(s.damaged)) {
		return fmt.Errorf("%s of %d that are damaged and were left out: %w; see logitscope check", path.Dir(sealed), len(s.damaged), s.damaged[sealed])
	}
	return nil
}

// unit sends the files that a sealed file names, and then that file.
func (s *sender) unit(id, folder, sealed string, there Status) error {
	data, err := s.read(folder + sealed)
	if err != nil {
		return errDamaged{err}
	}
	_, files, err := record.NamedIn(sealed, data)
	if err != nil {
		return errDamaged{err}
	}
	for _, f := range files {
		if there.Files[f.Path] == f.CRC32C {
			continue
		}
		if err := s.file(id, folder+f.Path, f.Size, f.CRC32C, there.Partial[f.Path]); err != nil {
			return err
		}
	}
	return s.bytes(id, folder+sealed, data)
}

// changed sends a file that may change, where it did.
func (s *sender) changed(id, name, there string) error {
	data, err := s.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli))
	if sum == there || sum == s.sent[name] {
		return nil
	}
	if err := s.bytes(id, name, data); err != nil {
		return err
	}
	if s.sent == nil {
		s.sent = map[string]string{}
	}
	s.sent[name] = sum
	return nil
}

func (s *sender) read(name string) ([]byte, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSealed))
}

// bytes sends a file that is in memory.
func (s *sender) bytes(id, name string, data []byte) error {
	sum := fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli))
	return s.send(id, name, int64(len(data)), sum, 0, func(from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
}

// file sends a file of the run, from a place on.
func (s *sender) file(id, name string, size int64, sum string, from int64) error {
	return s.send(id, name, size, sum, from, func(from int64) (io.ReadCloser, error) {
		f, err := s.root.Open(name)
		if err != nil {
			return nil, errDamaged{err}
		}
		if info, err := f.Stat(); err != nil || info.Size() != size {
			f.Close()
			return nil, errDamaged{fmt.Errorf("it has not the %d bytes that it was written with", size)}
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	})
}

// largeFile is from how many bytes on the server is asked before a file is sent, and one that was cut off is not sent from its beginning.
const largeFile = 4 << 20

// Something between here and the server may take only so much at once, such as nginx 1 MiB: files are sent in pieces, which are halved down to this.
const smallestPiece = 256 << 10

var errTooLarge = errors.New("the request is too large for something between here and the server, such as nginx (client_max_body_size)")

// errAgain is of trouble that may be over in a moment.
type errAgain struct {
	error
	further bool // more of the file is there than before
}

// send sends a file until it is there, as long as there is patience.
func (s *sender) send(id, name string, size int64, sum string, from int64, open func(from int64) (io.ReadCloser, error)) error {
	if from >= size {
		from = 0
	}
	damaged, reached := 0, from
	return s.patiently(name, func() error {
		body, err := open(from)
		if err != nil {
			return err
		}
		defer body.Close()
		request, err := http.NewRequestWithContext(s.ctx, http.MethodPut, s.base+"/"+name, body)
		if err != nil {
			return err
		}
		raw, err := hex.DecodeString(sum)
		if err != nil {
			return err
		}
		n := size - from
		if s.piece > 0 && n > s.piece {
			n = s.piece
			request.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(body, n), body}
		}
		if request.ContentLength = n; n == 0 {
			request.Body = http.NoBody
		}
		if size > largeFile {
			request.Header.Set("Expect", "100-continue")
		}
		if n < size {
			request.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+n-1, size))
		}
		request.Header.Set("Content-Type", "application/octet-stream")
		request.Header.Set("Content-Digest", "crc32c=:"+base64.StdEncoding.EncodeToString(raw)+":")
		request.Header.Set("Logitscope-Run", id)
		status, offset, err := s.do(request, nil)
		switch {
		case errors.Is(err, errTooLarge) && n > smallestPiece: // which nothing of ours says
			s.piece = max(smallestPiece, n/2)
			return errAgain{err, true}
		case status == http.StatusUnprocessableEntity:
			if damaged++; damaged < 3 { // on its way, perhaps
				from = 0
				return errAgain{error: err}
			}
			return errDamaged{err}
		case offset >= 0:
			again := errAgain{errors.New("a part of it is there"), offset > reached}
			from, reached = offset, max(reached, offset)
			return again
		case err != nil:
			// Where a part of a large file came through before the network went, the server says with the next attempt where the rest begins.
			if from = 0; size > largeFile {
				from = 1
			}
			return err
		}
		s.pushed.Files++
		s.pushed.Bytes += size
		if s.options.Progress != nil {
			s.options.Progress(name, size)
		}
		return nil
	})
}

// ask asks what is there of a run.
func (s *sender) ask(folder string, status *Status) error {
	at := s.base
	if folder != "" {
		at += "/" + folder + "status"
	}
	return s.patiently("what is there", func() error {
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, at, nil)
		if err != nil {
			return err
		}
		_, _, err = s.do(request, status)
		return err
	})
}

// do sends a request. offset is where the server says that the rest begins, −1 where it does not.
func (s *sender) do(request *http.Request, into any) (status int, offset int64, err error) {
	request.Header.Set("Authorization", "Bearer "+s.options.Token)
	response, err := s.client.Do(request)
	if err != nil {
		if s.ctx.Err() != nil {
			return 0, -1, context.Cause(s.ctx)
		}
		return 0, -1, errAgain{error: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSealed))
	if err != nil {
		return 0, -1, errAgain{error: err}
	}
	if offset, err = strconv.ParseInt(response.Header.Get("Upload-Offset"), 10, 64); err != nil {
		offset = -1
	}
	if response.StatusCode == http.StatusAccepted {
		return response.StatusCode, offset, errors.New("the server took a part of it")
	}
	if response.StatusCode < 300 {
		if into != nil {
			if err := json.Unmarshal(body, into); err != nil {
				return response.StatusCode, -1, fmt.Errorf("the server's answer is none of a server that accepts runs: %w", err)
			}
		}
		return response.StatusCode, -1, nil
	}
	var problem struct{ Detail, Error string }
	_ = json.Unmarshal(body, &problem)
	text := problem.Detail + problem.Error
	if text == "" {
		text = http.StatusText(response.StatusCode)
	}
	err = fmt.Errorf("%s (status %d)", text, response.StatusCode)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		err = errAgain{error: err}
	case http.StatusRequestEntityTooLarge:
		if text = problem.Detail + problem.Error; text == "" {
			err = errTooLarge
		}
	case http.StatusNotFound:
		if problem.Detail == "" {
			err = fmt.Errorf("%w: does the server accept runs? logitscope view DIR --accept", err)
		}
	}
	return response.StatusCode, offset, err
}

// patiently tries again what may be over in a moment.
func (s *sender) patiently(what string, try func() error) error {
	const shortest = 100 * time.Millisecond
	var since time.Time // nothing gets through any more
	for wait := shortest; ; {
		err := try()
		var again errAgain
		if !errors.As(err, &again) {
			if err != nil {
				err = fmt.Errorf("%s: %w", what, err)
			}
			return err
		}
		switch {
		case again.further:
			since, wait = time.Time{}, shortest
			continue
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > s.options.Patience:
			return fmt.Errorf("%s: %w", what, again.error)
		}
		if s.options.Warn != nil && wait > time.Second {
			s.options.Warn(fmt.Sprintf("%s: %v; trying again", what, again.error))
		}
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// How long a connection may take nothing, and how long an answer may be due, which a slow disk holds up: a network that went away does not say so.
var stalled, unanswered = time.Minute, 5 * time.Minute

// conn is a connection that ends where it is stalled while something is to be sent.
type conn struct{ *net.TCPConn }

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, network, addr)
	if tcp, ok := c.(*net.TCPConn); ok {
		return conn{tcp}, err
	}
	return c, err
}

func (c conn) Write(data []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stalled)); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(data)
}

// ReadFrom lets the system copy a file, some of it at a time.
func (c conn) ReadFrom(r io.Reader) (n int64, err error) {
	const some = 1 << 20
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	for more := true; more && err == nil; {
		if err := c.SetWriteDeadline(time.Now().Add(stalled)); err != nil {
			return n, err
		}
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, some)}
		var m int64
		m, err = c.TCPConn.ReadFrom(part)
		n, limited.N, more = n+m, limited.N-m, m == some
	}
	return n, err
}
