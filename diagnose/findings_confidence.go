package diagnose

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/analysis"
)

// Findings about how sure the model is, and what to ship.

var miscalibratedRule = rule{
	finds: []Kind{
		{"overconfidence", "probabilities claim more than comes true, and the temperature that mends it"},
		{"underconfidence", "probabilities claim less than comes true, and the temperature that mends it"},
	},
	needs: validation,
	find:  miscalibrated,
}

// miscalibrated: over- or under-confidence at the last epoch, by the temperature that makes validation NLL lowest. Twice
// the sum of what it gains is χ² with one degree of freedom where T = 1 is right (S. S. Wilks, 1938).
func miscalibrated(e *evidence) *Finding {
	const (
		byChance = beyondDoubt * beyondDoubt
		matters  = 1.1 // T beyond this, or below its inverse
	)
	last := e.last()
	v := last.Val
	if !e.learned(last) {
		return nil
	}
	t, mended := v.Mended()
	gain := float64(v.NLL) - mended
	statistic := 2 * gain * float64(v.Defined())
	if !(statistic >= byChance) || t < matters && t > 1/matters {
		return nil
	}
	f := &Finding{
		ID: "overconfidence", Level: Warning, Confidence: Certain,
		Title: fmt.Sprintf("Over-confident at epoch %d: T = %.2f mends it", last.Epoch, t),
		Evidence: Evidence{
			Text: fmt.Sprintf("Mean confidence is %.1f %% and accuracy %.1f %%. Dividing the logits by T = %.3f lowers validation NLL from %.4f to %.4f.",
				100*v.Confidence, 100*v.Accuracy, t, v.NLL, mended),
			Figures: []Measure{measure("temperature", t), measure("NLL at T = 1", v.NLL), measure("NLL at that temperature", mended), measure("mean confidence", v.Confidence), measure("accuracy", v.Accuracy)},
			Epochs:  []int{last.Epoch}, Split: e.held,
		},
		Meaning: "The probabilities claim more than comes true; the order of the classes is not touched by that.",
		Try:     "Ship the temperature with the model (logitscope calibrate), or smooth the labels when training.",
		Rule:    fmt.Sprintf("T > %.1f, likelihood ratio %.1f (above %.1f once in a thousand by chance)", matters, statistic, byChance),
	}
	if v.Confidence < float64(v.Accuracy) {
		f.Meaning = "The wrong answers are too sure, and cost more than the right ones are too unsure, although the mean confidence is not above accuracy; the order of the classes is not touched by that."
	}
	if t < 1 {
		f.ID = "underconfidence"
		f.Title = fmt.Sprintf("Under-confident at epoch %d: T = %.2f mends it", last.Epoch, t)
		f.Meaning = "The probabilities claim less than comes true; the order of the classes is not touched by that."
		if v.Confidence > float64(v.Accuracy) {
			f.Meaning = "The right answers are too unsure, and cost more than the wrong ones are too sure, although the mean confidence is above accuracy; the order of the classes is not touched by that."
		}
		f.Try = "Ship the temperature with the model (logitscope calibrate); train with less label smoothing, mixup or dropout."
		if e.curves.Story.Kind == analysis.Learning {
			f.Try = "Train longer: validation NLL still falls. " + f.Try
		}
		f.Rule = fmt.Sprintf("T < 1/%.1f, likelihood ratio %.1f (above %.1f once in a thousand by chance)", matters, statistic, byChance)
	}
	return f
}

var shipRule = rule{
	finds: []Kind{{"ship", "advice: the epoch and the temperature with the lowest validation NLL"}},
	needs: validation,
	find:  ship,
}

