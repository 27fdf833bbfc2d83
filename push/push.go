package push

import (
	"bytes"
	"context"
	"crypto/tls"
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

// Options say which server a run is sent to, and how.
type Options struct {
	URL      string        // address of the server, such as https://host:8321
	Token    string        // the token that the server wants
	Name     string        // the run's name at the server; "" keeps its own
	Patience time.Duration // for how long requests are repeated while none succeeds
	Follow   bool          // whether to go on sending, while the run is being written, until it has ended
	// Progress, where it is not nil, is called after the server has acknowledged a file.
	Progress func(path string, bytes int64)
	Warn     func(text string) // where it is not nil, is called with an error after which the request is repeated
}

// Pushed describes what a Push sent.
type Pushed struct {
	Files  int
	Bytes  int64
	Epochs int // epochs of the run that the server has now
}

// Push copies the run in dir, with its folds, to a server that accepts runs. It returns when the server has all of it, verified and on its disk.
// Files that the server has are not sent again, so a Push that was interrupted is continued by calling it again. Checkpoints are sent once the run
// has ended. An epoch or a checkpoint that is damaged in dir is left out; the rest is sent, and the error names what was left out.
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
		}, CheckRedirect: stay},
	}
	defer s.client.CloseIdleConnections()
	for stale := false; ; {
		ended := run.State() != record.StateRunning // read before the files, so that nothing is missed when it has ended
		if err := run.Refresh(); err != nil {
			return s.pushed, err
		}
		err := s.all(run, "", ended)
		if errors.As(err, &errStale{}) && !stale {
			stale = true // what is there is asked once more
			continue
		}
		if err != nil {
			return s.pushed, err
		}
		stale = false
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

// stay refuses a redirect. To follow it could send the token to another server, or from https to http, where others can read it.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// address returns the server's URL. One over which the token could be read by others is an error.
func address(o Options) (string, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q: want the address of a server, such as https://host:8321 or https://host/scope", o.URL)
	}
	if o.Token == "" {
		return "", errors.New("a token is wanted to write to a server: set LOGITSCOPE_TOKEN to the server's")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("%s would send the token where others can read it: use https, or a tunnel to 127.0.0.1 (ssh -L 8321:127.0.0.1:8321 host)", o.URL)
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// sender sends the files of one run.
type sender struct {
	ctx     context.Context
	options Options
	client  *http.Client
	base    string
	run     string
	root    *os.Root
	pushed  Pushed
	sent    map[string]string // CRC-32C with which each file that may change was sent last, by its path
	piece   int64             // the most bytes that a request may carry; 0 where a whole file may go at once
	damaged map[string]error  // why an epoch or a checkpoint cannot be sent, by the path of its sealed file
}

// all sends what the server lacks of a run, or of the folds in it. folder is "" or the path of the folds, which ends in a slash. ended says that
// the run is no longer written.
func (s *sender) all(run *record.Run, folder string, ended bool) error {
	id, before := run.Manifest().ID, s.pushed.Files
	var there Status
	if err := s.ask(folder, &there); err != nil {
		return err
	}
	if there.Run != "" && there.Run != id {
		return fmt.Errorf("another run is at the server under that name: give this one another with --name")
	}
	if folder == "" {
		s.pushed.Epochs = 0
	}
	if there.Run == "" {
		s.sent = nil // of a run that was removed at the server everything is sent anew
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
		if folder == "" {
			s.pushed.Epochs++
		}
	}
	if ended { // while a run is written, its checkpoints replace each other
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
	last := []string{"figures.json", record.CalibrationFile}
	if ended {
		last = append(last, "end.json")
	}
	if s.pushed.Files > before {
		delete(there.Files, "end.json") // the server removed it with the first file that was new
	}
	for _, name := range last {
		if err := s.changed(id, folder+name, there.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

// errDamaged is the error of a file that cannot be read as it was written. It is not sent.
type errDamaged struct{ error }

// orLeave calls unit, and notes in s.damaged what is damaged here instead of returning its error, so that the rest is sent.
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

// whole returns an error that names what was left out, or nil where everything was sent.
func (s *sender) whole() error {
	for _, sealed := range slices.Sorted(maps.Keys(s.damaged)) {
		return fmt.Errorf("%s of %d that are damaged and were left out: %w; see logitscope check", path.Dir(sealed), len(s.damaged), s.damaged[sealed])
	}
	return nil
}

// unit sends the files that a sealed file names, and then the sealed file.
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

// changed sends a file that may change, if it differs from what the server has; there is the server's CRC-32C of it.
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

// bytes sends a file whose content is data.
func (s *sender) bytes(id, name string, data []byte) error {
	sum := fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli))
	return s.send(id, name, int64(len(data)), sum, 0, func(from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
}

// file sends a file of the run, from byte from on.
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

// largeFile is the size in bytes above which the server is asked whether it wants a file before it is sent.
const largeFile = 4 << 20

// smallestPiece is the size in bytes down to which the pieces of a file are halved, where a proxy before the server refuses large requests; nginx
// takes 1 MiB unless it is told otherwise. A file that is larger and was cut off is continued, and not sent from its beginning.
const smallestPiece = 256 << 10

// errTooLarge is the error of a request that was refused for its size.
var errTooLarge = errors.New("the request is too large for something between here and the server, such as nginx (client_max_body_size)")

// errAgain is an error that a later attempt may not have.
type errAgain struct {
	error
	further bool          // whether the server has more of the file than before
	where   bool          // whether the server said where the file goes on, which is no failure
	after   time.Duration // how long the server asks to wait
}

// errStale is the error of a file that does not fit what the server has, which is then not what it said before, as where somebody removed the run.
type errStale struct{ error }

// send sends a file, and repeats what fails for as long as Options.Patience allows.
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
		if size > largeFile || from > 0 {
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
		case errors.Is(err, errTooLarge) && n > smallestPiece: // only a proxy answers so: our server's limits are larger
			s.piece = max(smallestPiece, n/2)
			return errAgain{error: err, further: true}
		case status == http.StatusUnprocessableEntity:
			if damaged++; damaged < 3 { // the bytes may have been damaged on the way
				from = 0
				return errAgain{error: err}
			}
			return errDamaged{err}
		case offset >= 0:
			again := errAgain{error: errors.New("a part of it is there"), further: offset > reached, where: true}
			from, reached = offset, max(reached, offset)
			return again
		case status == http.StatusConflict:
			return errStale{err}
		case err != nil:
			// If a part of the file arrived before the connection was lost, the server's answer to the next attempt says where the rest begins.
			if from = 0; size > smallestPiece {
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

// ask asks the server what it has of a run.
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

// do sends a request and decodes the answer into into. offset is the byte at which the server wants the file continued, −1 where it gives none.
func (s *sender) do(request *http.Request, into any) (status int, offset int64, err error) {
	request.Header.Set("Authorization", "Bearer "+s.options.Token)
	response, err := s.client.Do(request)
	if err != nil {
		if s.ctx.Err() != nil {
			return 0, -1, context.Cause(s.ctx)
		}
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // the rest is the address, which its user knows
		}
		if errors.As(err, new(*tls.CertificateVerificationError)) {
			return 0, -1, fmt.Errorf("the server is not who it says: %w", err)
		}
		return 0, -1, errAgain{error: fmt.Errorf("it cannot be reached: %w", err)}
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
	if to, err := response.Location(); response.StatusCode < 400 && err == nil {
		return response.StatusCode, -1, fmt.Errorf("it is answered with a redirect to %s (status %d), where the token is not sent: push to that address if it is yours",
			to, response.StatusCode)
	}
	var problem struct{ Detail, Error string }
	_ = json.Unmarshal(body, &problem)
	text := problem.Detail + problem.Error
	if text == "" {
		text = http.StatusText(response.StatusCode)
	}
	err = fmt.Errorf("%s (status %d)", text, response.StatusCode)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusRequestTimeout,
		http.StatusInsufficientStorage:
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16) // 0 where it is none, or a date
		err = errAgain{error: err, after: time.Duration(seconds) * time.Second}
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

// patiently calls try until it succeeds, fails with an error that is not errAgain, or Options.Patience is over.
func (s *sender) patiently(what string, try func() error) error {
	const shortest = 100 * time.Millisecond
	var since time.Time // when the first of the failures in a row happened
	asked := false      // whether the server was last asked where the file goes on
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
		if asked = again.where && !asked; asked {
			continue
		}
		if s.options.Warn != nil && wait > time.Second {
			s.options.Warn(fmt.Sprintf("%s: %v; trying again", what, again.error))
		}
		pause := max(wait, min(again.after, s.options.Patience-time.Since(since))) // at the end of patience it is tried once more
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-time.After(pause):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// A network that is gone gives no error, so a connection is given up where it takes no byte for as long as stalled, or where the server, whose disk
// may be slow, does not answer within unanswered.
var stalled, unanswered = time.Minute, 5 * time.Minute

// conn is a connection whose writes fail when it has taken nothing for as long as stalled.
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

// ReadFrom lets the system copy a file to the connection, a part at a time, each with its own deadline.
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
