package record

import (
	"fmt"
	"io/fs"
)

// What a run may lack, for errors.Is. Each of these is an fs.ErrNotExist too.
var (
	ErrNoRun        = fmt.Errorf("no run: %w", fs.ErrNotExist)        // a directory that holds none
	ErrNoSplit      = fmt.Errorf("no such split: %w", fs.ErrNotExist) // none of that name in the manifest
	ErrNoEpoch      = fmt.Errorf("no such epoch: %w", fs.ErrNotExist) // not committed: not yet, or never kept
	ErrNoCheckpoint = fmt.Errorf("no checkpoint: %w", fs.ErrNotExist) // none of that epoch
	ErrNoFile       = fmt.Errorf("no such file: %w", fs.ErrNotExist)  // none of that name from its writer
)

// absence is an error of one of the kinds above, in words of its own.
type absence struct {
	text string
	kind error
}

func (e *absence) Error() string { return e.text }
func (e *absence) Unwrap() error { return e.kind }

func lacks(kind error, format string, args ...any) error {
	return &absence{fmt.Sprintf(format, args...), kind}
}

// NewerError refuses a run of a format, or with a need, that this package does not know yet.
type NewerError struct {
	Run     string
	Version int    // of its format
	Need    string // what of that format it needs; "" where the format itself is unknown
	seal    error  // nil where the manifest is as it was written
}

func (e *NewerError) Error() string {
	if e.Version <= FormatVersion {
		return fmt.Sprintf("run %s needs %q, which this logitscope cannot read: upgrade", e.Run, e.Need)
	}
	text := fmt.Sprintf("run %s has format %d, this logitscope reads up to %d: upgrade", e.Run, e.Version, FormatVersion)
	if e.seal != nil {
		text += fmt.Sprintf(" (or %s is damaged: %v)", manifestFile, e.seal)
	}
	return text
}

// NotKeptError says that a run does not hold what a question needs: it was not recorded, or not in the encoding of its rows.
type NotKeptError struct {
	What  string // in words, to follow "keeps no" or "keeps": KeptLogits, …
	Epoch int
	Split string
	Why   string // what is there in its place
}

// What may not be kept of a split at an epoch.
const (
	KeptLogits = "all logits of a row"
	KeptStats  = "statistics of rows"
	KeptRows   = "the rows of all samples"
)

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("epoch %d of %s does not keep %s: %s", e.Epoch, e.Split, e.What, e.Why)
}

// Damage says what is wrong with one file of a run. It is the error of reading that file.
type Damage struct {
	Path  string `json:"path"`
	Epoch int    `json:"epoch"` // -1 for a file that is no epoch's
	Split string `json:"split"` // "" for a file that is no split's
	What  string `json:"what"`
}

func (d *Damage) Error() string { return d.Path + ": " + d.What }
