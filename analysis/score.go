package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// Score is every figure of a split's logits; docs/metrics.md defines each. One that is not defined is null in JSON, and
// Undefined says why.
type Score struct {
	N             int     `json:"n"` // labelled rows that have a softmax: those that are scored
	Classes       int     `json:"classes"`
	Temperature   float64 `json:"temperature"`
	Unlabelled    int     `json:"unlabelled"`
	UndefinedRows int     `json:"undefined_rows"` // labelled rows without a softmax, left out

	NLL              Number `json:"nll"`
	Perplexity       Number `json:"perplexity"`
	Accuracy         Number `json:"accuracy"`
	Top5             Number `json:"top5"`
	BalancedAccuracy Number `json:"balanced_accuracy"`
	F1Macro          Number `json:"f1_macro"`
	F1Weighted       Number `json:"f1_weighted"`
	MCC              Number `json:"mcc"`
	ROCAUC           Number `json:"roc_auc"`
	AveragePrecision Number `json:"average_precision"`
	Brier            Number `json:"brier"`
	ECE              Number `json:"ece"`
	ECEDebiased      Number `json:"ece_debiased"`
	ECEAdaptive      Number `json:"ece_adaptive"`
	ECEClasswise     Number `json:"ece_classwise"`
	MCE              Number `json:"mce"`
	Entropy          Number `json:"entropy"`
	Confidence       Number `json:"confidence"`
	PTrue            Number `json:"p_true"`
	ZTrue            Number `json:"z_true"`
	Margin           Number `json:"margin"`
	LSE              Number `json:"lse"`
	LargestLogit     Number `json:"largest_logit"`

	Bins      []ReliabilityBin    `json:"bins"`
	PerClass  []ClassScore        `json:"per_class"`
	Confusion [][]int             `json:"confusion"` // [K,K], a row a label, a column a predicted class
	Intervals map[string]Interval `json:"intervals,omitempty"`
	Undefined map[string]string   `json:"undefined"` // figure to why it is null, or of what it is not
}

// ReliabilityBin is a bin (Low, High] of the largest probability.
type ReliabilityBin struct {
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	N          int     `json:"n"`
	Confidence Number  `json:"confidence"` // mean
	Accuracy   Number  `json:"accuracy"`
}

// ClassScore are the figures of one class.
type ClassScore struct {
	N         int    `json:"n"`
	Predicted int    `json:"predicted"`
	Precision Number `json:"precision"`
	Recall    Number `json:"recall"`
	F1        Number `json:"f1"`
	NLL       Number `json:"nll"`
	PTrue     Number `json:"p_true"`
}

// Interval holds the middle 95 % of a figure over bootstrap samples.
type Interval struct {
	Low  Number `json:"low"`
	High Number `json:"high"`
}

// ScoreOptions are how a split is scored.
type ScoreOptions struct {
	Bins      int // of the calibration errors; 0 for 15
	Bootstrap int // samples for the intervals; 0 for no intervals
	Seed      uint64
}

// maxBootstrapRows keeps the memory of the intervals in bounds: 40 bytes a row.
const maxBootstrapRows = 1 << 25

// ScoreOf scores the labelled rows of b, whose logits it reads twice. It panics where b.Check finds something wrong.
func ScoreOf(b summary.Batch, o ScoreOptions) *Score {
	if err := b.Check(); err != nil {
		panic("analysis: ScoreOf: " + err.Error())
	}
	if o.Bins == 0 {
		o.Bins = 15
	}
	b.First = 0
	var ranking *summary.Ranking
	if len(b.Labels) <= summary.MaxRanked {
		ranking = summary.NewRanking(b)
	}
	var rows []drawn
	if o.Bootstrap > 0 && len(b.Labels) <= maxBootstrapRows {
		rows = make([]drawn, len(b.Labels))
	}
	t, classBins := summary.TableOf(b, o.Bins, func(block summary.Batch, stats []kernel.Stat) {
		if ranking != nil {
			ranking.AddStats(block, stats)
		}
		if rows != nil {
			draw(rows[block.First:], block.Labels, stats)
		}
	})
	s := &Score{
		N: t.Scores.N, Classes: b.Classes(), Temperature: b.Temperature, UndefinedRows: t.Scores.Undefined,
		Unlabelled: len(b.Labels) - t.Scores.N - t.Scores.Undefined, Undefined: map[string]string{},
	}
	if s.Temperature == 0 {
		s.Temperature = 1
	}
	s.fill(t)
	s.ECEClasswise = Number(classBins.ECE())
	s.rank(ranking, len(b.Labels), o.Bins)
	s.explain(t)
	if o.Bootstrap > 0 {
		rows = slices.DeleteFunc(rows, func(r drawn) bool { return r.label == loss.Ignored })
		s.bootstrap(rows, len(b.Labels), o)
	}
	return s
}

