package analysis

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/record"
)

// Curves are the figures of every epoch and split of a run, and what they tell.
type Curves struct {
	Run           string        `json:"run"`
	Classes       []string      `json:"classes"`
	State         string        `json:"state"`
	PlannedEpochs int           `json:"planned_epochs"`
	Epochs        []EpochScores `json:"epochs"`
	Unrecorded    []EpochScores `json:"unrecorded"` // epochs whose logits are not kept: NLL and accuracy alone, as their writer had them
	Lacking                     // the epochs that what is damaged belongs to lack those splits
	Unfinished    string        `json:"unfinished,omitempty"` // says that an epoch was begun and is not whole, for its writer is gone
	Story         Story         `json:"story"`
	Rise          *Rise         `json:"rise"` // of validation NLL, taken apart; null where there is none
}

// EpochScores are the figures of one epoch.
type EpochScores struct {
	Epoch  int                    `json:"epoch"`
	Splits map[string]SplitScores `json:"splits"`
}

// SplitScores are means over the samples of a split; rows that have no softmax are left out of them and counted.
type SplitScores struct {
	N         int    `json:"n"`
	Of        int    `json:"of,omitempty"`       // samples that the split had, where N is only some of them
	Measured  string `json:"measured,omitempty"` // record.MeasuredDuring where the weights moved meanwhile; else after the epoch
	NLL       Number `json:"nll"`
	Accuracy  Number `json:"accuracy"`
	PTrue     Number `json:"p_true"`
	ZTrue     Number `json:"z_true"`
	LogPTrue  Number `json:"log_p_true"`
	Undefined int    `json:"undefined"`

	Parts *Decomposition `json:"parts,omitempty"` // of the NLL
}

// Curves reads every epoch that the run holds: statistics of its rows where they are kept, and the logits for what these do not tell.
func (a *Analyzer) Curves(ctx context.Context) (*Curves, error) {
	c, _, err := a.timeline(ctx, false)
	return c, err
}

// Timeline returns the curves with the traits of the epochs at which training and, if there is one, validation can be read. It needs the
// logits.
func (a *Analyzer) Timeline(ctx context.Context) (*Curves, []Moment, error) {
	return a.timeline(ctx, true)
}

