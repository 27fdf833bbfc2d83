package analysis

import (
	"context"

	"github.com/logitscope/logitscope/summary"
)

// Graphs are the four graphs of an epoch: how raw logit, softmax, log-softmax and NLL are distributed over the samples of
// each split, for the true class and for the other classes.
type Graphs struct {
	Run        string     `json:"run"`
	Epoch      int        `json:"epoch"`
	Unit       string     `json:"unit,omitempty"` // what the number of the epoch counts, as in Curves
	Splits     []string   `json:"splits"`         // the names of the splits, in the order of the run
	Quantities []Quantity `json:"quantities"`
	Lacking               // what could not be read of the whole run, whose smallest and largest values decide the bins
}

// Quantity is one of the four graphs. Its bins are the same for every split and, once the run has ended, for every epoch,
// so that two epochs can be compared by eye. Values beyond the edges are counted in the first and the last bin.
type Quantity struct {
	Name   string                  `json:"name"`  // z, p, log_p or nll
	Title  string                  `json:"title"` // raw logit, softmax, log-softmax or NLL
	Edges  []float64               `json:"edges"` // the edges of the bins, [B+1]
	Splits map[string]Distribution `json:"splits"`
}

// Distribution is how the values of a quantity are distributed over a split: each sample has one value for the true class and K−1 values for the others.
// The NLL of another class is −log p of that class, which the NLL would be if that class were the label.
type Distribution struct {
	True  Histogram `json:"true"`
	Other Histogram `json:"other"`
}

// Histogram is a histogram of N values in B bins.
type Histogram struct {
	N      int    `json:"n"`
	Mean   Number `json:"mean"`   // the mean of the values, not of their bins
	Counts []int  `json:"counts"` // the number of values in each bin, [B]
}

// bins is about how many bins a graph has: enough to see a shape in a panel 400 pixels wide.
const bins = 60

// Graphs returns the four graphs of an epoch. An epoch that the run does not have is a *NotFoundError.
func (a *Analyzer) Graphs(ctx context.Context, epoch int) (*Graphs, error) {
	if err := a.checkEpoch(epoch); err != nil {
		return nil, err
	}
	lacks := a.Lost()
	z, logP, err := a.ranges(ctx, &lacks)
	if err != nil {
		return nil, err
	}
	scores, err := a.scoresOf(ctx, []int{epoch}, true)
	if err != nil {
		return nil, err
	}
	g := &Graphs{Run: a.source.Manifest().Name, Epoch: epoch, Unit: a.source.Manifest().Unit, Lacking: lacks, Quantities: []Quantity{
		{Name: "z", Title: "raw logit"}, {Name: "p", Title: "softmax"}, {Name: "log_p", Title: "log-softmax"}, {Name: "nll", Title: "NLL"},
	}}
	for _, split := range a.source.Manifest().Splits {
		var counted *summary.Quantities
		err := a.Read(ctx, epoch, split.Name, func(s *Split) (err error) {
			d := s.Decisions()
			counted, err = summary.QuantitiesOfRows(ctx, d, d.Width(), z, logP, bins)
			return err
		})
		if err != nil {
			return nil, err
		}
		g.Splits = append(g.Splits, split.Name)
		means := trueMeans(scores[0].splits[split.Name].scores)
		for i, pair := range [...]summary.Pair{counted.Z, counted.P, counted.LogP, counted.NLL} {
			q := &g.Quantities[i]
			if q.Splits == nil {
				q.Splits = map[string]Distribution{}
			}
			q.Edges = pair.True.Edges
			d := Distribution{True: histogram(pair.True), Other: histogram(pair.Other)}
			d.True.Mean = means[i]
			q.Splits[split.Name] = d
		}
	}
	return g, nil
}

// trueMeans returns the means of the true class's z, p, log p and NLL. They have the digits of the figures of the curves.
func trueMeans(s *summary.Scores) [4]Number {
	if s == nil {
		s = summary.NewScores()
	}
	return [4]Number{Number(s.Mean(s.ZTrue)), Number(s.Mean(s.PTrue)), Number(s.Mean(s.LogPTrue)), Number(s.Mean(s.NLL))}
}

func histogram(h *summary.Histogram) Histogram {
	return Histogram{N: h.N, Mean: Number(h.Mean()), Counts: h.Counts}
}

// ranges returns the ranges of z and log p over every epoch that can be read. It adds what cannot be read to lacks.
func (a *Analyzer) ranges(ctx context.Context, lacks *Lacking) (z, logP summary.Range, err error) {
	scores, err := a.scoresOf(ctx, a.source.Epochs(), true)
	if err != nil {
		return z, logP, err
	}
	all := summary.NewScores()
	for _, epoch := range scores {
		lacks.AddDamage(epoch.err)
		for _, f := range epoch.splits {
			all.Z.Merge(f.scores.Z)
			all.LogP.Merge(f.scores.LogP)
		}
	}
	return all.Z, all.LogP, nil
}
