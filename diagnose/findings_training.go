package diagnose

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Findings about how training went: from the curves, and the samples at the best and the last epoch.

var overfittingRule = rule{
	finds: []Kind{
		{"overfitting", "validation NLL rises while training NLL falls, since when, and whether it is scale or ranking"},
		{"worsened", "validation NLL rises, and training NLL does not fall"},
	},
	voids: readingLearning,
	find:  overfitting,
}

// overfitting: validation NLL rises while training NLL falls, as the story has it; or while training NLL does not fall.
func overfitting(e *evidence) *Finding {
	story, r := e.curves.Story, e.curves.Rise
	if story.Kind == analysis.Worsened {
		return worsened(e)
	}
	if story.Kind != analysis.Overfitting {
		return nil
	}
	if r == nil || len(e.timeline) < analysis.FewEpochs {
		return overfittingUnrecorded(e)
	}
	best, last, c := e.moment(r.From), e.moment(r.To), story.Change
	onset, since := e.onset()
	f := &Finding{
		ID: "overfitting", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Overfitting from %s on", since),
		Evidence: Evidence{
			Text: fmt.Sprintf("Validation NLL rose from %s at epoch %d to %s at epoch %d, while training NLL fell from %.3f to %.3f. Accuracy went from %.1f to %.1f %%: of the answers that changed sides, %d were lost and %d won. Of the rise, %s.",
				words.Digits(float64(best.Val.NLL)), best.Epoch, words.Digits(float64(last.Val.NLL)), last.Epoch, best.Train.NLL, last.Train.NLL,
				100*best.Val.Accuracy, 100*last.Val.Accuracy, r.Lost, r.Won, r.Parts()),
			Figures: []Measure{
				measure("onset epoch", onset), measure("lowest validation NLL", best.Val.NLL), measure("last validation NLL", last.Val.NLL),
				measure("rise at least", c.Low), measure("rise at most", c.High), measure("by chance", c.Chance),
				measure("gap to training NLL", last.Val.NLL-last.Train.NLL), measure("samples lost", r.Lost), measure("samples won", r.Won),
				measure("rise of scale", r.Scale), measure("rise of ranking", r.Ranking),
			},
			Epochs: []int{best.Epoch, last.Epoch}, Split: e.held,
		},
		Meaning: "From there on the network learns its training samples by heart, and does worse on new ones.",
		Try:     fmt.Sprintf("Keep epoch %d, or stop there; weight decay, dropout, a smaller network, or more data hold it back.", best.Epoch),
		Rule: fmt.Sprintf("validation NLL %.0f %% above its lowest or more while training NLL falls, and beyond chance: each of %d samples against itself, chance alone would do so in %.1f %% of cases, the choice of the lowest epoch taken into account (at most %.0f)",
			100*analysis.RiseThatMatters, c.Samples, 100*c.Chance, 100*analysis.ByChance),
	}
	switch {
	case r.Suffers():
		f.Title += ", and accuracy suffers"
	case r.ConfidenceAlone():
		f.Title += ", in confidence alone"
		f.Meaning = "From there on the network learns its training samples by heart. It grows sure of wrong answers; which class is on top hardly changes."
		f.Try = fmt.Sprintf("Keep epoch %d, or stop there; label smoothing, weight decay, dropout, or more data hold it back. A temperature mends the confidence afterwards.", best.Epoch)
	}
	if r.BestRanking != best.Epoch {
		f.Try += fmt.Sprintf(" With a temperature, epoch %d has the lowest NLL.", r.BestRanking)
	}
	return f
}

// overfittingUnrecorded is overfitting by the figures of epochs whose logits are not recorded: they tell no sample from another.
func overfittingUnrecorded(e *evidence) *Finding {
	story := e.curves.Story
	return &Finding{
		ID: "overfitting", Level: Warning, Confidence: Likely,
		Title: fmt.Sprintf("Overfitting from epoch %d on, by the figures of epochs that are not recorded", story.BestEpoch),
		Evidence: Evidence{
			Text:    story.Sentence,
			Figures: []Measure{measure("onset epoch", story.BestEpoch), measure("lowest validation NLL", story.BestValNLL), measure("last validation NLL", story.LastValNLL)},
			Epochs:  []int{story.BestEpoch, story.LastEpoch}, Split: e.held,
		},
		Meaning: "The network learns its training samples by heart, and does worse on new ones. Whether in confidence alone, only the logits of both epochs tell.",
		Try:     fmt.Sprintf("Keep epoch %d, or stop there; record more epochs (train --record all, or every:N) to see more.", story.BestEpoch),
		Rule:    "validation NLL 5 % above its lowest or more while training NLL falls, and beyond chance if its variance over the samples is at most twice that of the last epoch's NLL",
	}
}

