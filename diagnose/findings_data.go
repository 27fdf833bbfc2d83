package diagnose

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Findings about the data: splits, classes, labels.

var imbalanceRule = rule{
	finds: []Kind{{"imbalance", "classes are uneven in the training set, and whether the rare ones suffer"}},
	needs: oneLabel | training,
	find:  imbalance,
}

// imbalance: how often the training labels name each class.
func imbalance(e *evidence) *Finding {
	const uneven = 10 // times as many samples
	s := e.samples[record.TrainSplit]
	most, least := 0, 0
	for k, n := range s.support {
		if n > s.support[most] {
			most = k
		}
		if n < s.support[least] {
			least = k
		}
	}
	if e.classes < 2 || s.labelled < e.classes || s.support[most] < uneven*max(s.support[least], 1) {
		return nil
	}
	f := &Finding{
		ID: "imbalance", Level: Info, Confidence: Certain,
		Title: fmt.Sprintf("Classes are uneven: %d samples of %s, %d of %s", s.support[most], e.class(most), s.support[least], e.class(least)),
		Evidence: Evidence{
			Figures: []Measure{measure("most", s.support[most]), measure("fewest", s.support[least])},
			Split:   record.TrainSplit, Classes: []int{least, most}, Epochs: []int{e.last().Epoch},
		},
		Meaning: "Accuracy speaks of the frequent classes.",
		Try:     "Read balanced accuracy and the recall of each class; weight the classes or draw them evenly if the rare ones matter.",
		Rule:    "the most frequent class has ten times the samples of the rarest",
	}
	// The classes under a tenth of the most frequent, taken together against the rest.
	counted := e.perClass(e.judgingSplit(), e.last().Epoch)
	rareRight, rare, otherRight, other := 0, 0, 0, 0
	for k, c := range counted {
		if s.support[k]*uneven <= s.support[most] {
			rare, rareRight = rare+c.support, rareRight+c.right
		} else {
			other, otherRight = other+c.support, otherRight+c.right
		}
	}
	rareRecall, otherRecall := float64(rareRight)/float64(rare), float64(otherRight)/float64(other)
	f.Evidence.Text = fmt.Sprintf("Recall at epoch %d in %s: %.1f %% over the %d samples of the rare classes, %.1f %% over the other %d.",
		e.last().Epoch, words.Split(e.judgingSplit()), 100*rareRecall, rare, 100*otherRecall, other)
	f.Evidence.Figures = append(f.Evidence.Figures, measure("recall of the rare", rareRecall), measure("recall of the others", otherRecall))
	if errors := dynamics.TwoShares(otherRight, other, rareRight, rare); errors >= beyondDoubt {
		f.Level, f.Meaning = Warning, "Accuracy speaks of the frequent classes, and the rare ones are recognised less often."
		f.Rule += fmt.Sprintf("; the rare ones' recall is %.1f standard errors lower", errors)
	}
	return f
}

// classCount counts the samples of a class in a split: those that have it as their label, those predicted as it, and those that are both.
type classCount struct{ support, predicted, right int }

// perClass counts the samples of a split at one of the chosen epochs.
func (e *evidence) perClass(split string, epoch int) []classCount {
	counts := make([]classCount, e.classes)
	for _, r := range e.rows[split][epoch] {
		if r.label < 0 || r.argmax < 0 {
			continue
		}
		counts[r.label].support++
		counts[r.argmax].predicted++
		if r.label == r.argmax {
			counts[r.label].right++
		}
	}
	return counts
}

var classCollapsedRule = rule{
	finds: []Kind{{"class_collapsed", "a class that has samples is never, or hardly ever, predicted"}},
	needs: oneLabel,
	find:  classCollapsed,
}

