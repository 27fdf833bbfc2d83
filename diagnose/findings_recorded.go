package diagnose

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Findings about what was recorded: whether it is logits at all, and whether float arithmetic still carries it.

var probabilitiesRule = rule{
	finds: []Kind{{"probabilities", "the recorded values are probabilities, log-probabilities or what a sigmoid gives, and no logits"}},
	voids: readingNLL,
	find:  probabilities,
}

// probabilities: the recorded values are a softmax's output, not its input.
func probabilities(e *evidence) *Finding {
	last := e.last()
	f := &Finding{ID: "probabilities", Evidence: Evidence{Split: e.judgingSplit(), Epochs: []int{e.first().Epoch, last.Epoch}}}
	switch e.values {
	case analysis.AreProbabilities:
		f.Level, f.Confidence = Error, Certain
		f.Title = "The recorded values are probabilities, not logits"
		f.Evidence.Text = fmt.Sprintf("In each of %d epochs every row lies in [0,1] and sums to 1.", len(e.timeline))
		f.Rule = "every row of every epoch is in [0,1] and sums to 1 within 0.001"
	case analysis.AreSigmoids:
		f.Level, f.Confidence = Error, Likely
		f.Title = "The recorded values look like probabilities of a sigmoid, not logits"
		f.Evidence.Text = fmt.Sprintf("In each of %d epochs every value lies in [0,1]; a logit is negative where a class is not there.", len(e.timeline))
		f.Rule = "every value of every epoch is in [0,1], which logits of two classes are not"
	default:
		return nil
	}
	f.Evidence.Figures = []Measure{measure("largest value", last.Of(e.judgingSplit()).Largest), measure("NLL of them as logits", last.Of(e.judgingSplit()).NLL)}
	f.Meaning = "A softmax of probabilities is nearly flat: NLL, p, confidence and calibration in this run are not those of the model. Accuracy and ranking hold."
	f.Try = "Record what goes into the softmax. If the loss was given these values too, it applied a second softmax: give it the logits."
	return f
}

var logProbabilitiesRule = rule{
	finds: probabilitiesRule.finds,
	needs: acrossColumns,
	find:  logProbabilities,
}

// logProbabilities: the recorded values are a softmax's logarithm, which is a logit as good as any.
func logProbabilities(e *evidence) *Finding {
	if e.values != analysis.AreLogProbabilities {
		return nil
	}
	last := e.last()
	return &Finding{
		ID: "probabilities", Level: Info, Confidence: Certain,
		Title: "The recorded values are log-probabilities",
		Evidence: Evidence{
			Text:  fmt.Sprintf("In each of %d epochs the LSE of every row is 0.", len(e.timeline)),
			Split: e.judgingSplit(), Epochs: []int{e.first().Epoch, last.Epoch},
		},
		Meaning: "Their softmax is the same as that of the logits they came from: every figure of p, NLL and accuracy holds. The raw logit and its drift cannot be seen.",
		Try:     "Record the values before log-softmax to see them too.",
		Rule:    "the LSE of every row of every epoch is 0 within 0.001",
	}
}

var doubleSoftmaxRule = rule{
	finds: []Kind{{"double_softmax", "the softmax is applied twice: the network ends in one, and the loss takes another"}},
	needs: acrossColumns | trend | training,
	voids: readingNLL,
	find:  doubleSoftmax,
}

