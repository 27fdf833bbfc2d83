package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// WrongLabels ranks the labelled samples of a split by the evidence that their label is wrong.
type WrongLabels struct {
	Run      string      `json:"run"`
	Split    string      `json:"split"`
	Evidence string      `json:"evidence"` // EarlyEpochs, or EarlyAndFolds where the run has folds
	Early    int         `json:"early"`    // the last of the early epochs
	Folds    int         `json:"folds"`    // the last epoch of the folds that is taken: that of their lowest NLL; 0 without
	Samples  int         `json:"samples"`  // that were ranked: those with a label, and a softmax at some early epoch
	Flagged  int         `json:"flagged"`  // those whose mean softmax is larger for another class than for their label
	Expected Number      `json:"expected"` // how many labels are wrong by the count of confident learning
	InVal    Number      `json:"in_val"`   // share of validation's samples, never trained on, taken for another class; null without them
	Note     string      `json:"note"`     // what that says of the flagged, "" where they are more
	Suspects []Suspect   `json:"suspects"` // the most suspect first
	Truth    *LabelTruth `json:"truth"`    // how good the ranking is, where the labels before planted noise are known; else null
	Damaged  []string    `json:"damaged"`  // the files that could not be read
	Classes  []string    `json:"classes"`
}

// Where the evidence for wrong labels comes from.
const (
	EarlyEpochs   = "early_epochs"           // the training run itself, before it knows the labels by heart
	EarlyAndFolds = "early_epochs_and_folds" // and, as much again, networks that never saw the sample
)

// Suspect is a sample whose label may be wrong.
type Suspect struct {
	Rank int `json:"rank"` // from 1
	SampleDynamics
	Likelier  int32  `json:"likelier"`   // the class that it more likely is
	Score     Number `json:"score"`      // how much likelier, from −1 (the label is right) to 1
	PLabel    Number `json:"p_label"`    // mean p of the label
	PLikelier Number `json:"p_likelier"` // and of the likelier class
	Flagged   bool   `json:"flagged"`
	Why       string `json:"why"`
	Preview   []byte `json:"preview,omitempty"`
}

// LabelTruth says how well the ranking finds the labels that differ from those before noise was planted.
type LabelTruth struct {
	Wrong            int    `json:"wrong"`             // how many of the ranked are
	AveragePrecision Number `json:"average_precision"` // of the ranking, ties counted as one step; null where none is wrong
	ByConfidence     Number `json:"by_confidence"`     // that of ranking by mean p of the label over all epochs
	Precision        Number `json:"precision"`         // share of the flagged that are wrong
	Recall           Number `json:"recall"`            // share of the wrong that are flagged
	LikelierRight    Number `json:"likelier_right"`    // share of the wrong whose likelier class is the true one
}

// WrongLabels ranks the samples of a split, at most limit of them or, where limit is 0, those that are flagged.
//
// The evidence is each sample's mean softmax P over the early epochs; where the run has folds, the mean of that and of the mean
// softmax out of fold, up to the epoch of the folds' own lowest NLL. How often label y is given to what is class j is
// counted as in confident learning (Northcutt et al. 2021): a sample counts as of the class j with the largest P among
// those whose P reaches the mean that class j has over its own samples. With one more in every cell this gives the
// probability of label y for class j; Bayes' rule with P for the prior gives that of each class for the sample. The score is
// that of the likeliest other class less that of the label.
func (a *Analyzer) WrongLabels(split string, limit int) (*WrongLabels, error) {
	known, err := a.Dynamics(split)
	if err != nil {
		return nil, err
	}
	d := *known
	d.Samples = slices.Clone(d.Samples) // folds add to them
	samples, err := a.samplesOf(split)
	if err != nil {
		return nil, err
	}
	m := a.run.Manifest()
	w := &WrongLabels{
		Run: m.Name, Split: split, Evidence: EarlyEpochs, Early: d.Early, Damaged: d.Damaged, Classes: m.Classes, Suspects: []Suspect{},
	}
	if err := a.addFolds(w, &d); err != nil {
		w.Damaged = append(w.Damaged, err.Error())
	}
	var ranked []Suspect
	ranked, w.Expected = rankSuspects(&d, max(m.Columns, 2))
	w.Samples = len(ranked)
	for i := range ranked {
		if ranked[i].Flagged {
			w.Flagged++
		}
	}
	w.Truth = judge(ranked, w.Flagged)
	if err := a.compare(w); err != nil {
		return nil, err
	}
	if limit <= 0 {
		ranked = slices.DeleteFunc(ranked, func(s Suspect) bool { return !s.Flagged })
		limit = len(ranked)
	}
	w.Suspects = append(w.Suspects, ranked[:min(limit, len(ranked))]...)
	for i := range w.Suspects {
		s := &w.Suspects[i]
		s.Why, s.Preview = s.why(m.Classes, w), preview(samples, m, s.row)
	}
	return w, nil
}

