package analysis

import (
	"fmt"
	"math"
	"slices"
)

// Findings about how training went: from the curves, and the samples at the best and the last epoch.

// overfitting: validation NLL rises while training NLL falls. Whether the rise is more than chance is decided on the
// samples, each against itself at the best epoch: by its NLL, or by which of them are right.
func overfitting(e *evidence) *Finding {
	const beyondChance = 2.33 // standard errors, once in a hundred: the rise of the mean is asked for besides
	best, last := e.best(), e.last()
	if e.unlike || !e.validated {
		return nil
	}
	if len(e.timeline) < fewEpochs || best.epoch == last.epoch {
		return overfittingUnrecorded(e)
	}
	from, to := float64(best.val.NLL), float64(last.val.NLL)
	if !(to >= riseOfOverfitting*from) || !(last.train.NLL < best.train.NLL) {
		return nil
	}
	before, after := e.detail["val"][best.epoch], e.detail["val"][last.epoch]
	n, sum, squares, lost, won := 0.0, 0.0, 0.0, 0, 0
	for i := range before {
		if before[i].argmax < 0 || after[i].argmax < 0 {
			continue
		}
		d := float64(after[i].nll) - float64(before[i].nll)
		n, sum, squares = n+1, sum+d, squares+d*d
		switch was, is := before[i].argmax == before[i].label, after[i].argmax == after[i].label; {
		case was && !is:
			lost++
		case is && !was:
			won++
		}
	}
	rose := sum / math.Sqrt(squares-sum*sum/n) // mean over its standard error
	// McNemar: of the samples that changed sides, as many should go each way by chance.
	fell := float64(lost-won) / math.Sqrt(float64(max(lost+won, 1)))
	if !(rose >= beyondChance) && !(fell >= beyondChance) {
		return nil
	}
	onset, since := e.onset()
	f := &Finding{
		ID: "overfitting", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Overfitting from %s on", since),
		Evidence: Evidence{
			Text: fmt.Sprintf("Validation NLL rose from %.3f at epoch %d to %.3f at epoch %d, while training NLL fell from %.3f to %.3f. Accuracy went from %.1f to %.1f %%: of the samples that changed sides, %d were lost and %d won.",
				from, best.epoch, to, last.epoch, best.train.NLL, last.train.NLL, 100*best.val.Accuracy, 100*last.val.Accuracy, lost, won),
			Figures: []Measure{
				figure("onset epoch", onset), figure("lowest validation NLL", from), figure("last validation NLL", to),
				figure("gap to training NLL", to-float64(last.train.NLL)), figure("samples lost", lost), figure("samples won", won),
			},
			Epochs: []int{best.epoch, last.epoch}, Split: "val",
		},
		Meaning: "From there on the network learns its training samples by heart, and does worse on new ones.",
		Try:     fmt.Sprintf("Keep epoch %d, or stop there; weight decay, dropout, a smaller network, or more data hold it back.", best.epoch),
		Rule: fmt.Sprintf("validation NLL 5 %% above its lowest while training NLL falls; beyond chance by the samples' rise (%.1f standard errors) or by those that changed sides (%.1f), 2.33 being once in a hundred",
			rose, fell),
	}
	r := e.curves.Rise
	if r != nil {
		f.Evidence.Text += " Of the rise, " + r.parts() + "."
		f.Evidence.Figures = append(f.Evidence.Figures, figure("rise of scale", r.Scale), figure("rise of ranking", r.Ranking))
	}
	switch {
	case fell >= beyondChance:
		f.Title += ", and accuracy suffers"
	case r != nil && float64(r.Ranking) <= smallShare*float64(r.NLL):
		f.Title += ", in confidence alone"
		f.Meaning = "From there on the network learns its training samples by heart. It grows sure of wrong answers; which class is on top hardly changes."
		f.Try = fmt.Sprintf("Keep epoch %d, or stop there; label smoothing, weight decay, dropout, or more data hold it back. A temperature mends the confidence afterwards.", best.epoch)
	}
	return f
}

