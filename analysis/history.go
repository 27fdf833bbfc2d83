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
// place is the sample's place in its split.
func (e *Explanation) addHistory(ctx context.Context, a *Analyzer, place int) error {
	epochs := a.source.Epochs()
	rows, errs := make([]*pastRow, len(epochs)), make([]error, len(epochs))
	err := parallel.Until(ctx, len(epochs), func(i int) error {
		rows[i], errs[i] = a.pastRow(ctx, epochs[i], e.Split, place, e.Label)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	e.Lacking = a.Lost()
	var with []int // the epochs that have a row of the sample
	for i, epoch := range epochs {
		if e.AddDamage(errs[i]); rows[i] != nil {
			with = append(with, epoch)
		}
	}
	if e.Early, err = a.Early(ctx, with, a.source.Manifest().HeldOut(), &e.Lacking); err != nil {
		return err
	}
	var t Trace
	e.History = []Past{}
	for i, epoch := range epochs {
		row := rows[i]
		if row == nil {
			continue
		}
		past := Past{Epoch: epoch, PTrue: Number(math.NaN()), NLL: Number(math.NaN()), Argmax: logit.None}
		defined := !math.IsNaN(row.stats.LSE)
		if defined {
			past.Argmax = row.stats.Argmax
		}
		if e.Label != record.Ignored {
			t.Add(epoch, &row.stats, e.Label, row.el2n, epoch <= e.Early)
		}
		if e.Label != record.Ignored && defined {
			past.PTrue, past.NLL = Number(math.Exp(-row.stats.NLL)), Number(row.stats.NLL)
		}
		e.History = append(e.History, past)
	}
	if e.Label != record.Ignored {
		figures := t.Figures()
		e.Dynamics = &figures
	}
	return nil
}

// pastRow holds what the history needs of a sample's row at an epoch, for a given label and T = 1.
type pastRow struct {
	stats logit.RowStats
	el2n  float64 // ‖p − y‖₂; NaN without a label
}

// pastRow returns the row of the sample at a place in its split, nil where the epoch has no row of it. It reads no logits where the run keeps
// statistics of the row for the same label.
func (a *Analyzer) pastRow(ctx context.Context, epoch int, split string, sample int, label int32) (past *pastRow, err error) {
	k := a.source.Manifest().Columns
	kept, err := a.keptStats(ctx, epoch, split)
	if err != nil {
		return nil, err
	}
	if kept != nil {
		defer kept.Close()
		samples, err := a.Samples(split)
		if err != nil {
			return nil, err
		}
		other := false // whether the statistics are of another label
		err = Guard(rowsOf(epoch, split), func() error {
			if row, ok := rowOf(kept, sample); ok {
				block := kept.At(row, 1)
				if other = labelsOf(block, kept, samples)[0] != label; !other {
					stats := asRowStats(nil, block.Stats)[0]
					past = &pastRow{stats, el2nOf(&stats, k)}
				}
			}
			return nil
		})
		if err != nil || !other {
			return past, err
		}
	}
	err = a.Read(ctx, epoch, split, func(s *Split) error {
		row, ok := s.Row(sample)
		if !ok {
			return nil
		}
		z := make([]float32, max(k, 2))
		CopyRow(z, s.At(row, 1).Logits, k, 0)
		past = &pastRow{el2n: math.NaN()}
		stats := []logit.RowStats{{}}
		logit.Stats(stats, z, len(z), []int32{max(label, 0)}, 1)
		past.stats = stats[0]
		if label != record.Ignored {
			logit.Softmax(z, z, len(z))
			past.el2n = EL2N(z, label)
		}
		return nil
	})
	return past, err
}

// Neighbour is a sample of the same split whose logits are near those of the explained sample.
type Neighbour struct {
	ID         int64  `json:"id"`
	Label      int32  `json:"label"`
	CleanLabel *int32 `json:"clean_label"`
	Argmax     int32  `json:"argmax"`
	Distance   Number `json:"distance"` // the Euclidean distance of the two rows, each less its mean, because softmax ignores a number added to all logits
	Preview    []byte `json:"preview"`
	Text       string `json:"text,omitempty"`

	place int // the place of the sample among the samples of the split
}

// neighboursKept is how many neighbours an Explanation lists at most.
const neighboursKept = 8

// nearest returns the neighbours of a row, the nearest first, the lower row first on a tie. A row with logits that are not finite has no
// neighbours and is nobody's neighbour.
func nearest(ctx context.Context, s *Split, row int) ([]Neighbour, error) {
	found := []Neighbour{}
	logits := s.At(row, 1).Logits
	err := s.Each(ctx, func(b summary.Batch) error {
		found = nearestIn(found, logits, b, row, s.Sample)
		return nil
	})
	return found, err
}

// nearestIn returns the nearest of the neighbours found so far and the rows of b. self is the row that the neighbours are of, which is left out;
// sample returns the place of a row's sample.
func nearestIn(found []Neighbour, logits []float32, b summary.Batch, self int, sample func(row int) int) []Neighbour {
	columns, k := b.Columns, float64(b.Classes())
	for i := range b.Labels {
		if b.First+i == self {
			continue
		}
		row := b.Logits[i*columns : (i+1)*columns]
		// Σ (d − mean d)² is Σ d² − (Σ d)²/K. For a binary head K is 2, and its other logit is always 0.
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
	ofLabel := float64(e.Gradient[e.Label])
	if math.IsNaN(ofLabel) {
		return "nothing that is defined: the logits have no softmax"
	}
	const hardly = 0.005 // a gradient is at most 1 at T = 1; one below this counts as none
	if -ofLabel*e.Temperature < hardly {
		return fmt.Sprintf("hardly anything: p of %s is %.3f already", e.Classes[e.Label], e.Softmax[e.Label])
	}
	var others []int
	for j := range e.Gradient {
		if int32(j) != e.Label && e.Gradient[j] > 0 {
			others = append(others, j)
		}
	}
	slices.SortStableFunc(others, func(x, y int) int { return cmp.Compare(e.Gradient[y], e.Gradient[x]) })
	// down names the classes that make up nine tenths of what is lowered, three at most.
	var down []string
	covered := 0.0
	for _, j := range others {
		if len(down) == 3 || covered >= 0.9*-ofLabel {
			break
		}
		down = append(down, fmt.Sprintf("%s (%+.3f)", e.Classes[j], e.Gradient[j]))
		covered += float64(e.Gradient[j])
	}
	text := fmt.Sprintf("raise z of %s (gradient %+.3f), lower that of %s", e.Classes[e.Label], ofLabel, strings.Join(down, ", "))
	if rest := len(others) - len(down); rest > 0 {
		text += fmt.Sprintf(" and, by %.3f together, of %d more", -ofLabel-covered, rest)
	}
	return text
}
