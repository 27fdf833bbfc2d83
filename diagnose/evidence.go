package diagnose

import (
	"context"
	"math"
	"slices"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// evidence is what findings are decided from, whose memory does not grow with the number of epochs times samples: the pass that the
// curves take over the logits, one for the dynamics of train and val, and a second look at three epochs: the first, the best and
// the last.
type evidence struct {
	manifest  *record.Manifest
	curves    *analysis.Curves
	classes   int
	trained   bool                          // training has labelled samples at a recorded epoch
	validated bool                          // validation has
	timeline  []analysis.Moment             // the epochs where training and, if there is one, validation can be read
	samples   map[string]splitSamples       // by split
	detail    map[string]map[int][]row      // by split and epoch: every sample, or decision, at the first, the best and the last epoch
	dynamics  map[string]*dynamics.Dynamics // of train and val, where there is validation
	suspects  []dynamics.Suspect            // the training samples whose labels are most likely wrong
	kept      []int                         // epochs of which there is a checkpoint, rising
	values    analysis.Values               // what the recorded values are
	uniform   float64                       // the NLL of class frequencies alone
	own       map[string]any                // what rules gather for themselves, by the id of what they find first
}

// splitSamples are the samples of a split and how often its labels name each class.
type splitSamples struct {
	*record.Samples
	support  []int
	labelled int
	guess    float64 // accuracy of naming what is most frequent each time
}

// row is a labelled sample at an epoch; argmax -1 where its logits have no softmax.
type row struct {
	label, argmax int32
	nll, top      float32 // top: the largest p at the temperature that fits validation
}

// gather reads the run.
func gather(ctx context.Context, a *analysis.Analyzer) (*evidence, error) {
	curves, timeline, err := a.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	m := a.Source().Manifest()
	e := &evidence{
		manifest: m, curves: curves, classes: len(m.Classes), timeline: timeline, trained: curves.Has(record.TrainSplit), validated: curves.Has(record.ValSplit), values: analysis.ValuesOf(m, timeline),
		samples: map[string]splitSamples{}, detail: map[string]map[int][]row{}, own: map[string]any{}, dynamics: map[string]*dynamics.Dynamics{},
	}
	for _, split := range m.Splits {
		s, err := a.Samples(split.Name)
		if err != nil {
			return nil, err
		}
		with := splitSamples{Samples: s}
		with.support, with.labelled = analysis.Support(s.Labels, e.classes)
		with.guess = float64(slices.Max(append(with.support, 0))) / float64(with.labelled)
		if s.Targets != nil {
			with.guess = guessOf(s.Targets, m.Columns)
		}
		e.samples[split.Name] = with
	}
	if e.uniform, err = a.Uniform(); err != nil {
		return nil, err
	}
	if directory, ok := a.Source().(analysis.Directory); ok {
		if e.kept, err = directory.Checkpoints(); err != nil {
			return nil, err
		}
	}
	if len(e.timeline) == 0 {
		return e, nil
	}
	for _, epoch := range e.chosen() {
		if err := detailOf(ctx, a, e, e.moment(epoch)); err != nil {
			return nil, err
		}
	}
	if e.trained && e.validated && !m.Head.MultiLabel() {
		for _, split := range []string{record.TrainSplit, record.ValSplit} {
			if e.dynamics[split], err = dynamics.Of(ctx, a, split); err != nil {
				return nil, err
			}
		}
		e.suspects = dynamics.Rank(e.dynamics[record.TrainSplit], m.Columns)
		e.suspects = e.suspects[:min(len(e.suspects), maxEvidence)]
	}
	for i := range rules {
		if r := &rules[i]; r.gather != nil && r.asked(e) {
			if e.own[r.finds[0].ID], err = r.gather(ctx, a, e); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// guessOf is the share of the targets [N,K] that are right where each class is always given, or never, as most are.
func guessOf(targets []uint8, k int) float64 {
	given, right := make([]int, k), 0
	for i, target := range targets {
		given[i%k] += int(target)
	}
	for _, n := range given {
		right += max(n, len(targets)/k-n)
	}
	return float64(right) / float64(len(targets))
}

// best is the moment with the lowest validation NLL, or the last one without validation.
func (e *evidence) best() analysis.Moment { return e.moment(e.curves.Story.BestRecorded) }

// moment is that of an epoch, the last where there is none.
func (e *evidence) moment(epoch int) analysis.Moment {
	for _, m := range e.timeline {
		if m.Epoch == epoch {
			return m
		}
	}
	return e.last()
}

func (e *evidence) first() analysis.Moment { return e.timeline[0] }
func (e *evidence) last() analysis.Moment  { return e.timeline[len(e.timeline)-1] }

// chosen are the epochs of the first, the best and the last moment, each once.
func (e *evidence) chosen() []int {
	epochs := []int{e.first().Epoch, e.best().Epoch, e.last().Epoch}
	slices.Sort(epochs)
	return slices.Compact(epochs)
}

// at is the split that findings about generalisation are decided on: validation where there is one.
func (e *evidence) at() string {
	if e.validated {
		return record.ValSplit
	}
	return record.TrainSplit
}

// learned reports whether the network does better at an epoch than naming the most frequent class each time, beyond the 95 %
// interval of its accuracy.
func (e *evidence) learned(m analysis.Moment) bool {
	l, s := m.Of(e.at()), e.samples[e.at()]
	low, _ := analysis.Wilson(l.Right(), l.Defined())
	return low > s.guess
}

// detailOf keeps how each sample of train and val does at a moment.
func detailOf(ctx context.Context, a *analysis.Analyzer, e *evidence, m analysis.Moment) error {
	temperature, _ := m.Val.Mended()
	for _, split := range []string{record.TrainSplit, record.ValSplit} {
		if split == record.ValSplit && !e.validated || split == record.TrainSplit && !e.trained {
			continue
		}
		var rows []row
		err := a.Read(ctx, m.Epoch, split, func(s *analysis.Split) error {
			d := s.Decisions()
			rows = make([]row, d.All())
			for i := range rows {
				rows[i] = row{label: record.Ignored, argmax: -1}
			}
			return d.Each(ctx, func(b summary.Batch) error {
				for i, label := range b.Labels {
					rows[d.Number(b.First+i)].label = label
				}
				b.Rows(func(r summary.Row) {
					sum := 0.0
					for _, z := range r.Z {
						sum += math.Exp((z - r.Z[r.Argmax]) / temperature)
					}
					rows[d.Number(r.Index)] = row{label: int32(r.Label), argmax: int32(r.Argmax), nll: float32(-r.LogP[r.Label]), top: float32(1 / sum)}
				})
				return nil
			})
		})
		if err != nil {
			return err
		}
		if e.detail[split] == nil {
			e.detail[split] = map[int][]row{}
		}
		e.detail[split][m.Epoch] = rows
	}
	return nil
}
