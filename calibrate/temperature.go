// Package calibrate fits what makes a classifier's probabilities true: functions of its logits, fitted on samples that it was
// not trained on. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
package calibrate

import (
	"context"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/summary"
)

// Verdict says how a fit ended.
type Verdict string

// Verdicts.
const (
	Converged Verdict = "converged"  // at the optimum
	AtBound   Verdict = "at_bound"   // no finite T is best: the logits put the true class no higher than others, and T → ∞
	Separable Verdict = "separable"  // no finite T is best: every row has its label on top, and the NLL falls as T → 0
	NoSamples Verdict = "no_samples" // nothing to fit
)

// Temperature is a fit of T in softmax(z/T). Where no finite T is best it is the bound at which the search ends, so that
// NLLAfter is the limit that the NLL falls to; whoever ships a model then does better with T = 1.
type Temperature struct {
	T         float64
	NLLBefore float64 // mean at T = 1; NaN for no sample
	NLLAfter  float64 // mean at T, never above NLLBefore
	Verdict   Verdict
	N         int // labelled rows that have a softmax
	Undefined int // labelled rows that have none, left out
	Passes    int // over the logits
}

// Bounds of the search in units of the logits: the mean difference of a row's largest and smallest. T = 1 is always within.
const (
	sharpest  = 1e-3 // a softmax that is one-hot but for ties
	flattest  = 1e4  // one that is uniform
	maxPasses = 60   // a search takes 5 to 10
)

// FitTemperature fits the T that minimises the mean NLL of softmax(z/T) over logits z [N,columns] and labels [N]; columns is
// K, or 1 for a binary head. Rows labelled loss.Ignored or without a softmax take no part; a row whose label is masked (−Inf)
// has an infinite NLL at every T and no say in it. It panics where the lengths do not agree or a label is out of range.
//
// The NLL is convex in β = 1/T. Its slope there is the mean of Σ p·z − z[label], and β times that is mean NLL − mean entropy,
// which one pass over the logits gives. Its root is kept in a bracket and found by Newton's method in log β, with the second
// derivative that the last two slopes give; a step that leaves the bracket is replaced.
func FitTemperature(logits []float32, columns int, labels []int32) Temperature {
	return fitTemperature(summary.Batch{Logits: logits, Labels: labels, Columns: columns})
}

// FitTemperatureRows is FitTemperature over rows that are read some at a time, as often as the search takes passes. It stops, with
// the error of ctx, where that ends.
func FitTemperatureRows(ctx context.Context, rows summary.Rows, columns int) (Temperature, error) {
	const few = 4096 // rows, whose best temperature is a guess for many more
	guess := 1.0
	if rows.Len() > 8*few {
		if fit := fitTemperature(rows.Part(0, few)); fit.Verdict == Converged {
			guess = fit.T
		}
	}
	return searchTemperature(guess, func(t float64) (sums, error) { return sumsOf(ctx, rows, columns, t) })
}

func fitTemperature(b summary.Batch) Temperature {
	if err := b.Check(); err != nil {
		panic("calibrate: FitTemperature: " + err.Error())
	}
	fit, _ := FitTemperatureRows(context.Background(), b, b.Columns)
	return fit
}

// FitTemperatureFrom is FitTemperature with a first guess, such as the temperature of the epoch before.
func FitTemperatureFrom(guess float64, logits []float32, columns int, labels []int32) Temperature {
	return fitTemperatureFrom(guess, summary.Batch{Logits: logits, Labels: labels, Columns: columns})
}

func fitTemperatureFrom(guess float64, b summary.Batch) Temperature {
	if err := b.Check(); err != nil {
		panic("calibrate: FitTemperature: " + err.Error())
	}
	fit, _ := searchTemperature(guess, func(t float64) (sums, error) { return sumsOf(context.Background(), b, b.Columns, t) })
	return fit
}

// searchTemperature searches from a first guess, by the sums of passes over the rows.
func searchTemperature(guess float64, sumsAt func(temperature float64) (sums, error)) (Temperature, error) {
	first, err := sumsAt(1)
	s := search{sumsAt: sumsAt, err: err, low: 1, high: 1, fit: Temperature{T: 1, NLLBefore: math.NaN(), NLLAfter: math.NaN(), Undefined: first.undefined}}
	if s.fit.N = first.n + first.masked; s.fit.N == 0 {
		s.fit.Verdict = NoSamples
		return s.fit, err
	}
	s.fit.NLLBefore, s.fit.NLLAfter, s.lowest = first.reported(), first.reported(), first.nll
	if first.n > 0 && first.spread > 0 {
		unit := first.spread / float64(first.n)
		s.low, s.high = min(1, 1/(flattest*unit)), max(1, 1/(sharpest*unit))
		s.update(1, first)
	}
	s.fit.Passes = 1
	s.fit.Verdict = Converged
	switch {
	case s.low == s.high: // every T is as good
	case first.right == first.n:
		s.try(s.high)
		s.fit.Verdict = Separable
	default:
		s.run(guess)
	}
	return s.fit, s.err
}

