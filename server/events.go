package server

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/logitscope/logitscope/record"
)

const (
	pollInterval      = 150 * time.Millisecond
	heartbeatInterval = 15 * time.Second
)

// runState is the state of a run as events carry it.
type runState struct {
	Name   string `json:"name"`
	Epochs int    `json:"epochs"`
	State  string `json:"state"`
}

// watcher polls the runs while someone listens. Other processes write the runs, and polling works on every file system.
type watcher struct {
	runs *runs

	looking sync.Mutex // held while the runs are read
	ended   map[string]ending

	mu         sync.Mutex
	lastStates map[string]runState
	listeners  map[chan struct{}]bool
	stop       chan struct{} // ends the polling when it is closed; nil while nobody listens
}

func newWatcher(r *runs) *watcher {
	return &watcher{runs: r, ended: map[string]ending{}, lastStates: map[string]runState{}, listeners: map[chan struct{}]bool{}}
}

// listen returns a channel that receives a value when a run has changed. unlisten must be called with it in the end.
func (w *watcher) listen() chan struct{} {
	w.checkRuns()
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

// restShare is how many times as long as reading the runs took the watcher waits before it reads them again, where that is longer than the
// interval. However many runs there are, polling takes a twentieth of a processor at most.
const restShare = 20

func (w *watcher) poll(stop chan struct{}) {
	rest := pollInterval
	for {
		select {
		case <-stop:
			return
		case <-time.After(rest):
			began := time.Now()
			w.checkRuns()
			rest = max(pollInterval, restShare*time.Since(began))
		}
	}
}

// ending is the state of a run that has ended. It is valid as long as the run's folder and its end file are the same.
type ending struct {
	dir, end fs.FileInfo
	state    runState
}

// checkRuns reads the state of every run and wakes the listeners where one changed.
func (w *watcher) checkRuns() {
	w.looking.Lock()
	defer w.looking.Unlock()
	all, err := w.runs.list()
	if err != nil {
		return // requests report the error; the next poll tries again
	}
	w.runs.forget(all)
	now, ended := make(map[string]runState, len(all)), make(map[string]ending, len(all))
	for _, one := range all {
		if one.err != nil {
			continue
		}
		dir, end := w.runs.end(one.name)
		if old, ok := w.ended[one.name]; ok && sameFile(old.dir, dir) && sameFile(old.end, end) {
			now[one.name], ended[one.name] = old.state, old
			continue
		}
		var state runState
		if w.runs.glance(one.name, func(run *record.Run) { state = runState{one.name, newest(run), run.State()} }) != nil {
			continue
		}
		now[one.name] = state
		if dir != nil && end != nil {
			ended[one.name] = ending{dir, end, state}
		}
	}
	w.ended = ended
	w.mu.Lock()
	defer w.mu.Unlock()
	if maps.Equal(now, w.lastStates) {
		return
	}
	w.lastStates = now
	for changed := range w.listeners {
		select {
		case changed <- struct{}{}:
		default: // the listener has not taken the last value yet
		}
	}
}

// sameFile reports whether two states of a path are of the same file, unchanged.
func sameFile(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && (a.IsDir() || a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size())
}

// states returns what is known of every run, by name.
func (w *watcher) states() map[string]runState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastStates // the map is replaced and never changed
}

// events streams the state of every run, and then the state of each run that changes. A slow client misses states in between, never the last.
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
		// The server's deadline for an answer does not fit a stream: each write has its own.
		_ = stream.SetWriteDeadline(time.Now().Add(s.waits.answer))
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
