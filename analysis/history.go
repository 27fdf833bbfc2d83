package analysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Past is a sample at one epoch of its history, at T = 1.
type Past struct {
	Epoch  int    `json:"epoch"`
	PTrue  Number `json:"p_true"` // null without a label or a softmax, as is the NLL
	NLL    Number `json:"nll"`
	Argmax int32  `json:"argmax"` // -1 where the logits have no softmax
}

// addHistory fills in the sample's history over the epochs that can be read and the figures of its training dynamics.
// at is the sample's place in its split.
func (e *Explanation) addHistory(ctx context.Context, a *Analyzer, at int) error {
	epochs, columns := a.source.Epochs(), a.source.Manifest().Columns
	k := max(columns, 2)
	rows, errs := make([][]float32, len(epochs)), make([]error, len(epochs))
	err := parallel.Until(ctx, len(epochs), func(i int) error {
		errs[i] = a.Read(ctx, epochs[i], e.Split, func(s *Split) error {
			if row, ok := s.Row(at); ok {
				rows[i] = make([]float32, k)
				CopyRow(rows[i], s.At(row, 1).Logits, columns, 0)
			}
			return nil
		})
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	e.Lacking = a.Lost()
	var seen []int
	for i, epoch := range epochs {
		if e.AddDamage(errs[i]); rows[i] != nil {
			seen = append(seen, epoch)
		}
	}
	if e.Early, err = a.Early(ctx, seen, record.ValSplit, &e.Lacking); err != nil {
		return err
	}
	var t Trace
	probs, stat, label := make([]float32, k), make([]logit.RowStats, 1), []int32{max(e.Label, 0)}
	e.History = []Past{}
	for i, epoch := range epochs {
		if rows[i] == nil {
			continue
		}
		past := Past{Epoch: epoch, PTrue: Number(math.NaN()), NLL: Number(math.NaN()), Argmax: logit.None}
		logit.Stats(stat, rows[i], k, label, 1)
		defined := !math.IsNaN(stat[0].LSE)
		if defined {
			past.Argmax = stat[0].Argmax
		}
		if e.Label != record.Ignored {
			logit.Softmax(probs, rows[i], k)
			t.Add(epoch, &stat[0], e.Label, EL2N(probs, e.Label), epoch <= e.Early)
		}
		if e.Label != record.Ignored && defined {
			past.PTrue, past.NLL = Number(math.Exp(-stat[0].NLL)), Number(stat[0].NLL)
		}
		e.History = append(e.History, past)
	}
	if e.Label != record.Ignored {
		figures := t.Figures()
		e.Dynamics = &figures
	}
	return nil
}

// Neighbour is a sample of the same split whose logits are near.
type Neighbour struct {
	ID         int64  `json:"id"`
	Label      int32  `json:"label"`
	CleanLabel *int32 `json:"clean_label"`
	Argmax     int32  `json:"argmax"`
	Distance   Number `json:"distance"` // Euclidean, between the logits less their mean: what softmax does not see does not count
	Preview    []byte `json:"preview"`

	place int // among the samples of the split
}

// neighboursKept is how many neighbours are told.
const neighboursKept = 8

// nearest returns the neighbours of a row, the nearest first, the lower row first on a tie. Rows with logits that are not finite have
// none and are none.
func nearest(ctx context.Context, s *Split, at int) ([]Neighbour, error) {
	found := []Neighbour{}
	logits := s.At(at, 1).Logits
	err := s.Each(ctx, func(b summary.Batch) error {
		found = nearestIn(found, logits, b, at, s.Sample)
		return nil
	})
	return found, err
}

// nearestIn returns the nearest of the neighbours found so far and the rows of b.
func nearestIn(found []Neighbour, logits []float32, b summary.Batch, at int, sample func(row int) int) []Neighbour {
	columns, k := b.Columns, float64(b.Classes())
	for i := range b.Labels {
		if b.First+i == at {
			continue
		}
		row := b.Logits[i*columns : (i+1)*columns]
		// Σ (d − mean d)² is Σ d² − (Σ d)²/K, where a binary head has a second logit that is always 0.
		sum, squares := 0.0, 0.0
		for j, z := range row {
			d := float64(z) - float64(logits[j])
			sum += d
			squares += d * d
		}
		distance := math.Sqrt(max(squares-sum*sum/k, 0))
		if !finite(squares) || len(found) == neighboursKept && distance >= float64(found[neighboursKept-1].Distance) {
			continue
		}
		best := 0
		for j, z := range row {
			if z > row[best] {
				best = j
			}
		}
		if columns == 1 && row[0] > 0 {
			best = 1
		}
		place, _ := slices.BinarySearchFunc(found, distance, func(n Neighbour, d float64) int {
			if float64(n.Distance) <= d {
				return -1
			}
			return 1
		})
		found = slices.Insert(found, place, Neighbour{Argmax: int32(best), Distance: Number(distance), place: sample(b.First + i)})
		found = found[:min(len(found), neighboursKept)]
	}
	return found
}

// describeGradient says in words what a step against the gradient does to the logits.
func (e *Explanation) describeGradient() string {
	if e.Label == record.Ignored {
		return "nothing: the sample has no label"
	}
	own := float64(e.Gradient[e.Label])
	if math.IsNaN(own) {
		return "nothing that is defined: the logits have no softmax"
	}
	const hardly = 0.005 // of a gradient that is at most 1 at T = 1
	if -own*e.Temperature < hardly {
		return fmt.Sprintf("hardly anything: p of %s is %.3f already", e.Classes[e.Label], e.Softmax[e.Label])
	}
	var others []int
	for j := range e.Gradient {
		if int32(j) != e.Label && e.Gradient[j] > 0 {
			others = append(others, j)
		}
	}
	slices.SortStableFunc(others, func(x, y int) int { return cmp.Compare(e.Gradient[y], e.Gradient[x]) })
	// The classes that make up nine tenths of what goes down, three at most.
	var down []string
	covered := 0.0
	for _, j := range others {
		if len(down) == 3 || covered >= 0.9*-own {
			break
		}
		down = append(down, fmt.Sprintf("%s (%+.3f)", e.Classes[j], e.Gradient[j]))
		covered += float64(e.Gradient[j])
	}
	text := fmt.Sprintf("raise z of %s (gradient %+.3f), lower that of %s", e.Classes[e.Label], own, strings.Join(down, ", "))
	if rest := len(others) - len(down); rest > 0 {
		text += fmt.Sprintf(" and, by %.3f together, of %d more", -own-covered, rest)
	}
	return text
}