func doubleSoftmax(e *evidence) *Finding {
	if !analysis.TwiceSoftmaxed(e.manifest, e.timeline) {
		return nil
	}
	last, floor := e.last().Train, analysis.SoftmaxFloor(float64(e.classes))
	return &Finding{
		ID: "double_softmax", Level: Error, Confidence: Likely,
		Title: "The softmax is applied twice",
		Evidence: Evidence{
			Text: fmt.Sprintf("Training NLL is %.3f at epoch %d and never below %.3f = ln(e+%d)−1, while accuracy is %.1f %%: no two values of a row differ by more than 1.",
				last.NLL, e.last().Epoch, floor, e.classes-1, 100*last.Accuracy),
			Figures: []Measure{measure("training NLL", last.NLL), measure("floor", floor), measure("training accuracy", last.Accuracy), measure("largest difference in a row", last.Spread)},
			Epochs:  []int{e.first().Epoch, e.last().Epoch}, Split: record.TrainSplit,
		},
		Meaning: "The loss takes logits and was given probabilities. It cannot fall below that floor, its gradient is small and never vanishes: training is slow and stops early.",
		Try:     "Take the softmax out of the network's last layer, or use a loss that takes probabilities or log-probabilities.",
		Rule:    "training NLL never below ln(e+K−1)−1 yet three quarters of the way to it, no row spread over more than 1, accuracy above 1.5/K beyond its 95 % interval",
	}
}

var undefinedLogitsRule = rule{
	finds: []Kind{{"undefined_logits", "logits have no softmax: NaN, or infinity"}},
	find:  undefinedLogits,
}

// undefinedLogits: NaN or +Inf, so that a row has no softmax.
func undefinedLogits(e *evidence) *Finding {
	for _, m := range e.timeline {
		for _, split := range []string{record.TrainSplit, e.held} {
			l := m.Of(split)
			if l.Undefined == 0 {
				continue
			}
			return &Finding{
				ID: "undefined_logits", Level: Error, Confidence: Certain,
				Title: e.undefinedFrom(m.Epoch),
				Evidence: Evidence{
					Text:    fmt.Sprintf("At epoch %d %d of %d %s samples have NaN or +Inf among their logits, or −Inf alone.", m.Epoch, l.Undefined, l.N, words.Split(split)),
					Figures: []Measure{measure("undefined samples", l.Undefined), measure("samples", l.N)}, Epochs: []int{m.Epoch}, Split: split,
				},
				Meaning: "Training diverged, or values too large for their type were computed. These samples are in no figure of this run.",
				Try:     "Lower the learning rate or clip the gradient; look at the epoch before with logitscope show.",
				Rule:    "a labelled row has no softmax",
			}
		}
	}
	return nil
}

// undefinedFrom says from which epoch on logits have no softmax, or at how many epochs they have none.
func (e *evidence) undefinedFrom(first int) string {
	n, since := 0, 0
	for _, m := range e.timeline {
		if m.Epoch >= first {
			since++
			if m.Train.Undefined > 0 || m.Val.Undefined > 0 {
				n++
			}
		}
	}
	switch {
	case n == since:
		return fmt.Sprintf("Logits without a softmax from epoch %d on", first)
	case n == 1:
		return fmt.Sprintf("Logits without a softmax at epoch %d", first)
	}
	return fmt.Sprintf("Logits without a softmax at %d epochs, the first of them %d", n, first)
}

var logitsExplodeRule = rule{
	finds: []Kind{{"logits_explode", "logits are beyond what half precision carries, or on their way"}},
	find:  logitsExplode,
}

