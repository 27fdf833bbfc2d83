// Package calibrate fits functions of a classifier's logits that bring its probabilities closer to the frequencies with which it is right.
// They are fitted on samples that the classifier was not trained on. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern
// Neural Networks", ICML 2017.
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

// The verdicts.
const (
	Converged Verdict = "converged"  // the optimum was found
	AtBound   Verdict = "at_bound"   // no finite T is best: the logits put the true class no higher than others, and the NLL falls as T → ∞
	Separable Verdict = "separable"  // no finite T is best: in every row the label has the largest logit, and the NLL falls as T → 0
	NoSamples Verdict = "no_samples" // there is nothing to fit
)

// Temperature is a fit of T in softmax(z/T). Where no finite T is best, T is the bound at which the search ends and NLLAfter the limit that
// the NLL falls to; for a model that is shipped, T = 1 is then better.
type Temperature struct {
	T         float64
	NLLBefore float64 // the mean NLL at T = 1; NaN where there is no sample
	NLLAfter  float64 // the mean NLL at T, never above NLLBefore
	Verdict   Verdict
	N         int // the number of labelled rows that have a softmax
	Undefined int // the number of labelled rows that have none, which are left out
	Passes    int // the number of passes over the logits
}

// Bounds of the search for T, in units of the logits, which are the mean difference of a row's largest and smallest logit. T = 1 is always
// within the bounds.
const (
	sharpest  = 1e-3 // here the softmax is one-hot, except for ties
	flattest  = 1e4  // here it is uniform
	maxPasses = 60   // most searches take 3 to 11
)

// FitTemperature fits the T that minimises the mean NLL of softmax(z/T) over logits z [N,columns] and labels [N]; columns is
// K, or 1 for a binary head. Rows that are labelled loss.Ignored or have no softmax take no part; a row whose label is masked (−Inf) has an
// infinite NLL at every T and does not change it. It panics where the lengths do not agree or a label is out of range; a program checks
// what it read from a file by summary.Batch.Check first.
//
// The NLL is convex in β = 1/T. Its slope is the mean of Σ p·z − z[label], and β times the slope is the mean NLL less the mean entropy,
// which one pass over the logits computes. The root of the slope is kept in a bracket and found by Newton's method in log β, the second
// derivative being estimated from the last two slopes; a step that would leave the bracket is replaced.
func FitTemperature(logits []float32, columns int, labels []int32) Temperature {
	return fitTemperature(summary.Batch{Logits: logits, Labels: labels, Columns: columns})
}

// FitTemperatureRows is FitTemperature for rows that are read some at a time, once for every pass. It stops when ctx ends, and returns the
// context's error.
func FitTemperatureRows(ctx context.Context, rows summary.Rows, columns int) (Temperature, error) {
	return FitTemperatureAfter(ctx, nil, rows, columns)
}

// FitTemperatureAfter is FitTemperatureRows for a caller that has already made a pass over the rows at T = 1. atOne holds the sums of that
// pass, or is nil where there was none. The search takes one pass less where it has them.
func FitTemperatureAfter(ctx context.Context, atOne *Sums, rows summary.Rows, columns int) (Temperature, error) {
	sumsAt := func(t float64) (sums, error) { return sumsOf(ctx, rows, columns, t) }
	const (
		share = 8    // the best temperature of every so many rows is the first guess for all of them
		most  = 4096 // rows that the guess is made of at most
		least = 512  // fewer rows make a poor guess, and eight times as many are quickly read whole
	)
	from := guess{t: 1}
	if few := min(rows.Len()/share, most); few >= least {
		part := rows.Part(0, few)
		fit, s := searchTemperature(guess{t: 1}, nil, func(t float64) (sums, error) { return sumsOf(ctx, part, columns, t) })
		if fit.Verdict == Converged {
			from = guess{t: fit.T, curvature: s.curvature() / s.n}
		}
	}
	var known *sums
	if atOne != nil {
		known = &atOne.sums
	}
	fit, s := searchTemperature(from, known, sumsAt)
	return fit, s.err
}

