package server

import "testing"

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
