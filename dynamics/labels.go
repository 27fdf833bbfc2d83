package dynamics

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// WrongLabels ranks the labelled samples of a split by the evidence that their label is wrong.
type WrongLabels struct {
	Run              string          `json:"run"`
	Split            string          `json:"split"`
	Evidence         string          `json:"evidence"`     // EarlyEpochs, or EarlyAndFolds where the run has folds
	Early            int             `json:"early"`        // the last of the early epochs
	Folds            int             `json:"folds"`        // the last epoch of the folds that is taken: that of their lowest NLL; 0 without
	Samples          int             `json:"samples"`      // ranked samples: those with a label, and a softmax at some early epoch
	Flagged          int             `json:"flagged"`      // flagged samples: as many of the most suspect as exceed the rate of contradiction on validation
	Against          int             `json:"contradicted"` // ranked samples whose mean softmax is larger for another class than for their label
	Expected         analysis.Number `json:"expected"`     // how many labels are wrong by the count of confident learning
	InVal            analysis.Number `json:"in_val"`       // share of validation's samples, never trained on, taken for another class; null without them
	Note             string          `json:"note"`         // why no more of the contradicted are flagged
	Suspects         []Suspect       `json:"suspects"`     // the most suspect first
	Truth            *LabelTruth     `json:"truth"`        // how good the ranking is, where the labels before planted noise are known; else null
	analysis.Lacking                 // what could not be read of the run, its folds and validation
	Classes          []string        `json:"classes"`
}

// Sources of the evidence for wrong labels.
const (
	EarlyEpochs   = "early_epochs"           // the training run itself, before it knows the labels by heart
	EarlyAndFolds = "early_epochs_and_folds" // and, with the same weight, the networks of folds that never saw the sample
)

// Suspect is a sample whose label may be wrong.
type Suspect struct {
	Rank int `json:"rank"` // from 1
	Sample
	Likelier  int32           `json:"likelier"`   // the likeliest class other than the label
	Score     analysis.Number `json:"score"`      // how much likelier that class is, from −1 (the label is right) to 1
	PLabel    analysis.Number `json:"p_label"`    // mean p of the label
	PLikelier analysis.Number `json:"p_likelier"` // mean p of the likelier class
	Flagged   bool            `json:"flagged"`
	Why       string          `json:"why"`
	Preview   []byte          `json:"preview,omitempty"` // the sample's picture
	Text      string          `json:"text,omitempty"`    // the sample's text
}

// LabelTruth says how well the ranking finds the labels that planted noise made wrong.
type LabelTruth struct {
	Wrong            int             `json:"wrong"`             // ranked samples whose label is wrong
	AveragePrecision analysis.Number `json:"average_precision"` // of the ranking, ties counted as one step; null where no label is wrong
	ByConfidence     analysis.Number `json:"by_confidence"`     // average precision of ranking by mean p of the label over all epochs instead
	Precision        analysis.Number `json:"precision"`         // share of the flagged that are wrong
	Recall           analysis.Number `json:"recall"`            // share of the wrong that are flagged
	LikelierRight    analysis.Number `json:"likelier_right"`    // share of the wrong whose likelier class is the true one
}