func fitTemperature(b summary.Batch) Temperature {
	if err := b.Check(); err != nil {
		panic("calibrate: FitTemperature: " + err.Error())
	}
	fit, _ := FitTemperatureRows(context.Background(), b, b.Columns)
	return fit
}

// FitTemperatureFrom is FitTemperature with a first guess of T, such as the temperature of the epoch before.
func FitTemperatureFrom(first float64, logits []float32, columns int, labels []int32) Temperature {
	b := summary.Batch{Logits: logits, Labels: labels, Columns: columns}
	if err := b.Check(); err != nil {
		panic("calibrate: FitTemperature: " + err.Error())
	}
	fit, _ := searchTemperature(guess{t: first}, nil, func(t float64) (sums, error) { return sumsOf(context.Background(), b, columns, t) })
	return fit
}

// guess is where a search begins.
type guess struct {
	t         float64
	curvature float64 // the derivative by log β of the slope of the mean NLL there; 0 where it is not known
}

// searchTemperature searches for T from a first guess. sumsAt makes a pass over the rows at a temperature. atOne holds the sums at T = 1, or
// is nil where no such pass was made.
func searchTemperature(from guess, atOne *sums, sumsAt func(temperature float64) (sums, error)) (Temperature, *search) {
	s := &search{sumsAt: sumsAt, low: 1, high: 1}
	var first sums
	var atGuess *sums
	if atOne != nil {
		first = *atOne
	}
	// Any pass over the logits tells how far those of a row spread, whatever its temperature.
	switch spread := atOne != nil && !math.IsNaN(atOne.spread); {
	case spread:
	case atOne == nil || first.right == first.n || from.t == 1:
		first = s.pass(1)
	default:
		at := s.pass(from.t)
		atGuess, first.spread = &at, at.spread
	}
	s.n = float64(first.n)
	s.fit.T, s.fit.NLLBefore, s.fit.NLLAfter, s.fit.Undefined = 1, math.NaN(), math.NaN(), first.undefined
	if s.fit.N = first.n + first.masked; s.fit.N == 0 {
		s.fit.Verdict = NoSamples
		return s.fit, s
	}
	s.fit.NLLBefore, s.fit.NLLAfter, s.lowest = first.reported(), first.reported(), first.nll
	if first.n > 0 && first.spread > 0 {
		unit := first.spread / s.n
		s.low, s.high = min(1, 1/(flattest*unit)), max(1, 1/(sharpest*unit))
		s.update(1, first)
	}
	s.fit.Verdict = Converged
	switch {
	case s.low == s.high: // every T is equally good
	case first.right == first.n:
		s.try(s.high)
		s.fit.Verdict = Separable
	default:
		s.run(from, atGuess)
	}
	return s.fit, s
}

// point is a β that was tried, and the slope of the NLL there.
type point struct{ beta, slope float64 }

// search is the state of a search for T = 1/β.
type search struct {
	sumsAt           func(temperature float64) (sums, error)
	err              error // of the pass that failed, after which there is no further pass
	fit              Temperature
	lowest           float64 // the sum of the NLL at fit.T
	low, high        float64 // the bracket: the slope's root lies between these β
	last, beforeLast point
	lastNLL          float64 // the sum of the NLL at last
	n                float64 // the number of rows in the sums
}

// update adds to what is known the sums of a pass at β.
func (s *search) update(beta float64, found sums) {
	s.beforeLast, s.last, s.lastNLL = s.last, point{beta, (found.nll - found.entropy) / beta}, found.nll
	if s.last.slope > 0 {
		s.high = min(s.high, beta)
	} else {
		s.low = max(s.low, beta)
	}
	if found.nll < s.lowest {
		s.lowest, s.fit.T, s.fit.NLLAfter = found.nll, 1/beta, found.reported()
	}
}

// pass makes a pass over the rows at a temperature and returns its sums. After a pass has failed it makes no other.
func (s *search) pass(temperature float64) (at sums) {
	if s.err == nil {
		s.fit.Passes++
		at, s.err = s.sumsAt(temperature)
	}
	return at
}

