// Package summary holds what is counted over recorded logits, each figure defined once.
//
// An accumulator takes batches of logits with their labels (Add) and others of its kind (Merge): counts merge exactly in
// any order, sums agree to 1e-12. Sums are in float64; what is summed comes from the float32 that were recorded, within 1e-6.
//
// A row that has no softmax (NaN or +Inf in it, or −Inf alone) takes no part in any figure and is counted as undefined: it
// is never hidden. A row labelled loss.Ignored is left out.
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

	Temperature float64 // that the logits are divided by; 0 for 1
	First       int     // the number of its first row, for messages and where rows are told apart

	// Wide holds the logits in place of Logits where they were given with more digits than float32 has. Scores, tables, class
	// bins and rankings take them; histograms and quantiles are of what was recorded, float32.
	Wide []float64

	// Normal says that Wide holds the logarithms of probabilities that were given: exp(z) is p, and not divided by its sum again.
	// Slack is how far their rounding may have moved a p, as 1/3 is moved where it is written in float32: so near an edge of a bin
	// it is on the edge, and so near another it is the same.
	Normal bool
	Slack  float64

	wide bool // of a batch without a row: it is of those whose rows are in Wide
}

// Row is one labelled row of a batch, with what follows from its logits.
type Row struct {
	Index  int
	Label  int
	Z      []float64 // [K]
	LogP   []float64 // [K]
	Argmax int       // the class with the largest logit, the lowest on a tie
}

// Rows calls yield with each labelled row of b that has a softmax, in order, and returns how many labelled rows have none.
// The slices of a Row are overwritten by the next.
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

// expand writes row i in float64, a binary head's single logit as the two it stands for.
func (b Batch) expand(dst []float64, i int) {
	if b.Columns == 1 {
		dst[0] = 0
		dst = dst[1:]
	}
	b.Row(dst, i)
}

// Row writes the logits of row i of b, as they are given, to dst [Columns].
func (b Batch) Row(dst []float64, i int) {
	if b.Wide != nil {
		copy(dst, b.wideOf(i))
		return
	}
	for j, z := range b.row(i) {
		dst[j] = float64(z)
	}
}

// Scores are the figures of a split at an epoch: counts, and sums from which means follow.
type Scores struct {
	N         int // labelled rows that have a softmax
	Undefined int // labelled rows that have none
	Right     int // rows whose label has the largest logit, the lowest class on a tie
	Top5      int // rows whose label is among the five with the largest

	// Sums over the N rows. z of the label, its lead over the largest of the others, and the largest logit are not divided
	// by the temperature; LSE is.
	NLL, PTrue, ZTrue, LogPTrue                           float64
	Brier, Entropy, Margin, LSE, LargestLogit, Confidence float64 // Confidence: of the largest p

	// The range of all classes' finite values, for axes; Z.Low > Z.High where there is none.
	Z, LogP Range

	rests [sumsOfScores]float64 // what rounding took from the sums
}

const sumsOfScores = 9

// NewScores returns the scores of no row.
func NewScores() *Scores { return &Scores{Z: emptyRange(), LogP: emptyRange()} }

// Add takes the rows of b in.
func (s *Scores) Add(b Batch) { b.Stats(s.AddStats) }

// AddStats takes in rows whose statistics are known, as from Batch.Stats.
func (s *Scores) AddStats(rows Batch, stats []logit.RowStats) {
	t := rows.temperature()
	for i := range stats {
		if r := &stats[i]; rows.Labels[i] != loss.Ignored {
			s.add(r, int(rows.Labels[i]), t)
		}
	}
	s.settle()
}

// add takes in a row with a label; it returns false where the row has no softmax.
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

// settle ends the adding of some rows.
func (s *Scores) settle() {
	for i, sum := range s.sums() {
		settle(sum, &s.rests[i])
	}
	s.LogPTrue = 0 - s.NLL // not −0
}

// Merge takes other's rows in. It is never an error.
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

func (s *Scores) sums() [sumsOfScores]*float64 {
	return [...]*float64{&s.NLL, &s.PTrue, &s.ZTrue, &s.Brier, &s.Entropy, &s.Margin, &s.LSE, &s.LargestLogit, &s.Confidence}
}

// Mean returns sum/N, NaN where there is no row.
func (s *Scores) Mean(sum float64) float64 { return sum / float64(s.N) }

// Accuracy is the share of the rows whose label has the largest logit.
func (s *Scores) Accuracy() float64 { return float64(s.Right) / float64(s.N) }

// Range is a closed interval of numbers.
type Range struct{ Low, High float64 }

func emptyRange() Range { return Range{math.Inf(1), math.Inf(-1)} }

func (r *Range) include(v float64) {
	if !math.IsInf(v, 0) {
		r.Low, r.High = min(r.Low, v), max(r.High, v)
	}
}

// Merge widens r to hold other.
func (r *Range) Merge(other Range) { r.Low, r.High = min(r.Low, other.Low), max(r.High, other.High) }
