// Package server shows recorded runs over HTTP: JSON for programs and the dashboard, and the dashboard itself.
// docs/http.md lists the routes.
//
// It is made for one person on one machine: it answers only requests whose Host is that of this machine or of its own
// address (against DNS rebinding), sends no CORS permission, and beyond loopback wants a token.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/logitscope/logitscope/push"
)

// Config says what to serve.
type Config struct {
	Root  string       // a run directory, or a folder of runs; it may appear later; "" is none
	Addr  string       // HOST:PORT that is listened on
	Token string       // wanted of every request where it is not empty; beyond loopback it must not be
	Web   fs.FS        // the built dashboard; without an index.html a page says how to build it
	Log   *slog.Logger // for what goes wrong; never sees the token

	// Framed lets pages of this machine's own servers, as a notebook's is, show the dashboard in a frame.
	Framed bool

	// Accept takes runs that are pushed to the folder Root; nil takes none. It wants a Token, also on loopback.
	Accept *push.Receiver
}

// Server serves the runs under a directory.
type Server struct {
	config  Config
	guard   guard
	runs    *runs
	watcher *watcher
	handler http.Handler
	waits   waits
}

// waits is how long a client may take to send the headers of a request and the whole of it, and to read an answer.
type waits struct{ header, request, answer time.Duration }

// The answer's is above the heartbeat, so that a stream of events lives.
var patient = waits{header: 5 * time.Second, request: 10 * time.Second, answer: 30 * time.Second}

// New checks the configuration. The error for an address beyond loopback without a token says how to give one.
func New(config Config) (*Server, error) {
	guard, err := newGuard(config.Addr, config.Token)
	if err != nil {
		return nil, err
	}
	guard.framed = config.Framed
	if config.Accept != nil && config.Token == "" {
		return nil, errors.New("a server that accepts runs wants a token: set LOGITSCOPE_TOKEN to a secret (openssl rand -hex 16)")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: config, guard: guard, runs: newRuns(config.Root), waits: patient}
	s.watcher = newWatcher(s.runs)
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		handler := r.handler
		if !r.stream {
			handler = gzhttp.GzipHandler(handler)
		}
		mux.Handle(r.pattern, handler)
	}
	s.handler = s.guard.wrap(http.NewCrossOriginProtection().Handler(mux))
	return s, nil
}

// route is a pattern of http.ServeMux and who answers it.
type route struct {
	pattern string
	handler http.Handler
	stream  bool // sent as it comes: not compressed
}

// routes is the one list of what is served.
func (s *Server) routes() []route {
	routes := s.reading()
	if s.config.Accept != nil {
		status, file := http.HandlerFunc(s.config.Accept.ServeStatus), http.HandlerFunc(s.config.Accept.ServeFile)
		routes = append(routes, route{"GET /api/push/{run}", status, true}, route{"GET /api/push/{run}/{path...}", status, true}, route{"PUT /api/push/{run}/{path...}", file, true})
	}
	return routes
}

// reading are the routes of who reads.
func (s *Server) reading() []route {
	return []route{
		{"GET /healthz", http.HandlerFunc(health), false},
		{"GET /api/runs", s.json(s.listRuns), false},
		{"GET /api/runs/{run}", s.json(s.oneRun), false},
		{"GET /api/runs/{run}/curves", s.json(s.curves), false},
		{"GET /api/runs/{run}/findings", s.json(s.findings), false},
		{"GET /api/runs/{run}/epochs/{epoch}/graphs", s.json(s.graphs), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/samples", s.json(s.hardest), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/samples/{id}", s.json(s.explain), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/score", s.json(s.score), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/calibration", s.json(s.calibration), false},
		{"GET /api/runs/{run}/splits/{split}/labels", s.json(s.labels), false},
		{"GET /api/compare", s.json(s.compare), false},
		{"GET /api/events", http.HandlerFunc(s.events), true},
		{"GET /api/", s.json(unknownRoute), false},
		{"GET /learn", learn(s.config.Web), false},
		{"GET /learn/", learn(s.config.Web), false},
		{"GET /", dashboard(s.config.Web), false},
	}
}

// Handler returns what answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers requests on listener until ctx ends; then it lets running requests finish for a moment and returns nil.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.runs.close()
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.waits.header,
		ReadTimeout:       s.waits.request,
		WriteTimeout:      s.waits.answer,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    s.guard.headerBytes(),
		// OPTIONS * is a request as any other, and goes by the guard.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
		// Requests end with ctx, so that open event streams do not hold up the end.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
