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
	Root  string       // a run directory, or a folder of runs, which may appear later; "" serves no run
	Addr  string       // the HOST:PORT that the server listens on
	Token string       // the token that every request must carry; "" asks for none, which only an Addr of this machine alone allows
	Web   fs.FS        // the built dashboard; without an index.html a page says how to build it
	Log   *slog.Logger // receives errors, and never the token

	// Framed says whether pages of servers on this machine, such as a notebook's, may show the dashboard in a frame.
	Framed bool

	// Accept writes the runs that clients push into the folder Root; nil refuses them. It needs a Token, also on this machine alone.
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

// waits holds how long a client may take to send the headers of a request, to send all of it, and to read the answer.
type waits struct{ header, request, answer time.Duration }

// patient holds the waits of a server. The answer's is longer than the time between two heartbeats of a stream of events.
var patient = waits{header: 5 * time.Second, request: 10 * time.Second, answer: 30 * time.Second}

// New returns a server for a configuration, or an error that says what is wrong with it. For an address that other machines can reach and no token,
// the error says how to give one.
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

// route is a pattern of http.ServeMux and its handler.
type route struct {
	pattern string
	handler http.Handler
	stream  bool // whether the answer is a stream, which is not compressed
}

// routes returns the list of everything that is served.
func (s *Server) routes() []route {
	routes := s.reading()
	if s.config.Accept != nil {
		status, file := http.HandlerFunc(s.config.Accept.ServeStatus), http.HandlerFunc(s.config.Accept.ServeFile)
		routes = append(routes, route{"GET /api/push/{run}", status, true}, route{"GET /api/push/{run}/{path...}", status, true}, route{"PUT /api/push/{run}/{path...}", file, true})
	}
	return routes
}

// Handler returns the handler of all requests.
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
		// The guard checks OPTIONS * as it does any other request.
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
