package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/record"
)

// Curves are the figures of every epoch and split of a run, and what they tell.
type Curves struct {
	Run           string        `json:"run"`
	Classes       []string      `json:"classes"`
	State         string        `json:"state"`
	PlannedEpochs int           `json:"planned_epochs"`
	Epochs        []EpochScores `json:"epochs"`
	Unrecorded    []EpochScores `json:"unrecorded"` // epochs whose logits are not kept: NLL and accuracy alone, as their writer had them
	Damaged       []string      `json:"damaged"`    // what could not be read: the epochs it belongs to lack those splits
	Story         Story         `json:"story"`
	Rise          *Rise         `json:"rise"` // of validation NLL, taken apart; null where there is none
}

// EpochScores are the figures of one epoch.
type EpochScores struct {
	Epoch  int                    `json:"epoch"`
	Splits map[string]SplitScores `json:"splits"`
}

// SplitScores are means over the samples of a split; rows that have no softmax are left out of them and counted.
type SplitScores struct {
	N         int    `json:"n"`
	NLL       Number `json:"nll"`
	Accuracy  Number `json:"accuracy"`
	PTrue     Number `json:"p_true"`
	ZTrue     Number `json:"z_true"`
	LogPTrue  Number `json:"log_p_true"`
	Undefined int    `json:"undefined"`

	Parts *Decomposition `json:"parts,omitempty"` // of the NLL
}

// Curves reads every epoch that the run holds.
func (a *Analyzer) Curves() (*Curves, error) {
	m, epochs := a.run.Manifest(), a.run.Epochs()
	scores, err := a.scoresOf(epochs)
	if err != nil {
		return nil, err
	}
	c := &Curves{
		Run: m.Name, Classes: m.Classes, State: a.run.State(), PlannedEpochs: m.PlannedEpochs,
		Epochs: []EpochScores{}, Unrecorded: []EpochScores{}, Damaged: []string{},
	}
	decisions := 1 // a sample
	if m.Head == record.HeadSigmoid {
		decisions = m.Columns
	}
	for i, epoch := range epochs {
		if scores[i].err != nil {
			c.Damaged = append(c.Damaged, strings.Split(scores[i].err.Error(), "\n")...)
		}
		e := EpochScores{Epoch: epoch, Splits: map[string]SplitScores{}}
		for name, s := range scores[i].splits {
			e.Splits[name] = SplitScores{
				N: (s.N + s.Undefined) / decisions, NLL: Number(s.Mean(s.NLL)), Accuracy: Number(s.Accuracy()),
				PTrue: Number(s.Mean(s.PTrue)), ZTrue: Number(s.Mean(s.ZTrue)), LogPTrue: Number(s.Mean(s.LogPTrue)),
				Undefined: s.Undefined, Parts: scores[i].parts[name],
			}
		}
		c.Epochs = append(c.Epochs, e)
	}
	figures, err := a.run.Figures()
	if err != nil {
		c.Damaged = append(c.Damaged, err.Error())
	}
	for _, f := range figures {
		if _, recorded := slices.BinarySearch(epochs, f.Epoch); !recorded {
			c.Unrecorded = append(c.Unrecorded, unrecorded(m, f))
		}
	}
	c.Story = tell(c)
	c.Rise = rise(c, c.Story)
	return c, nil
}

// unrecorded are the scores of an epoch of which only figures are kept.
func unrecorded(m *record.Manifest, f record.Figures) EpochScores {
	nan := Number(math.NaN())
	e := EpochScores{Epoch: f.Epoch, Splits: map[string]SplitScores{}}
	for _, s := range f.Splits {
		n := 0
		for _, info := range m.Splits {
			if info.Name == s.Name && !math.IsNaN(s.Accuracy) { // else no sample has a label
				n = info.N
			}
		}
		e.Splits[s.Name] = SplitScores{N: n, NLL: Number(s.NLL), Accuracy: Number(s.Accuracy), PTrue: nan, ZTrue: nan, LogPTrue: nan}
	}
	return e
}

// All returns every epoch, recorded or not, in rising order.
func (c *Curves) All() []EpochScores {
	all := slices.Concat(c.Epochs, c.Unrecorded)
	slices.SortFunc(all, func(a, b EpochScores) int { return a.Epoch - b.Epoch })
	return all
}

func (c *Curves) recorded(epoch int) bool {
	return slices.ContainsFunc(c.Epochs, func(e EpochScores) bool { return e.Epoch == epoch })
}

// Story says in one sentence what a run shows.
type Story struct {
	Sentence     string `json:"sentence"`
	Kind         Kind   `json:"kind"`
	BestEpoch    int    `json:"best_epoch"`          // the epoch with the lowest validation NLL; 0 where there is none
	BestRecorded int    `json:"best_recorded_epoch"` // that of those whose logits are kept
	BestValNLL   Number `json:"best_val_nll"`
	LastEpoch    int    `json:"last_epoch"`
	LastValNLL   Number `json:"last_val_nll"`
}

// Kind is what kind of story a run tells.
type Kind string

// Kinds of stories.
const (
	TooShort    Kind = "too_short"   // too few epochs to tell
	Diverged    Kind = "diverged"    // the NLL is not finite at the end, or that of training is above where it began
	Overfitting Kind = "overfitting" // validation NLL rises while training NLL falls
	Learning    Kind = "learning"    // validation NLL still falls
	Converged   Kind = "converged"   // validation NLL stands still
	Unvalidated Kind = "unvalidated" // there is no validation split
)

