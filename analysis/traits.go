package analysis

import (
	"math"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/record"
)

// Moment is an epoch at which training and validation, as far as the run has them, can be read.
type Moment struct {
	Epoch      int
	Train, Val Traits // the traits of each split; the zero value for a split that the run does not have
}

// Traits are what findings ask of a split at an epoch beyond its scores. They come from the same pass over the logits. Rows without a softmax are left
// out.
type Traits struct {
	SplitScores
	NLLSpread   float64 // the standard deviation of the NLL over the rows where it is finite; NaN for a single row
	Confidence  float64 // the mean of the largest p
	Saturated   float64 // the share of rows whose largest p has 1 − p < saturation
	SurelyWrong int     // the number of saturated rows whose label is another class
	Offset      float64 // the mean of all logits
	Rise        float64 // the mean over the rows of largest logit − mean logit
	LSE         float64 // the mean LSE
	Largest     float64 // the largest |z|
	Spread      float64 // the largest difference of two logits of a row
	Probs       bool    // whether every value is in [0,1] and every row of more than one column sums to 1
	LogProbs    bool    // whether every row has an LSE of 0
	Distinct    bool    // whether any two values differ

	info record.RowsInfo // what the epoch holds of the split
}

const (
	// saturation is the 1 − p below which a row is saturated: float32 resolves p no closer to 1 than 6e-8, so below 1e-6 the gradient has no more
	// than four bits left.
	saturation = 1e-6
	// sumsTo is how far rounding to float16 may take the sum of a row of probabilities from 1.
	sumsTo = 1e-3
)

// traitSums accumulates the traits of a split, block by block.
type traitSums struct {
	sums    Traits      // the sums so far, in the fields that become means
	n       int         // the number of rows with a softmax so far
	units   *sampleSums // what the NLL is added to as well; nil for nothing
	nll     float64     // the mean NLL so far, over the rows whose NLL is finite
	counted float64     // the number of these rows
	first   float32     // the first logit, which others are compared with
	begun   bool        // whether first is known
}

func newTraitSums(units *sampleSums) *traitSums {
	return &traitSums{sums: Traits{Probs: true, LogProbs: true}, units: units}
}

// addNLL adds the NLL of the labelled decisions of a block.
func (l *traitSums) addNLL(b statsBlock) {
	for i := range b.stats {
		if b.Labels[i] < 0 {
			continue
		}
		nll := b.stats[i].NLL
		if l.units != nil {
			l.units.add(b.number(b.First+i), nll)
		}
		if finite(nll) { // the recurrence of B. P. Welford, Technometrics 4, 1962
			l.counted++
			d := nll - l.nll
			l.nll += d / l.counted
			l.sums.NLLSpread += d * (nll - l.nll)
		}
	}
}

// addKept adds what kept statistics tell of the values. Probs, LogProbs and Distinct stay true where the statistics do not rule them out, and Spread is at
// most the real one. Where ValuesOf says of such traits that the values are logits, it says so of the traits of all logits too.
func (l *traitSums) addKept(b statsBlock) {
	t := &l.sums
	t.Distinct = true
	for i := range b.kept {
		r := &b.kept[i]
		if r.LSE != r.LSE {
			t.Probs, t.LogProbs = false, false
			continue
		}
		l.n++
		low := r.ZTop
		for _, z := range [...]float32{r.ZLabel, r.Other} { // both are NaN without a label
			if z < low && z >= -math.MaxFloat32 {
				low = z
			}
		}
		t.Spread = max(t.Spread, float64(r.ZTop)-float64(low), 2*math.Sqrt(float64(r.VarZ))*(1-digitsOfVarZ))
		t.Probs = t.Probs && low >= -sumsTo && r.ZTop <= 1+sumsTo
		t.LogProbs = t.LogProbs && math.Abs(float64(r.LSE)) <= sumsTo
	}
}

// digitsOfVarZ is a share that is larger than the relative error of a kept variance. A variance is at most a quarter of the square of the range of the
// values (T. Popoviciu, Mathematica 9, 1935), so twice its root is a lower bound on the range.
const digitsOfVarZ = 1e-4