func (s *Score) fill(t *summary.Table) {
	scores := &t.Scores
	mean := func(sum float64) Number { return Number(scores.Mean(sum)) }
	s.NLL, s.Brier, s.Entropy, s.PTrue = mean(scores.NLL), mean(scores.Brier), mean(scores.Entropy), mean(scores.PTrue)
	s.ZTrue, s.Margin, s.LSE, s.LargestLogit = mean(scores.ZTrue), mean(scores.Margin), mean(scores.LSE), mean(scores.LargestLogit)
	s.Confidence, s.Perplexity = mean(scores.Confidence), Number(math.Exp(float64(s.NLL)))
	s.Accuracy, s.Top5 = Number(scores.Accuracy()), mean(float64(scores.Top5))
	macro, weighted := t.Classes.F1()
	s.F1Macro, s.F1Weighted = Number(macro), Number(weighted)
	s.BalancedAccuracy, s.MCC = Number(t.Classes.BalancedAccuracy()), Number(t.Classes.MCC())
	s.ECE, s.ECEDebiased, s.MCE = Number(t.Bins.ECE()), Number(t.Bins.Debiased()), Number(t.Bins.MCE())
	for i, bin := range t.Bins {
		n := float64(bin.N)
		s.Bins = append(s.Bins, ReliabilityBin{
			float64(i) / float64(len(t.Bins)), float64(i+1) / float64(len(t.Bins)), bin.N,
			Number(bin.Probability / n), Number(float64(bin.Right) / n),
		})
	}
	for _, c := range t.Classes {
		n, right := float64(c.N), float64(c.Right)
		s.PerClass = append(s.PerClass, ClassScore{
			c.N, c.Predicted, Number(right / float64(c.Predicted)), Number(right / n), Number(2 * right / float64(c.N+c.Predicted)),
			Number(c.NLL / n), Number(c.PTrue / n),
		})
	}
	if t.Confusion != nil {
		counts := make([]int, len(t.Confusion.Counts))
		for i, count := range t.Confusion.Counts {
			counts[i] = int(count)
		}
		s.Confusion = slices.Collect(slices.Chunk(counts, t.Confusion.K))
	}
}

// rank fills in what needs every row at once; ranking is nil where there are too many.
func (s *Score) rank(ranking *summary.Ranking, rows, bins int) {
	nan := Number(math.NaN())
	s.ROCAUC, s.AveragePrecision, s.ECEAdaptive = nan, nan, nan
	if ranking == nil {
		for _, figure := range []string{"roc_auc", "average_precision", "ece_adaptive"} {
			s.Undefined[figure] = fmt.Sprintf("it needs every row at once, and there are %d: more than %d", rows, summary.MaxRanked)
		}
		return
	}
	ranking.Place()
	auc, ap, classes := ranking.Curves()
	s.ROCAUC, s.AveragePrecision, s.ECEAdaptive = Number(auc), Number(ap), Number(ranking.AdaptiveECE(bins))
	for _, figure := range []string{"roc_auc", "average_precision"} {
		switch {
		case s.N == 0:
		case classes == 0:
			s.Undefined[figure] = "all labels are of one class: there is none to tell it from"
		case classes < s.Classes:
			s.Undefined[figure] = fmt.Sprintf("averaged over the %d of %d classes that have samples", classes, s.Classes)
		}
	}
}

// Figure is one number of a score, by its name in JSON.
type Figure struct {
	Name  string
	Value Number
}

// Figures are the numbers of a score, in the order to print them.
func (s *Score) Figures() []Figure {
	return []Figure{
		{"nll", s.NLL},
		{"perplexity", s.Perplexity},
		{"accuracy", s.Accuracy},
		{"top5", s.Top5},
		{"balanced_accuracy", s.BalancedAccuracy},
		{"f1_macro", s.F1Macro},
		{"f1_weighted", s.F1Weighted},
		{"mcc", s.MCC},
		{"roc_auc", s.ROCAUC},
		{"average_precision", s.AveragePrecision},
		{"brier", s.Brier},
		{"ece", s.ECE},
		{"ece_debiased", s.ECEDebiased},
		{"ece_adaptive", s.ECEAdaptive},
		{"ece_classwise", s.ECEClasswise},
		{"mce", s.MCE},
		{"entropy", s.Entropy},
		{"confidence", s.Confidence},
		{"p_true", s.PTrue},
		{"z_true", s.ZTrue},
		{"margin", s.Margin},
		{"lse", s.LSE},
		{"largest_logit", s.LargestLogit},
	}
}

