package analysis

import (
	"context"
	"errors"
	"fmt"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Source is a run that can be asked: one in a directory, for which New stands in, one in memory (Memory), or another of a caller's own.
type Source interface {
	// Manifest says what the run is. It must not be changed.
	Manifest() *record.Manifest

	// State is record.StateRunning, StateComplete, StateInterrupted or StateFailed.
	State() string

	// Epochs are those whose rows are kept, rising.
	Epochs() []int

	// Samples are those of a split.
	Samples(split string) (*record.Samples, error)

	// Rows opens the rows of a split at an epoch. It stops, with the error of ctx, where that ends.
	Rows(ctx context.Context, epoch int, split string) (Rows, error)
}

// Rows are the rows of one split at one epoch, open for reading. Several goroutines may read them at once.
type Rows interface {
	// Info says how many there are, of how many samples, and what is kept of each.
	Info() record.RowsInfo

	// Sample is the place, in the Samples of the split, of the sample that row i is of.
	Sample(i int) int

	// At returns n rows from the first on, which must not be written to and stay until Close.
	At(first, n int) record.Block

	Close() error
}

// Directory is what a run on the disk keeps beside its rows. A Source that has this too is asked for it.
type Directory interface {
	Epoch(epoch int) ([]record.RowsInfo, error)    // what it holds of each split, without reading any row
	Figures() ([]record.Figures, error)            // of epochs whose rows are not kept
	Missing() (gaps []record.Gap, damaged []error) // epochs that were committed and are gone
	Checkpoints() ([]int, error)                   // epochs of which there is a checkpoint, rising
	Folds() (*record.Run, error)                   // nil where it has none
	File(name string) ([]byte, error)              // that its writer put beside it
}

// directory is a run directory as a Source.
type directory struct{ *record.Run }

func (d directory) Rows(ctx context.Context, epoch int, split string) (Rows, error) {
	rows, err := d.Run.Rows(ctx, epoch, split)
	if err != nil {
		return nil, err
	}
	return directoryRows{rows}, nil
}

type directoryRows struct{ *record.Rows }

func (r directoryRows) Info() record.RowsInfo { return r.RowsInfo }

// Split is a split at an epoch, open for reading: its rows with their labels.
type Split struct {
	Rows
	Samples *record.Samples
	Columns int
}

// Open opens a split at an epoch, to be closed. It needs the logits: where the run did not keep them that is an error of type
// *record.NotKeptError. What reads the rows does so within Guard.
func (a *Analyzer) Open(ctx context.Context, epoch int, split string) (*Split, error) {
	rows, err := a.source.Rows(ctx, epoch, split)
	if err != nil {
		return nil, err
	}
	if !rows.Info().Dense {
		rows.Close()
		return nil, &record.NotKeptError{What: record.KeptLogits, Epoch: epoch, Split: split, Why: "what is asked needs them"}
	}
	samples, err := a.Samples(split) // behind the rows, which may be of samples that are new
	if err != nil {
		rows.Close()
		return nil, err
	}
	return &Split{rows, samples, a.source.Manifest().Columns}, nil
}

// Read opens a split at an epoch for use, which must not keep it.
func (a *Analyzer) Read(ctx context.Context, epoch int, split string, use func(*Split) error) error {
	if err := a.CheckSplit(split); err != nil {
		return err
	}
	s, err := a.Open(ctx, epoch, split)
	if err != nil {
		return err
	}
	defer s.Close()
	return Guard(rowsOf(epoch, split), func() error { return use(s) })
}

// unanswerable reports whether an error of reading ends the question: its context has ended, or the run did not keep what it needs. Other
// errors are of one epoch, which the answer does without and says so.
func unanswerable(ctx context.Context, err error) bool {
	var notKept *record.NotKeptError
	return err != nil && (ctx.Err() != nil || errors.As(err, &notKept))
}

// rowsOf names the rows of a split at an epoch.
func rowsOf(epoch int, split string) string { return fmt.Sprintf("epoch %d, split %s", epoch, split) }

// Len is how many rows there are: fewer than samples, where only some were recorded.
func (s *Split) Len() int { return s.Info().N }

// Row returns the row of a sample by its place, false where there is none.
func (s *Split) Row(sample int) (row int, ok bool) { return rowOf(s, sample) }

// rowOf returns the row of a sample by its place, false where there is none.
func rowOf(rows Rows, sample int) (row int, ok bool) {
	n := rows.Info().N
	if sample < n && rows.Sample(sample) == sample {
		return sample, true
	}
	for i := range n {
		if rows.Sample(i) == sample {
			return i, true
		}
	}
	return 0, false
}

// Batch is n rows from the first on.
func (s *Split) Batch(first, n int) summary.Batch {
	block := s.At(first, n)
	return summary.Batch{Logits: block.Logits, Labels: labelsOf(block, s, s.Samples), Columns: s.Columns, First: first}
}

// Each hands all rows to use, in order and some at a time. It stops where ctx ends.
func (s *Split) Each(ctx context.Context, use func(summary.Batch) error) error {
	return summary.Parts(ctx, samplesRows{s}, s.Columns, 0, s.Len(), use)
}

// samplesRows are the rows of a split, one a sample.
type samplesRows struct{ *Split }

func (r samplesRows) Part(first, n int) summary.Batch { return r.Batch(first, n) }

// Decisions are what is decided of the rows of a split. Most heads take one decision a sample, of all columns. A sigmoid head takes one a
// class: the class against its absence, of one column.
type Decisions struct {
	*Split
	each int // decisions of a sample
}

// Decisions returns what is decided of the rows.
func (s *Split) Decisions() Decisions {
	if s.Samples.Targets == nil {
		return Decisions{s, 1}
	}
	return Decisions{s, s.Columns}
}

// Len is how many decisions there are.
func (d Decisions) Len() int { return d.Split.Len() * d.each }

// All is how many there are of all samples of the split, recorded or not.
func (d Decisions) All() int { return len(d.Samples.IDs) * d.each }

// Width is how many columns a decision has.
func (d Decisions) Width() int {
	if d.Samples.Targets != nil {
		return 1
	}
	return d.Columns
}

// Sample is the place of the sample of the i-th decision.
func (d Decisions) Sample(i int) int { return d.Split.Sample(i / d.each) }

// Number is the i-th decision's among those of all samples of the split, recorded or not.
func (d Decisions) Number(i int) int { return d.Sample(i)*d.each + i%d.each }

// Part is n decisions from the first on.
func (d Decisions) Part(first, n int) summary.Batch {
	if d.Samples.Targets == nil {
		return d.Batch(first, n)
	}
	row, end := first/d.each, (first+n+d.each-1)/d.each
	b := summary.Batch{Logits: d.At(row, end-row).Logits[first-row*d.each:][:n], Labels: make([]int32, n), Columns: 1, First: first}
	for i := range b.Labels {
		b.Labels[i] = int32(d.Samples.Targets[d.Number(first+i)])
	}
	return b
}

// Each hands all decisions to use, in order and some at a time. It stops where ctx ends.
func (d Decisions) Each(ctx context.Context, use func(summary.Batch) error) error {
	return summary.Parts(ctx, d, d.Width(), 0, d.Len(), use)
}
