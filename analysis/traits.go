package analysis

import (
	"math"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/record"
)

// Moment is an epoch at which training and, if there is one, validation can be read.
type Moment struct {
	Epoch      int
	Train, Val Traits
}

// Traits are what findings ask of a split at an epoch beyond its scores. They come from the same pass over the logits.
type Traits struct {
	SplitScores
	NLLSpread   float64 // standard deviation of the NLL over the rows
	Confidence  float64 // mean of the largest p
	Saturated   float64 // share of the rows with 1 − p < saturation
	SurelyWrong int     // of them, those that are not right
	Offset      float64 // mean of all logits
	Rise        float64 // mean over the rows of largest logit − mean logit
	LSE         float64 // mean
	Largest     float64 // |z|
	Spread      float64 // largest difference of two logits of a row
	Probs       bool    // every row is in [0,1] and, unless it is one column, sums to 1
	LogProbs    bool    // every row has LSE 0
	Distinct    bool    // not every value is the same

	info record.RowsInfo // of the rows
}

const (
	saturation = 1e-6 // float32 resolves p no closer to 1 than 6e-8; below 1e-6 the gradient has no more than four bits left
	sumsTo     = 1e-3 // what float16 leaves of a sum of 1
)

// traitSums takes in the logits of a split, block by block.
type traitSums struct {
	sums    Traits // sums so far, in the fields that become means
	n       int
	units   *sampleSums // sums of the NLL; nil where nobody asks for them
	nll     float64     // mean NLL of the rows so far that have one; counted is their number
	counted float64
	first   float32
	begun   bool
}

func newTraitSums(units *sampleSums) *traitSums {
	return &traitSums{sums: Traits{Probs: true, LogProbs: true}, units: units}
}

// addNLL takes in the NLL of labelled decisions.
func (l *traitSums) addNLL(b statsBlock) {
	for i := range b.stats {
		if b.Labels[i] < 0 {
			continue
		}
		nll := b.stats[i].NLL
		if l.units != nil {
			l.units.add(b.number(b.First+i), nll)
		}
		if finite(nll) { // Welford, Technometrics 4, 1962
			l.counted++
			d := nll - l.nll
			l.nll += d / l.counted
			l.sums.NLLSpread += d * (nll - l.nll)
		}
	}
}

// addKept takes in what statistics that are kept tell of the values: Probs and Distinct where nothing speaks against them, and a Spread
// that is at most the real one. Where ValuesOf takes such traits for those of logits, it does so of the logits' own.
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
		for _, z := range [...]float32{r.ZLabel, r.Other} { // NaN without a label
			if z < low && z >= -math.MaxFloat32 {
				low = z
			}
		}
		t.Spread = max(t.Spread, float64(r.ZTop)-float64(low), 2*math.Sqrt(float64(r.VarZ))*(1-digitsOfVarZ))
		t.Probs = t.Probs && low >= -sumsTo && r.ZTop <= 1+sumsTo
		t.LogProbs = t.LogProbs && math.Abs(float64(r.LSE)) <= sumsTo
	}
}

// digitsOfVarZ is more than the share of itself by which a kept variance may be off. A variance is at most a quarter of the square of the
// range of the values (T. Popoviciu, Mathematica 9, 1935).
const digitsOfVarZ = 1e-4

// add takes in decisions with their logits. Rows that have no softmax are left out.
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
		if b.Columns == 1 || !finite(sum) { // the statistics of one column are those of two logits
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

// traits are those of the rows so far, without the scores.
func (l *traitSums) traits() Traits {
	s := l.sums
	for _, sum := range []*float64{&s.Confidence, &s.Saturated, &s.Offset, &s.Rise, &s.LSE} {
		*sum /= float64(l.n)
	}
	s.NLLSpread = math.Sqrt(s.NLLSpread / (l.counted - 1))
	s.Probs, s.LogProbs = s.Probs && l.n > 0, s.LogProbs && l.n > 0
	return s
}

// total is the sum of z: four sums side by side do not wait for one another.
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

// extent returns the smallest and the largest finite value of z, the sum of its finite values, and whether any differs from
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

// Mended returns the temperature that makes a split's NLL lowest and that NLL, or T = 1 where no finite one does.
func (s Traits) Mended() (t, nll float64) {
	if s.Parts == nil || s.Parts.Verdict != calibrate.Converged {
		return 1, float64(s.NLL)
	}
	return float64(s.Parts.Temperature), float64(s.Parts.Ranking)
}

// Of is a split: validation by its name, else training.
func (m Moment) Of(split string) Traits {
	if split == record.ValSplit {
		return m.Val
	}
	return m.Train
}

// Right is how many of a split's rows have their label on top.
func (s Traits) Right() int { return int(math.Round(float64(s.Accuracy) * float64(s.Defined()))) }

// Defined is how many of a split's rows have a softmax.
func (s Traits) Defined() int { return s.N - s.Undefined }

// Splits are those that findings are decided on.
func (m Moment) Splits() []Traits {
	switch {
	case m.Train.N == 0 && m.Val.N > 0:
		return []Traits{m.Val}
	case m.Val.N > 0:
		return []Traits{m.Train, m.Val}
	}
	return []Traits{m.Train}
}

// Wilson is the 95 % interval of a proportion (E. B. Wilson, JASA 22, 1927).
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
