package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// started serves root on a free port until stop is called, which returns what Serve returned. Clients may be as slow as the machine is.
func started(t testing.TB, root string) (address string, stop func() error) {
	t.Helper()
	return startedFor(t, root, time.Hour)
}

// startedFor is started, for clients that send their headers within a time.
func startedFor(t testing.TB, root string, header time.Duration) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Root: root, Addr: listener.Addr().String(), Web: page, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server.Wait(s, header, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	stop = func() error {
		cancel()
		return <-served
	}
	t.Cleanup(cancel)
	return listener.Addr().String(), stop
}

type event struct {
	Name   string
	Epochs int
	State  string
}

// listen follows the events of a server; the channel is closed when the stream ends.
func listen(t testing.TB, address string) <-chan event {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip") // a compressed stream would be held back
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" || answer.Header.Get("Content-Encoding") != "" {
		t.Fatalf("events: %d, %v", answer.StatusCode, answer.Header)
	}
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer answer.Body.Close()
		kind := ""
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = name
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && kind == "run" {
				var e event
				if json.Unmarshal([]byte(data), &e) == nil {
					events <- e
				}
			}
		}
	}()
	return events
}

// next waits for an event, for long enough that only a server that tells nothing fails.
func next(t testing.TB, events <-chan event) event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(5 * time.Minute):
		t.Fatal("no event")
	}
	panic("unreachable")
}

// Listeners hear of each run at once, of each epoch it gains, of runs that appear and of their end; the stream ends with
// the server, which then returns without an error.
func TestEvents(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	recorded(t, filepath.Join(root, "one"))
	address, stop := started(t, root)
	events, others := listen(t, address), listen(t, address)
	expect := func(want event) {
		t.Helper()
		for _, heard := range []<-chan event{events, others} {
			if got := next(t, heard); got != want {
				t.Errorf("event %+v, want %+v", got, want)
			}
		}
	}
	expect(event{"one", 3, record.StateComplete})
	w := create(t, filepath.Join(root, "two"))
	expect(event{"two", 0, record.StateRunning})
	for epoch := 1; epoch <= 2; epoch++ {
		if err := w.WriteEpoch(epoch, logitsOf(epoch)); err != nil {
			t.Fatal(err)
		}
		expect(event{"two", epoch, record.StateRunning})
	}
	if err := w.Close(record.StateInterrupted); err != nil {
		t.Fatal(err)
	}
	expect(event{"two", 2, record.StateInterrupted})
	if err := stop(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
	for _, heard := range []<-chan event{events, others} {
		select {
		case e, ok := <-heard:
			if ok {
				t.Errorf("event %+v after the end", e)
			}
		case <-time.After(5 * time.Minute):
			t.Error("the stream outlives the server")
		}
	}
	if connection, err := net.Dial("tcp", address); err == nil {
		connection.Close()
		t.Error("the server still listens")
	}
}

// A listener that cannot be served is told of by Serve.
func TestServeOnAClosedListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	s, err := server.New(server.Config{Addr: listener.Addr().String(), Root: t.TempDir(), Web: page})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), listener); err == nil {
		t.Error("no error")
	}
}

// Clients that never finish their request, or never read an answer, hold up nobody.
func TestSlowConnections(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	recorded(t, filepath.Join(root, "one"))
	address, stop := started(t, root)
	for i := range 200 {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		// Half of them stop within the headers, half after an answer that they never read.
		request := "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
		if i%2 == 1 {
			request = strings.Repeat("GET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n", 20)
		}
		if _, err := io.WriteString(connection, request); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		answer, err := http.Get("http://" + address + "/api/runs/one/epochs/1/graphs")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("a healthy request beside slow ones: %d, %v", answer.StatusCode, err)
		}
		answer.Body.Close()
	}
	if err := stop(); err != nil {
		t.Errorf("Serve returned %v with slow connections open", err)
	}
}

// The answer to headers that are not finished in time is the end of the connection.
func TestUnfinishedHeaders(t *testing.T) {
	address, _ := startedFor(t, t.TempDir(), 10*time.Millisecond)
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") // which may come too late as it is
	_ = connection.SetReadDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.ReadAll(connection); errors.Is(err, os.ErrDeadlineExceeded) { // a reset is an end as well
		t.Errorf("the connection stays open: %v", err)
	}
}

// Headers and addresses beyond the limit are refused; an address of Learn may hold a million logits.
func TestHugeHeader(t *testing.T) {
	address, _ := started(t, t.TempDir())
	for _, c := range []struct {
		path, header string
		status       int
	}{
		{"/healthz", strings.Repeat("x", 64<<10), http.StatusRequestHeaderFieldsTooLarge},
		{"/healthz?x=" + strings.Repeat("x", 64<<10), "", http.StatusRequestHeaderFieldsTooLarge},
		{"/learn/softmax", strings.Repeat("x", 64<<10), http.StatusRequestHeaderFieldsTooLarge},
		{"/learn/softmax?z=" + strings.Repeat("1,", 1_000_000), "", http.StatusOK},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Huge", c.header)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("%.20s with a header of %d bytes: status %d, want %d", c.path, len(c.header), answer.StatusCode, c.status)
		}
	}
}