// compare holds the share of the flagged against that of validation, which was not trained on.
func (a *Analyzer) compare(w *WrongLabels) error {
	w.InVal = Number(math.NaN())
	if w.Split == "val" || a.checkSplit("val") != nil {
		return nil
	}
	d, err := a.Dynamics("val")
	if err != nil {
		return err
	}
	val := surer(d)
	w.InVal = Number(val.overall)
	n := float64(val.of)
	if w.Flagged > 0 && val.of > 0 && twoShares(w.Flagged, w.Samples, int(math.Round(val.overall*n)), val.of) < beyondDoubt {
		w.Note = fmt.Sprintf("Of validation's samples %.1f %% are taken for another class than their label too, not clearly fewer than the %.1f %% here: the classes overlap, or labels are wrong there as well. Most of these labels may be right.",
			100*val.overall, 100*float64(w.Flagged)/float64(w.Samples))
	}
	return nil
}

// addFolds adds to the classes of each sample what the folds of the run say, where it has any.
func (a *Analyzer) addFolds(w *WrongLabels, d *Dynamics) error {
	run, err := a.run.Folds()
	if err != nil || run == nil {
		return err
	}
	defer run.Close()
	folds := New(run)
	if folds.checkSplit(d.Split) != nil {
		return nil // they are of the split that the run trains on
	}
	f, err := folds.dynamics(d.Split, d.Split)
	if err != nil {
		return err
	}
	w.Damaged = append(w.Damaged, f.Damaged...)
	if !slices.EqualFunc(f.Samples, d.Samples, func(x, y SampleDynamics) bool { return x.ID == y.ID && x.Label == y.Label }) ||
		!slices.Equal(run.Manifest().Classes, w.Classes) {
		return fmt.Errorf("the folds of %s are of other samples, labels or classes: they are left out", w.Run)
	}
	if len(f.Epochs) == 0 {
		return nil
	}
	w.Evidence, w.Folds = EarlyAndFolds, f.Early
	for i := range d.Samples {
		d.Samples[i].likely = average(d.Samples[i].likely, f.Samples[i].likely)
	}
	return nil
}

// average is the mean of two lists of classes, in falling order; a class that one lacks has no share there. Where one list is
// empty it is the other.
func average(a, b []classShare) []classShare {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	mean := slices.Clone(a)
	for _, c := range b {
		if at := slices.IndexFunc(mean, func(m classShare) bool { return m.class == c.class }); at >= 0 {
			mean[at].p += c.p
		} else {
			mean = append(mean, c)
		}
	}
	for i := range mean {
		mean[i].p /= 2
	}
	slices.SortFunc(mean, func(x, y classShare) int { return cmp.Or(cmp.Compare(y.p, x.p), cmp.Compare(x.class, y.class)) })
	return mean
}

// rankSuspects orders the samples that have a softmax, the most suspect first, the lower id first on a tie, and returns how
// many wrong labels are to be expected.
func rankSuspects(d *Dynamics, k int) ([]Suspect, Number) {
	noise := newNoise(d.Samples, k)
	ranked := make([]Suspect, 0, len(d.Samples))
	for _, s := range d.Samples {
		if len(s.likely) == 0 {
			continue
		}
		suspect := Suspect{SampleDynamics: s, Likelier: -1}
		var label, likelier, total float64
		for _, c := range s.likely {
			p := float64(c.p) * noise.probability(s.Label, c.class)
			total += p
			switch {
			case c.class == s.Label:
				label, suspect.PLabel = p, Number(c.p)
			case p > likelier || suspect.Likelier < 0:
				likelier, suspect.Likelier, suspect.PLikelier = p, c.class, Number(c.p)
			}
		}
		suspect.Score = Number((likelier - label) / total)
		suspect.Flagged = s.likely[0].class != s.Label
		ranked = append(ranked, suspect)
	}
	slices.SortFunc(ranked, func(x, y Suspect) int { return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.ID, y.ID)) })
	for i := range ranked {
		ranked[i].Rank = i + 1
	}
	return ranked, Number(noise.expected)
}