// classCollapsed: a class that is there and not predicted.
func classCollapsed(e *evidence) *Finding {
	const (
		enough = 10  // samples of the class: with fewer it may be chance
		lost   = 0.1 // of the accuracy over all, its recall
	)
	last, best := e.last(), e.best()
	counts, before := e.perClass(e.judgingSplit(), last.Epoch), e.perClass(e.judgingSplit(), best.Epoch)
	n, right, most := 0, 0, 0
	for k, c := range counts {
		n, right = n+c.support, right+c.right
		if c.predicted > counts[most].predicted {
			most = k
		}
	}
	var collapsed []int
	var parts []string
	f := &Finding{ID: "class_collapsed", Level: Warning, Confidence: Certain, Evidence: Evidence{Split: e.judgingSplit(), Epochs: []int{last.Epoch}}}
	for k, c := range counts {
		recall := float64(c.right) / float64(c.support)
		if c.support < enough || !(c.predicted == 0 || c.support >= 2*enough && recall < lost*float64(right)/float64(n)) {
			continue
		}
		collapsed = append(collapsed, k)
		f.Evidence.Figures = append(f.Evidence.Figures, measure("recall of "+e.curves.Classes[k], recall))
		part := fmt.Sprintf("%s has %d samples and is predicted %d times, %d of them right", e.class(k), c.support, c.predicted, c.right)
		if last.Epoch != best.Epoch && before[k].right > c.right {
			part += fmt.Sprintf(" (%d right at epoch %d)", before[k].right, best.Epoch)
		}
		parts = append(parts, part)
	}
	// A network that has learned nothing has not lost a class; one that gives every sample the same has collapsed.
	if len(collapsed) == 0 || !e.learned(last) && counts[most].predicted < n {
		return nil
	}
	f.Evidence.Classes = collapsed
	f.Evidence.Figures = f.Evidence.Figures[:min(len(f.Evidence.Figures), maxEvidence)]
	f.Evidence.Text = fmt.Sprintf("At epoch %d in %s: %s.", last.Epoch, words.Split(e.judgingSplit()), strings.Join(parts[:min(len(parts), 3)], "; "))
	f.Title = fmt.Sprintf("Class %s is never predicted", e.class(collapsed[0]))
	switch {
	case counts[most].predicted == n:
		f.Level = Error
		f.Title = fmt.Sprintf("The network collapsed: it predicts %s for every sample", e.class(most))
	case len(collapsed) > 1:
		f.Title = fmt.Sprintf("%d classes are never or hardly ever predicted", len(collapsed))
	case counts[collapsed[0]].predicted > 0:
		f.Title = fmt.Sprintf("Class %s is hardly ever recognised", e.class(collapsed[0]))
	}
	f.Meaning = "What the network outputs for these samples is another class, whatever they are."
	f.Try = "See whether its labels are right and it is in the training set; weight it, or draw classes evenly. Where every sample gets one class: lower the learning rate, look at the features' scale."
	f.Rule = "10 samples or more and never on top, or 20 or more and a recall under a tenth of accuracy"
	return f
}

var confusedClassesRule = rule{
	finds: []Kind{{"confused_classes", "two classes are taken for each other more often than by chance"}},
	needs: acrossColumns,
	find:  confusedClasses,
}

