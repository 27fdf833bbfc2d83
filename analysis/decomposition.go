package analysis

import (
	"context"
	"fmt"
	"math"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Decomposition is the mean NLL of a split taken apart: NLL = Scale + Ranking. T* is the temperature at which the NLL is lowest. Ranking is NLL(T*),
// which does not change when all logits are multiplied by the same number. Scale is NLL(1) − NLL(T*), which is never below 0: it is what too much, or
// too little, confidence costs.
type Decomposition struct {
	Temperature Number            `json:"temperature"` // T*; null where no finite temperature is best
	Scale       Number            `json:"scale"`
	Ranking     Number            `json:"ranking"`
	Verdict     calibrate.Verdict `json:"verdict"` // how the search for T* ended
}

// decompose takes the NLL of a split apart. atOne holds the sums over its decisions at T = 1, so that no pass over the logits is needed for them.
func decompose(ctx context.Context, decisions Decisions, atOne *calibrate.Sums) (*Decomposition, error) {
	fit, err := calibrate.FitTemperatureAfter(ctx, atOne, decisions, decisions.Width())
	if err != nil {
		return nil, err
	}
	d := &Decomposition{
		Temperature: Number(fit.T), Scale: Number(fit.NLLBefore - fit.NLLAfter), Ranking: Number(fit.NLLAfter), Verdict: fit.Verdict,
	}
	if fit.Verdict != calibrate.Converged {
		d.Temperature = Number(math.NaN())
	}
	return d, nil
}

// splitFigures are the figures of a split at an epoch.
type splitFigures struct {
	scores *summary.Scores
	parts  *Decomposition // the NLL taken apart; nil where the logits are not kept
	traits Traits
	bounds bool // whether the ranges in scores and the traits are mere bounds, which row statistics give
}

// figuresOf computes the figures of a split at an epoch, from row statistics where these are kept. It adds the rows' NLL to units where that is not
// nil.
func (a *Analyzer) figuresOf(ctx context.Context, epoch int, split string, units *sampleSums) (f splitFigures, err error) {
	f.scores = summary.NewScores()
	traits := newTraitSums(units)
	var atOne calibrate.Sums
	info, err := a.eachStats(ctx, epoch, split, func(b statsBlock) {
		f.scores.AddStats(b.Batch, b.stats)
		atOne.AddStats(b.Batch, b.stats)
		traits.addNLL(b)
		if f.bounds = b.kept != nil; f.bounds {
			traits.addKept(b)
		} else {
			traits.add(b)
		}
	})
	if err != nil {
		return f, err
	}
	f.traits = traits.traits()
	f.traits.info = info
	if !info.Dense {
		return f, nil
	}
	err = a.Read(ctx, epoch, split, func(s *Split) (err error) {
		f.parts, err = decompose(ctx, s.Decisions(), &atOne)
		return err
	})
	return f, err
}

// complete reads the logits of a split at an epoch and returns f with the ranges and traits that row statistics do not tell. All other figures stay as
// they are, to the digit.
func (a *Analyzer) complete(ctx context.Context, epoch int, split string, f splitFigures) (splitFigures, error) {
	ranges, traits := summary.NewScores(), newTraitSums(nil)
	err := a.Read(ctx, epoch, split, func(s *Split) error {
		return s.Each(ctx, func(b summary.Batch) error {
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				ranges.AddStats(rows, stats)
				traits.add(statsBlock{Batch: b.Part(rows.First-b.First, len(stats)), stats: stats})
			})
			return nil
		})
	})
	if err != nil {
		return f, err
	}
	scores, t := *f.scores, traits.traits()
	scores.Z, scores.LogP = ranges.Z, ranges.LogP
	t.NLLSpread, t.info = f.traits.NLLSpread, f.traits.info
	return splitFigures{&scores, f.parts, t, false}, nil
}