// FindWrongLabels ranks the samples of a split, at most limit of them or, where limit is 0, those that are flagged.
//
// The evidence is each sample's mean softmax P over the early epochs; where the run has folds, the mean of that and of the mean
// softmax out of fold, up to the epoch of the folds' own lowest NLL. How often label y is given to what is class j is
// counted as in confident learning (Northcutt et al. 2021): a sample counts as of the class j with the largest P among
// those whose P reaches the mean that class j has over its own samples. With one more in every cell this gives the
// probability of label y for class j; Bayes' rule with P for the prior gives that of each class for the sample. The score is
// that of the likeliest other class less that of the label.
func FindWrongLabels(ctx context.Context, a *analysis.Analyzer, split string, limit int) (*WrongLabels, error) {
	known, err := Of(ctx, a, split)
	if err != nil {
		return nil, err
	}
	d := *known
	d.Samples = slices.Clone(d.Samples) // since addFolds changes them
	samples, err := a.Samples(split)
	if err != nil {
		return nil, err
	}
	m := a.Source().Manifest()
	w := &WrongLabels{
		Run: m.Name, Split: split, Evidence: EarlyEpochs, Early: d.Early, Classes: m.Classes, Suspects: []Suspect{},
	}
	w.Add(d.Lacking)
	w.AddDamage(addFolds(ctx, a, w, &d))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	noise := newNoise(d.Samples, max(m.Columns, 2))
	ranked := noise.rank(d.Samples)
	w.Samples, w.Expected = len(ranked), analysis.Number(noise.expected)
	for i := range ranked {
		if ranked[i].contradicted() {
			w.Against++
		}
	}
	if err := flag(ctx, a, w, ranked, noise); err != nil {
		return nil, err
	}
	w.Truth = judge(ranked, w.Flagged)
	if limit <= 0 {
		ranked = slices.DeleteFunc(ranked, func(s Suspect) bool { return !s.Flagged })
		limit = len(ranked)
	}
	w.Suspects = append(w.Suspects, ranked[:min(limit, len(ranked))]...)
	for i := range w.Suspects {
		s := &w.Suspects[i]
		s.Why, s.Preview, s.Text = s.describe(m, w), analysis.Preview(samples, m, s.place), analysis.Text(samples, s.place)
	}
	return w, nil
}

// flag marks the most suspect of the ranked samples. A network also contradicts right labels, of hard samples; how often it does is told by
// validation, on which it was not trained. So flag cuts the ranking where the number of training samples above the cut exceeds that of
// validation samples above it, in proportion, by most. It flags as many samples as this excess, and none where it is within chance.
func flag(ctx context.Context, a *analysis.Analyzer, w *WrongLabels, ranked []Suspect, noise *noise) error {
	w.InVal = analysis.Number(math.NaN())
	none := "none is flagged, --top ranks them"
	held := a.Source().Manifest().HeldOut()
	defer func() { w.Note = words.HeldOut(held).In(w.Note) }()
	if w.Split == held || a.CheckSplit(held) != nil {
		w.Note = fmt.Sprintf("No other split says how often the network contradicts labels that are right: %s.", none)
		return nil
	}
	d, err := Of(ctx, a, held)
	if err != nil {
		return err
	}
	w.Add(d.Lacking)
	val := noise.rank(d.Samples)
	if len(val) == 0 {
		w.Note = fmt.Sprintf("Without labelled validation samples nothing says how often the network contradicts labels that are right: %s.", none)
		return nil
	}
	n, inVal := float64(len(ranked)), float64(len(val))
	above, aboveInVal, excess, at := 0, 0, 0., -1
	for i := range ranked {
		for aboveInVal < len(val) && val[aboveInVal].Score >= ranked[i].Score {
			aboveInVal++
		}
		if !ranked[i].contradicted() {
			continue
		}
		above++
		if more := float64(above) - n/inVal*float64(aboveInVal); more > excess && TwoShares(above, len(ranked), aboveInVal, len(val)) >= someExcess {
			excess, at = more, i
		}
	}
	for i := range ranked[:at+1] {
		if ranked[i].Flagged = w.Flagged < int(excess) && ranked[i].contradicted(); ranked[i].Flagged {
			w.Flagged++
		}
	}
	against := 0
	for i := range val {
		if val[i].contradicted() {
			against++
		}
	}
	w.InVal = analysis.Number(float64(against) / inVal)
	switch {
	case w.Against == 0:
	case w.Flagged == 0:
		w.Note = fmt.Sprintf("Of validation's samples %.1f %% are taken for another class than their label, of %s's %.1f %%: not clearly more than the network errs where it was not trained. Classes overlap, or labels are wrong there as well; most of these labels may be right. None is flagged; --top ranks them.",
			100*float64(w.InVal), words.Split(w.Split), 100*float64(w.Against)/n)
	case w.Flagged < w.Against:
		w.Note = fmt.Sprintf("Of validation's samples %.1f %% are taken for another class than their label too: as many here may be right, and only what exceeds that is flagged; --top ranks the rest.", 100*float64(w.InVal))
	}
	return nil
}

// someExcess is the least excess in standard errors for which samples are flagged. Chance exceeds it once in twenty times, which is enough for a list
// that a person looks at.
const someExcess = 1.645