const (
	fewEpochs = 3 // below this nothing is told
	// Validation NLL this many times its lowest value, some epochs after it, is overfitting and not the wobble of a curve.
	riseOfOverfitting = 1.05
	// Training NLL at the end this many times that of the first epoch has diverged, and does not wobble where it began.
	riseOfDivergence = 1.02
	// The lowest validation NLL in the last tenth of the epochs: it still falls.
	stillLearning = 0.9
)

// tell reads the curves of the splits train and val, at the epochs where both can be read.
func tell(c *Curves) Story {
	story := Story{BestValNLL: Number(math.NaN()), LastValNLL: Number(math.NaN())}
	all := c.All()
	validated := slices.ContainsFunc(all, func(e EpochScores) bool { return has(e, "val") })
	epochs := slices.DeleteFunc(slices.Clone(all), func(e EpochScores) bool {
		return !has(e, "train") || validated && !has(e, "val")
	})
	if len(epochs) == 0 {
		story.Kind, story.Sentence = TooShort, "No epoch is recorded yet."
		if c.State == record.StateComplete {
			story.Sentence = "No epoch is recorded: the run was trained without."
		}
		if len(all) > 0 {
			story.Sentence = "No epoch has labelled training samples that can be read."
		}
		return story
	}
	first, last := epochs[0], epochs[len(epochs)-1]
	story.LastEpoch = last.Epoch
	trainStart, trainEnd := first.nll("train"), last.nll("train")
	undefined := last.Splits["train"].Undefined + last.Splits["val"].Undefined
	best := first
	if validated {
		best = lowest(epochs)
		kept := slices.DeleteFunc(slices.Clone(epochs), func(e EpochScores) bool { return !c.recorded(e.Epoch) })
		if len(kept) > 0 {
			story.BestRecorded = lowest(kept).Epoch
		}
		story.BestEpoch, story.BestValNLL, story.LastValNLL = best.Epoch, Number(best.nll("val")), Number(last.nll("val"))
	}
	least, end := best.nll("val"), last.nll("val")
	switch {
	case undefined > 0:
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("At epoch %d %d samples have logits without a softmax (NaN or infinite): training diverged; lower the learning rate.",
			last.Epoch, undefined)
	case !finite(trainEnd) || validated && !finite(end):
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("At epoch %d the mean NLL is infinite: the class of some sample is masked (−Inf).", last.Epoch)
	case !validated:
		story.Kind = Unvalidated
		story.Sentence = fmt.Sprintf("Training NLL is %.3f at epoch %d; without validation samples nothing tells how it does on new ones.", trainEnd, last.Epoch)
	case len(epochs) < fewEpochs:
		story.Kind = TooShort
		story.Sentence = fmt.Sprintf("After epoch %d validation NLL is %.3f: too early to tell more.", last.Epoch, end)
		if c.State == record.StateComplete && len(all) < c.PlannedEpochs {
			story.Sentence = fmt.Sprintf("At epoch %d validation NLL is %.3f; too few epochs are recorded to tell how it moved.", last.Epoch, end)
		}
	case trainEnd > riseOfDivergence*trainStart:
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("Training NLL rose from %.3f at epoch %d to %.3f at epoch %d: training diverges; lower the learning rate.",
			trainStart, first.Epoch, trainEnd, last.Epoch)
	case end >= riseOfOverfitting*least && trainEnd < best.nll("train"):
		story.Kind = Overfitting
		story.Sentence = fmt.Sprintf("Validation NLL was lowest at epoch %d (%.3f) and rose to %.3f by epoch %d, while training NLL went on falling from %.3f to %.3f: from epoch %d on the network overfits.",
			best.Epoch, least, end, last.Epoch, best.nll("train"), trainEnd, best.Epoch)
	case float64(best.Epoch) >= stillLearning*float64(last.Epoch):
		story.Kind = Learning
		story.Sentence = fmt.Sprintf("Validation NLL is lowest at epoch %d of %d (%.3f) and still falls: the network is learning; more epochs may help.",
			best.Epoch, last.Epoch, least)
	default:
		story.Kind = Converged
		story.Sentence = fmt.Sprintf("Validation NLL was lowest at epoch %d (%.3f) and is %.3f at epoch %d: it stands still.", best.Epoch, least, end, last.Epoch)
	}
	if trained := last.Epoch - first.Epoch + 1; len(epochs) < trained {
		story.Sentence += fmt.Sprintf(" (Of these %d epochs %d are known.)", trained, len(epochs))
	}
	return story
}

// lowest returns the epoch with the lowest validation NLL, the earlier one on a tie.
func lowest(epochs []EpochScores) EpochScores {
	best := epochs[0]
	for _, e := range epochs {
		if e.nll("val") < best.nll("val") || math.IsNaN(best.nll("val")) {
			best = e
		}
	}
	return best
}

// has reports whether e has labelled samples of a split.
func has(e EpochScores, split string) bool { return e.Splits[split].N > 0 }

func (e EpochScores) nll(split string) float64 { return float64(e.Splits[split].NLL) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