// ship is advice: the epoch whose validation NLL is lowest once its confidence is mended, and the temperature that does it. Where
// the run keeps checkpoints it is one of those that have one.
func ship(e *evidence) *Finding {
	lowest := func(among func(analysis.Moment) bool) (best *analysis.Moment, nll float64) {
		nll = math.Inf(1)
		for i := range e.timeline {
			m := &e.timeline[i]
			if _, mended := m.Val.Mended(); m.Val.Undefined == 0 && among(*m) && mended < nll {
				best, nll = m, mended
			}
		}
		return best, nll
	}
	among := "all epochs recorded"
	optimum, ofAll := lowest(func(analysis.Moment) bool { return true })
	best, nll := lowest(func(m analysis.Moment) bool { return slices.Contains(e.checkpoints, m.Epoch) })
	switch {
	case best == nil:
		best, nll = optimum, ofAll
	case best != optimum:
		among = "those with a checkpoint"
	}
	if best == nil || !e.learned(*best) {
		return nil
	}
	v := best.Val
	t, _ := v.Mended()
	low, high := analysis.Wilson(v.Right(), v.Defined())
	f := &Finding{
		ID: "ship", Level: Info, Confidence: Likely,
		Title: fmt.Sprintf("Ship epoch %d with T = %.2f", best.Epoch, t),
		Evidence: Evidence{
			Text: fmt.Sprintf("Its validation NLL at T = %.3f is %.4f, the lowest of %s, each at its own temperature (%.4f at T = 1); accuracy %.1f %%, 95 %% interval %.1f to %.1f.",
				t, nll, among, v.NLL, 100*v.Accuracy, 100*low, 100*high),
			Figures: []Measure{
				measure("epoch", best.Epoch), measure("temperature", t), measure("NLL at that temperature", nll), measure("NLL at T = 1", v.NLL),
				measure("accuracy", v.Accuracy), measure("accuracy at least", low), measure("accuracy at most", high),
			},
			Epochs: []int{best.Epoch}, Split: e.held,
		},
		Meaning: "A temperature mends confidence afterwards and keeps every decision: so the epoch is chosen by what a temperature cannot mend.",
		Try:     fmt.Sprintf("Use that epoch's weights and divide their logits by that temperature (logitscope calibrate RUN --epoch %d). Epoch and temperature were chosen on these samples: state final figures on others.", best.Epoch),
		Rule:    "lowest validation NLL after temperature scaling (Guo et al., 2017)",
	}
	if e.curves.Story.Kind == analysis.Learning && best.Epoch == e.last().Epoch {
		f.Try += " It is the last epoch, and validation NLL still falls: more epochs may give a better one."
	}
	for _, s := range e.curves.Unrecorded {
		if slices.Contains(e.checkpoints, s.Epoch) && s.Has(e.held) && s.NLL(e.held) < nll {
			f.Title = fmt.Sprintf("Ship epoch %d, at a temperature that is not known", s.Epoch)
			f.Evidence.Text = fmt.Sprintf("Its validation NLL at T = 1 is %.4f; its logits are not recorded. That of epoch %d, whose logits are, is %.4f at its best T, %.3f.", s.NLL(e.held), best.Epoch, nll, t)
			f.Evidence.Figures = []Measure{measure("epoch", s.Epoch), measure("NLL at T = 1", float64(s.NLL(e.held))), measure("accuracy", s.Splits[e.held].Accuracy)}
			f.Evidence.Epochs = []int{s.Epoch}
			f.Try = "Use that epoch's weights. Train with --record best to see its logits, and to calibrate them."
			f.Rule = "validation NLL at T = 1 below that of every recorded epoch with a checkpoint at its own temperature"
			return f
		}
	}
	if best != optimum {
		f.Evidence.Text += fmt.Sprintf(" Epoch %d is better (%.4f), but no checkpoint of it is kept.", optimum.Epoch, ofAll)
		f.Evidence.Figures = append(f.Evidence.Figures, measure("better epoch without checkpoint", optimum.Epoch))
	}
	return f
}

var validationSmallRule = rule{
	finds: []Kind{{"validation_small", "the interval around validation accuracy is too wide for what is read off it"}},
	needs: oneLabel | validation,
	find:  validationSmall,
}

// validationSmall: the interval around accuracy is too wide for what is read off it.
func validationSmall(e *evidence) *Finding {
	const tooWide = 0.05 // half of the interval: differences between epochs or models are mostly smaller
	v := e.last().Val
	low, high := analysis.Wilson(v.Right(), v.Defined())
	if !((high-low)/2 > tooWide) {
		return nil
	}
	accuracy := float64(v.Right()+2) / float64(v.Defined()+4)
	wanted := math.Ceil(1.96*1.96*accuracy*(1-accuracy)/(0.02*0.02)/100) * 100
	f := &Finding{
		ID: "validation_small", Level: Warning, Confidence: Certain,
		Title: "The validation set is too small for what is read off it",
		Evidence: Evidence{
			Text: fmt.Sprintf("Accuracy is %.1f %% on %d samples: its 95 %% interval is %.1f to %.1f %%.",
				100*v.Accuracy, v.Defined(), 100*low, 100*high),
			Figures: []Measure{measure("samples", v.Defined()), measure("accuracy", v.Accuracy), measure("accuracy at least", low), measure("accuracy at most", high), measure("samples for ±2 points", wanted)},
			Epochs:  []int{e.last().Epoch}, Split: e.held,
		},
		Meaning: "Epochs or models whose accuracies lie within that interval cannot be told apart here.",
		Try:     fmt.Sprintf("About %.0f validation samples give ±2 points; or cross-validate.", wanted),
		Rule:    "half of Wilson's 95 % interval is above 5 points",
	}
	return f
}