// addFolds replaces the likeliest classes of each sample by the mean of these and those of the folds, where the run has folds.
func addFolds(ctx context.Context, a *analysis.Analyzer, w *WrongLabels, d *Dynamics) error {
	directory, ok := a.Source().(analysis.Directory)
	if !ok {
		return nil
	}
	run, err := directory.Folds()
	if err != nil || run == nil {
		return err
	}
	defer run.Close()
	folds := analysis.New(run)
	if folds.CheckSplit(d.Split) != nil {
		return nil // the folds hold the samples of the training split only
	}
	f, err := compute(ctx, folds, d.Split, d.Split)
	if err != nil {
		return err
	}
	for _, gap := range f.Missing {
		w.Missing = append(w.Missing, "of the folds "+gap)
	}
	w.Add(analysis.Lacking{Damaged: f.Damaged})
	if !slices.EqualFunc(f.Samples, d.Samples, func(x, y Sample) bool { return x.ID == y.ID && x.Label == y.Label }) ||
		!slices.Equal(run.Manifest().Classes, w.Classes) {
		return fmt.Errorf("the folds of %s are of other samples, labels or classes: they are left out", w.Run)
	}
	if len(f.Epochs) == 0 {
		return nil
	}
	w.Evidence, w.Folds = EarlyAndFolds, f.Early
	for i := range d.Samples {
		d.Samples[i].Likely = average(d.Samples[i].Likely, f.Samples[i].Likely)
	}
	return nil
}

// average returns the mean of two lists of classes, the largest share first. A class that one list lacks has the share 0 in it. Where one list is empty
// it returns the other.
func average(a, b []ClassShare) []ClassShare {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	mean := slices.Clone(a)
	for _, c := range b {
		if at := slices.IndexFunc(mean, func(m ClassShare) bool { return m.Class == c.Class }); at >= 0 {
			mean[at].P += c.P
		} else {
			mean = append(mean, c)
		}
	}
	for i := range mean {
		mean[i].P /= 2
	}
	slices.SortFunc(mean, func(x, y ClassShare) int { return cmp.Or(cmp.Compare(y.P, x.P), cmp.Compare(x.Class, y.Class)) })
	return mean
}

// contradicted reports whether another class than the label is likeliest.
func (s *Suspect) contradicted() bool { return s.Likely[0].Class != s.Label }

// judge compares a ranking with the labels before noise was planted. It returns nil where these are not known.
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
	positive := make([]bool, len(ranked))
	for i, s := range ranked {
		score[i], positive[i] = float64(s.Score), wrong(s)
	}
	t.AveragePrecision = analysis.Number(averagePrecision(score, positive))
	for i, s := range ranked {
		score[i] = -float64(s.Confidence)
	}
	t.ByConfidence = analysis.Number(averagePrecision(score, positive))
	t.Precision, t.Recall = analysis.Number(float64(found)/float64(flagged)), analysis.Number(float64(found)/float64(t.Wrong))
	t.LikelierRight = analysis.Number(float64(right) / float64(t.Wrong))
	return t
}

// describe puts the evidence for a wrong label in words.
func (s *Suspect) describe(m *record.Manifest, w *WrongLabels) string {
	label, likelier, unit := m.Classes[s.Label], m.Classes[s.Likelier], words.Unit(m.Unit)
	byFolds := ""
	if w.Evidence == EarlyAndFolds {
		byFolds = ", and by networks that never saw it,"
	}
	story := unit.Sprintf("up to epoch %d%s mean p of %s is %.2f, of its label %s %.2f", w.Early, byFolds, likelier, s.PLikelier, label, s.PLabel)
	switch {
	case s.Learned < 0 && s.Correctness == 0:
		story += "; the label was never learned"
	case s.Learned < 0:
		story += "; the label is not learned at the end"
	case s.Learned > w.Early:
		story += unit.Sprintf("; the label was learned only at epoch %d", s.Learned)
	}
	return story
}

// TwoShares returns by how many standard errors the share a/n is above b/m, if both are drawn from one population. One success and one
// failure are added to the share of both together, so that it is neither 0 nor 1.
func TwoShares(a, n, b, m int) float64 {
	p := float64(a+b+1) / float64(n+m+2)
	return (float64(a)/float64(n) - float64(b)/float64(m)) / math.Sqrt(p*(1-p)*(1/float64(n)+1/float64(m)))
}
