package record

import (
	"strings"
	"testing"
)

// TestNamedInRefusesOtherPaths holds that a path which no sealed file has is an error, whatever the path.
func TestNamedInRefusesOtherPaths(t *testing.T) {
	for _, name := range []string{"", "a/b", "a/b/c/d", "../manifest.json", "epochs/000001/train.arrow", "lock", "end.json"} {
		if _, _, err := NamedIn(name, []byte("{}")); err == nil || !strings.Contains(err.Error(), "names no files") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
