package analysis

import (
	"context"
	"math"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// StatsKeeper is a Source that may keep statistics of its rows. A question that these answer is answered without reading the logits.
type StatsKeeper interface {
	// Stats opens the statistics of the rows of a split at an epoch, as Rows whose Blocks have Stats and no Logits. It returns nil where none are
	// kept. It stops when ctx ends, and returns the context's error. The caller closes the Rows.
	Stats(ctx context.Context, epoch int, split string) (Rows, error)
}

// Stats opens the statistics that the run directory keeps. It works none out, because a reader of the logits has them anyway.
func (d directory) Stats(ctx context.Context, epoch int, split string) (Rows, error) {
	infos, err := d.Epoch(epoch)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if info.Split == split && info.Stats {
			rows, err := d.Run.Stats(ctx, epoch, split)
			if err != nil {
				return nil, err
			}
			return directoryRows{rows}, nil
		}
	}
	return nil, nil
}

// statsBlock is the statistics at T = 1 of some decisions of a split at an epoch.
type statsBlock struct {
	summary.Batch // the labels, and the logits where these were read
	stats         []logit.RowStats
	kept          []record.RowStat // the kept statistics that stats, whose Least is then NaN, were made from; nil where logits were read
	number        func(i int) int  // the place of the i-th decision of the split among those of all samples, recorded or not
}

// keptStats opens the statistics that are kept of a split at an epoch, nil where there are none.
func (a *Analyzer) keptStats(ctx context.Context, epoch int, split string) (Rows, error) {
	keeper, ok := a.source.(StatsKeeper)
	if !ok {
		return nil, nil
	}
	if err := a.CheckSplit(split); err != nil {
		return nil, err
	}
	return keeper.Stats(ctx, epoch, split)
}

// eachStats hands the statistics of all decisions of a split at an epoch to use, in order and some at a time: the statistics that are kept or,
// where there are none, those of the logits, which it reads. use must not keep what it is given.
func (a *Analyzer) eachStats(ctx context.Context, epoch int, split string, use func(statsBlock)) (info record.RowsInfo, err error) {
	kept, err := a.keptStats(ctx, epoch, split)
	if err != nil {
		return info, err
	}
	if kept == nil {
		err = a.Read(ctx, epoch, split, func(s *Split) error {
			info = s.Info()
			d := s.Decisions()
			return d.Each(ctx, func(b summary.Batch) error {
				b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
					use(statsBlock{Batch: b.Part(rows.First-b.First, len(stats)), stats: stats, number: d.Number})
				})
				return nil
			})
		})
		return info, err
	}
	defer kept.Close()
	samples, err := a.Samples(split) // after the rows were opened, which may be of samples that are new
	if err != nil {
		return info, err
	}
	info = kept.Info()
	return info, Guard(rowsOf(epoch, split), func() error {
		const each = 4096 // the number of rows at a time
		var stats []logit.RowStats
		for first := 0; first < info.N; first += each {
			if err := ctx.Err(); err != nil {
				return err
			}
			block := kept.At(first, min(each, info.N-first))
			stats = asRowStats(stats[:0], block.Stats)
			b := summary.Batch{Labels: labelsOf(block, kept, samples), Columns: a.source.Manifest().Columns, First: first}
			use(statsBlock{Batch: b, stats: stats, kept: block.Stats, number: kept.Sample})
		}
		return ctx.Err()
	})
}

// labelsOf returns the labels of the rows of a block. Where the block has no labels, each row has the label of its sample.
func labelsOf(block record.Block, rows Rows, samples *record.Samples) []int32 {
	if block.Labels != nil {
		return block.Labels
	}
	labels := make([]int32, len(block.IDs))
	for i := range labels {
		labels[i] = samples.Labels[rows.Sample(block.First+i)]
	}
	return labels
}

// asRowStats appends kept statistics to dst in the form in which Batch.Stats gives them. They have the digits of float32, and Least is NaN.
func asRowStats(dst []logit.RowStats, kept []record.RowStat) []logit.RowStats {
	for i := range kept {
		k := &kept[i]
		r := logit.RowStats{
			NLL: float64(k.NLL), LSE: float64(k.LSE), Entropy: float64(k.Entropy), SumSquares: float64(k.SumP2), PMax: math.Exp(float64(k.ZTop) - float64(k.LSE)),
			True: float64(k.ZLabel), Largest: float64(k.ZTop), Least: math.NaN(), Margin: float64(k.ZLabel) - float64(k.Other),
			Argmax: k.Top, Rank: k.Rank + 1,
		}
		if k.Rank == 0 { // the NLL has more digits of a p near 1 than the difference of two logits
			r.PMax = math.Exp(-r.NLL)
		}
		dst = append(dst, r)
	}
	return dst
}

// el2nOf returns EL2N from row statistics, which hold Σ p² and not p: ‖p − y‖² is Σ p² − 2·p_y + 1. Where p_y is near 1, float32 leaves few digits of
// that, so the result is clamped to the range that ‖p − y‖² has for any p [K] with this p_y.
func el2nOf(r *logit.RowStats, classes int) float64 {
	p := math.Exp(-r.NLL)
	rest := -math.Expm1(-r.NLL) // 1 − p_y, which the other classes share
	least, most := rest*rest*float64(classes)/float64(classes-1), 2*rest*rest
	return math.Sqrt(min(max(1-2*p+r.SumSquares, least), most))
}