// overfittingUnrecorded is overfitting by the figures of epochs whose logits are not recorded: they tell no sample from another.
func overfittingUnrecorded(e *evidence) *Finding {
	story := e.curves.Story
	if story.Kind != Overfitting || len(e.curves.Unrecorded) == 0 {
		return nil
	}
	return &Finding{
		ID: "overfitting", Level: Warning, Confidence: Possible,
		Title: fmt.Sprintf("Overfitting from epoch %d on, by the figures of epochs that are not recorded", story.BestEpoch),
		Evidence: Evidence{
			Text:    story.Sentence,
			Figures: []Measure{figure("onset epoch", story.BestEpoch), figure("lowest validation NLL", story.BestValNLL), figure("last validation NLL", story.LastValNLL)},
			Epochs:  []int{story.BestEpoch, story.LastEpoch}, Split: "val",
		},
		Meaning: "The network learns its training samples by heart, and does worse on new ones. Whether that is confidence alone, or chance, only the logits of both epochs tell.",
		Try:     fmt.Sprintf("Keep epoch %d, or stop there; record more epochs (train --record all, or every:N) to see more.", story.BestEpoch),
		Rule:    "validation NLL 5 % above its lowest while training NLL falls; its spread over the samples is not known",
	}
}

// onset is the epoch of the lowest validation NLL, recorded or not, with those known around it where there are others between.
func (e *evidence) onset() (epoch int, text string) {
	epoch, all := e.curves.Story.BestEpoch, e.curves.All()
	i := slices.IndexFunc(all, func(s EpochScores) bool { return s.Epoch == epoch })
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

// progress is how training NLL moved.
type progress struct {
	first, lowest, last float64
	fell                float64 // from the first to the lowest
	learned             float64 // from the first, or the NLL of class frequencies where that is more, to the lowest
	rose                float64 // the sum of all rises
	step                float64 // mean over the rises of a rise over the NLL that it began at
	lateFall            float64 // an epoch, in the last quarter, over the mean fall an epoch
}

func (e *evidence) progress() progress {
	p := progress{first: float64(e.first().train.NLL), last: float64(e.last().train.NLL), lowest: math.Inf(1)}
	before, rises := p.first, 0
	for _, m := range e.timeline {
		nll := float64(m.train.NLL)
		p.lowest = min(p.lowest, nll)
		if nll > before {
			p.rose += nll - before
			p.step += nll/before - 1
			rises++
		}
		before = nll
	}
	p.step /= float64(max(rises, 1))
	p.fell, p.learned = p.first-p.lowest, max(p.first, e.uniform())-p.lowest
	n := len(e.timeline)
	late, first, last := e.timeline[n-1-min(max(n/4, 1), n-1)], e.first(), e.last()
	rate := func(nll float64, from, to int) float64 { return nll / float64(max(to-from, 1)) }
	p.lateFall = rate(float64(late.train.NLL)-p.last, late.epoch, last.epoch) / rate(p.first-p.last, first.epoch, last.epoch)
	return p
}

// underfitting: the training set itself is hardly learned, and validation is no worse.
func underfitting(e *evidence) *Finding {
	const gap = 0.1 // of the training NLL, to validation's
	last, h, p := e.last(), e.uniform(), e.progress()
	train := float64(last.train.NLL)
	if e.unlike || len(e.timeline) < fewEpochs || !(train > hardlyLearned*h) || p.rose > swing*p.learned {
		return nil
	}
	if e.validated && !(math.Abs(float64(last.val.NLL)-train) <= gap*train) {
		return nil
	}
	f := &Finding{
		ID: "underfitting", Level: Warning, Confidence: Possible,
		Title: "Underfitting: the training set itself is hardly learned",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL is %.3f at epoch %d, where class frequencies alone give %.3f; training accuracy is %.1f %%.",
				train, last.epoch, h, 100*last.train.Accuracy),
			Figures: []Measure{figure("training NLL", train), figure("NLL of class frequencies", h), figure("training accuracy", last.train.Accuracy), figure("validation NLL", last.val.NLL)},
			Epochs:  []int{last.epoch}, Split: "train",
		},
		Meaning: "The network is too small or too tightly held for these classes, the features do not tell them apart, or it was not trained long enough. New samples fare no worse than training ones.",
		Try:     "A larger network, better features, less regularisation.",
		Rule:    "training NLL above half of what class frequencies give, and validation's within 10 % of it; a task that is hard in itself looks the same",
	}
	if p.lateFall > 0.2 {
		f.Try = "More epochs first: training NLL still falls. Then a larger network, better features, less regularisation."
	}
	return f
}

