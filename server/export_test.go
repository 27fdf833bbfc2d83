package server

import (
	"testing"
	"time"
)

// CloseRuns lets go of the runs of a server whose Handler was used without Serve.
func CloseRuns(s *Server) { s.runs.close() }

// Patterns returns the pattern of every route.
func Patterns(s *Server) (patterns []string) {
	for _, r := range s.routes() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// SetMaxList bounds the list of runs for one test.
func SetMaxList(t testing.TB, bytes int) {
	old := maxList
	t.Cleanup(func() { maxList = old })
	maxList = bytes
}

// Wait changes how long a server waits for its clients.
func Wait(s *Server, header, others time.Duration) { s.waits = waits{header, others, others} }
