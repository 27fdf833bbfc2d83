package push_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logitscope/logitscope/push"
	"github.com/logitscope/logitscope/record"
)

// newLargeRun writes a run of files of 6 MB, about which the server is asked before they are sent.
func newLargeRun(t testing.TB, dir string, epochs int) {
	t.Helper()
	newRunOf(t, dir, epochs, 3000)
}

// newRunOf writes a run of n samples, of 2 kB each.
func newRunOf(t testing.TB, dir string, epochs, n int) {
	t.Helper()
	const columns = 500
	samples := record.Samples{}
	for i := range n {
		samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(i%columns))
	}
	m := record.Manifest{Head: record.HeadSoftmax, Columns: columns}
	for j := range columns {
		m.Classes = append(m.Classes, fmt.Sprint(j))
	}
	w, err := record.Create(dir, m, map[string]record.Samples{"val": samples})
	if err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, n*columns)
	for epoch := 1; epoch <= epochs; epoch++ {
		for i := range logits {
			logits[i] = float32(i%997) + float32(epoch)
		}
		if err := w.WriteEpoch(epoch, map[string][]float32{"val": logits}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
}

// network passes connections on to a server, and goes away.
type network struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	conns   []net.Conn
	bytes   int64 // that come through until it goes away; below 0 for ever
	silent  bool  // when it is away, connections stay and nothing comes through
	away    bool
	refused int // connections that came meanwhile
}

func newNetwork(t *testing.T, url string) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener, server: strings.TrimPrefix(url, "http://"), bytes: -1}
	t.Cleanup(func() {
		listener.Close()
		n.leave(false)
	})
	go n.run()
	return n
}

func (n *network) url() string { return "http://" + n.listener.Addr().String() }

func (n *network) run() {
	for {
		client, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		if n.away {
			n.refused++
			client.Close()
			n.mu.Unlock()
			continue
		}
		n.mu.Unlock()
		server, err := net.Dial("tcp", n.server)
		if err != nil {
			client.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, client, server)
		n.mu.Unlock()
		go n.pass(server, client, true)
		go n.pass(client, server, false)
	}
}

// pass copies what comes from one side to the other, and counts it.
func (n *network) pass(to, from net.Conn, counts bool) {
	silent := false
	defer func() {
		if !silent {
			to.Close()
		}
	}()
	buffer := make([]byte, 4096)
	for {
		m, err := from.Read(buffer)
		if counts {
			n.mu.Lock()
			if n.bytes >= 0 {
				if n.bytes -= int64(m); n.bytes < 0 && !n.away {
					n.mu.Unlock()
					n.leave(n.silent)
					n.mu.Lock()
				}
			}
			silent = n.away && n.silent
			n.mu.Unlock()
			if silent {
				return // as if nothing came any more: the other side's connection stays open
			}
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:m]); err != nil {
			return
		}
	}
}

// leave makes the network go away.
func (n *network) leave(silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = true
	if !silent {
		for _, c := range n.conns {
			c.Close()
		}
		n.conns = nil
	}
}

// back brings the network back for so many bytes, once someone has tried to reach it while it was away. It fails where done tells before that
// that the push is over.
func (n *network) back(t *testing.T, bytes int64, done <-chan error) {
	t.Helper()
	for until := time.Now().Add(10 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		n.mu.Lock()
		if n.away && n.refused >= 2 {
			n.away, n.refused, n.bytes = false, 0, bytes
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		select {
		case err := <-done:
			t.Fatalf("the push ended while the network was to go away: %v", err)
		default:
		}
		if time.Now().After(until) {
			t.Fatal("nobody tried again while the network was away")
		}
	}
}

// The network goes away in the middle of files, of small ones and of large ones, and comes back: the client goes on where it was.
func TestNetworkAway(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %v", silent), func(t *testing.T) {
			if silent {
				defer push.SetStalled(2 * time.Second)()
			}
			dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
			newLargeRun(t, dir, 2)
			limits := push.DefaultLimits
			limits.Stalled = 2 * time.Second // after which the server lets go of a file whose sender is gone
			server := newServer(t, folder, limits, nil)
			away := newNetwork(t, server.URL)
			away.bytes, away.silent = 5_000, silent
			done := make(chan error, 1)
			go func() {
				o := options(away.url())
				o.Patience = 10 * time.Minute
				_, err := push.Push(context.Background(), dir, o)
				done <- err
			}()
			for _, bytes := range []int64{100_000, 3_000_000, 2_000_000, -1} {
				away.back(t, bytes, done)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			same(t, dir, filepath.Join(folder, "mine"))
		})
	}
}

