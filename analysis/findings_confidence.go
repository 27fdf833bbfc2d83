package analysis

import (
	"fmt"
	"math"
	"slices"
)

// Findings about how sure the model is, and what to ship.

// miscalibrated: over- or under-confidence at the last epoch, by the temperature that makes validation NLL lowest. Twice
// the sum of what it gains is χ² with one degree of freedom where T = 1 is right (S. S. Wilks, 1938).
func miscalibrated(e *evidence) *Finding {
	const (
		byChance = beyondDoubt * beyondDoubt
		matters  = 1.1 // T beyond this, or below its inverse
	)
	last := e.last()
	v := last.val
	if e.unlike || !e.validated || !e.learned(last) {
		return nil
	}
	t, mended := v.mended()
	gain := float64(v.NLL) - mended
	statistic := 2 * gain * float64(v.defined())
	if !(statistic >= byChance) || t < matters && t > 1/matters {
		return nil
	}
	f := &Finding{
		ID: "overconfidence", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Over-confident at epoch %d: T = %.2f mends it", last.epoch, t),
		Evidence: Evidence{
			Text: fmt.Sprintf("Mean confidence is %.1f %% and accuracy %.1f %%. Dividing the logits by T = %.3f lowers validation NLL from %.4f to %.4f.",
				100*v.confidence, 100*v.Accuracy, t, v.NLL, mended),
			Figures: []Measure{figure("temperature", t), figure("NLL at T = 1", v.NLL), figure("NLL at that temperature", mended), figure("mean confidence", v.confidence), figure("accuracy", v.Accuracy)},
			Epochs:  []int{last.epoch}, Split: "val",
		},
		Meaning: "The probabilities claim more than comes true; the order of the classes is not touched by that.",
		Try:     "Ship the temperature with the model (logitscope calibrate), or an earlier epoch; smooth the labels when training.",
		Rule:    fmt.Sprintf("T > %.1f, likelihood ratio %.1f (above %.1f once in a thousand by chance)", matters, statistic, byChance),
	}
	if t < 1 {
		f.ID = "underconfidence"
		f.Title = fmt.Sprintf("Under-confident at epoch %d: T = %.2f mends it", last.epoch, t)
		f.Meaning = "The probabilities claim less than comes true; the order of the classes is not touched by that."
		f.Try = "Ship the temperature with the model (logitscope calibrate); train longer, or with less label smoothing, mixup or dropout."
		f.Rule = fmt.Sprintf("T < 1/%.1f, likelihood ratio %.1f (above %.1f once in a thousand by chance)", matters, statistic, byChance)
	}
	return f
}

