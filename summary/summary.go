// Package summary counts what is known of recorded logits: each statistic is defined here once.
//
// An accumulator adds batches of logits with their labels (Add) and what others of its kind have counted (Merge). Counts merge exactly in
// any order; sums agree to 1e-12. Sums are float64. What is summed is worked out from the recorded float32 logits, to within 1e-6.
//
// A row that has no softmax (it has a NaN or +Inf, or nothing but −Inf) takes no part in any figure and is counted as undefined, so that
// it is never hidden. A row labelled loss.Ignored is left out.
package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Batch is rows of logits with their labels.
type Batch struct {
	Logits  []float32 // [N,Columns]
	Labels  []int32   // [N], classes; loss.Ignored for a row to leave out
	Columns int       // K; 1 for a binary head, whose logit z stands for the two logits [0, z]

	Temperature float64 // the logits are divided by it; 0 stands for 1
	First       int     // the number of the batch's first row in the data that it is part of

	// Wide [N,Columns] holds the logits in place of Logits where they were given in float64. Every accumulator but Quantities takes
	// them, which counts float32.
	Wide []float64

	// Normal says that Wide holds the logarithms of probabilities that were given: exp(z) is p, and is not divided by its sum again.
	Normal bool
	// Slack is how far the given probabilities may be rounded, as 1/3 is when it is written in float32. A probability within Slack
	// of an edge of a bin counts as on the edge, and two probabilities within Slack of each other count as equal.
	Slack float64

	wide bool // for a batch without rows: it stands for batches whose rows are in Wide
}

// Row is one labelled row of a batch, with what follows from its logits.
type Row struct {
	Index  int       // the row's number: the batch's First plus its place in the batch
	Label  int       // the class that it is labelled with
	Z      []float64 // [K], the logits as given; [0, z] for a binary head
	LogP   []float64 // [K], the log-softmax of Z at the batch's temperature
	Argmax int       // the class with the largest logit, the lowest of several
}

// Rows calls yield with each labelled row of b that has a softmax, in order, and returns how many labelled rows have none. The slices of
// a Row are overwritten by the next.
func (b Batch) Rows(yield func(Row)) (undefined int) {
	k := max(b.Columns, 2)
	row := Row{Z: make([]float64, k), LogP: make([]float64, k)}
	for i, label := range b.Labels {
		if label == loss.Ignored {
			continue
		}
		b.expand(row.Z, i)
		kernel.LogSoftmax(row.LogP, row.Z, k, b.temperature())
		if math.IsNaN(row.LogP[0]) {
			undefined++
			continue
		}
		row.Index, row.Label, row.Argmax = b.First+i, int(label), 0
		for j, z := range row.Z {
			if z > row.Z[row.Argmax] {
				row.Argmax = j
			}
		}
		yield(row)
	}
	return undefined
}

// expand writes row i to dst [K] in float64, a binary head's single logit z as [0, z].
func (b Batch) expand(dst []float64, i int) {
	if b.Columns == 1 {
		dst[0] = 0
		dst = dst[1:]
	}
	b.Row(dst, i)
}

// Row writes the logits of row i of b to dst [Columns], as they were given.
func (b Batch) Row(dst []float64, i int) {
	if b.Wide != nil {
		copy(dst, b.wideOf(i))
		return
	}
	for j, z := range b.row(i) {
		dst[j] = float64(z)
	}
}

// Scores count rows, and hold the sums that means over rows follow from.
type Scores struct {
	N         int // labelled rows that have a softmax
	Undefined int // labelled rows that have none
	Right     int // rows in which the label has the largest logit; of several, the lowest class counts as the largest
	Top5      int // rows in which the label's logit is among the five largest

	// Sums over the N rows. NLL, LogPTrue, Entropy and LSE are in nats and at the temperature, as PTrue, Brier and Confidence are;
	// ZTrue, Margin and LargestLogit are of the logits as given.
	NLL          float64 // −log p of the label
	PTrue        float64 // p of the label
	ZTrue        float64 // the logit of the label
	LogPTrue     float64 // log p of the label: −NLL
	Brier        float64 // Σ (p_j − 1{j is the label})² over the classes
	Entropy      float64 // −Σ p_j log p_j over the classes
	Margin       float64 // the logit of the label less the largest of the other classes
	LSE          float64 // log Σ exp(z_j/T) over the classes
	LargestLogit float64
	Confidence   float64 // the largest p

	// Z and LogP are the ranges of the finite logits and log p of all classes, for axes. Low > High where there is none.
	Z, LogP Range

	rests [sumsOfScores]float64 // what rounding took from the sums, in the order of sums
}

