package analysis

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Decomposition is the mean NLL of a split taken apart: NLL = Scale + Ranking. With T* the temperature at which the NLL is
// lowest, Ranking is NLL(T*), which depends on what the logits say of one class against another and not on how loud they say
// it; Scale is NLL(1) − NLL(T*), never below 0: the price of too much, or too little, confidence.
type Decomposition struct {
	Temperature Number            `json:"temperature"` // T*; null where no finite one is best
	Scale       Number            `json:"scale"`
	Ranking     Number            `json:"ranking"`
	Verdict     calibrate.Verdict `json:"verdict"` // how the search for T* ended
}

// decompose takes the NLL of logits [N,columns] apart.
func decompose(logits []float32, columns int, labels []int32) *Decomposition {
	fit := calibrate.FitTemperature(logits, columns, labels)
	d := &Decomposition{
		Temperature: Number(fit.T), Scale: Number(fit.NLLBefore - fit.NLLAfter), Ranking: Number(fit.NLLAfter), Verdict: fit.Verdict,
	}
	if fit.Verdict != calibrate.Converged {
		d.Temperature = Number(math.NaN())
	}
	return d
}

// scoresAndParts computes the scores of a split at an epoch, the parts of its NLL and what else there is to see.
func (a *Analyzer) scoresAndParts(epoch int, split string, samples *record.Samples) (*summary.Scores, *Decomposition, seen, error) {
	scores, parts, look := summary.NewScores(), (*Decomposition)(nil), newLook()
	err := a.batch(epoch, split, samples, func(b summary.Batch) {
		b.Stats(func(rows summary.Batch, stats []kernel.Stat) {
			scores.AddStats(rows, stats)
			look.add(b.Slice(rows.First-b.First, rows.First-b.First+len(stats)), stats)
		})
		parts = decompose(b.Logits, b.Columns, b.Labels)
	})
	return scores, parts, look.seen(), err
}

// Rise says why validation NLL at the last epoch is above its lowest: what a temperature would take back, and what not.
type Rise struct {
	From         int    `json:"from"` // the epoch of the lowest NLL
	To           int    `json:"to"`   // the last epoch
	NLL          Number `json:"nll"`  // by how much it rose: the sum of the next two
	Scale        Number `json:"scale"`
	Ranking      Number `json:"ranking"`
	Temperature  Number `json:"temperature"` // T* at the last epoch
	AccuracyFrom Number `json:"accuracy_from"`
	AccuracyTo   Number `json:"accuracy_to"`
	BestRanking  int    `json:"best_ranking"` // the epoch whose NLL(T*) is lowest: the one to keep where its T* is shipped too
	Sentence     string `json:"sentence"`
}

// Shares of a rise below which one part of it is as good as none.
const smallShare = 0.15

// rise takes apart the rise of validation NLL, nil where it has not risen as overfitting does, or cannot be taken apart.
func rise(c *Curves, story Story) *Rise {
	var from, to, best *EpochScores
	for i := range c.Epochs {
		e := &c.Epochs[i]
		s := e.Splits["val"]
		if s.Parts == nil || s.N == 0 || s.Undefined > 0 || !finite(float64(s.Parts.Ranking)) {
			continue
		}
		if e.Epoch == story.BestRecorded {
			from = e
		}
		if e.Epoch == story.LastEpoch {
			to = e
		}
		if best == nil || s.Parts.Ranking < best.Splits["val"].Parts.Ranking {
			best = e
		}
	}
	if from == nil || to == nil || !(to.nll("val") >= riseOfOverfitting*from.nll("val")) || to == from {
		return nil
	}
	a, b := from.Splits["val"], to.Splits["val"]
	r := &Rise{
		From: from.Epoch, To: to.Epoch, Scale: b.Parts.Scale - a.Parts.Scale, Ranking: b.Parts.Ranking - a.Parts.Ranking,
		Temperature: b.Parts.Temperature, AccuracyFrom: a.Accuracy, AccuracyTo: b.Accuracy, BestRanking: best.Epoch,
	}
	r.NLL = r.Scale + r.Ranking
	r.Sentence = r.tell()
	return r
}

func (r *Rise) tell() string {
	return fmt.Sprintf("From epoch %d to %d validation NLL rose by %.3f: %s. Accuracy went from %.3f to %.3f.",
		r.From, r.To, r.NLL, r.parts(), r.AccuracyFrom, r.AccuracyTo)
}

// parts says in words what the rise is made of.
func (r *Rise) parts() string {
	confidence, removes := "over-confidence", "a temperature removes"
	if finite(float64(r.Temperature)) {
		removes = fmt.Sprintf("a temperature of %.2f removes", r.Temperature)
		if r.Temperature < 1 {
			confidence = "too little confidence"
		}
	}
	scale := fmt.Sprintf("scale rose by %.3f, %s that %s", r.Scale, confidence, removes)
	ranking := fmt.Sprintf("ranking rose by %.3f, which no temperature repairs", r.Ranking)
	switch share := float64(r.Ranking / r.NLL); {
	case share < -smallShare:
		return fmt.Sprintf("%s, while ranking fell by %.3f: the network got too sure, and better", scale, -r.Ranking)
	case share <= smallShare:
		return fmt.Sprintf("%s, and ranking hardly (%+.3f): the network got too sure, not worse", scale, r.Ranking)
	case share > 1+smallShare:
		return fmt.Sprintf("%s, while scale fell by %.3f: the network got worse", ranking, -r.Scale)
	case share >= 1-smallShare:
		return fmt.Sprintf("%s, and scale hardly (%+.3f): the network got worse", ranking, r.Scale)
	}
	return fmt.Sprintf("%s, and %s: the network got both too sure and worse", scale, ranking)
}