// noise is an estimate of how probable each label is for each true class. It holds only the pairs that occur: K² would be
// too many where there are many classes.
type noise struct {
	pairs  map[[2]int32]float64 // label y, class j → Q(y,j), beyond what every pair has
	scale  []float64            // [K] of label y: what one sample counts, so that each label keeps its number of samples
	column []float64            // [K] of class j: Σ over y of Q(y,j)

	expected float64 // samples whose label is not their class: the pairs alone, each label scaled to its number of samples
}

func newNoise(samples []SampleDynamics, k int) *noise {
	given, self := make([]float64, k), make([]float64, k)
	for _, s := range samples {
		for _, c := range s.likely {
			if c.class == s.Label {
				given[c.class]++
				self[c.class] += float64(c.p)
			}
		}
	}
	n := &noise{pairs: map[[2]int32]float64{}, scale: make([]float64, k), column: make([]float64, k)}
	rows := make([]float64, k)
	for _, s := range samples {
		for _, c := range s.likely { // in falling order of p
			if given[c.class] > 0 && float64(c.p) >= self[c.class]/given[c.class] {
				n.pairs[[2]int32{s.Label, c.class}]++
				rows[s.Label]++
				break
			}
		}
	}
	every := 0.0
	for y := range n.scale {
		n.scale[y] = given[y] / (rows[y] + float64(k))
		every += n.scale[y]
	}
	for j := range n.column {
		n.column[j] = every
	}
	for _, pair := range sortedPairs(n.pairs) {
		y, j := pair[0], pair[1]
		n.column[j] += n.pairs[pair] * n.scale[y]
		if y != j {
			n.expected += n.pairs[pair] * given[y] / rows[y]
		}
	}
	return n
}

// sortedPairs gives sums over a map a fixed order.
func sortedPairs(pairs map[[2]int32]float64) [][2]int32 {
	sorted := make([][2]int32, 0, len(pairs))
	for pair := range pairs {
		sorted = append(sorted, pair)
	}
	slices.SortFunc(sorted, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return sorted
}

// probability is that of a label for a sample of a class.
func (n *noise) probability(label, class int32) float64 {
	return (n.pairs[[2]int32{label, class}] + 1) * n.scale[label] / n.column[class]
}

// judge holds a ranking against the labels before noise was planted; nil where these are not known.
func judge(ranked []Suspect, flagged int) *LabelTruth {
	if len(ranked) == 0 || ranked[0].CleanLabel == nil {
		return nil
	}
	t := &LabelTruth{}
	found, right := 0, 0
	wrong := func(s Suspect) bool { return *s.CleanLabel != s.Label }
	for _, s := range ranked {
		if !wrong(s) {
			continue
		}
		t.Wrong++
		if s.Flagged {
			found++
		}
		if s.Likelier == *s.CleanLabel {
			right++
		}
	}
	score := make([]float64, len(ranked))
	is := make([]bool, len(ranked))
	for i, s := range ranked {
		score[i], is[i] = float64(s.Score), wrong(s)
	}
	t.AveragePrecision = Number(averagePrecision(score, is))
	for i, s := range ranked {
		score[i] = -float64(s.Confidence)
	}
	t.ByConfidence = Number(averagePrecision(score, is))
	t.Precision, t.Recall = Number(float64(found)/float64(flagged)), Number(float64(found)/float64(t.Wrong))
	t.LikelierRight = Number(float64(right) / float64(t.Wrong))
	return t
}

// averagePrecision is Σ (Rₙ − Rₙ₋₁)·Pₙ over the thresholds in falling order, as scikit-learn has it: equal scores are one
// threshold. NaN where nothing is positive.
func averagePrecision(score []float64, positive []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	sum, found, before := 0.0, 0, 0
	for n, i := range order {
		if positive[i] {
			found++
		}
		if n+1 == len(order) || score[order[n+1]] != score[i] {
			sum += float64(found-before) * float64(found) / float64(n+1)
			before = found
		}
	}
	if found == 0 {
		return math.NaN()
	}
	return sum / float64(found)
}

// why puts the evidence in words.
func (s *Suspect) why(classes []string, w *WrongLabels) string {
	label, likelier := classes[s.Label], classes[s.Likelier]
	by := ""
	if w.Evidence == EarlyAndFolds {
		by = ", and by networks that never saw it,"
	}
	story := fmt.Sprintf("up to epoch %d%s mean p of %s is %.2f, of its label %s %.2f", w.Early, by, likelier, s.PLikelier, label, s.PLabel)
	switch {
	case s.Learned < 0 && s.Correctness == 0:
		story += "; the label was never learned"
	case s.Learned < 0:
		story += "; the label is not learned at the end"
	case s.Learned > w.Early:
		story += fmt.Sprintf("; the label was learned only at epoch %d", s.Learned)
	}
	return story
}