// point is a β that was tried, and the slope of the NLL there.
type point struct{ beta, slope float64 }

type search struct {
	sumsAt           func(temperature float64) (sums, error)
	err              error // of the pass that failed, after which there is no other
	fit              Temperature
	lowest           float64 // the sum of NLLs at fit.T
	low, high        float64 // β; the root lies between them
	last, beforeLast point
	lastNLL          float64
}

// update takes in the sums that a pass at β found.
func (s *search) update(beta float64, at sums) {
	s.beforeLast, s.last, s.lastNLL = s.last, point{beta, (at.nll - at.entropy) / beta}, at.nll
	if s.last.slope > 0 {
		s.high = min(s.high, beta)
	} else {
		s.low = max(s.low, beta)
	}
	if at.nll < s.lowest {
		s.lowest, s.fit.T, s.fit.NLLAfter = at.nll, 1/beta, at.reported()
	}
}

func (s *search) try(beta float64) {
	s.fit.Passes++
	var at sums
	if at, s.err = s.sumsAt(1 / beta); s.err == nil {
		s.update(beta, at)
	}
}

func (s *search) run(guess float64) {
	if beta := 1 / guess; beta > s.low && beta < s.high && beta != 1 {
		s.try(beta)
	}
	low, high := s.low, s.high
	factor := 2.0
	for s.err == nil && s.fit.Passes < maxPasses && s.high > s.low*(1+1e-9) {
		slope := s.last.slope
		curvature := (slope - s.beforeLast.slope) / math.Log(s.last.beta/s.beforeLast.beta)
		step := -slope / curvature
		next := s.last.beta * math.Exp(step)
		switch {
		case !(curvature > 0) || s.beforeLast.beta == 0 || !(next > s.low && next < s.high):
			// Outside of what is known: away by growing factors while one side is open, then half way.
			if next = s.last.beta * factor; slope > 0 {
				next = s.last.beta / factor
			}
			factor *= factor
			if next = min(max(next, s.low), s.high); s.low != low && s.high != high || next == s.last.beta {
				next = math.Sqrt(s.low * s.high)
			}
		case math.Abs(step) <= 1e-7 || math.Abs(slope*s.last.beta*step) <= 1e-12*s.lastNLL:
			return // what it can gain is slope·β·step/2
		}
		s.try(next)
		if s.last.beta == low && s.last.slope >= 0 || s.last.beta == high && s.last.slope <= 0 {
			s.fit.Verdict = AtBound
			return
		}
	}
}

// sums are those of a pass over the rows at a temperature.
type sums struct {
	n, masked, undefined int
	right                int // rows in which no class is above the label
	nll, entropy, spread float64
}

// reported is the mean NLL of all rows, those whose label is masked with theirs.
func (s sums) reported() float64 {
	if s.masked > 0 {
		return math.Inf(1)
	}
	return s.nll / float64(s.n)
}

// stripes is in how many parts the rows are summed, whatever the processors.
const stripes = 32

func sumsOf(ctx context.Context, rows summary.Rows, columns int, temperature float64) (sums, error) {
	found, err := summary.FoldRows(ctx, rows, columns, stripes, func() *sums { return new(sums) }, func(s *sums, b summary.Batch) {
		b.Temperature = temperature
		s.add(b)
	}, (*sums).merge)
	if err != nil {
		return sums{}, err
	}
	return *found, nil
}

func (s *sums) add(b summary.Batch) {
	b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
		for i, label := range rows.Labels {
			switch r := &stats[i]; {
			case label == kernel.Ignored:
			case math.IsNaN(r.LSE):
				s.undefined++
			case math.IsInf(r.NLL, 1):
				s.masked++
			default:
				s.n++
				s.nll += r.NLL
				s.entropy += r.Entropy
				s.spread += r.Largest - r.Least
				if r.Margin >= 0 || math.IsNaN(r.Margin) {
					s.right++
				}
			}
		}
	})
}

func (s *sums) merge(other *sums) {
	s.n += other.n
	s.masked += other.masked
	s.undefined += other.undefined
	s.right += other.right
	s.nll += other.nll
	s.entropy += other.entropy
	s.spread += other.spread
}

// String is a sentence about the fit.
func (fit Temperature) String() string {
	switch fit.Verdict {
	case NoSamples:
		return "there is no labelled sample with a softmax: nothing to fit"
	case Separable:
		return "every label has the largest logit: the NLL falls as T falls to 0, and no finite temperature is best"
	case AtBound:
		return fmt.Sprintf("no finite temperature is best: the NLL still falls at T = %.4g", fit.T)
	}
	return fmt.Sprintf("T = %.4f takes the NLL from %.4f to %.4f", fit.T, fit.NLLBefore, fit.NLLAfter)
}
