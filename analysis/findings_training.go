package analysis

import (
	"fmt"
	"math"
)

// Findings about how training went: from the curves, and the samples at the best and the last epoch.

// overfitting: validation NLL rises while training NLL falls. Whether the rise is more than chance is decided on the
// samples, each against itself at the best epoch.
func overfitting(e *evidence) *Finding {
	const beyondChance = 2.33 // standard errors, once in a hundred: the rise of the mean is asked for besides
	best, last := e.best(), e.last()
	if e.unlike || !e.validated || len(e.timeline) < fewEpochs || best.epoch == last.epoch {
		return nil
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
	errors := sum / math.Sqrt(squares-sum*sum/n) // mean over its standard error
	if !(errors >= beyondChance) {
		return nil
	}
	// McNemar: of the samples that changed sides, as many should go each way by chance.
	accuracyToo := float64(lost-won) >= 1.96*math.Sqrt(float64(lost+won)) && lost > won
	gap := to - float64(last.train.NLL)
	_, fromMended := best.val.mended()
	_, toMended := last.val.mended()
	scale := (to - toMended) - (from - fromMended)
	f := &Finding{
		ID: "overfitting", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Overfitting from epoch %d on, in confidence alone", best.epoch),
		Evidence: Evidence{
			Text: fmt.Sprintf("Validation NLL rose from %.3f at epoch %d to %.3f at epoch %d while training NLL fell from %.3f to %.3f; a temperature takes away %.0f %% of the rise. Accuracy went from %.1f to %.1f %%: %d samples were lost and %d won.",
				from, best.epoch, to, last.epoch, best.train.NLL, last.train.NLL, 100*min(max(scale/(to-from), 0), 1), 100*best.val.Accuracy, 100*last.val.Accuracy, lost, won),
			Figures: []Measure{
				figure("onset epoch", best.epoch), figure("lowest validation NLL", from), figure("last validation NLL", to), figure("gap to training NLL", gap),
				figure("rise that a temperature removes", scale), figure("samples lost", lost), figure("samples won", won),
			},
			Epochs: []int{best.epoch, last.epoch}, Split: "val",
		},
		Meaning: "From there on the network learns its training samples by heart. It grows sure of wrong answers; which class is on top hardly changes.",
		Try:     fmt.Sprintf("Keep epoch %d, or stop there; label smoothing, weight decay, dropout, or more data hold it back. A temperature mends the confidence afterwards.", best.epoch),
		Rule:    fmt.Sprintf("validation NLL 5 %% above its lowest while training NLL falls, the samples' rise %.1f standard errors above 0", errors),
	}
	if accuracyToo {
		f.Title = fmt.Sprintf("Overfitting from epoch %d on, and accuracy suffers", best.epoch)
		f.Meaning = "From there on the network learns its training samples by heart, and unlearns what held for new ones."
		f.Try = fmt.Sprintf("Keep epoch %d, or stop there; weight decay, dropout, a smaller network, or more data hold it back.", best.epoch)
	}
	return f
}

const (
	hardlyLearned = 0.5 // of the NLL of class frequencies alone: what is left then is more than what was learned
	steady        = 0.5 // of the mean fall an epoch, in the last quarter: it has not slowed
	swing         = 0.2 // what training NLL rose, in all, over what it fell from its first value to its lowest
)

// progress is how training NLL moved.
type progress struct {
	first, lowest, last float64
	fell                float64 // from the first to the lowest
	rose                float64 // the sum of all rises
	lateFall            float64 // an epoch, in the last quarter, over the mean fall an epoch
}

func (e *evidence) progress() progress {
	p := progress{first: float64(e.first().train.NLL), last: float64(e.last().train.NLL), lowest: math.Inf(1)}
	before := p.first
	for _, m := range e.timeline {
		nll := float64(m.train.NLL)
		p.lowest = min(p.lowest, nll)
		p.rose += max(nll-before, 0)
		before = nll
	}
	p.fell = p.first - p.lowest
	n := len(e.timeline)
	quarter := max(n/4, 1)
	late := (float64(e.timeline[n-1-min(quarter, n-1)].train.NLL) - p.last) / float64(quarter)
	p.lateFall = late / ((p.first - p.last) / float64(max(n-1, 1)))
	return p
}

// underfitting: the training set itself is hardly learned, and validation is no worse.
func underfitting(e *evidence) *Finding {
	const gap = 0.1 // of the training NLL, to validation's
	last, h, p := e.last(), e.uniform(), e.progress()
	train := float64(last.train.NLL)
	if e.unlike || len(e.timeline) < fewEpochs || !(train > hardlyLearned*h) || p.rose > swing*p.fell {
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

// learningRateHigh: training NLL swings, or ends above where it began.
func learningRateHigh(e *evidence) *Finding {
	const enough = 5 // epochs: fewer do not make a swing
	p := e.progress()
	diverged := len(e.timeline) >= fewEpochs && (p.last > p.first || math.IsNaN(p.last) || e.last().train.Undefined > 0)
	swings := len(e.timeline) >= enough && p.rose >= swing*p.fell && p.rose > 0.02*e.uniform()
	if e.unlike || !diverged && !swings {
		return nil
	}
	f := &Finding{
		ID: "learning_rate_high", Level: Warning, Confidence: Likely,
		Title: "Learning rate too high: the training loss swings",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL fell by %.3f from epoch %d to its lowest (%.3f), but rose by %.3f in all between epochs; it ends at %.3f.",
				p.fell, e.first().epoch, p.lowest, p.rose, p.last),
			Figures: []Measure{figure("first", p.first), figure("lowest", p.lowest), figure("last", p.last), figure("sum of the rises", p.rose)},
			Epochs:  []int{e.first().epoch, e.last().epoch}, Split: "train",
		},
		Meaning: "Steps overshoot: part of what an epoch learns, the next one undoes.",
		Try:     "A third of the learning rate, a schedule that lowers it, a larger batch, or gradient clipping.",
		Rule:    "the rises of training NLL add up to a fifth or more of its fall",
	}
	if diverged {
		f.Level, f.Title = Error, "Learning rate too high: training diverges"
		f.Meaning = "The network is worse on its own training samples than when it began."
		f.Try = "A tenth of the learning rate, warm-up, or gradient clipping."
		f.Rule = "training NLL at the end above the first epoch's, or not finite"
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
