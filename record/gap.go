package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Gap is a place where committed epochs are gone.
type Gap struct {
	After  int `json:"after"`  // the epoch before the gap, -1 where it is at the beginning
	Before int `json:"before"` // the epoch after it, -1 where it is at the end
	Lost   int `json:"lost"`   // how many
}

func (g Gap) String() string {
	switch {
	case g.Lost == 1 && g.After >= 0 && g.Before == g.After+2:
		return fmt.Sprintf("epoch %d is missing", g.After+1)
	case g.After >= 0 && g.Before == g.After+g.Lost+1:
		return fmt.Sprintf("epochs %d to %d are missing", g.After+1, g.Before-1)
	case g.After < 0 && g.Before < 0:
		return fmt.Sprintf("all %d epochs are missing", g.Lost)
	case g.After < 0:
		return fmt.Sprintf("%d before epoch %d missing", g.Lost, g.Before)
	case g.Before < 0:
		return fmt.Sprintf("%d after epoch %d missing", g.Lost, g.After)
	}
	return fmt.Sprintf("%d between epochs %d and %d missing", g.Lost, g.After, g.Before)
}

// Missing returns where committed epochs are gone, as of the last Refresh, and the damage of what would tell of them. The epochs
// that are there, and the end, say how many there were.
func (r *Run) Missing() (gaps []Gap, damaged []error) {
	r.mu.Lock()
	epochs, end, endErr := r.epochs, r.end, r.endErr
	r.mu.Unlock()
	// Where the last epoch is in its place, those before it are there: reading all would cost a run of many epochs too much.
	n := len(epochs)
	whole := end == nil || end.Epochs <= n
	if whole && n > 0 {
		info, err := r.readEpoch(epochs[n-1])
		whole = err == nil && info.Index == n-1
	}
	if !whole {
		gaps, damaged = r.gaps()
	}
	if endErr != nil {
		damaged = append(damaged, endErr)
	}
	return gaps, damaged
}

// gaps is Missing by a look at every epoch, without the damage of end.json. That of an epoch.json is its reader's to say.
func (r *Run) gaps() (gaps []Gap, damaged []error) {
	r.mu.Lock()
	epochs, end := r.epochs, r.end
	r.mu.Unlock()
	after, next := -1, 0 // the epoch before, and the index that the one after it has
	for _, epoch := range epochs {
		if info, err := r.readEpoch(epoch); err == nil {
			switch lost := info.Index - next; {
			case lost > 0:
				gaps = append(gaps, Gap{after, epoch, lost})
			case lost < 0:
				damaged = append(damaged, r.damage(epochsDir+"/"+epochName(epoch)+"/"+epochFile, epoch, "", fmt.Errorf("index %d, want %d", info.Index, next)))
			}
			next = info.Index
		}
		after = epoch
		next++
	}
	if end != nil && end.Epochs > next {
		gaps = append(gaps, Gap{after, -1, end.Epochs - next})
	}
	return gaps, damaged
}

// Unfinished returns the epochs that a writer began and did not commit before it ended: it was killed, its disk was full, or a rank of its
// job died. Of a run that is being written there are none.
func (r *Run) Unfinished() (epochs []int) {
	if r.State() == StateRunning {
		return nil
	}
	entries, err := readFolder(r.root, epochsDir)
	if err != nil {
		return nil // which whoever reads epochs is told
	}
	for _, entry := range entries {
		epoch, err := strconv.Atoi(strings.TrimPrefix(entry.Name(), tmpPrefix))
		if err == nil && epoch >= 0 && epoch <= maxEpoch && tmpPrefix+epochName(epoch) == entry.Name() {
			epochs = append(epochs, epoch)
		}
	}
	slices.Sort(epochs)
	return epochs
}
