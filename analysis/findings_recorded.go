package analysis

import (
	"fmt"
	"math"
)

// Findings about what was recorded: whether it is logits at all, and whether float arithmetic still carries it.

// probabilities: the recorded values are a softmax's output, not its input. It is decided over every row of every epoch,
// never on a part: single rows of real logits may well lie in [0,1].
func probabilities(e *evidence) *Finding {
	probs, logProbs, distinct := true, true, false
	for _, m := range e.timeline {
		for _, l := range e.parts(m) {
			probs, logProbs, distinct = probs && l.probs, logProbs && l.logProbs, distinct || l.distinct
		}
	}
	last := e.last()
	f := &Finding{ID: "probabilities", Evidence: Evidence{Split: e.at(), Epochs: []int{e.first().epoch, last.epoch}}}
	switch {
	case probs && distinct && e.manifest.Columns > 1:
		e.unlike = true
		f.Level, f.Confidence = Error, Certain
		f.Title = "The recorded values are probabilities, not logits"
		f.Evidence.Text = fmt.Sprintf("In each of %d epochs every row lies in [0,1] and sums to 1.", len(e.timeline))
		f.Rule = "every row of every epoch is in [0,1] and sums to 1 within 0.001"
	case probs && distinct && last.of(e.at()).spread < 1 && len(e.timeline) >= fewEpochs:
		e.unlike = true
		f.Level, f.Confidence = Error, Likely
		f.Title = "The recorded values look like probabilities of a sigmoid, not logits"
		f.Evidence.Text = fmt.Sprintf("In each of %d epochs every value lies in [0,1]; a logit is negative for the samples of class 0.", len(e.timeline))
		f.Rule = "every value of every epoch is in [0,1], which logits of two classes are not"
	case logProbs && distinct:
		f.Level, f.Confidence = Info, Certain
		f.Title = "The recorded values are log-probabilities"
		f.Evidence.Text = fmt.Sprintf("In each of %d epochs the LSE of every row is 0.", len(e.timeline))
		f.Meaning = "Their softmax is the same as that of the logits they came from: every figure of p, NLL and accuracy holds. The raw logit and its drift cannot be seen."
		f.Try = "Record the values before log-softmax to see them too."
		f.Rule = "the LSE of every row of every epoch is 0 within 0.001"
		return f
	default:
		return nil
	}
	f.Evidence.Figures = []Measure{figure("largest value", last.of(e.at()).largest), figure("NLL of them as logits", last.of(e.at()).NLL)}
	f.Meaning = "A softmax of probabilities is nearly flat: NLL, p, confidence and calibration in this run are not those of the model. Accuracy and ranking hold."
	f.Try = "Record what goes into the softmax. If the loss was given these values too, it applied a second softmax: give it the logits."
	return f
}

// doubleSoftmax: the loss was given probabilities. With p ≤ 1 and the other K−1 at 0 or more, −log softmax(p) cannot go
// below log(e + K − 1) − 1, and a network that learns to classify comes to stand just above it.
func doubleSoftmax(e *evidence) *Finding {
	const (
		within = 1 + sumsTo // of each other: all values of a row
		near   = 0.25       // of the way from log K to the floor
	)
	if e.classes < 2 || e.manifest.Columns == 1 || len(e.timeline) < fewEpochs {
		return nil
	}
	k := float64(e.classes)
	floor := math.Log(math.E+k-1) - 1
	for _, m := range e.timeline {
		if m.train.spread > within || float64(m.train.NLL) < floor-sumsTo {
			return nil
		}
	}
	last := e.last().train
	// Logits of a network that has learned nothing are within 1 of each other too; those of one that tells classes apart
	// and stands at the floor are not.
	low, _ := wilson(last.right(), last.defined())
	if reached := (math.Log(k) - float64(last.NLL)) / (math.Log(k) - floor); reached < 1-near || low < 1.5/k {
		return nil
	}
	e.unlike = true
	return &Finding{
		ID: "double_softmax", Level: Error, Confidence: Likely,
		Title: "The softmax is applied twice",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL is %.3f at epoch %d and never below %.3f = ln(e+%d)−1, while accuracy is %.1f %%: no two values of a row differ by more than 1.",
				last.NLL, e.last().epoch, floor, e.classes-1, 100*last.Accuracy),
			Figures: []Measure{figure("training NLL", last.NLL), figure("floor", floor), figure("training accuracy", last.Accuracy), figure("largest difference in a row", last.spread)},
			Epochs:  []int{e.first().epoch, e.last().epoch}, Split: "train",
		},
		Meaning: "The loss takes logits and was given probabilities. It cannot fall below that floor, its gradient is small and never vanishes: training is slow and stops early.",
		Try:     "Take the softmax out of the network's last layer, or use a loss that takes probabilities or log-probabilities.",
		Rule:    "training NLL never below ln(e+K−1)−1 yet three quarters of the way to it, no row spread over more than 1, accuracy above 1.5/K beyond its 95 % interval",
	}
}

// undefinedLogits: NaN or +Inf, so that a row has no softmax.
func undefinedLogits(e *evidence) *Finding {
	for _, m := range e.timeline {
		for _, split := range []string{"train", "val"} {
			l := m.of(split)
			if l.Undefined == 0 {
				continue
			}
			return &Finding{
				ID: "undefined_logits", Level: Error, Confidence: Certain,
				Title: fmt.Sprintf("Logits without a softmax from epoch %d on", m.epoch),
				Evidence: Evidence{
					Text:    fmt.Sprintf("At epoch %d %d of %d %s samples have NaN or +Inf among their logits, or −Inf alone.", m.epoch, l.Undefined, l.N, splitWord(split)),
					Figures: []Measure{figure("undefined samples", l.Undefined), figure("samples", l.N)}, Epochs: []int{m.epoch}, Split: split,
				},
				Meaning: "Training diverged, or values too large for their type were computed. These samples are in no figure of this run.",
				Try:     "Lower the learning rate or clip the gradient; look at the epoch before with logitscope show.",
				Rule:    "a labelled row has no softmax",
			}
		}
	}
	return nil
}

