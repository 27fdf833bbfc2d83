package diagnose

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/summary"
)

const (
	sameLogits sameness = iota
	samePicture
	sameText
	sameRow
)

// copiesEvidence is the evidence of leakage.
type copiesEvidence struct {
	shared []sharedSample // samples of the training set that another split has again
	effect leakEffect     // what those of one split do to its figures
}

// gatherCopies finds the samples that other splits share with training, and their effect on the figures.
func gatherCopies(ctx context.Context, a *analysis.Analyzer, e *evidence) (any, error) {
	c := new(copiesEvidence)
	if err := c.find(ctx, a, e); err != nil {
		return nil, err
	}
	return c, c.measure(ctx, a, e)
}

// leakEffect is the effect of the shared samples of a split on its figures at the best epoch.
type leakEffect struct {
	split              string
	labelled, copies   int     // labelled samples, and those of them that are shared
	nll, accuracy      float64 // of all
	nllRest, rightRest float64 // without the shared; NaN where none is left
	repeated           float64 // share of training's rows that it has more than once, where rows were compared
	standardErrors     float64 // standard errors that the NLL of the rest is above that of the shared
}

// mostShared returns the split with the most shared samples, the first by name on a tie.
func (c *copiesEvidence) mostShared() string {
	counts := map[string]int{}
	for _, s := range c.shared {
		counts[s.split]++
	}
	most := ""
	for name, n := range counts {
		if most == "" || n > counts[most] || n == counts[most] && name < most {
			most = name
		}
	}
	return most
}

// measure computes the figures of a split at the best epoch, with and without the samples that training has too.
func (c *copiesEvidence) measure(ctx context.Context, a *analysis.Analyzer, e *evidence) error {
	split := c.mostShared()
	samples, ok := e.samples[split]
	if !ok {
		c.shared = nil
		return nil
	}
	shared := map[int64]bool{}
	for _, s := range c.shared {
		if s.split == split {
			shared[s.otherID] = true
		}
	}
	var nll, right, n [2]float64 // of the rest, of the shared
	var squares [2]float64
	perSample := 1
	if samples.Targets != nil {
		perSample = e.manifest.Columns
	}
	counted := map[int]bool{}
	err := a.Read(ctx, e.best().Epoch, split, func(s *analysis.Split) error {
		d := s.Decisions()
		return d.Each(ctx, func(b summary.Batch) error {
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				for i, r := range stats {
					if rows.Labels[i] < 0 || !(math.Abs(r.NLL) <= math.MaxFloat64) {
						continue
					}
					of, at := 0, d.Sample(rows.First+i)
					if shared[samples.IDs[at]] {
						of = 1
						counted[at] = true
					}
					n[of]++
					nll[of] += r.NLL
					squares[of] += r.NLL * r.NLL
					if r.Argmax == rows.Labels[i] {
						right[of]++
					}
				}
			})
			return nil
		})
	})
	if err != nil {
		return err
	}
	variance := func(of int) float64 {
		mean := nll[of] / n[of]
		return max(squares[of]/n[of]-mean*mean, 0) / max(n[of]-1, 1) * float64(perSample)
	}
	all := n[0] + n[1]
	c.effect = leakEffect{
		repeated: c.effect.repeated, split: split, labelled: int(all) / perSample, copies: len(counted), nll: (nll[0] + nll[1]) / all, accuracy: (right[0] + right[1]) / all,
		nllRest: nll[0] / n[0], rightRest: right[0] / n[0],
		standardErrors: (nll[0]/n[0] - nll[1]/n[1]) / math.Sqrt(variance(0)+variance(1)),
	}
	return nil
}

var leakageRule = rule{
	finds:  []Kind{{"leakage", "samples of the training set are in another split, and what that does to its figures"}},
	gather: gatherCopies,
	find:   leakage,
}