// add adds a block of decisions with their logits. It leaves out rows without a softmax.
func (l *traitSums) add(b statsBlock) {
	if !l.begun && len(b.Logits) > 0 {
		l.first, l.begun = b.Logits[0], true
		l.sums.LogProbs = b.Columns > 1
	}
	at := &l.sums
	for i := range b.stats {
		r := &b.stats[i]
		z := b.Logits[i*b.Columns : (i+1)*b.Columns]
		low, high, sum := float32(r.Least), float32(r.Largest), total(z)
		distinct := low != l.first || high != l.first
		if b.Columns == 1 || !finite(sum) { // the statistics of a single column are those of the two logits 0 and z
			low, high, sum, distinct = extent(z, l.first)
		}
		at.Distinct = at.Distinct || distinct
		if math.IsNaN(r.LSE) {
			at.Probs, at.LogProbs = false, false
			continue
		}
		l.n++
		at.Confidence += r.PMax
		at.LSE += r.LSE
		if 1-r.PMax < saturation {
			at.Saturated++
			if label := b.Labels[i]; label >= 0 && r.Argmax != label {
				at.SurelyWrong++
			}
		}
		mean := sum / float64(b.Columns)
		at.Offset += mean
		at.Rise += float64(high) - mean
		at.Largest = max(at.Largest, math.Abs(float64(low)), math.Abs(float64(high)))
		at.Spread = max(at.Spread, float64(high)-float64(low))
		at.Probs = at.Probs && low >= -sumsTo && high <= 1+sumsTo && (b.Columns == 1 || math.Abs(sum-1) <= sumsTo)
		at.LogProbs = at.LogProbs && math.Abs(r.LSE) <= sumsTo
	}
}

// traits returns the traits of the rows so far, without the scores.
func (l *traitSums) traits() Traits {
	s := l.sums
	for _, sum := range []*float64{&s.Confidence, &s.Saturated, &s.Offset, &s.Rise, &s.LSE} {
		*sum /= float64(l.n)
	}
	s.NLLSpread = math.Sqrt(s.NLLSpread / (l.counted - 1))
	s.Probs, s.LogProbs = s.Probs && l.n > 0, s.LogProbs && l.n > 0
	return s
}

// total returns the sum of z. It adds up four sums side by side, so that no addition waits for the one before it.
func total(z []float32) float64 {
	var sums [4]float64
	for ; len(z) >= 4; z = z[4:] {
		sums[0] += float64(z[0])
		sums[1] += float64(z[1])
		sums[2] += float64(z[2])
		sums[3] += float64(z[3])
	}
	for _, v := range z {
		sums[0] += float64(v)
	}
	return sums[0] + sums[1] + (sums[2] + sums[3])
}

// extent returns the smallest and the largest finite value of z, the sum of the finite values, and whether any value differs from
// first.
func extent(z []float32, first float32) (low, high float32, sum float64, distinct bool) {
	low, high = float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range z {
		distinct = distinct || v != first
		if v-v != 0 {
			continue
		}
		low, high = min(low, v), max(high, v)
		sum += float64(v)
	}
	return low, high, sum, distinct
}

// Mended returns the temperature at which the NLL of the split is lowest, and that NLL. Where no finite temperature is best it returns 1 and the NLL
// itself.
func (s Traits) Mended() (t, nll float64) {
	if s.Parts == nil || s.Parts.Verdict != calibrate.Converged {
		return 1, float64(s.NLL)
	}
	return float64(s.Parts.Temperature), float64(s.Parts.Ranking)
}

// Of returns the traits of training for record.TrainSplit, and those of validation, or of what is held out in its place, for any other name.
func (m Moment) Of(split string) Traits {
	if split == record.TrainSplit {
		return m.Train
	}
	return m.Val
}

// Right returns the number of rows whose label has the largest logit.
func (s Traits) Right() int { return int(math.Round(float64(s.Accuracy) * float64(s.Defined()))) }

// Defined returns the number of labelled rows that have a softmax.
func (s Traits) Defined() int { return s.N - s.Undefined }

// Splits returns the traits of the splits that findings are decided on: training and validation, or the one of them that has rows.
func (m Moment) Splits() []Traits {
	switch {
	case m.Train.N == 0 && m.Val.N > 0:
		return []Traits{m.Val}
	case m.Val.N > 0:
		return []Traits{m.Train, m.Val}
	}
	return []Traits{m.Train}
}

// Wilson returns the 95 % interval of the proportion right of n (E. B. Wilson, JASA 22, 1927), which is 0 to 1 for n = 0.
func Wilson(right, n int) (low, high float64) {
	const z = 1.959964
	if n == 0 {
		return 0, 1
	}
	p, m := float64(right)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return middle - half, middle + half
}