// sumsOfScores is the number of sums that sums returns: all but LogPTrue.
const sumsOfScores = 9

// NewScores returns scores with no row counted yet.
func NewScores() *Scores { return &Scores{Z: emptyRange(), LogP: emptyRange()} }

// Add counts the rows of b, of any number of classes.
func (s *Scores) Add(b Batch) { b.Stats(s.AddStats) }

// AddStats counts rows whose statistics are known: it takes what Batch.Stats gives to its function.
func (s *Scores) AddStats(rows Batch, stats []logit.RowStats) {
	t := rows.temperature()
	for i := range stats {
		if r := &stats[i]; rows.Labels[i] != loss.Ignored {
			s.add(r, int(rows.Labels[i]), t)
		}
	}
	s.settle()
}

// add counts a row with a label. It returns false where the row has no softmax. The caller calls settle after the last row.
func (s *Scores) add(r *logit.RowStats, label int, temperature float64) bool {
	if math.IsNaN(r.LSE) {
		s.Undefined++
		return false
	}
	s.N++
	if int(r.Argmax) == label {
		s.Right++
	}
	if r.Rank <= 5 {
		s.Top5++
	}
	p := math.Exp(-r.NLL)
	rests := &s.rests // in the order of sums
	addTo(&s.NLL, &rests[0], r.NLL)
	addTo(&s.PTrue, &rests[1], p)
	addTo(&s.ZTrue, &rests[2], r.True)
	addTo(&s.Brier, &rests[3], 1-2*p+r.SumSquares)
	addTo(&s.Entropy, &rests[4], r.Entropy)
	addTo(&s.Margin, &rests[5], r.Margin)
	addTo(&s.LSE, &rests[6], r.LSE)
	addTo(&s.LargestLogit, &rests[7], r.Largest)
	addTo(&s.Confidence, &rests[8], r.PMax)
	s.Z.include(r.Least)
	s.Z.include(r.Largest)
	s.LogP.include(r.Least/temperature - r.LSE)
	s.LogP.include(r.Largest/temperature - r.LSE)
	return true
}

// settle rounds every sum, after the last of some rows was added.
func (s *Scores) settle() {
	for i, sum := range s.sums() {
		settle(sum, &s.rests[i])
	}
	s.LogPTrue = 0 - s.NLL // not −0
}

// Merge adds other's counts. It always returns nil.
func (s *Scores) Merge(other *Scores) error {
	for _, pair := range [...][2]*int{{&s.N, &other.N}, {&s.Undefined, &other.Undefined}, {&s.Right, &other.Right}, {&s.Top5, &other.Top5}} {
		*pair[0] += *pair[1]
	}
	sums, others := s.sums(), other.sums()
	for i, sum := range others {
		mergeSum(sums[i], &s.rests[i], *sum, other.rests[i])
	}
	s.LogPTrue = 0 - s.NLL // not −0
	s.Z.Merge(other.Z)
	s.LogP.Merge(other.LogP)
	return nil
}

// sums returns the sums in the order in which they are written and in which rests are kept.
func (s *Scores) sums() [sumsOfScores]*float64 {
	return [...]*float64{&s.NLL, &s.PTrue, &s.ZTrue, &s.Brier, &s.Entropy, &s.Margin, &s.LSE, &s.LargestLogit, &s.Confidence}
}

// Mean returns sum/N, for one of the sums of s. It is NaN where no row was counted.
func (s *Scores) Mean(sum float64) float64 { return sum / float64(s.N) }

// Accuracy returns the share of the rows in which the label has the largest logit. It is NaN where no row was counted.
func (s *Scores) Accuracy() float64 { return float64(s.Right) / float64(s.N) }

// Range is a closed interval of numbers. It is empty where Low > High.
type Range struct{ Low, High float64 }

// emptyRange returns the range that Merge and include widen from.
func emptyRange() Range { return Range{math.Inf(1), math.Inf(-1)} }

// include widens r to hold v, unless v is infinite.
func (r *Range) include(v float64) {
	if v-v == 0 { // neither infinite nor NaN
		r.Low, r.High = min(r.Low, v), max(r.High, v)
	}
}

// Merge widens r to hold other. Nothing is added by an empty range, which has Low = +Inf and High = −Inf.
func (r *Range) Merge(other Range) { r.Low, r.High = min(r.Low, other.Low), max(r.High, other.High) }
