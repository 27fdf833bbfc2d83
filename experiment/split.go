package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/train"
)

// labelledPart is a split of the data with the labels that the Config gives it.
type labelledPart struct {
	dataset.Part
	labels []int32   // the labels that training sees
	clean  []int32   // the labels before wrong ones were planted; nil where none were
	soft   []float32 // [N,K] where a sample may have several classes, or where there is a teacher
}

// The random streams of an experiment; train.Config has its own.
const (
	streamSplit = 100 + iota
	streamNoise
)

// split returns the parts of the data with their labels, and plants wrong labels, or puts in a teacher's targets, where the Config says so.
func (c Config) split(data *dataset.Dataset) (parts []labelledPart, err error) {
	for _, p := range data.Parts {
		labels, soft := make([]int32, len(p.Rows)), []float32(nil)
		for i, row := range p.Rows {
			labels[i] = data.Labels[row]
			if data.Targets != nil {
				for _, on := range data.Target(int(row)) {
					soft = append(soft, float32(on))
				}
			}
		}
		parts = append(parts, labelledPart{Part: p, labels: labels, soft: soft})
	}
	if c.LabelNoise != 0 {
		p := &parts[0]
		p.clean = p.labels
		if p.labels, err = planters[c.NoiseKind](p.clean, len(data.Classes), c.LabelNoise, rand.New(rand.NewPCG(c.Seed, streamNoise))); err != nil {
			return nil, err
		}
	}
	if c.Teacher != "" {
		if parts[0].soft, err = c.teach(&parts[0], data.Classes, c.headOf(data)); err != nil {
			return nil, err
		}
	}
	if c.AllRows {
		parts = joined(parts)
	}
	return parts, c.checkFolds(len(parts[0].labels))
}

// trainSplit returns the split for package train. Its features are a view of the data's.
func (p labelledPart) trainSplit(data *dataset.Dataset) train.Split {
	return train.Split{
		Name: p.Name, Features: data.Features, Width: data.Columns, Tokens: data.Tokens, Offsets: data.Offsets, Weights: data.Weights,
		Rows: p.Rows, Labels: p.labels, Soft: p.soft, IDs: p.IDs, Input: inputOf(data),
	}
}

// inputOf returns what the features of a sample are: an image's pixels, or besides them tokens.
func inputOf(data *dataset.Dataset) nn.InputShape {
	var input nn.InputShape
	if p := data.Pipeline; p != nil && p.Tokens != nil {
		input.Buckets = p.Tokens.IDs()
	}
	if m := data.Image; m != nil && m.Height*m.Width*max(m.Channels, 1) == data.Columns {
		input.Height, input.Width, input.Channels = m.Height, m.Width, max(m.Channels, 1)
	}
	return input
}

// joined returns parts in which the validation rows are part of the training rows, behind them.
func joined(parts []labelledPart) []labelledPart {
	val := slices.IndexFunc(parts, func(p labelledPart) bool { return p.Name == record.ValSplit })
	if val < 0 {
		return parts
	}
	all, more := parts[0], parts[val]
	if all.clean != nil {
		all.clean = slices.Concat(all.clean, more.labels)
	}
	all.Rows, all.IDs = slices.Concat(all.Rows, more.Rows), slices.Concat(all.IDs, more.IDs)
	all.labels, all.soft = slices.Concat(all.labels, more.labels), slices.Concat(all.soft, more.soft)
	parts = slices.Delete(slices.Clone(parts), val, val+1)
	parts[0] = all
	return parts
}

// checkFolds returns an error for a number of folds that n training samples cannot be divided into.
func (c Config) checkFolds(n int) error {
	if c.Folds != 0 && (c.Folds < 2 || c.Folds > n) {
		return fmt.Errorf("%d folds: give 2 to %d, the number of training samples, or 0 for none", c.Folds, n)
	}
	return nil
}

// planters plant wrong labels, by the names of the kinds.
var planters = map[string]func(labels []int32, classes int, share float64, rng *rand.Rand) ([]int32, error){
	"": dataset.PlantWrongLabels, "uniform": dataset.PlantWrongLabels, "confused": dataset.PlantConfused,
}