// leakage: samples of the training set that another split has again. How grave that is follows from what they do to its figures.
func leakage(e *evidence) *Finding {
	const (
		matters      = 0.05 // of the NLL: what the split's figures are better for the copies
		beyondChance = 2.33 // standard errors: once in a hundred
		few          = 5    // copies: fewer say little of what they do
		natural      = 0.5  // of training's own rows: where so many repeat, rows take few values, and those of new samples repeat too
	)
	c, _ := e.gathered["leakage"].(*copiesEvidence)
	if c == nil || len(c.shared) == 0 {
		return nil
	}
	l := c.effect
	split, n := l.split, len(e.samples[l.split].IDs)
	f := &Finding{ID: "leakage", Level: Warning, Confidence: Certain, Evidence: Evidence{Split: split, Epochs: e.chosenEpochs()}}
	var pairs []string
	var by sameness
	count, nearby := 0, 0
	for _, s := range c.shared {
		if s.split != split {
			continue
		}
		by = s.sameness
		count++
		if s.near {
			nearby++
		}
		f.Evidence.Samples = append(f.Evidence.Samples, s.otherID)
		if len(pairs) < 3 {
			pairs = append(pairs, fmt.Sprintf("%d is %d of training", s.otherID, s.id))
		}
	}
	are := "samples are"
	if count == 1 {
		are = "samples is"
	}
	f.Title = fmt.Sprintf("Leakage: %d of %d %s %s in the training set", count, n, words.Split(split), are)
	list := strings.Join(pairs, ", ")
	switch {
	case by == sameRow:
		f.Evidence.Text = fmt.Sprintf("All columns that the network sees are those of a training sample, to the letter: %s.", list)
		f.Rule = "a row is one of training's, in all columns that the network sees"
	case by == sameText:
		f.Evidence.Text = fmt.Sprintf("They have the text of a training sample, as far as texts are kept: %s.", list)
		f.Rule = "a text is that of exactly one training sample, to the letter"
	case by == sameLogits:
		f.Confidence = Likely
		f.Evidence.Text = fmt.Sprintf("They have the same logits as a training sample at epochs %s (the run does not hold its rows to compare): %s.", words.Numbers(e.chosenEpochs()), list)
		f.Rule = "the logits of up to three epochs are those of exactly one training sample, within a thousandth of what samples differ by"
	case nearby > 0:
		f.Title += fmt.Sprintf(", %d of them changed a little", nearby)
		f.Evidence.Text = fmt.Sprintf("They have the preview of a training sample, %d of them byte for byte, the others moved by some pixels, mirrored or with noise: %s.", count-nearby, list)
		f.Rule = "a preview, moved and mirrored too, is that of exactly one training sample, up to a 32nd of what two samples differ by"
		if nearby == count {
			f.Confidence = Likely
		}
	default:
		f.Evidence.Text = fmt.Sprintf("They have the same preview as a training sample: %s.", list)
		f.Rule = "a preview is that of exactly one training sample, byte for byte"
	}
	f.Evidence.Figures = []Measure{
		measure("samples shared", count), measure("share", float64(count)/float64(n)), measure("NLL", l.nll), measure("NLL without them", l.nllRest),
		measure("accuracy", l.accuracy), measure("accuracy without them", l.rightRest),
	}
	if nearby > 0 {
		f.Evidence.Figures = append(f.Evidence.Figures, measure("near, not the same", nearby))
	}
	f.Meaning = "The network has seen them while training: where it does better on them than on others, the figures of that split are better than those of new samples."
	f.Try = "Remove copies before splitting, and split by what samples have in common (person, page, document), not sample by sample."
	f.Rule += "; an error where the others' NLL is higher, beyond chance and by 5 % of the figure, to know where one sample alone is shared"
	if l.repeated >= natural {
		f.Level = Info
		f.Title = fmt.Sprintf("%d of %d %s samples are rows that the training set has too, as its own rows repeat", count, n, words.Split(split))
		f.Evidence.Text += fmt.Sprintf(" Of training's own rows %.0f %% are there more than once.", 100*l.repeated)
		f.Meaning = "The columns take few values: a new sample will often be one that training has, and the figures of that split are then fair. Where samples were copied instead, they flatter."
		f.Try = "Nothing, where the data is like this by nature; else remove copies before splitting."
	}
	if math.IsNaN(l.nllRest) {
		if f.Evidence.Text += " None is left without them."; f.Level != Info {
			f.Level = Error
		}
		return f
	}
	f.Evidence.Text += fmt.Sprintf(" At epoch %d NLL is %s with them and %s without, accuracy %.1f and %.1f %%.",
		e.best().Epoch, words.Digits(l.nll), words.Digits(l.nllRest), 100*l.accuracy, 100*l.rightRest)
	switch {
	case f.Level == Info:
	case l.copies >= few && l.standardErrors >= beyondChance && l.nllRest >= (1+matters)*l.nll:
		f.Level = Error
	case count == 1:
		f.Level = Info
	}
	return f
}
