package convert

import "testing"

// HoldTexts lets Import hold so many bytes of texts during a test.
func HoldTexts(t *testing.T, bytes int) {
	before := maxTexts
	maxTexts = bytes
	t.Cleanup(func() { maxTexts = before })
}
