package push_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logitscope/logitscope/push"
	"github.com/logitscope/logitscope/record"
)

const token = "0123456789abcdef0123456789abcdef"

// newWriter begins a run of two splits and three classes.
func newWriter(t testing.TB, dir string, seed uint64) *record.Writer {
	t.Helper()
	samples := map[string]record.Samples{}
	for name, n := range map[string]int{"train": 40, "val": 20} {
		s := record.Samples{}
		for i := range n {
			s.IDs, s.Labels = append(s.IDs, int64(i)), append(s.Labels, int32(i%3))
		}
		samples[name] = s
	}
	m := record.Manifest{Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3, Seed: seed}
	w, err := record.Create(dir, m, samples, record.File{Name: "config.yaml", Data: []byte("seed: 1\n")})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func writeEpoch(t testing.TB, w *record.Writer, epoch int, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(epoch)))
	logits := map[string][]float32{}
	for name, n := range map[string]int{"train": 40, "val": 20} {
		for range 3 * n {
			logits[name] = append(logits[name], rng.Float32())
		}
	}
	if err := w.WriteEpoch(epoch, logits); err != nil {
		t.Fatal(err)
	}
}

// newRun writes a run of some epochs, with a checkpoint, that has ended.
func newRun(t testing.TB, dir string, epochs int, seed uint64) {
	t.Helper()
	w := newWriter(t, dir, seed)
	for e := 1; e <= epochs; e++ {
		writeEpoch(t, w, e, seed)
	}
	if err := w.Checkpoint(epochs, []record.File{{Name: "weights", Data: []byte("weights")}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
}

// newServer receives into a folder; wrap, where it is not nil, comes before.
func newServer(t testing.TB, folder string, limits push.Limits, wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	receiver, err := push.NewReceiver(folder, limits)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/push/{run}", receiver.ServeStatus)
	mux.HandleFunc("GET /api/push/{run}/{path...}", receiver.ServeStatus)
	mux.HandleFunc("PUT /api/push/{run}/{path...}", receiver.ServeFile)
	handler := http.Handler(mux)
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		if err := receiver.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func options(url string) push.Options {
	return push.Options{URL: url, Token: token, Patience: time.Minute}
}

// same holds that two runs are the same files, but for their locks, and that the second is whole.
func same(t testing.TB, dir, copied string) {
	t.Helper()
	read := func(dir string) map[string]string {
		all := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "lock" {
				return err
			}
			text, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			all[name] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if a, b := read(dir), read(copied); !maps.Equal(a, b) {
		t.Errorf("the copy has the files %v, want %v", slices.Sorted(maps.Keys(b)), slices.Sorted(maps.Keys(a)))
	}
	if report, err := record.Check(t.Context(), copied); err != nil || !report.OK() || len(report.Notes) > 0 {
		t.Errorf("the copy is not whole: %+v, %v", report, err)
	}
}

// A run is copied, byte for byte, once.
func TestPush(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 3, 1)
	server := newServer(t, folder, push.DefaultLimits, nil)
	pushed, err := push.Push(context.Background(), dir, options(server.URL))
	if err != nil || pushed.Epochs != 3 || pushed.Files == 0 {
		t.Fatalf("%+v, %v", pushed, err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
	if again, err := push.Push(context.Background(), dir, options(server.URL)); err != nil || again.Files != 0 {
		t.Errorf("a second push sent %+v, %v", again, err)
	}
	o := options(server.URL)
	o.Name = "other"
	if _, err := push.Push(context.Background(), dir, o); err != nil {
		t.Error(err)
	}
	// Another run of that name is refused, and changes nothing.
	other := filepath.Join(t.TempDir(), "mine")
	newRun(t, other, 2, 2)
	if _, err := push.Push(context.Background(), other, options(server.URL)); err == nil || !strings.Contains(err.Error(), "--name") {
		t.Errorf("error %v, want one that says what to do", err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// A run that is being written is followed: its epochs are there one by one, and it counts as running until its end.
func TestPushFollows(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	w := newWriter(t, dir, 1)
	writeEpoch(t, w, 1, 1)
	server := newServer(t, folder, push.DefaultLimits, nil)
	done := make(chan error, 1)
	go func() {
		o := options(server.URL)
		o.Follow = true
		_, err := push.Push(context.Background(), dir, o)
		done <- err
	}()
	wait := func(epochs int, state string) {
		t.Helper()
		for until := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			got := "no run"
			if run, err := record.Open(filepath.Join(folder, "mine")); err == nil {
				got = fmt.Sprintf("%d epochs, %s", len(run.Epochs()), run.State())
				run.Close()
			}
			if got == fmt.Sprintf("%d epochs, %s", epochs, state) {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("the copy has %s, want %d epochs, %s", got, epochs, state)
			}
		}
	}
	wait(1, record.StateRunning)
	writeEpoch(t, w, 2, 1)
	wait(2, record.StateRunning)
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	wait(2, record.StateComplete)
	if err := <-done; err != nil {
		t.Error(err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// A run whose sender is gone is interrupted after a while.
func TestIdle(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	w := newWriter(t, dir, 1)
	defer w.Close(record.StateComplete)
	writeEpoch(t, w, 1, 1)
	limits := push.DefaultLimits
	limits.Idle = 100 * time.Millisecond
	server := newServer(t, folder, limits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		run, err := record.Open(filepath.Join(folder, "mine"))
		if err != nil {
			t.Fatal(err)
		}
		state := run.State()
		run.Close()
		if state == record.StateInterrupted {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the copy is %s", state)
		}
	}
}

// flaky breaks requests off: before they come, in the middle of their body, or after they were answered.
func flaky(rng *rand.Rand, broken *atomic.Int64) func(http.Handler) http.Handler {
	var mu sync.Mutex
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			what, at := rng.IntN(10), rng.Int64N(200)
			mu.Unlock()
			switch what {
			case 0:
				broken.Add(1)
				panic(http.ErrAbortHandler)
			case 1:
				broken.Add(1)
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(io.LimitReader(r.Body, at), failing{}), r.Body}
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			case 2:
				broken.Add(1)
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the network is gone") }

// Eight clients over a network that breaks: each run is there once, whole.
func TestPushOverBrokenNetwork(t *testing.T) {
	folder := t.TempDir()
	var broken atomic.Int64
	server := newServer(t, folder, push.DefaultLimits, flaky(rand.New(rand.NewPCG(1, 1)), &broken))
	var wg sync.WaitGroup
	for i := range 8 {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("run%d", i))
		newRun(t, dir, 3, uint64(i))
		wg.Go(func() {
			o := options(server.URL)
			o.Patience = time.Hour
			if _, err := push.Push(context.Background(), dir, o); err != nil {
				t.Errorf("run %d: %v", i, err)
				return
			}
			same(t, dir, filepath.Join(folder, filepath.Base(dir)))
		})
	}
	wg.Wait()
	if broken.Load() < 20 {
		t.Errorf("%d requests were broken off: too few to tell", broken.Load())
	}
}

// put sends a request of one's own.
func put(t testing.TB, server *httptest.Server, path string, body []byte, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, server.URL+"/api/push/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Logitscope-Run", "ID")
	r.Header.Set("Content-Digest", digest(body))
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode >= 400 && response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: status %d is no problem document: %s", path, response.StatusCode, text)
	}
	return response.StatusCode, string(text) + response.Header.Get("Upload-Offset")
}

// statusOf asks what is there of a run. err says that the answer, whose status is code, is no push.Status.
func statusOf(t testing.TB, server *httptest.Server, run string) (status push.Status, code int, err error) {
	t.Helper()
	response, err := http.Get(server.URL + "/api/push/" + run)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&status)
	return status, response.StatusCode, err
}

func digest(body []byte) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return "crc32c=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// Bad requests are told from each other, and nothing of them is acknowledged.
func TestRefusals(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 2, 1)
	limits := push.DefaultLimits
	limits.File, limits.Bytes = 1<<20, 4<<20
	server := newServer(t, folder, limits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := run.Manifest().ID
	run.Close()
	ours := func(r *http.Request) { r.Header.Set("Logitscope-Run", id) }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { ours(r); r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		path   string
		body   []byte
		change func(*http.Request)
		status int
		says   string
	}{
		{"mine/manifest.json", read("manifest.json"), ours, http.StatusOK, ""},
		{"mine/samples/val.arrow", read("samples/val.arrow"), ours, http.StatusOK, ""},
		{"mine/epochs/000001/val.arrow", read("epochs/000001/val.arrow"), ours, http.StatusOK, ""},
		{"mine/manifest.json", []byte("{}"), ours, http.StatusConflict, "never changes"},
		{"mine/samples/val.arrow", []byte("x"), ours, http.StatusConflict, "never changes"},
		{"mine/epochs/000001/val.arrow", []byte("x"), ours, http.StatusConflict, "never changes"},
		{"mine/epochs/000001/new.arrow", []byte("x"), ours, http.StatusConflict, "never changes"},
		{"mine/epochs/000001/epoch.json", []byte("x"), ours, http.StatusConflict, "never changes"},
		{"mine/config.yaml", []byte("x"), ours, http.StatusConflict, "never changes"},
		{"mine/end.json", []byte("{}"), ours, http.StatusUnprocessableEntity, "end.json"},
		{"mine/epochs/000003/epoch.json", read("epochs/000002/epoch.json"), ours, http.StatusUnprocessableEntity, "is of epoch 2"},
		{"mine/epochs/000003/epoch.json", []byte("{}"), ours, http.StatusUnprocessableEntity, ""},
		{"mine/epochs/000001/val.arrow", read("epochs/000001/val.arrow"), nil, http.StatusConflict, "another run"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", digest([]byte("y"))), http.StatusUnprocessableEntity, "send it again"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", "sha-256=:eA==:"), http.StatusBadRequest, "Content-Digest"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", "md5=:eA==:"), http.StatusBadRequest, `Content-Digest is \"md5=:eA==:\"`},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", "sha-512=:eA==:, "+sha("y")), http.StatusUnprocessableEntity, "send it again"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, "as they are"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", sha("y")), http.StatusUnprocessableEntity, "send it again"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Digest", sha("x")), http.StatusCreated, ""},
		{"mine/samples/val.arrow", read("samples/val.arrow"), header("Content-Digest", sha(string(read("samples/val.arrow")))), http.StatusOK, ""},
		{"mine/samples/val.arrow", []byte("x"), header("Content-Digest", sha("x")), http.StatusConflict, "never changes"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Logitscope-Run", ""), http.StatusBadRequest, "Logitscope-Run"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Range", "bytes 0-5/9"), http.StatusBadRequest, "does not fit"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Range", "bytes 5-5/9"), http.StatusConflict, "begins at 5"},
		{"mine/epochs/000003/val.arrow", []byte("x"), header("Content-Range", "lines 1"), http.StatusBadRequest, "FIRST-LAST/SIZE"},
		{"mine/epochs/000003/val.arrow", make([]byte, 1<<20+1), ours, http.StatusRequestEntityTooLarge, "at most"},
		{"new/epochs/000001/val.arrow", []byte("x"), nil, http.StatusConflict, "manifest is not there yet"},
		{"new/manifest.json", read("manifest.json"), ours, http.StatusConflict, "is not there yet: send it before"},
		{"new/manifest.json", read("manifest.json"), nil, http.StatusUnprocessableEntity, `"manifest.json: it is of another run"`},
		{"new/manifest.json", []byte("{}"), nil, http.StatusUnprocessableEntity, `"manifest.json: 2 bytes`},
		{"new/folds/manifest.json", read("manifest.json"), ours, http.StatusConflict, "folds"},
		{"mine/lock", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/epochs/1/val.arrow", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/epochs/.tmp-000003/val.arrow", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/samples/val.arrow.part", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/a%2Fb", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/..%2Fother%2Fmanifest.json", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"mine/samples%2F..%2F..%2Fx.arrow", []byte("x"), ours, http.StatusNotFound, "no run has a file"},
		{"..%2Fx/manifest.json", []byte("x"), ours, http.StatusNotFound, "name"},
		{"con/manifest.json", []byte("x"), ours, http.StatusNotFound, "run name \\\"con\\\": want"},
		{"mine/epochs/000003/val.arrow", make([]byte, 1<<20), ours, http.StatusCreated, ""},
		{"mine/epochs/000004/val.arrow", make([]byte, 1<<20), ours, http.StatusCreated, ""},
		{"mine/epochs/000005/val.arrow", make([]byte, 1<<20), ours, http.StatusCreated, ""},
		{"mine/epochs/000006/val.arrow", make([]byte, 1<<20), ours, http.StatusInsufficientStorage, "it takes"},
	} {
		if status, text := put(t, server, c.path, c.body, c.change); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: status %d, want %d: %s", c.path, status, c.status, text)
		}
	}
	if report, err := record.Check(t.Context(), filepath.Join(folder, "mine")); err != nil || !report.OK() || report.Epochs != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if e.Name() != "mine" && !strings.HasPrefix(e.Name(), ".tmp-push-") {
			t.Errorf("%s was made", e.Name())
		}
	}
}

// A file comes in parts, which go on where they ended.
func TestParts(t *testing.T) {
	folder := t.TempDir()
	server := newServer(t, folder, push.DefaultLimits, nil)
	whole := []byte("0123456789")
	part := func(from, to int) (int, string) {
		return put(t, server, "new/samples/val.arrow", whole[from:to], func(r *http.Request) {
			r.Header.Set("Content-Digest", digest(whole))
			r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/10", from, to-1))
		})
	}
	if status, text := part(0, 4); status != http.StatusAccepted || !strings.HasSuffix(text, "4") {
		t.Errorf("the first part: status %d: %s", status, text)
	}
	status, _, err := statusOf(t, server, "new")
	if err != nil || status.Partial["samples/val.arrow"] != 4 || status.Run != "" {
		t.Errorf("the status is %+v, %v", status, err)
	}
	if status, text := part(6, 10); status != http.StatusConflict || !strings.HasSuffix(text, "4") {
		t.Errorf("a part too far: status %d: %s", status, text)
	}
	if status, text := part(4, 10); status != http.StatusCreated {
		t.Errorf("the rest: status %d: %s", status, text)
	}
	// By whichever checksum each part comes, the last is verified as a whole.
	sums := []string{sha(string(whole)), digest(whole)}
	for kinds := range 8 {
		name := fmt.Sprintf("samples/s%d.arrow", kinds)
		for i := range 3 {
			status, text := put(t, server, "new/"+name, whole[4*i:min(4*i+4, 10)], func(r *http.Request) {
				r.Header.Set("Content-Digest", sums[kinds>>i&1])
				r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/10", 4*i, min(4*i+4, 10)-1))
			})
			if want := [...]int{http.StatusAccepted, http.StatusAccepted, http.StatusCreated}[i]; status != want {
				t.Errorf("kinds %b, part %d: status %d: %s", kinds, i, status, text)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(folder, ".tmp-push-new/samples/val.arrow")); err != nil || string(text) != string(whole) {
		t.Errorf("%s, %v", text, err)
	}
}

// What comes too often at once is told to come again, and uploads that bring nothing end.
func TestBounds(t *testing.T) {
	for name, stalled := range map[string]time.Duration{"an upload that goes on": time.Hour, "one that brings nothing": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			limits := push.DefaultLimits
			limits.Uploads, limits.Stalled = 1, stalled
			began := make(chan struct{})
			server := newServer(t, t.TempDir(), limits, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/api/push/a/") {
						r.Body = &noticed{ReadCloser: r.Body, read: sync.OnceFunc(func() { close(began) })}
					}
					next.ServeHTTP(w, r)
				})
			})
			reader, writer := io.Pipe()
			slow := make(chan int, 1)
			go func() {
				r, _ := http.NewRequest(http.MethodPut, server.URL+"/api/push/a/samples/val.arrow", reader)
				r.ContentLength = 10
				r.Header.Set("Logitscope-Run", "ID")
				r.Header.Set("Content-Digest", digest([]byte("0123456789")))
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					slow <- 0
					return
				}
				response.Body.Close()
				slow <- response.StatusCode
			}()
			if _, err := writer.Write([]byte("01")); err != nil {
				t.Fatal(err)
			}
			<-began
			if stalled == time.Hour {
				if status, text := put(t, server, "b/samples/val.arrow", []byte("x"), nil); status != http.StatusServiceUnavailable || !strings.Contains(text, "try again") {
					t.Errorf("status %d: %s", status, text)
				}
				_ = writer.CloseWithError(io.ErrUnexpectedEOF)
			}
			if status := <-slow; status == http.StatusCreated {
				t.Error("an upload that brought nothing was taken")
			}
			writer.Close()
			for until := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				status, text := put(t, server, "b/samples/val.arrow", []byte("x"), nil)
				if status == http.StatusCreated {
					return
				}
				if status != http.StatusServiceUnavailable {
					t.Fatalf("status %d: %s", status, text)
				}
				if time.Now().After(until) {
					t.Fatal("the place of an upload that ended is not free")
				}
			}
		})
	}
}

