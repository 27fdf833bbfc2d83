package cli

import (
	"strings"
	"testing"

	"github.com/logitscope/logitscope/experiment"
)

// A large run is announced with its size, the room that there is, and what makes it smaller.
func TestSaysThatARunIsLarge(t *testing.T) {
	for free, disk := range map[int64]string{-1: "8.0 GiB; --record", 5 << 30: "; the disk has 5.0 GiB free; --record"} {
		var said strings.Builder
		teller{out: &said}.events(t.Context())(experiment.RunIsLarge{Epochs: 100_000, PerEpoch: 86_256, Bytes: 8_625_600_000, Free: free})
		for _, want := range []string{"100000 epochs of 1 MiB make a run of 8.0 GiB", disk, "--record every:10, last, best or none"} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("said %q, want %q", said.String(), want)
			}
		}
	}
}
