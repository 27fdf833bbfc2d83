package analysis

import (
	"context"
	"math"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/summary"
)

// TraceFigures are the figures of a sample's training dynamics: what its p, the probability of its label, and its margin did over the recorded epochs at
// which it has a softmax. The next epoch is the next that was recorded.
type TraceFigures struct {
	Confidence  Number `json:"confidence"`  // mean p (Swayamdipta et al. 2020, Dataset Cartography)
	Variability Number `json:"variability"` // standard deviation of p, with the divisor n (ibid.)
	Correctness Number `json:"correctness"` // share of the epochs at which the label has the largest logit (ibid.)
	Forgotten   int    `json:"forgotten"`   // how often it was right at one epoch and wrong at the next (Toneva et al. 2019)
	Learned     int    `json:"learned"`     // the epoch from which on it is right; -1 where it is wrong at the last epoch
	AUM         Number `json:"aum"`         // area under the margin: mean of z_label − max of the others (Pleiss et al. 2020)
	EL2N        Number `json:"el2n"`        // mean of ‖p − y‖₂ over the early epochs (Paul et al. 2021)
	Undefined   int    `json:"undefined"`   // the number of epochs at which it has no softmax
}

// Trace accumulates the training dynamics of one sample. Its zero value has no epoch.
type Trace struct {
	n, early, right, forgotten, undefined int32   // numbers of epochs
	learned                               int32   // the epoch from which on the sample is right; -1 while it is wrong
	p, pp, margin, el2n                   float64 // sums of p, p², the margin and, over the early epochs, ‖p − y‖₂
}

// Add adds an epoch, which must be later than those before, by the statistics of the sample's row for its label. el2n is ‖p − y‖₂ at the epoch, which
// counts only where early is true.
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

// Figures returns the figures of the epochs so far. Means over no epoch are NaN.
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

// Early returns the number of early epochs that EL2N is a mean over.
func (t *Trace) Early() int { return int(t.early) }

// EL2N returns ‖p − y‖₂ for probabilities p [K], where y is 1 for the label and 0 for other classes (Paul et al., "Deep Learning on a Data Diet", 2021).
// It panics for a label outside [0,K).
func EL2N(p []float32, label int32) float64 {
	squares := float32(0)
	for j, v := range p {
		if int32(j) != label {
			squares += v * v
		}
	}
	missing := 1 - float64(p[label])
	return math.Sqrt(missing*missing + float64(squares))
}

// CopyRow copies row i of logits [N,columns] to dst [K]. The single logit z of a binary head becomes the two logits 0 and z.
func CopyRow(dst, logits []float32, columns, i int) {
	if columns == 1 {
		dst[0], dst[1] = 0, logits[i]
		return
	}
	copy(dst, logits[i*columns:(i+1)*columns])
}

// Early returns the last of the early epochs, which is the one of epochs with the lowest mean NLL on the split judge. It is the last of epochs where judge
// has no NLL at any, and 0 for no epochs. Early adds what cannot be read to lacks.
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

// meanNLL returns the mean NLL of the labelled rows of a split at an epoch that have a softmax, NaN where there are none. The curves have the same
// number.
func (a *Analyzer) meanNLL(ctx context.Context, epoch int, split string) (float64, error) {
	scores := summary.NewScores()
	_, err := a.eachStats(ctx, epoch, split, func(b statsBlock) { scores.AddStats(b.Batch, b.stats) })
	return scores.Mean(scores.NLL), err
}