// noticed is a body that tells of each reading.
type noticed struct {
	io.ReadCloser
	read func()
}

func (n *noticed) Read(p []byte) (int, error) {
	n.read()
	return n.ReadCloser.Read(p)
}

// A token is wanted, and is not sent where others can read it.
func TestAddress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	newRun(t, dir, 1, 1)
	for url, says := range map[string]string{
		"http://scope.example.org": "https", "http://10.0.0.1:8321": "https", "scope:8321": "want the address", "https://host/path?a=b": "want the address", "https://me:secret@host": "want the address", "": "want the address",
	} {
		if _, err := push.Push(context.Background(), dir, push.Options{URL: url, Token: token}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says %q", url, err, says)
		}
	}
	if _, err := push.Push(context.Background(), dir, push.Options{URL: "https://host"}); err == nil || !strings.Contains(err.Error(), "LOGITSCOPE_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
}

// A redirect is an error that says where to, and the token does not go there.
func TestRedirects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	newRun(t, dir, 1, 1)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var reached atomic.Bool
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
		first := httptest.NewServer(http.RedirectHandler(other.URL+"/elsewhere", status))
		_, err := push.Push(t.Context(), dir, options(first.URL))
		if want := "redirect to " + other.URL + "/elsewhere"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %d: error %v, want one that says %q", status, err, want)
		}
		if reached.Load() {
			t.Errorf("status %d was followed", status)
		}
		first.Close()
		other.Close()
	}
}

