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
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/logitscope/logitscope/push"
)

// TestMain is also the server that TestServerKilled kills.
func TestMain(m *testing.M) {
	folder, addr := os.Getenv("PUSH_TEST_FOLDER"), os.Getenv("PUSH_TEST_ADDR")
	if folder == "" {
		os.Exit(m.Run())
	}
	receiver, err := push.NewReceiver(folder, push.DefaultLimits)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/push/{run}", receiver.ServeStatus)
	mux.HandleFunc("GET /api/push/{run}/{path...}", receiver.ServeStatus)
	mux.HandleFunc("PUT /api/push/{run}/{path...}", receiver.ServeFile)
	panic(http.ListenAndServe(addr, mux))
}

// The server is killed again and again under load: what it acknowledged is there, once, and the clients get everything across.
// LOGITSCOPE_TEST_KILLS says how often; RELIABILITY asks for 100.
func TestServerKilled(t *testing.T) {
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
	addr, folder := listener.Addr().String(), t.TempDir()
	listener.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "PUSH_TEST_FOLDER="+folder, "PUSH_TEST_ADDR="+addr)
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
				o.Patience = time.Minute
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
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	server := start()
	for range kills {
		time.Sleep(time.Duration(20+rng.IntN(400)) * time.Millisecond)
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait()
		mu.Lock()
		whole := make(map[string]string, len(acknowledged))
		for dir, copied := range acknowledged {
			whole[dir] = copied
		}
		mu.Unlock()
		for dir, copied := range whole {
			same(t, dir, copied)
		}
		server = start()
	}
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