// learningRateHigh: training NLL swings, ends above where it began, or goes up and down and nowhere. On a plateau it wobbles too, by
// less than a hundredth of itself.
func learningRateHigh(e *evidence) *Finding {
	const (
		enough = 5    // epochs: fewer do not make a swing
		step   = 0.02 // of the NLL: what a rise is in the mean
		little = 0.1  // of the NLL of class frequencies: as good as nothing learned
	)
	p, h := e.progress(), e.uniform()
	diverged := len(e.timeline) >= fewEpochs && (p.last > riseOfDivergence*p.first || math.IsNaN(p.last) || e.last().train.Undefined > 0)
	swings := p.rose >= swing*p.learned && p.step >= step || p.rose >= p.learned && p.learned < little*h
	if e.unlike || !diverged && !(swings && len(e.timeline) >= enough && p.rose > 0.02*h) {
		return nil
	}
	f := &Finding{
		ID: "learning_rate_high", Level: Warning, Confidence: Likely,
		Title: "Learning rate too high: the training loss swings",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL fell by %.3f from epoch %d to its lowest (%.3f), but rose by %.3f in all between epochs, each time by %.0f %% in the mean; it ends at %.3f. Class frequencies alone give %.3f.",
				p.fell, e.first().epoch, p.lowest, p.rose, 100*p.step, p.last, h),
			Figures: []Measure{figure("first", p.first), figure("lowest", p.lowest), figure("last", p.last), figure("sum of the rises", p.rose), figure("mean relative rise", p.step)},
			Epochs:  []int{e.first().epoch, e.last().epoch}, Split: "train",
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

// learningRateLow: training NLL falls steadily, far from the end.
func learningRateLow(e *evidence) *Finding {
	const (
		enough = 8    // epochs: fewer do not show that the fall is steady
		smooth = 0.05 // rises over fall
		little = 0.5  // of the NLL of class frequencies: what was learned in the run
	)
	p, h := e.progress(), e.uniform()
	if e.unlike || len(e.timeline) < enough || !(p.last > hardlyLearned*h) || p.rose > smooth*p.fell ||
		!(p.fell > 0 && p.fell < little*h) || !(p.lateFall >= steady) {
		return nil
	}
	return &Finding{
		ID: "learning_rate_low", Level: Warning, Confidence: Likely,
		Title: "Learning rate too low: the loss falls steadily and is still high",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL fell from %.3f at epoch %d to %.3f at epoch %d; in the last quarter it fell at %.0f %% of its mean rate. Class frequencies alone give %.3f.",
				p.first, e.first().epoch, p.last, e.last().epoch, 100*p.lateFall, h),
			Figures: []Measure{figure("first", p.first), figure("last", p.last), figure("late fall over mean fall", p.lateFall), figure("NLL of class frequencies", h)},
			Epochs:  []int{e.first().epoch, e.last().epoch}, Split: "train",
		},
		Meaning: "Nothing stops the network yet, it only walks slowly.",
		Try:     "Three to ten times the learning rate, or many more epochs.",
		Rule:    "training NLL above half of what class frequencies give, falling without rises, and in the last quarter at least half as fast as on average",
	}
}