// logitsExplode: float16 ends at 65,504, and at 10⁴ bfloat16 steps by 64: a logit that large is on its way out.
func logitsExplode(e *evidence) *Finding {
	const tooLarge = 1e4
	for _, m := range e.timeline {
		for _, split := range []string{"train", "val"} {
			if l := m.of(split); l.largest >= tooLarge {
				last := e.last().of(split)
				return &Finding{
					ID: "logits_explode", Level: Error, Confidence: Certain,
					Title: fmt.Sprintf("Logits explode: beyond %g from epoch %d on", tooLarge, m.epoch),
					Evidence: Evidence{
						Text:    fmt.Sprintf("The largest |z| in %s is %.4g at epoch %d, %.4g at epoch %d and %.4g at epoch %d.", splitWord(split), e.first().of(split).largest, e.first().epoch, l.largest, m.epoch, last.largest, e.last().epoch),
						Figures: []Measure{figure("largest |z|", last.largest), figure("first epoch's", e.first().of(split).largest)}, Epochs: []int{m.epoch, e.last().epoch}, Split: split,
					},
					Meaning: "float16 overflows at 65,504 and bfloat16 cannot tell 10,000 from 10,030: the softmax is 0 or 1, and NaN is next.",
					Try:     "Lower the learning rate, clip the gradient, add weight decay, or a z-loss (a penalty on LSE²).",
					Rule:    "|z| ≥ 10,000",
				}
			}
		}
	}
	return nil
}

// logitsDrift: all logits move together. A softmax does not see it, rounding does.
func logitsDrift(e *evidence) *Finding {
	const (
		far   = 10.0 // in logits: float16 then has less than 1/100 left between neighbours
		times = 2.0  // the way from a row's mean to its largest logit
	)
	first, last := e.first().train, e.last().train
	moved := last.offset - first.offset
	if !(math.Abs(last.offset) >= far && math.Abs(last.offset) >= times*last.rise && math.Abs(moved) >= far/2) {
		return nil
	}
	return &Finding{
		ID: "logits_drift", Level: Warning, Confidence: Certain,
		Title: "All logits drift together",
		Evidence: Evidence{
			Text: fmt.Sprintf("The mean of all training logits went from %.3g at epoch %d to %.3g at epoch %d, while a row's largest logit is %.3g above its mean; mean LSE is %.3g.",
				first.offset, e.first().epoch, last.offset, e.last().epoch, last.rise, last.lse),
			Figures: []Measure{figure("mean logit", last.offset), figure("first epoch's", first.offset), figure("largest above the mean", last.rise), figure("mean LSE", last.lse)},
			Epochs:  []int{e.first().epoch, e.last().epoch}, Split: "train",
		},
		Meaning: "The softmax does not see what all logits have in common, so nothing holds it; in 16-bit arithmetic it eats the digits that tell classes apart.",
		Try:     "Add a z-loss (a small penalty on LSE², as PaLM has it), or weight decay on the head's bias.",
		Rule:    "|mean z| ≥ 10, at least twice what the largest logit has above the mean, and moved by 5 or more",
	}
}

// saturatedSoftmax: p is 1 for float32 in a large part of the rows. Where all of these are right it is worth knowing, and no harm.
func saturatedSoftmax(e *evidence) *Finding {
	const many = 0.3 // of the rows: easy data has some in a calibrated model too
	last := e.last().of(e.at())
	if e.unlike || !(last.saturated >= many) {
		return nil
	}
	f := &Finding{
		ID: "saturated", Level: Warning, Confidence: Certain,
		Title: "The softmax is saturated, where it is wrong too",
		Evidence: Evidence{
			Text: fmt.Sprintf("At epoch %d the largest p is within 10⁻⁶ of 1 in %.1f %% of the %s samples, and %d of these are wrong. Accuracy is %.1f %%.",
				e.last().epoch, 100*last.saturated, splitWord(e.at()), last.surelyWrong, 100*last.Accuracy),
			Figures: []Measure{figure("saturated share", last.saturated), figure("wrong among them", last.surelyWrong), figure("accuracy", last.Accuracy), figure("mean largest p", last.confidence)},
			Epochs:  []int{e.last().epoch}, Split: e.at(),
		},
		Meaning: "Such samples have no gradient when right and the whole gradient when wrong; nothing ranks them any more, and a wrong one claims to be right but for once in a million.",
		Try:     "Stop earlier, smooth the labels, add weight decay, or soften it with a temperature (logitscope calibrate).",
		Rule:    "1 − p < 10⁻⁶ in 30 % of the rows or more; a warning where one of these is wrong",
	}
	if last.surelyWrong == 0 {
		f.Level, f.Title = Info, "The softmax is saturated, and right where it is"
		f.Meaning = "Such samples have no gradient any more, and nothing ranks them. On easy data that is no harm."
		f.Try = "Nothing, while new data is like this; otherwise as for over-confidence: stop earlier, smooth the labels, calibrate."
	}
	return f
}

// parts are those of the splits that findings are decided on.
func (e *evidence) parts(m moment) []seen {
	if e.validated {
		return []seen{m.train, m.val}
	}
	return []seen{m.train}
}
