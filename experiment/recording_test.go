package experiment

import (
	"path/filepath"
	"testing"
)

// A run of more than one expects is announced with its size.
func TestWarnOfSize(t *testing.T) {
	large := func(epochs int, kept string) (large []RunIsLarge) {
		t.Helper()
		c := Default()
		c.Epochs, c.Record = epochs, kept
		e, err := Plan(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.session(filepath.Join(t.TempDir(), "run"), func(event Event) { large = append(large, event.(RunIsLarge)) })
		if err != nil {
			t.Fatal(err)
		}
		s.warnOfSize()
		return large
	}
	// 1,797 samples of 10 logits and an id are 86,256 bytes an epoch.
	if got := large(100_000, "all"); len(got) != 1 || got[0].Epochs != 100_000 || got[0].PerEpoch != 86_256 || got[0].Bytes != 8_625_600_000 {
		t.Errorf("%+v", got)
	}
	for _, kept := range []string{"every:10", "last", "none"} {
		if got := large(100_000, kept); got != nil {
			t.Errorf("recording %s: %+v", kept, got)
		}
	}
}