// confusedClasses: pairs of classes that are taken for each other more often than errors fall by chance.
func confusedClasses(e *evidence) *Finding {
	const (
		enough = 5    // samples that went wrong between the two
		share  = 0.05 // of the samples of both
	)
	type pair struct{ a, b int }
	last := e.last()
	counts := e.perClass(e.judgingSplit(), last.Epoch)
	wrong := map[pair]int{}
	samples := map[pair][]int64{}
	from, into, errors := make([]int, e.classes), make([]int, e.classes), 0
	for i, r := range e.rows[e.judgingSplit()][last.Epoch] {
		if r.label < 0 || r.argmax < 0 || r.label == r.argmax {
			continue
		}
		p := pair{int(min(r.label, r.argmax)), int(max(r.label, r.argmax))}
		wrong[p]++
		samples[p] = append(samples[p], e.samples[e.judgingSplit()].IDs[i])
		from[r.label]++
		into[r.argmax]++
		errors++
	}
	type confused struct {
		pair
		n                  int
		share, expected, p float64
	}
	var found []confused
	for p, n := range wrong {
		// The errors of a class spread over the others as all errors do.
		spread := func(a, b int) float64 { return float64(from[a]*into[b]) / float64(max(errors-into[a], 1)) }
		c := confused{pair: p, n: n, share: float64(n) / float64(counts[p.a].support+counts[p.b].support), expected: spread(p.a, p.b) + spread(p.b, p.a)}
		// A pair that is most of its classes' errors is expected among them: at most what even spreading gives.
		c.expected = min(c.expected, 2*float64(errors)/float64(e.classes)/float64(max(e.classes-1, 1)))
		c.p = poissonTail(n, c.expected) * float64(e.classes*(e.classes-1)/2)
		if n >= enough && c.share >= share && c.p < 1e-3 {
			found = append(found, c)
		}
	}
	if e.classes < 3 || len(found) == 0 || !e.learned(last) {
		return nil
	}
	slices.SortFunc(found, func(x, y confused) int {
		return cmp.Or(cmp.Compare(y.share, x.share), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	first := found[0]
	f := &Finding{
		ID: "confused_classes", Level: Info, Confidence: Likely,
		Title: fmt.Sprintf("Classes %s and %s are taken for each other", e.class(first.a), e.class(first.b)),
		Evidence: Evidence{
			Split: e.judgingSplit(), Epochs: []int{last.Epoch}, Classes: []int{first.a, first.b}, Samples: samples[first.pair],
			Figures: []Measure{measure("errors between them", first.n), measure("share of their samples", first.share), measure("by chance", first.expected)},
		},
		Meaning: "To the network these classes look alike: the features do not tell them apart, or the labels mix them up.",
		Try:     "Look at these samples; more data or features for these classes, or one class for both.",
		Rule:    "as many errors between two classes by chance less than once in a thousand over all pairs, if errors spread evenly",
	}
	var parts []string
	for _, c := range found[:min(len(found), 3)] {
		parts = append(parts, fmt.Sprintf("%d of the %d samples of %s and %s (%.1f would be chance)", c.n, counts[c.a].support+counts[c.b].support, e.class(c.a), e.class(c.b), c.expected))
	}
	f.Evidence.Text = fmt.Sprintf("At epoch %d in %s went to the other of the two: %s.", last.Epoch, words.Split(e.judgingSplit()), strings.Join(parts, "; "))
	if len(found) > 1 {
		f.Title += fmt.Sprintf(", and %d more pairs", len(found)-1)
	}
	return f
}

// poissonTail returns the probability of n events or more where mean are expected.
func poissonTail(n int, mean float64) float64 {
	if mean <= 0 {
		if n > 0 {
			return 0
		}
		return 1
	}
	// The terms from n on fall at least like a geometric series once n > mean.
	term, sum := math.Exp(-mean+float64(n)*math.Log(mean)-logFactorial(n)), 0.0
	for k := n; k < n+10000 && (term > 0 || float64(k) < mean); k++ {
		sum += term
		term *= mean / float64(k+1)
		if float64(k) > mean && term < 1e-17*sum {
			break
		}
	}
	return min(sum, 1)
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

var wrongLabelsRule = rule{
	finds: []Kind{{"wrong_labels", "labels are contradicted where the network is sure"}},
	needs: oneLabel | validation | training,
	find:  wrongLabels,
}

// wrongLabels: labels that the network contradicts where it is sure. A hard sample leaves it unsure; a wrong label on an easy
// sample does not, until the label is learned by heart: so what counts is the mean softmax over the epochs up to the best.
// In the surer three quarters of the samples, training is contradicted no more often than validation, which the network never saw,
// unless its labels are worse. Where validation's labels are wrong too, its own surest quarter tells: wrong answers there are
// more than Σ(1−p), at the temperature that fits validation best.
func wrongLabels(e *evidence) *Finding {
	const few = 0.005 // of the samples looked at: what no data set is without
	best := e.best()
	if !e.learned(best) {
		return nil
	}
	train, val := surestThreeQuarters(e.dynamics[record.TrainSplit]), surestThreeQuarters(e.dynamics[e.held])
	share := float64(train.contradicted) / float64(train.n)
	f := &Finding{
		ID: "wrong_labels", Level: Warning, Confidence: Likely,
		Evidence: Evidence{Epochs: []int{best.Epoch}, Split: record.TrainSplit},
		Meaning:  "These samples look like another class than their label says. Training on them to the end teaches them by heart and costs validation NLL.",
		Try:      "Look at them: logitscope labels ranks the suspects with their likelier class. Correct or drop them; until then stop early.",
	}
	for _, s := range e.suspects {
		f.Evidence.Samples = append(f.Evidence.Samples, s.ID)
	}
	if errors := dynamics.TwoShares(train.contradicted, train.n, val.contradicted, val.n); errors >= beyondDoubt && share >= few {
		f.Title = fmt.Sprintf("Wrong labels in the training set: about %.0f %% or more", math.Ceil(100*share))
		f.Evidence.Text = fmt.Sprintf("Up to epoch %d, in the three quarters of the samples that it is surer of, the network contradicts %d of %d training labels (%.1f %%) and %d of %d of validation. Of all training labels it contradicts %.1f %%.",
			best.Epoch, train.contradicted, train.n, 100*share, val.contradicted, val.n, 100*train.overallShare)
		f.Evidence.Figures = []Measure{measure("contradicted share", share), measure("in validation", float64(val.contradicted)/float64(val.n)), measure("over all of training", train.overallShare)}
		f.Rule = fmt.Sprintf("in the surer three quarters, training labels are contradicted more often than validation's, by %.1f standard errors", errors)
		return f
	}
	if best.Val.Accuracy < 0.5 {
		return nil // wrong more often than right, it is no witness against a label
	}
	n, wrong, expected := e.surestQuarter(e.held, best.Epoch)
	share = float64(wrong) / float64(max(n, 1))
	errors := (float64(wrong) - expected) / math.Sqrt(expected+1)
	if errors < beyondDoubt || share < few {
		return nil
	}
	f.Level, f.Confidence = Info, Possible
	f.Title = fmt.Sprintf("Labels may be wrong, in validation too: about %.0f %%", math.Ceil(100*share))
	f.Evidence.Text = fmt.Sprintf("At epoch %d, in the quarter of the validation samples that it is surest of, the network contradicts %d of %d labels, where its own probabilities, at the temperature that fits best, allow for %.1f.",
		best.Epoch, wrong, n, expected)
	f.Evidence.Figures = []Measure{measure("contradicted share", share), measure("contradicted", wrong), measure("expected", expected)}
	f.Rule = fmt.Sprintf("in validation's surest quarter labels are contradicted more often than p says, by %.1f standard errors; probabilities that no temperature mends look the same", errors)
	return f
}

// surestSamples counts the three quarters of the samples of which a network is surest.
type surestSamples struct {
	n, contradicted int
	all             int     // samples of the split
	overallShare    float64 // share of all samples whose label the network contradicts
}

// surestThreeQuarters orders the samples by the largest mean p over the early epochs.
func surestThreeQuarters(d *dynamics.Dynamics) (h surestSamples) {
	type sample struct {
		top          float32
		contradicted bool
	}
	if d == nil {
		return h // the samples are others at every epoch
	}
	var all []sample
	for _, s := range d.Samples {
		if len(s.Likely) > 0 {
			all = append(all, sample{s.Likely[0].P, s.Likely[0].Class != s.Label})
			if s.Likely[0].Class != s.Label {
				h.overallShare++
			}
		}
	}
	h.all = len(all)
	h.overallShare /= float64(h.all)
	slices.SortStableFunc(all, func(x, y sample) int { return cmp.Compare(y.top, x.top) })
	h.n = len(all) * 3 / 4
	for _, s := range all[:h.n] {
		if s.contradicted {
			h.contradicted++
		}
	}
	return h
}

// surestQuarter returns, of the samples with the largest p at an epoch, how many there are, how many are contradicted, and
// how many p says there should be.
func (e *evidence) surestQuarter(split string, epoch int) (n, contradicted int, expected float64) {
	var defined []row
	for _, r := range e.rows[split][epoch] {
		if r.label >= 0 && r.argmax >= 0 {
			defined = append(defined, r)
		}
	}
	slices.SortStableFunc(defined, func(x, y row) int { return cmp.Compare(y.largestP, x.largestP) })
	n = len(defined) / 4
	for _, r := range defined[:n] {
		expected += 1 - float64(r.largestP)
		if r.argmax != r.label {
			contradicted++
		}
	}
	return n, contradicted, expected
}