// worsened: validation NLL rises, and not because the training samples are learned by heart.
func worsened(e *evidence) *Finding {
	story := e.curves.Story
	f := &Finding{
		ID: "worsened", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Worse on new samples since epoch %d, and no better on those of training", story.BestEpoch),
		Evidence: Evidence{
			Text:    story.Sentence,
			Figures: []Measure{measure("lowest validation NLL", story.BestValNLL), measure("last validation NLL", story.LastValNLL), measure("by chance", story.Change.Chance)},
			Epochs:  []int{story.BestEpoch, story.LastEpoch}, Split: e.held,
		},
		Meaning: "Training lost what it had: steps that are too large, or another loss than NLL that asks for something else.",
		Try:     fmt.Sprintf("Keep epoch %d; a lower learning rate, or a schedule that lowers it.", story.BestEpoch),
		Rule:    fmt.Sprintf("validation NLL %.0f %% above its lowest or more and beyond chance, while training NLL does not fall", 100*analysis.RiseThatMatters),
	}
	if !e.hasTraining {
		f.Title = fmt.Sprintf("Worse on new samples since epoch %d", story.BestEpoch)
		f.Meaning = "Whether the training samples were learned by heart meanwhile, only their logits tell, which the run has not."
		f.Try = fmt.Sprintf("Keep epoch %d; record or import the training split too, to see why.", story.BestEpoch)
		f.Rule = fmt.Sprintf("validation NLL %.0f %% above its lowest or more and beyond chance", 100*analysis.RiseThatMatters)
	}
	return f
}

var stillFallingRule = rule{
	finds: []Kind{{"still_falling", "validation NLL was falling until the last epoch"}},
	needs: validation | trend,
	find:  stillFalling,
}

// stillFalling: validation NLL fell until the last epoch, or from cycle to cycle of a learning rate that restarts.
func stillFalling(e *evidence) *Finding {
	story := e.curves.Story
	if story.Kind != analysis.Learning {
		return nil
	}
	c := story.Change
	return &Finding{
		ID: "still_falling", Level: Info, Confidence: Likely,
		Title: fmt.Sprintf("Validation NLL was still falling at the last epoch, %d", story.LastEpoch),
		Evidence: Evidence{
			Text: fmt.Sprintf("It is %s there, %s below epoch %d (95 %%: %s to %s).",
				words.Digits(float64(story.LastValNLL)), words.Digits(-float64(c.NLL)), c.From, words.Digits(-float64(c.High)), words.Digits(-float64(c.Low))),
			Figures: []Measure{measure("fall", -c.NLL), measure("fall at least", -c.High), measure("fall at most", -c.Low), measure("by chance", c.Chance)},
			Epochs:  []int{c.From, c.To}, Split: e.held,
		},
		Meaning: "Training ended before validation said that it was enough.",
		Try:     "More epochs, or a larger learning rate.",
		Rule: fmt.Sprintf("validation NLL is lowest at the last epoch and fell over the last quarter of the epochs, by %.0f %% of it or %.0f %% of all that was learned; or, where the learning rate restarts, fell from the end of a cycle to that of the next by so much that another may gain 1 %%; beyond chance: each of %d samples against itself",
			100*analysis.FallThatMatters, 100*analysis.LearnedThatMatters, c.Samples),
	}
}

// onset returns the epoch of the lowest validation NLL, recorded or not, and names it in words, with the known epochs around it where some
// between are not known.
func (e *evidence) onset() (epoch int, text string) {
	epoch, all := e.curves.Story.BestEpoch, e.curves.All()
	i := slices.IndexFunc(all, func(s analysis.EpochScores) bool { return s.Epoch == epoch })
	from, to := all[max(i-1, 0)].Epoch, all[min(i+1, len(all)-1)].Epoch
	if to-epoch <= 1 && epoch-from <= 1 {
		return epoch, fmt.Sprintf("epoch %d", epoch)
	}
	return epoch, fmt.Sprintf("about epoch %d (between %d and %d none but it is recorded)", epoch, from, to)
}

