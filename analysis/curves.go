package analysis

import (
	"fmt"
	"math"
	"strings"
)

// Curves are the figures of every epoch and split of a run, and what they tell.
type Curves struct {
	Run           string        `json:"run"`
	Classes       []string      `json:"classes"`
	State         string        `json:"state"`
	PlannedEpochs int           `json:"planned_epochs"`
	Epochs        []EpochScores `json:"epochs"`
	Damaged       []string      `json:"damaged"` // what could not be read: the epochs it belongs to lack those splits
	Story         Story         `json:"story"`
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
		Epochs: []EpochScores{}, Damaged: []string{},
	}
	for i, epoch := range epochs {
		if scores[i].err != nil {
			c.Damaged = append(c.Damaged, strings.Split(scores[i].err.Error(), "\n")...)
		}
		e := EpochScores{Epoch: epoch, Splits: map[string]SplitScores{}}
		for name, s := range scores[i].splits {
			e.Splits[name] = SplitScores{
				N: s.N + s.Undefined, NLL: Number(s.Mean(s.NLL)), Accuracy: Number(s.Accuracy()),
				PTrue: Number(s.Mean(s.PTrue)), ZTrue: Number(s.Mean(s.ZTrue)), LogPTrue: Number(s.Mean(s.LogPTrue)),
				Undefined: s.Undefined,
			}
		}
		c.Epochs = append(c.Epochs, e)
	}
	c.Story = tell(c)
	return c, nil
}

// Story says in one sentence what a run shows.
type Story struct {
	Sentence   string `json:"sentence"`
	Kind       Kind   `json:"kind"`
	BestEpoch  int    `json:"best_epoch"` // the epoch with the lowest validation NLL; 0 where there is none
	BestValNLL Number `json:"best_val_nll"`
	LastEpoch  int    `json:"last_epoch"`
	LastValNLL Number `json:"last_val_nll"`
}

// Kind is what kind of story a run tells.
type Kind string

// Kinds of stories.
const (
	TooShort    Kind = "too_short"   // too few epochs to tell
	Diverged    Kind = "diverged"    // the training NLL is not finite, or above where it began
	Overfitting Kind = "overfitting" // validation NLL rises while training NLL falls
	Learning    Kind = "learning"    // validation NLL still falls
	Converged   Kind = "converged"   // validation NLL stands still
	Unvalidated Kind = "unvalidated" // there is no validation split
)

const (
	fewEpochs = 3 // below this nothing is told
	// Validation NLL this many times its lowest value, some epochs after it, is overfitting and not the wobble of a curve.
	riseOfOverfitting = 1.05
	// The lowest validation NLL in the last tenth of the epochs: it still falls.
	stillLearning = 0.9
)

// tell reads the curves of the splits train and val.
func tell(c *Curves) Story {
	story := Story{BestValNLL: Number(math.NaN()), LastValNLL: Number(math.NaN())}
	var train, val []SplitScores
	var epochs []int
	for _, e := range c.Epochs {
		t, hasTrain := e.Splits["train"]
		v, hasVal := e.Splits["val"]
		if !hasTrain {
			continue
		}
		train, epochs = append(train, t), append(epochs, e.Epoch)
		if hasVal {
			val = append(val, v)
		}
	}
	n := len(epochs)
	if n == 0 {
		story.Kind, story.Sentence = TooShort, "No epoch is recorded yet."
		return story
	}
	last := n - 1
	story.LastEpoch = epochs[last]
	finalTrain := float64(train[last].NLL)
	if len(val) != n {
		story.Kind = Unvalidated
		story.Sentence = fmt.Sprintf("Training NLL is %.3f at epoch %d; without validation samples nothing tells how it does on new ones.",
			finalTrain, epochs[last])
		return story
	}
	best := 0
	for i := range val {
		if val[i].NLL < val[best].NLL || math.IsNaN(float64(val[best].NLL)) {
			best = i
		}
	}
	lowest, final := float64(val[best].NLL), float64(val[last].NLL)
	story.BestEpoch, story.BestValNLL, story.LastValNLL = epochs[best], val[best].NLL, val[last].NLL
	switch {
	case train[last].Undefined > 0 || math.IsNaN(finalTrain) || math.IsInf(finalTrain, 0):
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("At epoch %d %d training samples have logits without a softmax (NaN or infinite): training diverged; lower the learning rate.",
			epochs[last], train[last].Undefined)
	case n < fewEpochs:
		story.Kind = TooShort
		story.Sentence = fmt.Sprintf("After epoch %d validation NLL is %.3f: too early to tell more.", epochs[last], final)
	case finalTrain > float64(train[0].NLL):
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("Training NLL rose from %.3f at epoch %d to %.3f at epoch %d: training diverges; lower the learning rate.",
			float64(train[0].NLL), epochs[0], finalTrain, epochs[last])
	case final >= riseOfOverfitting*lowest && finalTrain < float64(train[best].NLL):
		story.Kind = Overfitting
		story.Sentence = fmt.Sprintf("Validation NLL was lowest at epoch %d (%.3f) and rose to %.3f by epoch %d, while training NLL went on falling from %.3f to %.3f: from epoch %d on the network overfits.",
			epochs[best], lowest, final, epochs[last], float64(train[best].NLL), finalTrain, epochs[best])
	case float64(best) >= stillLearning*float64(last):
		story.Kind = Learning
		story.Sentence = fmt.Sprintf("Validation NLL is lowest at epoch %d of %d (%.3f) and still falls: the network is learning; more epochs may help.",
			epochs[best], epochs[last], lowest)
	default:
		story.Kind = Converged
		story.Sentence = fmt.Sprintf("Validation NLL was lowest at epoch %d (%.3f) and is %.3f at epoch %d: it stands still.",
			epochs[best], lowest, final, epochs[last])
	}
	return story
}
