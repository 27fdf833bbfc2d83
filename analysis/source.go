package analysis

import (
	"context"
	"errors"
	"fmt"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Source is a run that an Analyzer asks: a run directory (New makes its Analyzer), a run in memory (Memory), or a caller's own type.
type Source interface {
	// Manifest says what the run is. It must not be changed.
	Manifest() *record.Manifest

	// State is record.StateRunning, StateComplete, StateInterrupted or StateFailed.
	State() string

	// Epochs returns the epochs whose rows are kept, in ascending order.
	Epochs() []int

	// Samples returns the samples of a split.
	Samples(split string) (*record.Samples, error)

	// Rows opens the rows of a split at an epoch. It stops when ctx ends, and returns the context's error. The caller closes the Rows.
	Rows(ctx context.Context, epoch int, split string) (Rows, error)
}

// Rows are the rows of one split at one epoch, open for reading. Several goroutines may read them at once.
type Rows interface {
	// Info says how many rows there are, of how many samples, and what is kept of each.
	Info() record.RowsInfo

	// Sample returns the place of row i's sample in the Samples of the split.
	Sample(i int) int

	// At returns the n rows from row first on. They must not be written to, and are valid until Close.
	At(first, n int) record.Block

	Close() error
}

// Directory is what a run on the disk keeps beside its rows. An Analyzer asks a Source for it that implements this interface too.
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

// Split is the rows of a split at an epoch with their labels, open for reading. A caller of Open closes it.
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

// Len returns the number of rows, which is less than the number of samples where only some were recorded.
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

// Batch returns the n rows from row first on.
func (s *Split) Batch(first, n int) summary.Batch {
	block := s.At(first, n)
	return summary.Batch{Logits: block.Logits, Labels: labelsOf(block, s, s.Samples), Columns: s.Columns, First: first}
}

// Each calls use with all rows, in order and some at a time. It stops when ctx ends or use fails, and returns that error.
func (s *Split) Each(ctx context.Context, use func(summary.Batch) error) error {
	return summary.Parts(ctx, samplesRows{s}, s.Columns, 0, s.Len(), use)
}

// samplesRows are the rows of a split, one a sample.
type samplesRows struct{ *Split }

func (r samplesRows) Part(first, n int) summary.Batch { return r.Batch(first, n) }

// Decisions are the decisions that a head takes on the rows of a split. Most heads take one decision a sample, from all columns. A sigmoid head
// takes one a class, from that class's column: the class against its absence.
type Decisions struct {
	*Split
	each int // the number of decisions on a sample
}

// Decisions returns the decisions on the rows.
func (s *Split) Decisions() Decisions {
	if s.Samples.Targets == nil {
		return Decisions{s, 1}
	}
	return Decisions{s, s.Columns}
}

// Len returns the number of decisions on the recorded rows.
func (d Decisions) Len() int { return d.Split.Len() * d.each }

// All returns the number of decisions on all samples of the split, recorded or not.
func (d Decisions) All() int { return len(d.Samples.IDs) * d.each }

// Width returns the number of columns of a decision.
func (d Decisions) Width() int {
	if d.Samples.Targets != nil {
		return 1
	}
	return d.Columns
}

// Sample returns the place of the i-th decision's sample.
func (d Decisions) Sample(i int) int { return d.Split.Sample(i / d.each) }

// Number returns the number of the i-th decision among those on all samples of the split, recorded or not.
func (d Decisions) Number(i int) int { return d.Sample(i)*d.each + i%d.each }

// Part returns the n decisions from the first on.
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

// whole returns a copy of all decisions. Part would read all of a large file before anyone could stop it; whole stops when ctx ends, and
// returns the context's error.
func (d Decisions) whole(ctx context.Context) (summary.Batch, error) {
	all := d.Part(0, 0)
	all.Labels, all.Logits = make([]int32, 0, d.Len()), make([]float32, 0, d.Len()*d.Width())
	err := d.Each(ctx, func(b summary.Batch) error {
		all.Labels, all.Logits = append(all.Labels, b.Labels...), append(all.Logits, b.Logits...)
		return nil
	})
	return all, err
}

// Each calls use with all decisions, in order and some at a time. It stops when ctx ends or use fails, and returns that error.
func (d Decisions) Each(ctx context.Context, use func(summary.Batch) error) error {
	return summary.Parts(ctx, d, d.Width(), 0, d.Len(), use)
}
