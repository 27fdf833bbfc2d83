// Package summary holds what is counted over recorded logits, each figure defined once.
//
// An accumulator takes batches of logits with their labels (Add) and others of its kind (Merge): counts merge exactly in
// any order, sums agree to 1e-12. Everything is computed in float64 from the float32 that were recorded.
//
// A row that has no softmax (NaN or +Inf in it, or −Inf alone) takes no part in any figure and is counted as undefined: it
// is never hidden. A row labelled loss.Ignored is left out.
package summary

import (
	"math"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// Batch is rows of logits with their labels.
type Batch struct {
	Logits  []float32 // [N,Columns]
	Labels  []int32   // [N], classes; loss.Ignored for a row to leave out
	Columns int       // K; 1 for a binary head, whose logit z stands for the two logits [0, z]

	Temperature float64 // that the logits are divided by; 0 for 1
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
		logit.LogSoftmax(row.LogP, row.Z, k)
		if math.IsNaN(row.LogP[0]) {
			undefined++
			continue
		}
		row.Index, row.Label, row.Argmax = i, int(label), 0
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
		dst[0], dst[1] = 0, float64(b.Logits[i])
		return
	}
	for j, z := range b.Logits[i*b.Columns : (i+1)*b.Columns] {
		dst[j] = float64(z)
	}
}

// Scores are the figures of a split at an epoch: counts, and sums from which means follow.
type Scores struct {
	N         int // labelled rows that have a softmax
	Undefined int // labelled rows that have none
	Right     int // rows whose label has the largest logit

	NLL, PTrue, ZTrue, LogPTrue float64 // sums over the N rows

	// The range of all classes' finite values, for axes; Z.Low > Z.High where there is none.
	Z, LogP Range
}

// NewScores returns the scores of no row.
func NewScores() *Scores { return &Scores{Z: emptyRange(), LogP: emptyRange()} }

// Add takes the rows of b in.
func (s *Scores) Add(b Batch) {
	s.Undefined += b.Rows(func(r Row) {
		s.N++
		if r.Argmax == r.Label {
			s.Right++
		}
		logP := r.LogP[r.Label]
		s.NLL -= logP
		s.LogPTrue += logP
		s.PTrue += math.Exp(logP)
		s.ZTrue += r.Z[r.Label]
		for j := range r.Z {
			s.Z.include(r.Z[j])
			s.LogP.include(r.LogP[j])
		}
	})
}

// Merge takes other's rows in.
func (s *Scores) Merge(other *Scores) {
	s.N += other.N
	s.Undefined += other.Undefined
	s.Right += other.Right
	s.NLL += other.NLL
	s.PTrue += other.PTrue
	s.ZTrue += other.ZTrue
	s.LogPTrue += other.LogPTrue
	s.Z.Merge(other.Z)
	s.LogP.Merge(other.LogP)
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
