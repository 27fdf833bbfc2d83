package analysis

import (
	"context"
	"maps"
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
	HeldOut       string        `json:"held_out"`       // the split that the story compares epochs by, record.Manifest.HeldOut
	Unit          string        `json:"unit,omitempty"` // what the number of an epoch counts, record.UnitStep or record.UnitRound; "" for epochs
	Epochs        []EpochScores `json:"epochs"`
	Unrecorded    []EpochScores `json:"unrecorded"` // epochs whose logits are not kept; their NLL and accuracy alone are known, as their writer gave them
	Lacking                     // what could not be read; an epoch of Epochs lacks the splits whose files are damaged
	Unfinished    string        `json:"unfinished,omitempty"` // a sentence that names an epoch which was begun and never committed; "" for none
	Story         Story         `json:"story"`
	Rise          *Rise         `json:"rise"` // the parts that a rise of validation NLL is made of; null where it does not rise
}

// EpochScores are the figures of one epoch.
type EpochScores struct {
	Epoch  int                    `json:"epoch"`
	Splits map[string]SplitScores `json:"splits"`
}

// SplitScores are means over the labelled samples of a split at an epoch. Rows without a softmax are left out of the means and counted in Undefined.
type SplitScores struct {
	N         int    `json:"n"`
	Of        int    `json:"of,omitempty"`       // how many samples the split had, where not all have rows; else 0
	Measured  string `json:"measured,omitempty"` // record.MeasuredDuring where the weights moved while rows were measured; else "" or record.MeasuredAfter
	NLL       Number `json:"nll"`
	Accuracy  Number `json:"accuracy"`
	PTrue     Number `json:"p_true"`
	ZTrue     Number `json:"z_true"`
	LogPTrue  Number `json:"log_p_true"`
	Undefined int    `json:"undefined"`

	Parts *Decomposition `json:"parts,omitempty"` // the NLL taken apart; nil where the logits are not kept
}

// Curves returns the figures of every epoch that the run holds. It reads row statistics where they are kept, and the logits for what these do not
// tell.
func (a *Analyzer) Curves(ctx context.Context) (*Curves, error) {
	c, _, err := a.timeline(ctx, false)
	return c, err
}

// Timeline returns the curves, and the traits of the epochs at which training and, where the run has it, validation can be read. It reads all
// logits; a run that keeps none gives a *record.NotKeptError.
func (a *Analyzer) Timeline(ctx context.Context) (*Curves, []Moment, error) {
	return a.timeline(ctx, true)
}

