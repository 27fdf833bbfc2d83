package analysis

import (
	"context"
	"maps"
	"slices"

	"github.com/logitscope/logitscope/record"
)

// Memory is a Source whose rows are in memory. It must not be changed while an Analyzer uses it.
type Memory struct {
	Run       record.Manifest              // the manifest, whose Splits have the names of SamplesOf
	SamplesOf map[string]*record.Samples   // the samples, by split
	Logits    map[int]map[string][]float32 // the logits [N,Columns], row-major, by epoch and split
}

// Arrays returns a run with one split, record.ValSplit, and one epoch, 1. logits is [N,columns], row-major; labels is [N]. One column makes a binary
// head, more columns a softmax head. The run keeps the slices.
func Arrays(logits []float32, columns int, labels []int32, classes []string) *Memory {
	ids := make([]int64, len(labels))
	for i := range ids {
		ids[i] = int64(i)
	}
	head := record.HeadSoftmax
	if columns == 1 {
		head = record.HeadBinary
	}
	return &Memory{
		Run: record.Manifest{
			Name: "arrays", Classes: classes, Head: head, Columns: columns, PlannedEpochs: 1,
			Splits: []record.SplitInfo{{Name: record.ValSplit, N: len(labels)}},
		},
		SamplesOf: map[string]*record.Samples{record.ValSplit: {IDs: ids, Labels: labels}},
		Logits:    map[int]map[string][]float32{1: {record.ValSplit: logits}},
	}
}

// Manifest returns Run.
func (m *Memory) Manifest() *record.Manifest { return &m.Run }

// State returns record.StateComplete.
func (m *Memory) State() string { return record.StateComplete }

// Epochs returns the epochs of Logits in rising order.
func (m *Memory) Epochs() []int { return slices.Sorted(maps.Keys(m.Logits)) }

// Samples returns the samples of a split, or a *NotFoundError.
func (m *Memory) Samples(split string) (*record.Samples, error) {
	samples, ok := m.SamplesOf[split]
	if !ok {
		return nil, NotFound("no split %q in %s", split, m.Run.Name)
	}
	return samples, nil
}

// Rows opens the rows of a split at an epoch. Where Logits has none, or not as many as samples × columns, the error is a *NotFoundError.
func (m *Memory) Rows(ctx context.Context, epoch int, split string) (Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	samples, err := m.Samples(split)
	if err != nil {
		return nil, err
	}
	logits, ok := m.Logits[epoch][split]
	if n := len(samples.IDs); !ok || len(logits) != n*m.Run.Columns {
		return nil, NotFound("%s of %s: %d logits, want those of %d samples × %d columns", rowsOf(epoch, split), m.Run.Name, len(logits), n, m.Run.Columns)
	}
	return &memoryRows{split, m.Run.Columns, samples, logits}, nil
}

type memoryRows struct {
	split   string
	columns int
	samples *record.Samples
	logits  []float32
}

func (r *memoryRows) Info() record.RowsInfo {
	n := len(r.samples.IDs)
	return record.RowsInfo{Split: r.split, N: n, Of: n, Dense: true}
}

func (r *memoryRows) Sample(i int) int { return i }

func (r *memoryRows) At(first, n int) record.Block {
	end := first + n
	return record.Block{
		First: first, IDs: r.samples.IDs[first:end], Labels: r.samples.Labels[first:end], Logits: r.logits[first*r.columns : end*r.columns],
	}
}

func (r *memoryRows) Close() error { return nil }