// A server may stand behind a proxy that has it under a path.
func TestBehindAPath(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 1, 1)
	server := newServer(t, folder, push.DefaultLimits, func(inner http.Handler) http.Handler { return http.StripPrefix("/of/scope", inner) })
	if _, err := push.Push(t.Context(), dir, options(server.URL+"/of/scope/")); err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// FuzzPush sends any bytes to any path: nothing outside of the folder is touched, the run that is there stays whole.
func FuzzPush(f *testing.F) {
	base := f.TempDir()
	dir, folder := filepath.Join(base, "mine"), filepath.Join(base, "runs")
	newRun(f, dir, 1, 1)
	if err := os.Mkdir(folder, 0o755); err != nil {
		f.Fatal(err)
	}
	server := newServer(f, folder, push.DefaultLimits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"manifest.json", "end.json", "epochs/000001/epoch.json", "samples/val.arrow", "figures.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add("mine/"+name, "", data)
		f.Add("other/"+name, "bytes 0-3/9", data)
	}
	run, err := record.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	id := run.Manifest().ID
	run.Close()
	f.Fuzz(func(t *testing.T, path, span string, body []byte) {
		request, err := http.NewRequest(http.MethodPut, server.URL+"/api/push/"+path, bytes.NewReader(body))
		if err != nil {
			t.Skip()
		}
		request.Header.Set("Logitscope-Run", id)
		request.Header.Set("Content-Digest", digest(body))
		if span != "" {
			request.Header.Set("Content-Range", span)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Skip()
		}
		response.Body.Close()
		if response.StatusCode >= 500 && response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%q: status %d", path, response.StatusCode)
		}
		if report, err := record.Check(t.Context(), filepath.Join(folder, "mine")); err != nil || !report.OK() {
			t.Errorf("after %q: %+v, %v", path, report, err)
		}
		entries, err := os.ReadDir(base)
		if err != nil || len(entries) != 2 {
			t.Errorf("after %q: %v, %v", path, entries, err)
		}
	})
}

