package record

import (
	"fmt"
	"io/fs"
)

// Errors of what a run may lack, for errors.Is. Each is an fs.ErrNotExist too.
var (
	ErrNoRun        = fmt.Errorf("no run: %w", fs.ErrNotExist)        // the directory holds no run
	ErrNoSplit      = fmt.Errorf("no such split: %w", fs.ErrNotExist) // the manifest names no such split
	ErrNoEpoch      = fmt.Errorf("no such epoch: %w", fs.ErrNotExist) // the epoch is not committed yet, or was never kept
	ErrNoCheckpoint = fmt.Errorf("no checkpoint: %w", fs.ErrNotExist) // the epoch has no checkpoint
	ErrNoFile       = fmt.Errorf("no such file: %w", fs.ErrNotExist)  // the run's writer gave it no such file
)

// absence is an error of one of the kinds above with a text of its own.
type absence struct {
	text string
	kind error
}

func (e *absence) Error() string { return e.text }
func (e *absence) Unwrap() error { return e.kind }

// lacks returns an absence of a kind, with a text that is formatted as by fmt.Sprintf.
func lacks(kind error, format string, args ...any) error {
	return &absence{fmt.Sprintf(format, args...), kind}
}

// NewerError says that a run has a format, or a need, that this package does not know.
type NewerError struct {
	Run     string // the base name of the run's directory
	Version int    // the format of the run
	Need    string // the entry of the manifest's needs that is unknown; "" where the format itself is unknown
	seal    error  // the error of the manifest's seal, which may mean damage instead; nil where the seal is intact
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

// NotKeptError says that a run does not keep what a question needs, because it was not recorded or is not in the encoding of the rows.
type NotKeptError struct {
	What  string // what is not kept, in words that follow "does not keep": KeptLogits, KeptStats or KeptRows
	Epoch int
	Split string
	Why   string // why it is needed, or what is kept in its place
}

// What a NotKeptError may name.
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
	Path  string `json:"path"`  // the path of the file, which begins with the run's directory
	Epoch int    `json:"epoch"` // the epoch that the file belongs to; -1 for none
	Split string `json:"split"` // the split that the file belongs to; "" for none
	What  string `json:"what"`  // what is wrong with the file
}

func (d *Damage) Error() string { return d.Path + ": " + d.What }