// Rise says why validation NLL at the last epoch is above its lowest: which part of the rise a temperature removes, and which it does not.
type Rise struct {
	From          int     `json:"from"`        // the epoch with the lowest NLL
	To            int     `json:"to"`          // the last epoch
	NLL           Number  `json:"nll"`         // the rise of the NLL, which is Scale + Ranking
	Scale         Number  `json:"scale"`       // the rise of Decomposition.Scale
	Ranking       Number  `json:"ranking"`     // the rise of Decomposition.Ranking
	Temperature   Number  `json:"temperature"` // T* at the last epoch
	AccuracyFrom  Number  `json:"accuracy_from"`
	AccuracyTo    Number  `json:"accuracy_to"`
	Lost          int     `json:"lost"`           // the number of decisions that were right at From and are wrong at To
	Won           int     `json:"won"`            // the number of decisions that were wrong at From and are right at To
	RankingChange *Change `json:"ranking_change"` // the change of ranking, with each epoch's NLL at its own T*; null where an epoch has no finite T*
	ErrorChange   *Change `json:"error_change"`   // the change of the share of wrong decisions
	BestRanking   int     `json:"best_ranking"`   // the epoch whose NLL(T*) is lowest, which is the one to keep where its T* is applied too
	Sentence      string  `json:"sentence"`
}

// smallShare is the share of a rise below which one of its two parts counts as none.
const smallShare = 0.15

// rise takes the rise of validation NLL apart. It returns nil where one of the two epochs has no decomposition.
func (a *Analyzer) rise(ctx context.Context, c *Curves) (*Rise, error) {
	var from, to, best *EpochScores
	for i := range c.Epochs {
		e := &c.Epochs[i]
		s := e.Splits[record.ValSplit]
		if s.Parts == nil || s.N == 0 || s.Undefined > 0 || !finite(float64(s.Parts.Ranking)) {
			continue
		}
		if e.Epoch == c.Story.BestRecorded {
			from = e
		}
		if e.Epoch == c.Story.LastEpoch {
			to = e
		}
		if best == nil || s.Parts.Ranking < best.Splits[record.ValSplit].Parts.Ranking {
			best = e
		}
	}
	if from == nil || to == nil || to == from {
		return nil, nil
	}
	x, y := from.Splits[record.ValSplit], to.Splits[record.ValSplit]
	r := &Rise{
		From: from.Epoch, To: to.Epoch, Scale: y.Parts.Scale - x.Parts.Scale, Ranking: y.Parts.Ranking - x.Parts.Ranking,
		Temperature: y.Parts.Temperature, AccuracyFrom: x.Accuracy, AccuracyTo: y.Accuracy, BestRanking: best.Epoch,
	}
	r.NLL = r.Scale + r.Ranking
	before, err := a.answers(ctx, from)
	if err != nil {
		return nil, err
	}
	after, err := a.answers(ctx, to)
	if err != nil {
		return nil, err
	}
	for i := range before.right {
		switch {
		case before.right[i] && !after.right[i]:
			r.Lost++
		case after.right[i] && !before.right[i]:
			r.Won++
		}
	}
	between := func(x, y *sampleSums) *Change {
		return change(from.Epoch, to.Epoch, func(epoch int) *sampleSums {
			if epoch == from.Epoch {
				return x
			}
			return y
		}, nil)
	}
	r.ErrorChange = between(before.errors, after.errors)
	if before.ranking != nil && after.ranking != nil {
		r.RankingChange = between(before.ranking, after.ranking)
	}
	r.Sentence = a.inWords(r.sentence())
	return r, nil
}

// answers are the decisions on the validation samples at an epoch.
type answers struct {
	right   []bool      // whether each decision is right
	errors  *sampleSums // sums of 1 for a wrong decision and 0 for a right one
	ranking *sampleSums // sums of the NLL at the epoch's own T*; nil where no finite temperature is best
}

func (a *Analyzer) answers(ctx context.Context, e *EpochScores) (*answers, error) {
	a.mu.Lock()
	known := a.answered[e.Epoch]
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	held := a.source.Manifest().HeldOut()
	samples, err := a.Samples(held)
	if err != nil {
		return nil, err
	}
	columns := a.source.Manifest().Columns
	found := &answers{errors: newUnits(samples, columns)}
	perSample := 1
	if samples.Targets != nil {
		perSample = columns
	}
	found.right = make([]bool, len(samples.IDs)*perSample)
	_, err = a.eachStats(ctx, e.Epoch, held, func(b statsBlock) {
		for i := range b.stats {
			if b.Labels[i] < 0 || math.IsNaN(b.stats[i].LSE) {
				continue
			}
			wrong, at := 1.0, b.number(b.First+i)
			if found.right[at] = b.stats[i].Argmax == b.Labels[i]; found.right[at] {
				wrong = 0
			}
			found.errors.add(at, wrong)
		}
	})
	if err != nil {
		return nil, err
	}
	err = a.Read(ctx, e.Epoch, held, func(s *Split) error {
		d := s.Decisions()
		t := float64(e.Splits[record.ValSplit].Parts.Temperature)
		if !finite(t) {
			return nil
		}
		found.ranking = newUnits(samples, columns)
		return d.Each(ctx, func(b summary.Batch) error {
			b.Temperature = t
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				for i := range stats {
					if rows.Labels[i] >= 0 {
						found.ranking.add(d.Number(rows.First+i), stats[i].NLL)
					}
				}
			})
			return nil
		})
	})
	if err == nil {
		a.mu.Lock()
		a.answered[e.Epoch] = found
		a.mu.Unlock()
	}
	return found, err
}

