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

// evidence is what the rules decide on. It comes from three passes over logits: that of the curves, that of the dynamics of train and val, and
// one over three chosen epochs: the first, the best and the last. Its memory does not grow with the number of epochs times samples.
type evidence struct {
	manifest      *record.Manifest
	curves        *analysis.Curves
	classes       int
	held          string                        // the split that is held out: val where the run has it
	hasTraining   bool                          // train has labelled samples at a recorded epoch
	hasValidation bool                          // val has labelled samples at a recorded epoch
	timeline      []analysis.Moment             // the epochs where training and, if there is one, validation can be read
	samples       map[string]splitSamples       // by split
	rows          map[string]map[int][]row      // by split and epoch: every sample, or decision, at the chosen epochs
	dynamics      map[string]*dynamics.Dynamics // of train and val, where there is validation
	suspects      []dynamics.Suspect            // the training samples whose labels are most likely wrong
	checkpoints   []int                         // epochs with a checkpoint, ascending
	values        analysis.Values               // what the recorded values are: logits, probabilities or others
	baselineNLL   float64                       // the NLL of always giving each class its frequency
	gathered      map[string]any                // results of the rules' gather functions, by the id of the rule's first finding
}

// splitSamples holds the samples of a split.
type splitSamples struct {
	*record.Samples
	support       []int   // labelled samples of each class
	labelled      int     // samples with a label
	guessAccuracy float64 // the accuracy of always naming the most frequent class
}

// row is a labelled sample at an epoch.
type row struct {
	label    int32
	argmax   int32 // -1 where the logits have no softmax
	nll      float32
	largestP float32 // at the temperature that fits validation
}

// gather reads the evidence from the run.
func gather(ctx context.Context, a *analysis.Analyzer) (*evidence, error) {
	curves, timeline, err := a.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	m := a.Source().Manifest()
	e := &evidence{
		manifest: m, curves: curves, classes: len(m.Classes), timeline: timeline, hasTraining: curves.Has(record.TrainSplit), hasValidation: curves.Has(m.HeldOut()), held: m.HeldOut(), values: analysis.ValuesOf(m, timeline),
		samples: map[string]splitSamples{}, rows: map[string]map[int][]row{}, gathered: map[string]any{}, dynamics: map[string]*dynamics.Dynamics{},
	}
	for _, split := range m.Splits {
		s, err := a.Samples(split.Name)
		if err != nil {
			return nil, err
		}
		with := splitSamples{Samples: s}
		with.support, with.labelled = analysis.Support(s.Labels, e.classes)
		with.guessAccuracy = float64(slices.Max(append(with.support, 0))) / float64(with.labelled)
		if s.Targets != nil {
			with.guessAccuracy = guessAccuracy(s.Targets, m.Columns)
		}
		e.samples[split.Name] = with
	}
	if e.baselineNLL, err = a.Uniform(); err != nil {
		return nil, err
	}
	if directory, ok := a.Source().(analysis.Directory); ok {
		if e.checkpoints, err = directory.Checkpoints(); err != nil {
			return nil, err
		}
	}
	if len(e.timeline) == 0 {
		return e, nil
	}
	for _, epoch := range e.chosenEpochs() {
		if err := gatherRows(ctx, a, e, e.moment(epoch)); err != nil {
			return nil, err
		}
	}
	if m.Follows(record.TrainSplit) && m.Follows(e.held) && e.hasTraining && e.hasValidation && !m.Head.MultiLabel() {
		for _, split := range []string{record.TrainSplit, e.held} {
			if e.dynamics[split], err = dynamics.Of(ctx, a, split); err != nil {
				return nil, err
			}
		}
		e.suspects = dynamics.Rank(e.dynamics[record.TrainSplit], m.Columns)
		e.suspects = e.suspects[:min(len(e.suspects), maxEvidence)]
	}
	for i := range rules {
		if r := &rules[i]; r.gather != nil && r.applies(e) {
			if e.gathered[r.finds[0].ID], err = r.gather(ctx, a, e); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// guessAccuracy returns the share of the targets [N,K] that are right where each class is always given, or never, whichever is right more often.
func guessAccuracy(targets []uint8, k int) float64 {
	positives, right := make([]int, k), 0
	for i, target := range targets {
		positives[i%k] += int(target)
	}
	for _, n := range positives {
		right += max(n, len(targets)/k-n)
	}
	return float64(right) / float64(len(targets))
}

// best returns the moment with the lowest validation NLL, or the last one where there is no validation.
func (e *evidence) best() analysis.Moment { return e.moment(e.curves.Story.BestRecorded) }

// moment returns the moment of an epoch, or the last one where the epoch has none.
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

// chosenEpochs returns the epochs of the first, the best and the last moment, each once.
func (e *evidence) chosenEpochs() []int {
	epochs := []int{e.first().Epoch, e.best().Epoch, e.last().Epoch}
	slices.Sort(epochs)
	return slices.Compact(epochs)
}

// judgingSplit returns the split by which generalisation is judged: val, or train where there is no validation.
func (e *evidence) judgingSplit() string {
	if e.hasValidation {
		return e.held
	}
	return record.TrainSplit
}

// learned reports whether the network's accuracy at an epoch is above that of always naming the most frequent class, beyond the 95 % interval.
func (e *evidence) learned(m analysis.Moment) bool {
	l, s := m.Of(e.judgingSplit()), e.samples[e.judgingSplit()]
	low, _ := analysis.Wilson(l.Right(), l.Defined())
	return low > s.guessAccuracy
}

// gatherRows keeps the row of each sample of train and val at a moment.
func gatherRows(ctx context.Context, a *analysis.Analyzer, e *evidence, m analysis.Moment) error {
	temperature, _ := m.Val.Mended()
	for _, split := range []string{record.TrainSplit, e.held} {
		if split == e.held && !e.hasValidation || split == record.TrainSplit && !e.hasTraining {
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
					rows[d.Number(r.Index)] = row{label: int32(r.Label), argmax: int32(r.Argmax), nll: float32(-r.LogP[r.Label]), largestP: float32(1 / sum)}
				})
				return nil
			})
		})
		if err != nil {
			return err
		}
		if e.rows[split] == nil {
			e.rows[split] = map[int][]row{}
		}
		e.rows[split][m.Epoch] = rows
	}
	return nil
}