// explain says why figures are null.
func (s *Score) explain(t *summary.Table) {
	for _, f := range s.Figures() {
		if s.Undefined[f.Name] != "" || finite(float64(f.Value)) {
			continue
		}
		switch {
		case s.N == 0:
			s.Undefined[f.Name] = "no labelled row has a softmax"
		case math.IsInf(float64(s.NLL), 1):
			s.Undefined[f.Name] = "the class of some label is masked (−Inf)"
		case f.Name == "margin":
			s.Undefined[f.Name] = "all classes but one are masked (−Inf) in some row"
		default:
			s.Undefined[f.Name] = "it is beyond the largest number"
		}
	}
	if s.Confusion == nil {
		s.Undefined["confusion"] = fmt.Sprintf("%d classes: it is counted for at most %d", s.Classes, summary.MaxConfusion)
	}
	if t.Classes.OneLabel() {
		s.Undefined["mcc"] = "all labels are of one class: 0 by convention"
	}
}

// drawn is what the intervals need of a row.
type drawn struct {
	nll, pTrue, brier, entropy, confidence float32
	label, argmax                          int32 // label: loss.Ignored for a row that is not scored
	top5                                   bool
}

// draw keeps in rows what the intervals need of a block's.
func draw(rows []drawn, labels []int32, stats []kernel.Stat) {
	for i, label := range labels {
		r := &stats[i]
		if label == loss.Ignored || math.IsNaN(r.LSE) {
			rows[i].label = loss.Ignored
			continue
		}
		p := math.Exp(-r.NLL)
		rows[i] = drawn{
			float32(r.NLL), float32(p), float32(1 - 2*p + r.SumSquares), float32(r.Entropy), float32(min(r.PMax, 1)), label, r.Argmax, r.Rank <= 5,
		}
	}
}

// bootstrap draws the rows anew, with replacement, and takes the middle 95 % of each figure (B. Efron, "Bootstrap methods:
// another look at the jackknife", Annals of Statistics 7, 1979; percentile intervals). n counts all rows, also those not scored.
func (s *Score) bootstrap(rows []drawn, n int, o ScoreOptions) {
	if len(rows) == 0 {
		s.Undefined["intervals"] = fmt.Sprintf("%d rows: they are drawn for 1 to %d", n, maxBootstrapRows)
		return
	}
	samples := make([]map[string]float64, o.Bootstrap)
	parallel.Each(o.Bootstrap, func(i int) {
		samples[i] = resample(rows, s.Classes, o.Bins, rand.New(rand.NewPCG(o.Seed, uint64(i))))
	})
	s.Intervals = map[string]Interval{}
	for figure := range samples[0] {
		values := make([]float64, len(samples))
		for i, sample := range samples {
			values[i] = sample[figure]
		}
		slices.Sort(values)
		at := func(q float64) Number { return Number(values[int(math.Round(q*float64(len(values)-1)))]) }
		s.Intervals[figure] = Interval{at(0.025), at(0.975)}
	}
}

// resample returns the figures of as many rows, drawn with replacement.
func resample(rows []drawn, k, bins int, rng *rand.Rand) map[string]float64 {
	t := summary.Table{Classes: make(summary.Classes, k), Bins: make(summary.Bins, bins)}
	var nll, pTrue, brier, entropy, right, top5 float64
	for range rows {
		r := &rows[rng.IntN(len(rows))]
		nll += float64(r.nll)
		pTrue += float64(r.pTrue)
		brier += float64(r.brier)
		entropy += float64(r.entropy)
		hit := r.label == r.argmax
		t.Bins.Count(float64(r.confidence), hit)
		t.Classes[r.label].N++
		t.Classes[r.argmax].Predicted++
		if hit {
			right++
			t.Classes[r.label].Right++
		}
		if r.top5 {
			top5++
		}
	}
	n := float64(len(rows))
	macro, weighted := t.Classes.F1()
	return map[string]float64{
		"nll": nll / n, "perplexity": math.Exp(nll / n), "p_true": pTrue / n, "brier": brier / n, "entropy": entropy / n,
		"accuracy": right / n, "top5": top5 / n, "ece": t.Bins.ECE(), "f1_macro": macro, "f1_weighted": weighted,
		"balanced_accuracy": t.Classes.BalancedAccuracy(), "mcc": t.Classes.MCC(),
	}
}