const (
	hardlyLearned = 0.5 // of the NLL of class frequencies alone: what is left then is more than what was learned
	steady        = 0.5 // of the mean fall an epoch, in the last quarter: it has not slowed
	swing         = 0.1 // of what was learned: what training NLL rose, in all
)

// progress describes how training NLL moved.
type progress struct {
	first, lowest, last float64
	fell                float64 // from the first to the lowest
	learned             float64 // from the first, or the NLL of class frequencies where that is more, to the lowest
	rose                float64 // the sum of all rises
	step                float64 // mean over the rises of a rise over the NLL that it began at
	lateFall            float64 // an epoch, in the last quarter, over the mean fall an epoch
}

func (e *evidence) progress() progress {
	p := progress{first: float64(e.first().Train.NLL), last: float64(e.last().Train.NLL), lowest: math.Inf(1)}
	before, rises := p.first, 0
	for _, m := range e.timeline {
		nll := float64(m.Train.NLL)
		p.lowest = min(p.lowest, nll)
		if nll > before {
			p.rose += nll - before
			p.step += nll/before - 1
			rises++
		}
		before = nll
	}
	p.step /= float64(max(rises, 1))
	p.fell, p.learned = p.first-p.lowest, max(p.first, e.baselineNLL)-p.lowest
	n := len(e.timeline)
	late, first, last := e.timeline[n-1-min(max(n/4, 1), n-1)], e.first(), e.last()
	rate := func(nll float64, from, to int) float64 { return nll / float64(max(to-from, 1)) }
	p.lateFall = rate(float64(late.Train.NLL)-p.last, late.Epoch, last.Epoch) / rate(p.first-p.last, first.Epoch, last.Epoch)
	return p
}

var underfittingRule = rule{
	finds: []Kind{{"underfitting", "the training set itself is hardly learned"}},
	needs: trend | training,
	find:  underfitting,
}

// underfitting: the training set itself is hardly learned, and validation is no worse. A task that is hard in itself looks the same:
// only a larger network that does better tells the two apart.
func underfitting(e *evidence) *Finding {
	const gap = 0.1 // of the training NLL, to validation's
	last, h, p := e.last(), e.baselineNLL, e.progress()
	train := float64(last.Train.NLL)
	if !(train > hardlyLearned*h) || p.rose > swing*p.learned {
		return nil
	}
	if e.hasValidation && !(math.Abs(float64(last.Val.NLL)-train) <= gap*train) {
		return nil
	}
	f := &Finding{
		ID: "underfitting", Level: Info, Confidence: Possible,
		Title: "The training set itself is hardly learned: the task is hard, or the network underfits",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL is %.3f at epoch %d, where class frequencies alone give %.3f; training accuracy is %.1f %%.",
				train, last.Epoch, h, 100*last.Train.Accuracy),
			Figures: []Measure{measure("training NLL", train), measure("NLL of class frequencies", h), measure("training accuracy", last.Train.Accuracy), measure("validation NLL", last.Val.NLL)},
			Epochs:  []int{last.Epoch}, Split: record.TrainSplit,
		},
		Meaning: "The features may say no more of these classes; or the network is too small, too tightly held, or was not trained long enough. New samples fare no worse than training ones.",
		Try:     "A larger network: if its validation NLL is lower, this one underfits; if not, the task is hard, and better features are what helps.",
		Rule:    "training NLL above half of what class frequencies give, and validation's within 10 % of it; a larger network was not tried",
	}
	if e.curves.Story.Kind == analysis.Learning {
		f.Try = "More epochs first: validation NLL still falls. Then a larger network: if its validation NLL is lower, this one underfits."
	}
	return f
}

var learningRateHighRule = rule{
	finds: []Kind{{"learning_rate_high", "training loss swings, or diverges"}},
	needs: trend | training,
	find:  learningRateHigh,
}

