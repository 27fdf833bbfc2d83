package push

import "time"

// SetStalled sets how long nothing may come through, until the function that it returns is called.
func SetStalled(after time.Duration) (reset func()) {
	a, b := stalled, unanswered
	stalled, unanswered = after, after
	return func() { stalled, unanswered = a, b }
}
