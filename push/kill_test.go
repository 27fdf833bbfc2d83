package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logitscope/logitscope/push"
)

// TestMain is also the server that TestServerKilled kills. It listens on the socket that it inherits, which outlives it.
func TestMain(m *testing.M) {
	folder := os.Getenv("PUSH_TEST_FOLDER")
	if folder == "" {
		os.Exit(m.Run())
	}
	panic(serveUntilKilled(folder, os.Getenv("PUSH_TEST_REQUESTS")))
}

// serveUntilKilled kills this process within or soon after the request of the given number, at no time where that is 0.
func serveUntilKilled(folder, number string) error {
	last, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	receiver, err := push.NewReceiver(folder, push.DefaultLimits)
	if err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/push/{run}", receiver.ServeStatus)
	mux.HandleFunc("GET /api/push/{run}/{path...}", receiver.ServeStatus)
	mux.HandleFunc("PUT /api/push/{run}/{path...}", receiver.ServeFile)
	var requests atomic.Int64
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == last {
			time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = self.Kill() })
		}
		mux.ServeHTTP(w, r)
	}))
}

// acknowledged are the files that a server has acknowledged, by the run's folder at its sender and the path in it.
type acknowledged struct {
	mu    sync.Mutex
	files map[[2]string]bool
}

func (a *acknowledged) add(dir, path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files[[2]string{dir, path}] = true
}

// check holds that each of them is in the folder of the server once, as it was sent: in its place, or where it waits for the file that names it.
func (a *acknowledged) check(t *testing.T, folder string) {
	t.Helper()
	a.mu.Lock()
	all := maps.Clone(a.files)
	a.mu.Unlock()
	for file := range all {
		want, err := os.ReadFile(filepath.Join(file[0], file[1]))
		if err != nil {
			t.Fatal(err)
		}
		run := filepath.Base(file[0])
		places := []string{filepath.Join(folder, run, file[1]), filepath.Join(folder, ".tmp-push-"+run, file[1])}
		if parts := strings.Split(file[1], "/"); len(parts) == 3 {
			places = append(places, filepath.Join(folder, run, parts[0], ".tmp-"+parts[1], parts[2]))
		}
		there := 0
		for _, place := range places {
			switch got, err := os.ReadFile(place); {
			case err == nil && bytes.Equal(got, want):
				there++
			case !errors.Is(err, fs.ErrNotExist):
				t.Errorf("%s is there with other content: %v", place, err)
			}
		}
		if there != 1 {
			t.Errorf("%s of %s was acknowledged, and is there %d times", file[1], run, there)
		}
	}
}

// The server is killed again and again under load: what it acknowledged is there, once, and the clients get everything across.
// LOGITSCOPE_TEST_KILLS says how often; RELIABILITY asks for 100.
func TestServerKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process inherits a socket here")
	}
	kills := 10
	if text := os.Getenv("LOGITSCOPE_TEST_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr, folder := listener.Addr().String(), t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func(requests int) *exec.Cmd {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "PUSH_TEST_FOLDER="+folder, fmt.Sprint("PUSH_TEST_REQUESTS=", requests))
		cmd.ExtraFiles = []*os.File{socket}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	// Clients push one run after the other until the killing is over; now and then one of files that are sent in several pieces.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	came := acknowledged{files: map[[2]string]bool{}}
	var mu sync.Mutex
	whole := map[string]string{}
	var clients sync.WaitGroup
	for i := range 4 {
		source := t.TempDir()
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				dir := filepath.Join(source, fmt.Sprintf("client%d-%d", i, n))
				if (n+i)%3 == 0 {
					newLargeRun(t, dir, 2)
				} else {
					newRun(t, dir, 5, uint64(100*i+n))
				}
				o := options("http://" + addr)
				o.Patience, o.Progress = time.Hour, func(path string, _ int64) { came.add(dir, path) }
				if _, err := push.Push(context.Background(), dir, o); err != nil {
					t.Errorf("%s: %v", filepath.Base(dir), err)
					return
				}
				mu.Lock()
				whole[dir] = filepath.Join(folder, filepath.Base(dir))
				mu.Unlock()
			}
		})
	}
	for range kills {
		server := start(1 + rand.IntN(40))
		if err := server.Wait(); server.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the server ended by itself: %v", err)
		}
		came.check(t, folder)
	}
	server := start(0)
	cancel()
	clients.Wait()
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	came.check(t, folder)
	for dir, copied := range whole {
		same(t, dir, copied)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != len(whole) {
		t.Errorf("%d runs came across, and the folder holds %v, %v", len(whole), names, err)
	}
	t.Logf("%d kills, %d files of %d runs", kills, len(came.files), len(whole))
}