// learningRateHigh: training NLL swings, ends above where it began, or goes up and down and nowhere. On a plateau it wobbles too, by
// less than a hundredth of itself.
func learningRateHigh(e *evidence) *Finding {
	const (
		enough = 5    // epochs: fewer do not make a swing
		step   = 0.02 // of the NLL: what a rise is in the mean
		little = 0.1  // of the NLL of class frequencies: as good as nothing learned
	)
	p, h := e.progress(), e.baselineNLL
	diverged := p.last > analysis.RiseOfDivergence*p.first || math.IsNaN(p.last) || e.last().Train.Undefined > 0
	if math.IsInf(p.last, 1) || math.IsInf(p.rose, 1) {
		return nil // the class of some sample is masked: that is no swing
	}
	swings := p.rose >= swing*p.learned && p.step >= step || p.rose >= p.learned && p.learned < little*h
	swings = swings && !restarts(e.manifest.Config)
	if !diverged && !(swings && len(e.timeline) >= enough && p.rose > 0.02*h) {
		return nil
	}
	f := &Finding{
		ID: "learning_rate_high", Level: Warning, Confidence: Likely,
		Title: "Learning rate too high: the training loss swings",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL fell by %.3f from epoch %d to its lowest (%.3f), but rose by %.3f in all between epochs, each time by %.0f %% in the mean; it ends at %.3f. Class frequencies alone give %.3f.",
				p.fell, e.first().Epoch, p.lowest, p.rose, 100*p.step, p.last, h),
			Figures: []Measure{measure("first", p.first), measure("lowest", p.lowest), measure("last", p.last), measure("sum of the rises", p.rose), measure("mean relative rise", p.step)},
			Epochs:  []int{e.first().Epoch, e.last().Epoch}, Split: record.TrainSplit,
		},
		Meaning: "Steps overshoot: part of what an epoch learns, the next one undoes.",
		Try:     "A third of the learning rate, a schedule that lowers it, a larger batch, or gradient clipping.",
		Rule:    "the rises of training NLL add up to a tenth or more of what was learned, each 2 % in the mean; or to all of it, where that is under a tenth of the NLL of class frequencies",
	}
	if diverged {
		f.Level, f.Title = Error, "Learning rate too high: training diverges"
		f.Meaning = "The network is worse on its own training samples than when it began."
		f.Try = "A tenth of the learning rate, warm-up, or gradient clipping."
		f.Rule = "training NLL at the end 2 % above the first epoch's or more, or not finite"
	}
	return f
}

// restarts reports whether a run's learning rate starts anew from time to time: the training loss rises with it, and is meant to.
func restarts(config json.RawMessage) bool {
	var c struct {
		Schedule string `json:"schedule"`
	}
	return json.Unmarshal(config, &c) == nil && c.Schedule == "restarts"
}

var learningRateLowRule = rule{
	finds: []Kind{{"learning_rate_low", "training loss falls steadily, and is still high"}},
	needs: trend | training,
	find:  learningRateLow,
}

// learningRateLow: training NLL falls steadily, far from the end.
func learningRateLow(e *evidence) *Finding {
	const (
		enough = 8    // epochs: fewer do not show that the fall is steady
		smooth = 0.05 // rises over fall
		little = 0.5  // of the NLL of class frequencies: what was learned in the run
	)
	p, h := e.progress(), e.baselineNLL
	if len(e.timeline) < enough || !(p.last > hardlyLearned*h) || p.rose > smooth*p.fell ||
		!(p.fell > 0 && p.fell < little*h) || !(p.lateFall >= steady) {
		return nil
	}
	return &Finding{
		ID: "learning_rate_low", Level: Warning, Confidence: Likely,
		Title: "Learning rate too low: the loss falls steadily and is still high",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL fell from %.3f at epoch %d to %.3f at epoch %d; in the last quarter it fell at %.0f %% of its mean rate. Class frequencies alone give %.3f.",
				p.first, e.first().Epoch, p.last, e.last().Epoch, 100*p.lateFall, h),
			Figures: []Measure{measure("first", p.first), measure("last", p.last), measure("late fall over mean fall", p.lateFall), measure("NLL of class frequencies", h)},
			Epochs:  []int{e.first().Epoch, e.last().Epoch}, Split: record.TrainSplit,
		},
		Meaning: "Nothing stops the network yet, it only walks slowly.",
		Try:     "Three to ten times the learning rate, or many more epochs.",
		Rule:    "training NLL above half of what class frequencies give, falling without rises, and in the last quarter at least half as fast as on average",
	}
}
