//go:build unix

package server_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/logitscope/logitscope/record"
)

// While a run is written, 200 viewers follow its events and read its pages and answers: no answer fails, every viewer hears of the end,
// and descriptors and memory are afterwards what they were.
func TestManyViewers(t *testing.T) {
	const viewers, epochs = 200, 10
	root := filepath.Join(t.TempDir(), "runs")
	recorded(t, filepath.Join(root, "one"))
	w := create(t, filepath.Join(root, "two"))
	if err := w.WriteEpoch(0, logitsOf(0)); err != nil {
		t.Fatal(err)
	}
	address, stop := started(t, root)
	descriptorsBefore, heapBefore := descriptors(t), heap()
	read := func(client *http.Client, path string) error {
		answer, err := client.Get("http://" + address + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && (answer.StatusCode != http.StatusOK || len(body) == 0) {
			err = fmt.Errorf("%s: %s: %.200s", path, answer.Status, body)
		}
		return err
	}
	var readers, followers sync.WaitGroup
	for viewer := range viewers {
		events := listen(t, address)
		followers.Go(func() {
			for e := range events {
				if e.Name == "two" && e.State == record.StateComplete {
					return
				}
			}
			t.Errorf("viewer %d did not hear of the end", viewer)
		})
		readers.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: time.Hour}
			for _, path := range []string{"/", "/api/runs", "/api/runs/two", "/api/runs/two/curves", "/api/runs/one/epochs/2/graphs", "/api/runs/two/epochs/0/graphs"} {
				if err := read(client, path); err != nil {
					t.Errorf("viewer %d: %v", viewer, err)
					return
				}
			}
		})
	}
	for epoch := 1; epoch <= epochs; epoch++ {
		if err := w.WriteEpoch(epoch, logitsOf(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	followers.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// Connections are closed by goroutines of their own, a moment later.
	for end := time.Now().Add(2 * time.Minute); descriptors(t) > descriptorsBefore+10 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if more := descriptors(t) - descriptorsBefore; more > 10 {
		t.Errorf("%d descriptors more after %d viewers", more, viewers)
	}
	if more := heap() - heapBefore; more > 16<<20 {
		t.Errorf("%d bytes more after %d viewers", more, viewers)
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