// timeline is Timeline where whole is true. Where whole is false, the traits may be mere bounds, which row statistics give.
func (a *Analyzer) timeline(ctx context.Context, whole bool) (*Curves, []Moment, error) {
	m, epochs := a.source.Manifest(), a.source.Epochs()
	scores, err := a.scoresOf(ctx, epochs, whole)
	if err != nil {
		return nil, nil, err
	}
	c := &Curves{
		Run: m.Name, Classes: m.Classes, State: a.source.State(), PlannedEpochs: m.PlannedEpochs, HeldOut: m.HeldOut(), Unit: m.Unit,
		Epochs: []EpochScores{}, Unrecorded: []EpochScores{}, Lacking: a.Lost(), Unfinished: a.unfinished(),
	}
	decisions := 1 // the number of decisions on a sample
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
	told := c.ofValidation()
	timeline := timelineOf(told, scores)
	values := ValuesOf(m, timeline)
	if values != AreLogits && !whole {
		// Row statistics tell that values are not logits, but not what they are.
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
	c.Story = tellStory(told, w)
	c.Story.Sentence, c.Story.Mark = a.inWords(c.Story.Sentence), a.inWords(c.Story.Mark)
	told.Story = c.Story
	if k := c.Story.Kind; k == Overfitting || k == Worsened {
		if c.Rise, err = a.rise(ctx, told); err != nil {
			return nil, nil, err
		}
	}
	return c, timeline, nil
}

// ofValidation returns the curves with the figures of the split that is held out under the name of validation, of which stories are told.
func (c *Curves) ofValidation() *Curves {
	if c.HeldOut == record.ValSplit {
		return c
	}
	renamed := func(epochs []EpochScores) []EpochScores {
		epochs = slices.Clone(epochs)
		for i, e := range epochs {
			if s, ok := e.Splits[c.HeldOut]; ok {
				epochs[i].Splits = maps.Clone(e.Splits)
				epochs[i].Splits[record.ValSplit] = s
			}
		}
		return epochs
	}
	told := *c
	told.Epochs, told.Unrecorded = renamed(c.Epochs), renamed(c.Unrecorded)
	return &told
}

// compared says which of training and validation a run has labelled samples of. An imported run may have validation alone.
type compared struct{ trained, validated bool }

func comparedOf(epochs []EpochScores) (c compared) {
	for _, e := range epochs {
		c.trained, c.validated = c.trained || e.Has(record.TrainSplit), c.validated || e.Has(record.ValSplit)
	}
	return c
}

// comparable reports whether an epoch can be compared with others, which is where it has every one of the two splits that the run has.
func (c compared) comparable(e EpochScores) bool {
	return (c.trained || c.validated) && (e.Has(record.TrainSplit) || !c.trained) && (e.Has(record.ValSplit) || !c.validated)
}

// timelineOf returns the epochs at which training and validation, as far as the run has them, can be read. It joins the figures in c with the traits
// in scores.
func timelineOf(c *Curves, scores []epochScores) (timeline []Moment) {
	compared := comparedOf(c.Epochs)
	for i, s := range c.Epochs {
		if compared.comparable(s) {
			at := Moment{Epoch: s.Epoch, Train: scores[i].splits[record.TrainSplit].traits, Val: scores[i].splits[c.HeldOut].traits}
			at.Train.SplitScores, at.Val.SplitScores = s.Splits[record.TrainSplit], s.Splits[record.ValSplit]
			timeline = append(timeline, at)
		}
	}
	return timeline
}

// Has reports whether any recorded epoch has labelled samples of the split.
func (c *Curves) Has(split string) bool {
	return slices.ContainsFunc(c.Epochs, func(e EpochScores) bool { return e.Has(split) })
}

// Uniform returns the NLL of a model that knows only how often the labels name each class, which is the entropy of the labels in nats. The labels are
// those of training, or of the split that judges a run without training samples. For a sigmoid head it is the mean over the K decisions on a sample.
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

// Support returns how often the labels name each of k classes, and how many labels name a class at all. Negative labels are ignored; a label of k or
// more panics.
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

// unrecorded returns the scores of an epoch of which the run keeps only figures.
func unrecorded(m *record.Manifest, f record.Figures) EpochScores {
	nan := Number(math.NaN())
	e := EpochScores{Epoch: f.Epoch, Splits: map[string]SplitScores{}}
	for _, s := range f.Splits {
		n := 0
		for _, info := range m.Splits {
			if info.Name == s.Name && !math.IsNaN(s.Accuracy) { // an accuracy of NaN means that no sample has a label
				n = info.N
			}
		}
		e.Splits[s.Name] = SplitScores{N: n, NLL: Number(s.NLL), Accuracy: Number(s.Accuracy), PTrue: nan, ZTrue: nan, LogPTrue: nan}
	}
	return e
}

// unfinished returns a sentence that names the last epoch which was begun and never committed, "" where there is none.
func (a *Analyzer) unfinished() string {
	d, ok := a.source.(interface{ Unfinished() []int })
	if !ok {
		return ""
	}
	epochs := d.Unfinished()
	if len(epochs) == 0 {
		return ""
	}
	return a.unit().Sprintf("Epoch %d was begun and is not whole: what wrote it, or a rank of its job, ended before. It is not in the record.", epochs[len(epochs)-1])
}

// coverage returns how many samples a split had at an epoch, 0 where every sample has a row.
func coverage(info record.RowsInfo) int {
	if info.Of > info.N {
		return info.Of
	}
	return 0
}

// All returns the epochs of Epochs and Unrecorded together, in rising order.
func (c *Curves) All() []EpochScores {
	all := slices.Concat(c.Epochs, c.Unrecorded)
	slices.SortFunc(all, func(a, b EpochScores) int { return a.Epoch - b.Epoch })
	return all
}

func (c *Curves) recorded(epoch int) bool {
	return slices.ContainsFunc(c.Epochs, func(e EpochScores) bool { return e.Epoch == epoch })
}

// Has reports whether the epoch has labelled samples of the split.
func (e EpochScores) Has(split string) bool { return e.Splits[split].N > 0 }

// NLL returns the mean NLL of the split, 0 where the epoch does not have the split.
func (e EpochScores) NLL(split string) float64 { return float64(e.Splits[split].NLL) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