func (r *Rise) sentence() string {
	return fmt.Sprintf("From epoch %d to %d validation NLL rose by %.3f: %s. Accuracy went from %.3f to %.3f%s.",
		r.From, r.To, r.NLL, r.Parts(), r.AccuracyFrom, r.AccuracyTo, r.ofAccuracy())
}

// Suffers reports whether more decisions are wrong at the last epoch, by more than chance explains.
func (r *Rise) Suffers() bool { return r.ErrorChange.BeyondChance() && r.ErrorChange.NLL > 0 }

// gains reports whether fewer decisions are wrong at the last epoch, by more than chance explains.
func (r *Rise) gains() bool { return r.ErrorChange.BeyondChance() && r.ErrorChange.NLL < 0 }

// ofAccuracy returns the words that follow the two accuracies where their difference may be chance, else "".
func (r *Rise) ofAccuracy() string {
	if r.ErrorChange == nil || r.ErrorChange.BeyondChance() || r.Lost == r.Won {
		return ""
	}
	return fmt.Sprintf(", which may be chance: %d answers were lost and %d won", r.Lost, r.Won)
}

// ConfidenceAlone reports whether a temperature removes all of the rise but a share of smallShare, and no more decisions are wrong than chance
// explains.
func (r *Rise) ConfidenceAlone() bool {
	return float64(r.Ranking) <= smallShare*float64(r.NLL) && !r.Suffers()
}

// Parts says in words what the rise is made of and what that means for the network. It claims nothing that is within chance.
func (r *Rise) Parts() string {
	confidence, sure, removes := "over-confidence", "too sure", "a temperature removes"
	if finite(float64(r.Temperature)) {
		removes = fmt.Sprintf("a temperature of %.2f removes", r.Temperature)
		if r.Temperature < 1 {
			confidence, sure = "too little confidence", "too unsure"
		}
	}
	scale := fmt.Sprintf("scale rose by %.3f, %s that %s", r.Scale, confidence, removes)
	ranking := fmt.Sprintf("ranking rose by %.3f, which no temperature repairs", r.Ranking)
	told := r.RankingChange.BeyondChance()
	switch share := float64(r.Ranking / r.NLL); {
	case share < -smallShare:
		end := ", not worse"
		switch {
		case r.Suffers():
			end = ", and more often wrong"
		case told:
			end = ", and better"
		}
		return fmt.Sprintf("%s, while ranking fell by %.3f: the network got %s%s", scale, -r.Ranking, sure, end)
	case share <= smallShare:
		end := ", not worse"
		if r.Suffers() {
			end = ", and more often wrong"
		}
		return fmt.Sprintf("%s, and ranking hardly (%+.3f): the network got %s%s", scale, r.Ranking, sure, end)
	case share > 1+smallShare:
		return fmt.Sprintf("%s, while scale fell by %.3f: the network got worse%s", ranking, -r.Scale, r.though())
	case share >= 1-smallShare:
		return fmt.Sprintf("%s, and scale hardly (%+.3f): the network got worse%s", ranking, r.Scale, r.though())
	}
	if !told && !r.Suffers() {
		return fmt.Sprintf("%s, and %s: the network got %s; whether it got worse too is within chance", scale, ranking, sure)
	}
	return fmt.Sprintf("%s, and %s: the network got both %s and worse%s", scale, ranking, sure, r.though())
}

// though returns the words that follow a verdict of worse where more decisions are right nevertheless, else "".
func (r *Rise) though() string {
	if r.gains() {
		return " by NLL, though more of its answers are right"
	}
	return ""
}
