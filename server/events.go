package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	pollInterval      = 150 * time.Millisecond
	heartbeatInterval = 15 * time.Second
	writeTimeout      = 30 * time.Second // for who has stopped reading; above the heartbeat, so that a stream lives
)

// runState is what an event tells of a run.
type runState struct {
	Name   string `json:"name"`
	Epochs int    `json:"epochs"`
	State  string `json:"state"`
}

// watcher looks at the runs every so often while someone listens: another process may be writing them, and a look at the
// folder works on every file system.
type watcher struct {
	runs *runs

	mu        sync.Mutex
	known     map[string]runState
	listeners map[chan struct{}]bool
	stop      chan struct{} // of the polling, while there is any
}

func newWatcher(r *runs) *watcher {
	return &watcher{runs: r, known: map[string]runState{}, listeners: map[chan struct{}]bool{}}
}

// listen returns a channel on which it is told that something changed; unlisten gives it back.
func (w *watcher) listen() chan struct{} {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := make(chan struct{}, 1)
	w.listeners[changed] = true
	if w.stop == nil {
		w.stop = make(chan struct{})
		go w.poll(w.stop)
	}
	return changed
}

func (w *watcher) unlisten(changed chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.listeners, changed)
	if len(w.listeners) == 0 && w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

func (w *watcher) poll(stop chan struct{}) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// look reads the state of every run and wakes the listeners where one changed.
func (w *watcher) look() {
	names, err := w.runs.names()
	if err != nil {
		return // the next look may do better; requests say what is wrong
	}
	now := make(map[string]runState, len(names))
	for _, name := range names {
		if run, err := w.runs.get(name); err == nil {
			now[name] = runState{name, newest(run), run.State()}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if maps.Equal(now, w.known) {
		return
	}
	w.known = now
	for changed := range w.listeners {
		select {
		case changed <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// states returns what is known of every run, by name.
func (w *watcher) states() map[string]runState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known // replaced whole, never changed
}

// events streams the state of every run at once, and then each that changes. A listener that is slow misses states between,
// never the last.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	stream := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	changed := s.watcher.listen()
	defer s.watcher.unlisten(changed)
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	sent := map[string]runState{}
	for {
		// The server's limit on a whole answer is not meant for a stream; each write gets its own.
		_ = stream.SetWriteDeadline(time.Now().Add(writeTimeout))
		now := s.watcher.states()
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if state := now[name]; sent[name] != state {
				data, err := json.Marshal(state)
				if err == nil {
					_, err = fmt.Fprintf(w, "event: run\ndata: %s\n\n", data)
				}
				if err != nil {
					return
				}
			}
		}
		sent = now
		if stream.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-heartbeat.C:
			if _, err := fmt.Fprint(w, ": here\n\n"); err != nil {
				return
			}
		}
	}
}
