package analysis

import (
	"context"
	"maps"
	"slices"

	"github.com/logitscope/logitscope/record"
)

// Memory is a run in memory. It must not be changed while it is asked.
type Memory struct {
	Run       record.Manifest              // its splits are those of Samples
	SamplesOf map[string]*record.Samples   // by split
	Logits    map[int]map[string][]float32 // [N,Columns], by epoch and split
}

// Arrays is a run of one split, record.ValSplit, and one epoch, 1, which is of logits [N,columns] and their labels.
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

// State is record.StateComplete.
func (m *Memory) State() string { return record.StateComplete }

// Epochs are those of Logits.
func (m *Memory) Epochs() []int { return slices.Sorted(maps.Keys(m.Logits)) }

// Samples are those of a split.
func (m *Memory) Samples(split string) (*record.Samples, error) {
	samples, ok := m.SamplesOf[split]
	if !ok {
		return nil, NotFound("no split %q in %s", split, m.Run.Name)
	}
	return samples, nil
}

// Rows opens the rows of a split at an epoch.
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
