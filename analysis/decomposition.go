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

// Decomposition is the mean NLL of a split taken apart: NLL = Scale + Ranking. With T* the temperature at which the NLL is
// lowest, Ranking is NLL(T*), which depends on what the logits say of one class against another and not on how loud they say
// it; Scale is NLL(1) − NLL(T*), never below 0: the price of too much, or too little, confidence.
type Decomposition struct {
	Temperature Number            `json:"temperature"` // T*; null where no finite one is best
	Scale       Number            `json:"scale"`
	Ranking     Number            `json:"ranking"`
	Verdict     calibrate.Verdict `json:"verdict"` // how the search for T* ended
}

// decompose takes the NLL of a split apart. atOne is what a pass over it at T = 1 added up.
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
	parts  *Decomposition // of the NLL; nil where the logits are not kept
	traits Traits
	bounds bool // the ranges of scores and the traits are only what kept statistics tell of them
}

// figuresOf computes the figures of a split at an epoch, of statistics where these are kept, and adds the rows' NLL to units, nil for nowhere.
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

// complete reads the logits of a split at an epoch for what statistics of its rows do not tell. What they told stays, to the digit.
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

// Rise says why validation NLL at the last epoch is above its lowest: what a temperature would take back, and what not.
type Rise struct {
	From          int     `json:"from"` // the epoch of the lowest NLL
	To            int     `json:"to"`   // the last epoch
	NLL           Number  `json:"nll"`  // by how much it rose: the sum of the next two
	Scale         Number  `json:"scale"`
	Ranking       Number  `json:"ranking"`
	Temperature   Number  `json:"temperature"` // T* at the last epoch
	AccuracyFrom  Number  `json:"accuracy_from"`
	AccuracyTo    Number  `json:"accuracy_to"`
	Lost          int     `json:"lost"`           // answers that were right and are no more
	Won           int     `json:"won"`            // and the other way round
	RankingChange *Change `json:"ranking_change"` // that of ranking, each sample at both epochs' own T*; null where one has none
	ErrorChange   *Change `json:"error_change"`   // that of the share of wrong answers
	BestRanking   int     `json:"best_ranking"`   // the epoch whose NLL(T*) is lowest: the one to keep where its T* is shipped too
	Sentence      string  `json:"sentence"`
}

// Shares of a rise below which one part of it is as good as none.
const smallShare = 0.15

// rise takes apart the rise of validation NLL, nil where it cannot be.
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
	r.Sentence = r.sentence()
	return r, nil
}

// answers are validation's at an epoch: which are right, and the sums of their errors and of their NLL at the split's own T*.
type answers struct {
	right           []bool
	errors, ranking *sampleSums // ranking is nil where no finite T* is best
}

func (a *Analyzer) answers(ctx context.Context, e *EpochScores) (*answers, error) {
	a.mu.Lock()
	known := a.answered[e.Epoch]
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	samples, err := a.Samples(record.ValSplit)
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
	_, err = a.eachStats(ctx, e.Epoch, record.ValSplit, func(b statsBlock) {
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
	err = a.Read(ctx, e.Epoch, record.ValSplit, func(s *Split) error {
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

// Suffers and gains report whether more answers, or fewer, are wrong than chance explains.
func (r *Rise) Suffers() bool { return r.ErrorChange.BeyondChance() && r.ErrorChange.NLL > 0 }
func (r *Rise) gains() bool   { return r.ErrorChange.BeyondChance() && r.ErrorChange.NLL < 0 }

// ofAccuracy says what may be read off the accuracies.
func (r *Rise) ofAccuracy() string {
	if r.ErrorChange == nil || r.ErrorChange.BeyondChance() || r.Lost == r.Won {
		return ""
	}
	return fmt.Sprintf(", which may be chance: %d answers were lost and %d won", r.Lost, r.Won)
}

// ConfidenceAlone reports whether a temperature takes back all of the rise that counts, and no more answers are wrong.
func (r *Rise) ConfidenceAlone() bool {
	return float64(r.Ranking) <= smallShare*float64(r.NLL) && !r.Suffers()
}

// Parts says in words what the rise is made of, and what that comes to: no more than the samples tell.
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

// though says where the answers do not agree with the NLL.
func (r *Rise) though() string {
	if r.gains() {
		return " by NLL, though more of its answers are right"
	}
	return ""
}
