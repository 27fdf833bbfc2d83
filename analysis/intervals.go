package analysis

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// drawn is what the intervals need of a row; it takes 40 bytes.
type drawn struct {
	confidence                 float64
	nll, pTrue, brier, entropy float32
	label, argmax              int32 // label: loss.Ignored for a row that is not scored
	top5                       bool
}

// draw stores in rows what the intervals need of the rows of a block. bins is the number of bins of the calibration errors.
func draw(rows []drawn, b summary.Batch, stats []logit.RowStats, bins int) {
	for i, label := range b.Labels {
		r := &stats[i]
		if label == loss.Ignored || math.IsNaN(r.LSE) {
			rows[i].label = loss.Ignored
			continue
		}
		p := math.Exp(-r.NLL)
		rows[i] = drawn{
			b.Confidence(i, r, bins), float32(r.NLL), float32(p), float32(1 - 2*p + r.SumSquares), float32(r.Entropy), label, r.Argmax, r.Rank <= 5,
		}
	}
}

// bootstrap computes the intervals of a score: it draws the rows anew, with replacement, o.Bootstrap times, and takes the middle 95 % of each figure
// (percentile intervals; B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979). rows are the scored rows,
// none where there are too many to draw; n counts all rows. slack is the slack of the batch's probabilities, for the edges of bins.
func (s *Score) bootstrap(ctx context.Context, rows []drawn, n int, slack float64, o ScoreOptions) error {
	if len(rows) == 0 {
		s.Undefined["intervals"] = fmt.Sprintf("%d rows: they are drawn for 1 to %d", n, maxBootstrapRows)
		return nil
	}
	samples := make([]map[string]float64, o.Bootstrap)
	err := parallel.Until(ctx, o.Bootstrap, func(i int) error {
		samples[i] = resample(rows, s.Classes, o.Bins, slack, rand.New(rand.NewPCG(o.Seed, uint64(i))))
		return nil
	})
	if err != nil {
		return err
	}
	s.Intervals = map[string]Interval{}
	for figure := range samples[0] {
		values := make([]float64, len(samples))
		for i, sample := range samples {
			values[i] = sample[figure]
		}
		slices.Sort(values)
		quantile := func(q float64) Number { return Number(values[int(math.Round(q*float64(len(values)-1)))]) }
		s.Intervals[figure] = Interval{quantile(0.025), quantile(0.975)}
	}
	return nil
}

// resample draws as many rows as there are, with replacement, and returns the figures of the rows drawn, by name.
func resample(rows []drawn, k, bins int, slack float64, rng *rand.Rand) map[string]float64 {
	t := &summary.Table{Classes: make(summary.Classes, k), Bins: make(summary.Bins, bins)}
	s := &t.Scores
	for range rows {
		r := &rows[rng.IntN(len(rows))]
		s.NLL += float64(r.nll)
		s.PTrue += float64(r.pTrue)
		s.Brier += float64(r.brier)
		s.Entropy += float64(r.entropy)
		hit := r.label == r.argmax
		t.Bins.Count(r.confidence, slack, hit)
		t.Classes[r.label].N++
		t.Classes[r.argmax].Predicted++
		if hit {
			s.Right++
			t.Classes[r.label].Right++
		}
		if r.top5 {
			s.Top5++
		}
	}
	s.N = len(rows)
	values := map[string]float64{}
	for _, f := range figures {
		if f.Interval {
			values[f.Name] = f.Of(&Counted{Table: t})
		}
	}
	return values
}
