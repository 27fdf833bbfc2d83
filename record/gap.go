package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Gap is a place in the sequence of epochs where committed epochs are gone.
type Gap struct {
	After  int `json:"after"`  // the epoch before the gap; -1 where the gap is at the beginning
	Before int `json:"before"` // the epoch after the gap; -1 where the gap is at the end
	Lost   int `json:"lost"`   // the number of epochs that are gone
}

// String describes the gap in words, with the numbers of the epochs where they are certain.

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

// Missing returns the gaps where committed epochs are gone, as of the last Refresh, and the damage of the files that would tell. Each epoch's epoch.json
// says how many epochs were committed before it, and end.json how many there were in all.
func (r *Run) Missing() (gaps []Gap, damaged []error) {
	r.mu.Lock()
	epochs, end, endErr := r.epochs, r.end, r.endErr
	r.mu.Unlock()
	// Where the last epoch has the right index, all before it are there. Reading every epoch.json would take too long in a run of many epochs.
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

// gaps is Missing without the damage of end.json, and reads the epoch.json of every epoch. Who reads an epoch is told of the damage of its epoch.json.
func (r *Run) gaps() (gaps []Gap, damaged []error) {
	r.mu.Lock()
	epochs, end := r.epochs, r.end
	r.mu.Unlock()
	after, next := -1, 0 // the epoch before, and the index that the next epoch must have
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

// Unfinished returns the epochs that a writer began and did not commit before it ended, because it was killed, its disk was full, or a rank of its job
// died. It returns none of a run that is being written.
func (r *Run) Unfinished() (epochs []int) {
	if r.State() == StateRunning {
		return nil
	}
	entries, err := readFolder(r.root, epochsDir)
	if err != nil {
		return nil // who reads epochs is told of the damage
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
