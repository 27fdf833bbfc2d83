package push_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

// The server is killed again and again under load: what it acknowledged is there, once, and the clients get everything across.
// LOGITSCOPE_TEST_KILLS says how often; RELIABILITY asks for 100.
func TestServerKilled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process inherits a socket here")
	}
	kills := 8
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
	// Clients push one run after the other until the killing is over.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	acknowledged := map[string]string{}
	var clients sync.WaitGroup
	for i := range 3 {
		source := t.TempDir()
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				dir := filepath.Join(source, fmt.Sprintf("client%d-%d", i, n))
				newRun(t, dir, 5, uint64(100*i+n))
				o := options("http://" + addr)
				o.Patience = time.Hour
				if _, err := push.Push(context.Background(), dir, o); err != nil {
					t.Errorf("%s: %v", filepath.Base(dir), err)
					return
				}
				mu.Lock()
				acknowledged[dir] = filepath.Join(folder, filepath.Base(dir))
				mu.Unlock()
			}
		})
	}
	for range kills {
		server := start(1 + rand.IntN(40))
		if err := server.Wait(); server.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the server ended by itself: %v", err)
		}
		mu.Lock()
		whole := make(map[string]string, len(acknowledged))
		for dir, copied := range acknowledged {
			whole[dir] = copied
		}
		mu.Unlock()
		for dir, copied := range whole {
			same(t, dir, copied)
		}
	}
	server := start(0)
	cancel()
	clients.Wait()
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	if len(acknowledged) < 3 {
		t.Errorf("%d runs came across", len(acknowledged))
	}
	for dir, copied := range acknowledged {
		same(t, dir, copied)
	}
}