// An upload that brings nothing more is answered with a status that asks the client to try again.
func TestStalledUpload(t *testing.T) {
	limits := push.DefaultLimits
	limits.Stalled = 50 * time.Millisecond
	server := newServer(t, t.TempDir(), limits, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /api/push/mine/samples/val.arrow HTTP/1.1\r\nHost: x\r\nLogitscope-Run: ID\r\nContent-Digest: %s\r\nContent-Length: 9\r\n\r\nx", digest([]byte("123456789")))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 408 ") {
		t.Errorf("%q, %v: want status 408", line, err)
	}
}

// An upload that brings nothing more ends once another request asks for its run: it is mostly the same client, whose connection was lost. What came
// of it is kept.
func TestStalledUploadYields(t *testing.T) {
	limits := push.DefaultLimits
	limits.Stalled, limits.Yields = time.Hour, time.Millisecond
	server := newServer(t, t.TempDir(), limits, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	whole := []byte("123456789")
	fmt.Fprintf(conn, "PUT /api/push/mine/samples/val.arrow HTTP/1.1\r\nHost: x\r\nLogitscope-Run: ID\r\nContent-Digest: %s\r\nContent-Length: 9\r\n\r\n12", digest(whole))
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status, code, err := statusOf(t, server, "mine")
		if err == nil && status.Partial["samples/val.arrow"] == 2 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the run is not free: status %d", code)
		}
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 408 ") {
		t.Errorf("%q, %v: want status 408", line, err)
	}
	if status, text := put(t, server, "mine/samples/val.arrow", whole[2:], func(r *http.Request) {
		r.Header.Set("Content-Digest", digest(whole))
		r.Header.Set("Content-Range", "bytes 2-8/9")
	}); status != http.StatusCreated {
		t.Errorf("the rest: status %d: %s", status, text)
	}
}

// Patience is with a network through which nothing comes: one that cuts each connection after a while is no reason to give up, however long a file takes.
func TestPatience(t *testing.T) {
	t.Run("large", func(t *testing.T) { cutOften(t, 3000, 1_000_000) })
	t.Run("small", func(t *testing.T) { cutOften(t, 1000, 300_000) })
}

// cutOften pushes a run of n samples over a network that cuts each connection after some bytes.
func cutOften(t *testing.T, n int, bytes int64) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRunOf(t, dir, 1, n)
	server := newServer(t, folder, push.DefaultLimits, nil)
	cuts := newNetwork(t, server.URL)
	cuts.bytes = bytes
	stop := make(chan struct{})
	defer close(stop)
	times := 0
	go func() { // it is there again at once, for the next MB
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			cuts.mu.Lock()
			if cuts.away {
				times++
				cuts.away, cuts.bytes = false, bytes
			}
			cuts.mu.Unlock()
		}
	}()
	o := options(cuts.url())
	o.Patience = time.Nanosecond
	if _, err := push.Push(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
	cuts.mu.Lock()
	defer cuts.mu.Unlock()
	if times < 4 {
		t.Errorf("it was cut %d times: too few to tell", times)
	}
}

// Many clients at once, more than may: each waits for its turn, and each run is there whole.
func TestManyWriters(t *testing.T) {
	folder := t.TempDir()
	limits := push.DefaultLimits
	limits.Uploads = 3
	server := newServer(t, folder, limits, nil)
	var wg sync.WaitGroup
	for i := range 32 {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("run%d", i))
		newRun(t, dir, 4, uint64(i))
		wg.Go(func() {
			o := options(server.URL)
			o.Patience = 10 * time.Minute
			if _, err := push.Push(context.Background(), dir, o); err != nil {
				t.Errorf("run %d: %v", i, err)
				return
			}
			same(t, dir, filepath.Join(folder, filepath.Base(dir)))
		})
	}
	wg.Wait()
}