// FuzzHeaders sends any headers: an answer with a reason, and the run that is there stays whole.
func FuzzHeaders(f *testing.F) {
	base := f.TempDir()
	dir, folder := filepath.Join(base, "mine"), filepath.Join(base, "runs")
	newRun(f, dir, 1, 1)
	if err := os.Mkdir(folder, 0o755); err != nil {
		f.Fatal(err)
	}
	server := newServer(f, folder, push.DefaultLimits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		f.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	id := run.Manifest().ID
	run.Close()
	body := []byte("0123456789")
	f.Add("mine/epochs/000002/val.arrow", id, digest(body), "")
	f.Add("mine/epochs/000002/val.arrow", id, digest(body), "bytes 0-9/20")
	f.Add("mine/end.json", id, sha(string(body)), "bytes 9223372036854775800-9223372036854775807/9223372036854775807")
	f.Add("new/manifest.json", "", "crc32c=:AAAAAA==:", "bytes 10-9/5")
	f.Fuzz(func(t *testing.T, path, run, sum, span string) {
		request := httptest.NewRequest(http.MethodPut, "/api/push/x", bytes.NewReader(body))
		request.URL.Path = "/api/push/" + path
		request.Header = http.Header{"Logitscope-Run": {run}, "Content-Digest": {sum}}
		if span != "" {
			request.Header.Set("Content-Range", span)
		}
		answer := httptest.NewRecorder()
		server.Config.Handler.ServeHTTP(answer, request)
		if answer.Code >= 500 && answer.Code != http.StatusServiceUnavailable {
			t.Errorf("%q: status %d: %s", path, answer.Code, answer.Body)
		}
		if report, err := record.Check(t.Context(), filepath.Join(folder, "mine")); err != nil || !report.OK() {
			t.Errorf("after %q: %+v, %v", path, report, err)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 2 {
			t.Errorf("after %q: %v, %v", path, entries, err)
		}
	})
}