// timeline is Timeline. Where whole is not set the traits may be bounds only.
func (a *Analyzer) timeline(ctx context.Context, whole bool) (*Curves, []Moment, error) {
	m, epochs := a.source.Manifest(), a.source.Epochs()
	scores, err := a.scoresOf(ctx, epochs, whole)
	if err != nil {
		return nil, nil, err
	}
	c := &Curves{
		Run: m.Name, Classes: m.Classes, State: a.source.State(), PlannedEpochs: m.PlannedEpochs,
		Epochs: []EpochScores{}, Unrecorded: []EpochScores{}, Lacking: a.Lost(), Unfinished: a.unfinished(),
	}
	decisions := 1 // a sample
	if m.Head.MultiLabel() {
		decisions = m.Columns
	}
	for i, epoch := range epochs {
		c.AddDamage(scores[i].err)
		e := EpochScores{Epoch: epoch, Splits: map[string]SplitScores{}}
		for name, f := range scores[i].splits {
			s, info := f.scores, f.traits.info
			e.Splits[name] = SplitScores{
				N: (s.N + s.Undefined) / decisions, NLL: Number(s.Mean(s.NLL)), Accuracy: Number(s.Accuracy()),
				PTrue: Number(s.Mean(s.PTrue)), ZTrue: Number(s.Mean(s.ZTrue)), LogPTrue: Number(s.Mean(s.LogPTrue)),
				Undefined: s.Undefined, Parts: f.parts, Of: coverage(info), Measured: info.When,
			}
		}
		c.Epochs = append(c.Epochs, e)
	}
	var figures []record.Figures
	if d, ok := a.source.(Directory); ok {
		figures, err = d.Figures()
		c.AddDamage(err)
	}
	for _, f := range figures {
		if _, recorded := slices.BinarySearch(epochs, f.Epoch); !recorded {
			c.Unrecorded = append(c.Unrecorded, unrecorded(m, f))
		}
	}
	timeline := timelineOf(c, scores)
	values := ValuesOf(m, timeline)
	if values != AreLogits && !whole {
		// Statistics tell logits from other values, but not these from each other.
		if slices.ContainsFunc(scores, epochScores.unread) {
			return a.timeline(ctx, true)
		}
	}
	units := make(map[int]*sampleSums, len(epochs))
	for i, epoch := range epochs {
		if u := scores[i].units; u != nil {
			units[epoch] = u
		}
	}
	w := witness{units: func(epoch int) *sampleSums { return units[epoch] }, values: values, spread: math.NaN()}
	if w.uniform, err = a.Uniform(); err != nil {
		return nil, nil, err
	}
	if n := len(timeline); n > 0 {
		w.spread = timeline[n-1].Val.NLLSpread
		w.cycles = cyclesOf(m.Config, timeline[n-1].Epoch)
	}
	c.Story = tellStory(c, w)
	if k := c.Story.Kind; k == Overfitting || k == Worsened {
		if c.Rise, err = a.rise(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	return c, timeline, nil
}

// compared says which of training and validation a run has labelled samples of. One that was imported may have validation alone.
type compared struct{ trained, validated bool }

func comparedOf(epochs []EpochScores) (c compared) {
	for _, e := range epochs {
		c.trained, c.validated = c.trained || e.Has(record.TrainSplit), c.validated || e.Has(record.ValSplit)
	}
	return c
}

// comparable reports whether an epoch can be compared with others: it has every split that the run has.
func (c compared) comparable(e EpochScores) bool {
	return (c.trained || c.validated) && (e.Has(record.TrainSplit) || !c.trained) && (e.Has(record.ValSplit) || !c.validated)
}

// timelineOf joins the figures of the epochs where training and validation, as far as the run has them, can be read with their traits.
func timelineOf(c *Curves, scores []epochScores) (timeline []Moment) {
	compared := comparedOf(c.Epochs)
	for i, s := range c.Epochs {
		if compared.comparable(s) {
			at := Moment{Epoch: s.Epoch, Train: scores[i].splits[record.TrainSplit].traits, Val: scores[i].splits[record.ValSplit].traits}
			at.Train.SplitScores, at.Val.SplitScores = s.Splits[record.TrainSplit], s.Splits[record.ValSplit]
			timeline = append(timeline, at)
		}
	}
	return timeline
}

// Has reports whether any recorded epoch has labelled samples of a split.
func (c *Curves) Has(split string) bool {
	return slices.ContainsFunc(c.Epochs, func(e EpochScores) bool { return e.Has(split) })
}

// Uniform is the NLL of a model that knows only how often the training labels name each class, or those of the split that judges a run without
// training samples: of a sample, or of a decision where each class is one.
func (a *Analyzer) Uniform() (float64, error) {
	m := a.source.Manifest()
	split := record.TrainSplit
	if a.CheckSplit(split) != nil {
		split = m.Judge()
	}
	s, err := a.Samples(split)
	if err != nil {
		return 0, err
	}
	entropy := func(p float64) float64 {
		if p <= 0 {
			return 0
		}
		return -p * math.Log(p)
	}
	h := 0.0
	if s.Targets != nil {
		given := make([]float64, m.Columns)
		for i, target := range s.Targets {
			given[i%m.Columns] += float64(target)
		}
		for _, n := range given {
			p := n / float64(len(s.IDs))
			h += (entropy(p) + entropy(1-p)) / float64(m.Columns)
		}
		return h, nil
	}
	support, labelled := Support(s.Labels, len(m.Classes))
	for _, n := range support {
		h += entropy(float64(n) / float64(labelled))
	}
	return h, nil
}

// Support counts how often labels name each of k classes, and all that name one.
func Support(labels []int32, k int) (support []int, labelled int) {
	support = make([]int, k)
	for _, label := range labels {
		if label >= 0 {
			support[label]++
			labelled++
		}
	}
	return support, labelled
}

// unrecorded are the scores of an epoch of which only figures are kept.
func unrecorded(m *record.Manifest, f record.Figures) EpochScores {
	nan := Number(math.NaN())
	e := EpochScores{Epoch: f.Epoch, Splits: map[string]SplitScores{}}
	for _, s := range f.Splits {
		n := 0
		for _, info := range m.Splits {
			if info.Name == s.Name && !math.IsNaN(s.Accuracy) { // else no sample has a label
				n = info.N
			}
		}
		e.Splits[s.Name] = SplitScores{N: n, NLL: Number(s.NLL), Accuracy: Number(s.Accuracy), PTrue: nan, ZTrue: nan, LogPTrue: nan}
	}
	return e
}

// unfinished names the epoch that was begun and never whole; "" where there is none.
func (a *Analyzer) unfinished() string {
	d, ok := a.source.(interface{ Unfinished() []int })
	if !ok {
		return ""
	}
	epochs := d.Unfinished()
	if len(epochs) == 0 {
		return ""
	}
	return fmt.Sprintf("Epoch %d was begun and is not whole: what wrote it, or a rank of its job, ended before. It is not in the record.", epochs[len(epochs)-1])
}

// coverage is how many samples a split had at an epoch, 0 where it has the rows of all.
func coverage(info record.RowsInfo) int {
	if info.Of > info.N {
		return info.Of
	}
	return 0
}

// All returns every epoch, recorded or not, in rising order.
func (c *Curves) All() []EpochScores {
	all := slices.Concat(c.Epochs, c.Unrecorded)
	slices.SortFunc(all, func(a, b EpochScores) int { return a.Epoch - b.Epoch })
	return all
}

func (c *Curves) recorded(epoch int) bool {
	return slices.ContainsFunc(c.Epochs, func(e EpochScores) bool { return e.Epoch == epoch })
}

// Has reports whether e has labelled samples of a split.
func (e EpochScores) Has(split string) bool { return e.Splits[split].N > 0 }

// NLL is that of a split.
func (e EpochScores) NLL(split string) float64 { return float64(e.Splits[split].NLL) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