// try makes a pass at β and adds its sums to what is known.
func (s *search) try(beta float64) {
	if at := s.pass(1 / beta); s.err == nil {
		s.update(beta, at)
	}
}

// curvature estimates the derivative of the slope by log β from the last two points.
func (s *search) curvature() float64 {
	return (s.last.slope - s.beforeLast.slope) / math.Log(s.last.beta/s.beforeLast.beta)
}

// run searches until the NLL can be lowered no further, or a bound of T is reached. atGuess holds the sums at the guess, or is nil where that
// pass is still to be made.
func (s *search) run(from guess, atGuess *sums) {
	known := 0.0 // the curvature at the guess, or 0 where it is not known
	if beta := 1 / from.t; beta > s.low && beta < s.high && beta != 1 {
		if atGuess != nil {
			s.update(beta, *atGuess)
		} else {
			s.try(beta)
		}
		known = from.curvature * s.n
	}
	low, high := s.low, s.high
	factor := 2.0
	for s.err == nil && s.fit.Passes < maxPasses && s.high > s.low*(1+1e-9) {
		slope, curvature, apart := s.last.slope, s.curvature(), math.Abs(math.Log(s.last.beta/s.beforeLast.beta))
		if known > 0 {
			curvature, apart, known = known, math.Inf(1), 0
		}
		step := -slope / curvature
		next := s.last.beta * math.Exp(step)
		switch {
		case !(curvature > 0) || s.beforeLast.beta == 0 || !(next > s.low && next < s.high):
			// Newton's step leaves the bracket. While the root is known on one side only, β moves towards the other by growing factors;
			// then it moves half way.
			if next = s.last.beta * factor; slope > 0 {
				next = s.last.beta / factor
			}
			factor *= factor
			if next = min(max(next, s.low), s.high); s.low != low && s.high != high || next == s.last.beta {
				next = math.Sqrt(s.low * s.high)
			}
		case math.Abs(step) <= 1e-7 || math.Abs(slope*s.last.beta*step) <= 1e-12*s.lastNLL:
			return // the step would lower the NLL by about slope·β·step/2
		case math.Abs(step) <= 1e-3 && math.Abs(step)*apart <= 1e-5 && s.lastNLL == s.lowest:
			// The relative error of the curvature, and so of the step, is of the order of the distance between the two points that the
			// curvature was estimated from. One more pass would change no digit that anyone prints.
			s.fit.T = 1 / next
			s.fit.NLLAfter += slope * s.last.beta * step / 2 / s.n
			return
		}
		s.try(next)
		if s.last.beta == low && s.last.slope >= 0 || s.last.beta == high && s.last.slope <= 0 {
			s.fit.Verdict = AtBound
			return
		}
	}
}

// Sums are what the search for a temperature takes from a pass over labelled rows at T = 1. The zero value is that of no row.
type Sums struct{ sums sums }

// AddStats adds rows whose statistics at T = 1 are known, as summary.Batch.Stats returns them. Least may be NaN in all of them, for a caller
// who does not know it.
func (s *Sums) AddStats(rows summary.Batch, stats []logit.RowStats) { s.sums.addStats(rows, stats) }

// sums are what a pass over the rows at a temperature counts.
type sums struct {
	n         int // labelled rows with a finite NLL
	masked    int // labelled rows whose label is masked
	undefined int // labelled rows without a softmax
	right     int // of the n rows, those in which no class is above the label

	// Sums over the n rows.
	nll, entropy, spread float64 // spread is the largest logit less the smallest
}

// reported returns the mean NLL of all rows, which is infinite where a label is masked.
func (s sums) reported() float64 {
	if s.masked > 0 {
		return math.Inf(1)
	}
	return s.nll / float64(s.n)
}

// stripes is the number of parts in which rows are summed. It does not depend on the number of processors, so that sums do not either.
const stripes = 32

// sumsOf makes a pass over the rows at a temperature.
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

func (s *sums) add(b summary.Batch) { b.Stats(s.addStats) }

func (s *sums) addStats(rows summary.Batch, stats []logit.RowStats) {
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

// String returns a sentence about the fit, without a full stop.
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
