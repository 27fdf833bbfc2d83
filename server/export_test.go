package server

// CloseRuns lets go of the runs of a server whose Handler was used without Serve.
func CloseRuns(s *Server) { s.runs.close() }

// Patterns returns the pattern of every route.
func Patterns(s *Server) (patterns []string) {
	for _, r := range s.routes() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}