// ship is advice: the epoch whose validation NLL is lowest once its confidence is mended, and the temperature that does it. Where
// the run keeps checkpoints it is one of those that have one.
func ship(e *evidence) *Finding {
	if e.unlike || !e.validated {
		return nil
	}
	lowest := func(among func(moment) bool) (best *moment, nll float64) {
		nll = math.Inf(1)
		for i := range e.timeline {
			m := &e.timeline[i]
			if _, mended := m.val.mended(); m.val.Undefined == 0 && among(*m) && mended < nll {
				best, nll = m, mended
			}
		}
		return best, nll
	}
	of := "all epochs recorded"
	optimum, ofAll := lowest(func(moment) bool { return true })
	best, nll := lowest(func(m moment) bool { return slices.Contains(e.kept, m.epoch) })
	switch {
	case best == nil:
		best, nll = optimum, ofAll
	case best != optimum:
		of = "those with a checkpoint"
	}
	if best == nil || !e.learned(*best) {
		return nil
	}
	v := best.val
	t, _ := v.mended()
	low, high := wilson(v.right(), v.defined())
	f := &Finding{
		ID: "ship", Level: Info, Confidence: Likely,
		Title: fmt.Sprintf("Ship epoch %d with T = %.2f", best.epoch, t),
		Evidence: Evidence{
			Text: fmt.Sprintf("Its validation NLL at T = %.3f is %.4f, the lowest of %s, each at its own temperature (%.4f at T = 1); accuracy %.1f %%, 95 %% interval %.1f to %.1f.",
				t, nll, of, v.NLL, 100*v.Accuracy, 100*low, 100*high),
			Figures: []Measure{
				figure("epoch", best.epoch), figure("temperature", t), figure("NLL at that temperature", nll), figure("NLL at T = 1", v.NLL),
				figure("accuracy", v.Accuracy), figure("accuracy at least", low), figure("accuracy at most", high),
			},
			Epochs: []int{best.epoch}, Split: "val",
		},
		Meaning: "A temperature mends confidence afterwards and keeps every decision: so the epoch is chosen by what a temperature cannot mend.",
		Try:     fmt.Sprintf("Use that epoch's weights and divide their logits by that temperature (logitscope calibrate RUN --epoch %d). Epoch and temperature were chosen on these samples: state final figures on others.", best.epoch),
		Rule:    "lowest validation NLL after temperature scaling (Guo et al., 2017)",
	}
	if last := e.last(); best.epoch == last.epoch && len(e.timeline) >= fewEpochs {
		f.Try += " It is the last epoch: more epochs may give a better one."
	}
	for _, s := range e.curves.Unrecorded {
		if slices.Contains(e.kept, s.Epoch) && has(s, "val") && s.nll("val") < nll {
			f.Title = fmt.Sprintf("Ship epoch %d, at a temperature that is not known", s.Epoch)
			f.Evidence.Text = fmt.Sprintf("Its validation NLL at T = 1 is %.4f; its logits are not recorded. That of epoch %d, whose logits are, is %.4f at its best T, %.3f.", s.nll("val"), best.epoch, nll, t)
			f.Evidence.Figures = []Measure{figure("epoch", s.Epoch), figure("NLL at T = 1", float64(s.nll("val"))), figure("accuracy", s.Splits["val"].Accuracy)}
			f.Evidence.Epochs = []int{s.Epoch}
			f.Try = "Use that epoch's weights. Train with --record best to see its logits, and to calibrate them."
			f.Rule = "validation NLL at T = 1 below that of every recorded epoch with a checkpoint at its own temperature"
			return f
		}
	}
	if best != optimum {
		f.Evidence.Text += fmt.Sprintf(" Epoch %d is better (%.4f), but no checkpoint of it is kept.", optimum.epoch, ofAll)
		f.Evidence.Figures = append(f.Evidence.Figures, figure("better epoch without checkpoint", optimum.epoch))
	}
	return f
}

// validationSmall: the interval around accuracy is too wide for what is read off it.
func validationSmall(e *evidence) *Finding {
	const tooWide = 0.05 // half of the interval: differences between epochs or models are mostly smaller
	if !e.validated {
		return nil
	}
	v := e.last().val
	low, high := wilson(v.right(), v.defined())
	if !((high-low)/2 > tooWide) {
		return nil
	}
	accuracy := float64(v.right()+2) / float64(v.defined()+4)
	wanted := math.Ceil(1.96*1.96*accuracy*(1-accuracy)/(0.02*0.02)/100) * 100
	f := &Finding{
		ID: "validation_small", Level: Warning, Confidence: Certain,
		Title: "The validation set is too small for what is read off it",
		Evidence: Evidence{
			Text: fmt.Sprintf("Accuracy is %.1f %% on %d samples: its 95 %% interval is %.1f to %.1f %%.",
				100*v.Accuracy, v.defined(), 100*low, 100*high),
			Figures: []Measure{figure("samples", v.defined()), figure("accuracy", v.Accuracy), figure("accuracy at least", low), figure("accuracy at most", high), figure("samples for ±2 points", wanted)},
			Epochs:  []int{e.last().epoch}, Split: "val",
		},
		Meaning: "Epochs or models whose accuracies lie within that interval cannot be told apart here.",
		Try:     fmt.Sprintf("About %.0f validation samples give ±2 points; or cross-validate.", wanted),
		Rule:    "half of Wilson's 95 % interval is above 5 points",
	}
	return f
}