// logitsExplode: float16 ends at 65,504, and at 10⁴ bfloat16 steps by 64: a logit that large is on its way out.
func logitsExplode(e *evidence) *Finding {
	const tooLarge = 1e4
	for _, m := range e.timeline {
		for _, split := range []string{record.TrainSplit, e.held} {
			if l := m.Of(split); l.Largest >= tooLarge {
				last := e.last().Of(split)
				return &Finding{
					ID: "logits_explode", Level: Error, Confidence: Certain,
					Title: fmt.Sprintf("Logits explode: beyond %g from epoch %d on", tooLarge, m.Epoch),
					Evidence: Evidence{
						Text:    fmt.Sprintf("The largest |z| in %s is %.4g at epoch %d, %.4g at epoch %d and %.4g at epoch %d.", words.Split(split), e.first().Of(split).Largest, e.first().Epoch, l.Largest, m.Epoch, last.Largest, e.last().Epoch),
						Figures: []Measure{measure("largest |z|", last.Largest), measure("first epoch's", e.first().Of(split).Largest)}, Epochs: []int{m.Epoch, e.last().Epoch}, Split: split,
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

var logitsDriftRule = rule{
	finds: []Kind{{"logits_drift", "all logits move together, which no softmax sees and rounding does"}},
	needs: acrossColumns | training,
	find:  logitsDrift,
}

// logitsDrift: all logits move together. A softmax does not see it, rounding does.
func logitsDrift(e *evidence) *Finding {
	const (
		far   = 10.0 // in logits: float16 then has less than 1/100 left between neighbours
		times = 2.0  // the way from a row's mean to its largest logit
	)
	first, last := e.first().Train, e.last().Train
	moved := last.Offset - first.Offset
	if !(math.Abs(last.Offset) >= far && math.Abs(last.Offset) >= times*last.Rise && math.Abs(moved) >= far/2) {
		return nil
	}
	return &Finding{
		ID: "logits_drift", Level: Warning, Confidence: Certain,
		Title: "All logits drift together",
		Evidence: Evidence{
			Text: fmt.Sprintf("The mean of all training logits went from %.3g at epoch %d to %.3g at epoch %d, while a row's largest logit is %.3g above its mean; mean LSE is %.3g.",
				first.Offset, e.first().Epoch, last.Offset, e.last().Epoch, last.Rise, last.LSE),
			Figures: []Measure{measure("mean logit", last.Offset), measure("first epoch's", first.Offset), measure("largest above the mean", last.Rise), measure("mean LSE", last.LSE)},
			Epochs:  []int{e.first().Epoch, e.last().Epoch}, Split: record.TrainSplit,
		},
		Meaning: "The softmax does not see what all logits have in common, so nothing holds it; in 16-bit arithmetic it eats the digits that tell classes apart.",
		Try:     "Add a z-loss (a small penalty on LSE², as PaLM has it), or weight decay on the head's bias.",
		Rule:    "|mean z| ≥ 10, at least twice what the largest logit has above the mean, and moved by 5 or more",
	}
}

var saturatedSoftmaxRule = rule{
	finds: []Kind{{"saturated", "p is 1 for float32 in a large part of the rows"}},
	find:  saturatedSoftmax,
}

// saturatedSoftmax: p is 1 for float32 in a large part of the rows. Where all of these are right it is worth knowing, and no harm.
func saturatedSoftmax(e *evidence) *Finding {
	const many = 0.3 // of the rows: easy data has some in a calibrated model too
	last := e.last().Of(e.judgingSplit())
	if !(last.Saturated >= many) || e.manifest.Head.MultiLabel() && last.SurelyWrong == 0 {
		return nil // of many labels most are surely not there
	}
	f := &Finding{
		ID: "saturated", Level: Warning, Confidence: Certain,
		Title: "The softmax is saturated, where it is wrong too",
		Evidence: Evidence{
			Text: fmt.Sprintf("At epoch %d the largest p is within 10⁻⁶ of 1 in %.1f %% of the %s samples, and %d of these are wrong. Accuracy is %.1f %%.",
				e.last().Epoch, 100*last.Saturated, words.Split(e.judgingSplit()), last.SurelyWrong, 100*last.Accuracy),
			Figures: []Measure{measure("saturated share", last.Saturated), measure("wrong among them", last.SurelyWrong), measure("accuracy", last.Accuracy), measure("mean largest p", last.Confidence)},
			Epochs:  []int{e.last().Epoch}, Split: e.judgingSplit(),
		},
		Meaning: "Such samples have no gradient when right and the whole gradient when wrong; nothing ranks them any more, and a wrong one claims to be right but for once in a million.",
		Try:     "Stop earlier, smooth the labels, add weight decay, or soften it with a temperature (logitscope calibrate).",
		Rule:    "1 − p < 10⁻⁶ in 30 % of the rows or more; a warning where one of these is wrong",
	}
	if last.SurelyWrong == 0 {
		f.Level, f.Title = Info, "The softmax is saturated, and right where it is"
		f.Meaning = "Such samples have no gradient any more, and nothing ranks them. On easy data that is no harm."
		f.Try = "Nothing, while new data is like this; otherwise as for over-confidence: stop earlier, smooth the labels, calibrate."
	}
	return f
}
