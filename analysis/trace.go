package analysis

import (
	"context"
	"math"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/summary"
)

// TraceFigures are the figures of training dynamics. Epochs follow each other as they were recorded.
type TraceFigures struct {
	Confidence  Number `json:"confidence"`  // mean p (Swayamdipta et al. 2020, Dataset Cartography)
	Variability Number `json:"variability"` // standard deviation of p, over all n (ibid.)
	Correctness Number `json:"correctness"` // share of the epochs at which the label has the largest logit (ibid.)
	Forgotten   int    `json:"forgotten"`   // how often it was right at one epoch and wrong at the next (Toneva et al. 2019)
	Learned     int    `json:"learned"`     // the epoch from which on it is right, -1 where it is wrong at the last
	AUM         Number `json:"aum"`         // area under the margin: mean of z_label − max of the others (Pleiss et al. 2020)
	EL2N        Number `json:"el2n"`        // mean of ‖p − y‖₂ over the early epochs (Paul et al. 2021)
	Undefined   int    `json:"undefined"`   // epochs at which it has no softmax
}

// Trace follows one sample from epoch to epoch, in rising order.
type Trace struct {
	n, early, right, forgotten, undefined int32
	learned                               int32 // -1 while it is wrong
	p, pp, margin, el2n                   float64
}

// Add takes in an epoch, by the statistics of the sample's row. el2n is ‖p − y‖₂ there, and counts where the epoch is early.
func (t *Trace) Add(epoch int, row *logit.RowStats, label int32, el2n float64, early bool) {
	if math.IsNaN(row.LSE) {
		t.undefined++
		return
	}
	right, p := row.Argmax == label, math.Exp(-row.NLL)
	switch was := t.n > 0 && t.learned >= 0; {
	case right && !was:
		t.learned = int32(epoch)
	case !right:
		if was {
			t.forgotten++
		}
		t.learned = -1
	}
	if right {
		t.right++
	}
	t.n++
	t.p += p
	t.pp += p * p
	t.margin += row.Margin
	if early {
		t.early++
		t.el2n += el2n
	}
}

// Figures are those of the epochs so far.
func (t *Trace) Figures() TraceFigures {
	n := float64(t.n)
	mean := t.p / n
	f := TraceFigures{
		Confidence: Number(mean), Variability: Number(math.Sqrt(max(t.pp/n-mean*mean, 0))), Correctness: Number(float64(t.right) / n),
		Forgotten: int(t.forgotten), Learned: int(t.learned), AUM: Number(t.margin / n), EL2N: Number(t.el2n / float64(t.early)),
		Undefined: int(t.undefined),
	}
	if t.n == 0 {
		f.Learned = -1
	}
	return f
}

// Early is how many of the early epochs count.
func (t *Trace) Early() int { return int(t.early) }

// EL2N is ‖p − y‖₂ for p [K], y being 1 for the label.
func EL2N(p []float32, label int32) float64 {
	squares := float32(0)
	for j, v := range p {
		if int32(j) != label {
			squares += v * v
		}
	}
	own := 1 - float64(p[label])
	return math.Sqrt(own*own + float64(squares))
}

// CopyRow copies row i of logits [N,columns] to dst [K], a binary head's single logit as the two it stands for.
func CopyRow(dst, logits []float32, columns, i int) {
	if columns == 1 {
		dst[0], dst[1] = 0, logits[i]
		return
	}
	copy(dst, logits[i*columns:(i+1)*columns])
}

// Early returns which of the epochs has the lowest NLL on the split judge; the last of them where there is none. What of it
// cannot be read is added to lacks.
func (a *Analyzer) Early(ctx context.Context, epochs []int, judge string, lacks *Lacking) (int, error) {
	if len(epochs) == 0 {
		return 0, nil
	}
	best, lowest := epochs[len(epochs)-1], math.Inf(1)
	if a.CheckSplit(judge) != nil {
		return best, nil
	}
	if _, err := a.Samples(judge); err != nil {
		lacks.AddDamage(err)
		return best, nil
	}
	means, errs := make([]float64, len(epochs)), make([]error, len(epochs))
	err := parallel.Until(ctx, len(epochs), func(i int) error {
		key := splitEpoch{judge, epochs[i]}
		a.mu.Lock()
		known, ok := a.means[key]
		a.mu.Unlock()
		if ok {
			means[i] = known
			return nil
		}
		if means[i], errs[i] = a.meanNLL(ctx, epochs[i], judge); errs[i] != nil {
			means[i] = math.NaN()
			if unanswerable(ctx, errs[i]) {
				return errs[i]
			}
			return nil
		}
		a.mu.Lock()
		a.means[key] = means[i]
		a.mu.Unlock()
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, mean := range means {
		if lacks.AddDamage(errs[i]); mean < lowest {
			best, lowest = epochs[i], mean
		}
	}
	return best, nil
}

// meanNLL is the mean NLL of the labelled rows of a split at an epoch that have a softmax, NaN where there is none: that of the curves.
func (a *Analyzer) meanNLL(ctx context.Context, epoch int, split string) (float64, error) {
	scores := summary.NewScores()
	_, err := a.eachStats(ctx, epoch, split, func(b statsBlock) { scores.AddStats(b.Batch, b.stats) })
	return scores.Mean(scores.NLL), err
}