// Several clients push the same run at once, one of which is given up in the middle: it is there once, whole.
func TestOneRunOfSeveralClients(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newLargeRun(t, dir, 6)
	server := newServer(t, folder, push.DefaultLimits, nil)
	ctx, give := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			o, ctx := options(server.URL), ctx
			o.Patience = 10 * time.Minute
			if i > 0 {
				ctx = context.Background()
			} else {
				files := 0
				o.Progress = func(string, int64) {
					if files++; files == 4 {
						give()
					}
				}
			}
			if _, err := push.Push(ctx, dir, o); err != nil && i > 0 {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	give()
	same(t, dir, filepath.Join(folder, "mine"))
}

// Two runs under one name, pushed at the same moment: one is there, whole and with nothing of the other, and the other is refused.
func TestTwoRunsOfOneName(t *testing.T) {
	for seed := range uint64(5) {
		folder := t.TempDir()
		server := newServer(t, folder, push.DefaultLimits, nil)
		dirs := make([]string, 2)
		errs := make([]error, 2)
		for i := range dirs {
			dirs[i] = filepath.Join(t.TempDir(), "mine")
			newRun(t, dirs[i], 2, 10*seed+uint64(i))
		}
		var wg sync.WaitGroup
		for i, dir := range dirs {
			wg.Go(func() { _, errs[i] = push.Push(context.Background(), dir, options(server.URL)) })
		}
		wg.Wait()
		first := 0
		if errs[0] != nil {
			first = 1
		}
		if errs[first] != nil || errs[1-first] == nil || !strings.Contains(errs[1-first].Error(), "name") {
			t.Fatalf("errors %v: want one, that says to choose another name", errs)
		}
		same(t, dirs[first], filepath.Join(folder, "mine"))
	}
}

// What a client brought that gave up is not part of what another brings in its place.
func TestLeftByOthers(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 2, 1)
	server := newServer(t, folder, push.DefaultLimits, nil)
	for _, path := range []string{"mine/samples/test.arrow", "mine/notes.txt"} {
		if status, text := put(t, server, path, []byte("x"), nil); status != 201 {
			t.Fatalf("%s: status %d: %s", path, status, text)
		}
		if status, text := put(t, server, path, []byte("x"), nil); status != 200 {
			t.Fatalf("%s again: status %d: %s", path, status, text)
		}
	}
	// One that is cut off stays in part.
	part := func(path string) {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "PUT /api/push/%s HTTP/1.1\r\nHost: x\r\nLogitscope-Run: ID\r\nContent-Digest: %s\r\nContent-Length: 9\r\n\r\nx", path, digest([]byte("123456789")))
		conn.(*net.TCPConn).CloseWrite()
		if text, err := io.ReadAll(conn); err != nil || !strings.Contains(string(text), "and then no more") {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	part("mine/samples/more.arrow")
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// A run that ended and was pushed is resumed and pushed again: it counts as running until its new end.
func TestPushOfResumed(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 2, 1)
	server := newServer(t, folder, push.DefaultLimits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	w, err := record.Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	writeEpoch(t, w, 3, 1)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	endsAlike(t, w, dir, filepath.Join(folder, "mine"), options(server.URL))
}

// Weights of any size may be part of a run: only what is held in memory is bounded more narrowly.
func TestLargeCheckpoints(t *testing.T) {
	server := newServer(t, t.TempDir(), push.DefaultLimits, nil)
	for path, want := range map[string]string{
		"mine/epochs/000001/epoch.json": "413", "mine/end.json": "413", "mine/config.yaml": "100", "mine/samples/val.arrow": "100",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /api/push/%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nLogitscope-Run: ID\r\nContent-Digest: %s\r\nContent-Length: %d\r\n\r\n", path, digest(nil), 300<<20)
		head := make([]byte, len("HTTP/1.1 100"))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 "+want {
			t.Errorf("%s: %q, %v, want %s", path, head, err, want)
		}
		conn.Close()
	}
}

// A folder of runs that was there before the server is taken as it is.
func TestRestartedServer(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 2, 1)
	first := newServer(t, folder, push.DefaultLimits, nil)
	data, err := os.ReadFile(filepath.Join(dir, "samples/val.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	if status, text := put(t, first, "mine/samples/val.arrow", data, nil); status != 201 {
		t.Fatalf("status %d: %s", status, text)
	}
	second := newServer(t, folder, push.DefaultLimits, nil)
	if status, text := put(t, second, "mine/samples/val.arrow", data, nil); status != 200 {
		t.Errorf("what the first server acknowledged: status %d: %s", status, text)
	}
	if _, err := push.Push(context.Background(), dir, options(second.URL)); err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// What is between a client and the server may take only so much at once, as nginx does: files come in pieces.
func TestProxyTakesLittle(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newLargeRun(t, dir, 1)
	refused := 0
	server := newServer(t, folder, push.DefaultLimits, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 1<<20 {
				refused++
				http.Error(w, "<html>413 Request Entity Too Large</html>", http.StatusRequestEntityTooLarge)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err != nil {
		t.Fatal(err)
	}
	if refused == 0 || refused > 5 {
		t.Errorf("%d requests were refused", refused)
	}
	same(t, dir, filepath.Join(folder, "mine"))
}

// An epoch that is damaged at its sender is left out and named; the others come across.
func TestPushOfDamaged(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	newRun(t, dir, 5, 1)
	path := filepath.Join(dir, "epochs/000002/val.arrow")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "epochs/000004/epoch.json")); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, folder, push.DefaultLimits, nil)
	if _, err := push.Push(context.Background(), dir, options(server.URL)); err == nil || !strings.Contains(err.Error(), "epochs/000002") || !strings.Contains(err.Error(), "left out") {
		t.Errorf("error %v, want one that names what was left out", err)
	}
	run, err := record.Open(filepath.Join(folder, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if got := fmt.Sprint(run.Epochs(), run.State()); got != "[1 3 5]"+record.StateComplete {
		t.Errorf("the copy has %s", got)
	}
}

// A server, or a proxy before it, says how long it wants to be left alone. A full disk may be over as well.
func TestRetryAfter(t *testing.T) {
	for _, refused := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusInsufficientStorage} {
		dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
		newRun(t, dir, 1, 1)
		var asked []time.Time
		server := newServer(t, folder, push.DefaultLimits, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked = append(asked, time.Now()); len(asked) == 2 {
					w.Header().Set("Retry-After", "1")
					push.Problem(w, refused, "not now")
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		if _, err := push.Push(t.Context(), dir, options(server.URL)); err != nil {
			t.Fatal(err)
		}
		same(t, dir, filepath.Join(folder, "mine"))
		if waited := asked[2].Sub(asked[1]); waited < time.Second { // a slow machine waits longer alone
			t.Errorf("status %d: asked again after %v", refused, waited)
		}
	}
}

// A server that asks to be left alone for longer than a client's patience is asked once more at its end.
func TestRetryAfterPatience(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	newRun(t, dir, 1, 1)
	server := newServer(t, t.TempDir(), push.DefaultLimits, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "50000")
			push.Problem(w, http.StatusServiceUnavailable, "not today")
		})
	})
	o := options(server.URL)
	o.Patience = 50 * time.Millisecond
	if _, err := push.Push(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "not today (status 503)") {
		t.Errorf("error %v", err)
	}
}

// endsAlike checks that the copy of a run that is being written has three epochs and is live, then ends the run, sends the rest, and checks that the copy
// is the same.
func endsAlike(t *testing.T, w *record.Writer, dir, copied string, o push.Options) {
	t.Helper()
	run, err := record.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	state, epochs := run.State(), len(run.Epochs())
	run.Close()
	if state != record.StateRunning || epochs != 3 {
		t.Errorf("the copy has %d epochs and is %s", epochs, state)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Push(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	same(t, dir, copied)
}

// A run that is removed at the server while it is sent is sent anew, and readers see that it is being written.
func TestRemovedAtServer(t *testing.T) {
	dir, folder := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	w := newWriter(t, dir, 1)
	for epoch := range 3 {
		writeEpoch(t, w, epoch+1, 1)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, folder, push.DefaultLimits, nil)
	o, removed := options(server.URL), false
	o.Progress = func(path string, _ int64) {
		if path == "epochs/000002/epoch.json" && !removed {
			removed = true
			if err := os.RemoveAll(filepath.Join(folder, "mine")); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := push.Push(t.Context(), dir, o); err != nil || !removed {
		t.Fatal(err, removed)
	}
	endsAlike(t, w, dir, filepath.Join(folder, "mine"), o)
}
