package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/summary"
)

// Figure is one number that score gives for a split, with its definition. The lines that score prints, its keys in JSON, its help and the table of
// docs/metrics.md are made from Figures.
type Figure struct {
	Name   string // the key of the figure in JSON
	Text   string // the definition, in Markdown
	Source string // a paper, or the function of another library that gives the same number; "" for none
	Needs  Need   // what of a split the figure is computed from

	// Of returns the value of the figure, which is NaN or infinite where it is not defined.
	Of func(*Counted) float64
	// Says returns why the figure is not defined, or how its value is limited, beyond the reasons that hold for all figures; "" for nothing.
	// It is nil where there is never anything to say.
	Says func(*Counted) string
	// Interval is whether --bootstrap gives the figure an interval. The bootstrap draws rows anew, and keeps of each row its NLL, p, Brier score,
	// entropy, label, predicted class and confidence, and whether the label is among the top five.
	Interval bool
}

// Need is what of a split a figure is computed from.
type Need string

// The needs of figures, from little to much.
const (
	NeedsStats  Need = "row statistics"                // the statistics of each row: no logits where the run keeps statistics
	NeedsLogits Need = "every logit"                   // the logits of all classes of each row
	NeedsRanks  Need = "every logit, and rows ordered" // the logits, with the rows in order of each class's probability
)

// Counted is what figures are computed from: what was counted over the rows of a split.
type Counted struct {
	*summary.Table
	ClassBins *summary.ClassBins
	Ranks     summary.Ranks
	Given     bool // whether probabilities were given, not logits
}

// Figures returns all figures of a score, in the order to print them.
func Figures() []Figure { return slices.Clone(figures) }

var figures = []Figure{
	{
		Name: "nll", Text: "mean of −log p_y, in nats", Source: "log loss; torch `cross_entropy`", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.NLL) },
	}, {
		Name: "perplexity", Text: "exp(nll)", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return math.Exp(c.Scores.Mean(c.Scores.NLL)) },
	}, {
		Name: "accuracy", Text: "share of rows with ŷ = y, for two classes as for more; never a mean over classes",
		Source: "sklearn `accuracy_score`", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Accuracy() },
	}, {
		Name: "top5",
		Text: "share of rows whose y is among the five largest logits, the lower class first on a tie; 1 for K ≤ 5. (sklearn's " +
			"`top_k_accuracy_score` takes the higher class first on a tie, against its own argmax.)",
		Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Mean(float64(c.Scores.Top5)) },
	}, {
		Name: "balanced_accuracy", Text: "mean recall of the classes that have labels", Source: "sklearn `balanced_accuracy_score`",
		Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Classes.BalancedAccuracy() },
	}, {
		Name:   "f1_macro",
		Text:   "mean over classes, those that are neither labelled nor predicted left out, of F1 = 2·right/(labelled + predicted)",
		Source: "sklearn `f1_score(average=\"macro\")`", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { macro, _ := c.Classes.F1(); return macro },
	}, {
		Name: "f1_weighted", Text: "the same, weighted by labels", Source: "sklearn, `average=\"weighted\"`", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { _, weighted := c.Classes.F1(); return weighted },
	}, {
		Name: "mcc", Text: "the correlation of y and ŷ, R_K; 0 where all labels or all predictions are of one class",
		Source: "Matthews 1975; Gorodkin 2004; sklearn `matthews_corrcoef`", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Classes.MCC() },
		Says: func(c *Counted) string {
			if c.Classes.OneLabel() {
				return "all labels are of one class: 0 by convention"
			}
			return ""
		},
	}, {
		Name: "roc_auc",
		Text: "mean over classes of the area under the ROC curve of p_k against the rest; ties count half. Classes without samples, or with " +
			"all of them, are left out",
		Source: "Fawcett 2006; sklearn `roc_auc_score(multi_class=\"ovr\")`", Needs: NeedsRanks,
		Of:   func(c *Counted) float64 { return c.Ranks.AUC.Value },
		Says: func(c *Counted) string { return c.ofRanked(c.Ranks.AUC) },
	}, {
		Name: "average_precision", Text: "mean over the same classes of Σ (R_i − R_{i−1})·P_i over the distinct p_k, falling",
		Source: "sklearn `average_precision_score`", Needs: NeedsRanks,
		Of:   func(c *Counted) float64 { return c.Ranks.AP.Value },
		Says: func(c *Counted) string { return c.ofRanked(c.Ranks.AP) },
	}, {
		Name: "brier", Text: "mean of Σ_k (p_k − [y = k])², between 0 and 2; for two classes twice sklearn's `brier_score_loss`",
		Source: "Brier 1950", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.Brier) },
	}, {
		Name:   "ece",
		Text:   "Σ_b n_b/N · |mean confidence − accuracy| over `--bins` B bins of the confidence max p: ((b−1)/B, b/B], closed on the right",
		Source: "Guo et al. 2017, eq. 5", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Bins.ECE() },
	}, {
		Name: "ece_debiased",
		Text: "`ece` less the expected excess of gaps that are measured on n_b samples: each gap g counts 2g − E|N(g, a(1−a)/n_b)|, a the " +
			"bin's accuracy; at least 0",
		Source: "Kumar, Liang, Ma 2019 and its code", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Bins.Debiased() },
	}, {
		Name: "ece_adaptive",
		Text: "`ece` over B bins that hold equally many rows in order of confidence: ranks ⌊bN/B⌋ to ⌊(b+1)N/B⌋; rows of one confidence that " +
			"a boundary divides have their mean accuracy each",
		Source: "Nguyen, O'Connor 2015", Needs: NeedsRanks,
		Of:   func(c *Counted) float64 { return c.Ranks.AdaptiveECE.Value },
		Says: func(c *Counted) string { return c.within(c.Ranks.AdaptiveECE) },
	}, {
		Name: "ece_classwise", Text: "mean over classes of the `ece` of p_k against [y = k], over all rows",
		Source: "Kull et al. 2019, eq. 2; Nixon et al. 2019 (SCE)", Needs: NeedsLogits,
		Of: func(c *Counted) float64 { return c.ClassBins.ECE() },
	}, {
		Name: "mce", Text: "the largest gap of a bin of `ece` that is not empty", Source: "Guo et al. 2017, eq. 6", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Bins.MCE() },
	}, {
		Name: "entropy", Text: "mean of −Σ p·log p, in nats; equal to `nll` at the best temperature", Source: "Shannon 1948",
		Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.Entropy) },
	}, {
		Name: "confidence", Text: "mean of max p", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.Confidence) },
	}, {
		Name: "p_true", Text: "mean of p_y", Needs: NeedsStats, Interval: true,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.PTrue) },
	}, {
		Name: "z_true", Text: "mean of z_y, not divided by T", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.ZTrue) },
	}, {
		Name: "margin", Text: "mean of z_y − max of the others, not divided by T", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.Margin) },
		Says: func(c *Counted) string {
			switch {
			case finite(c.Scores.Mean(c.Scores.Margin)) || c.Scores.N == 0 || math.IsInf(c.Scores.NLL, 1):
				return ""
			case c.Given:
				return "some row was given probability 1 for one class and 0 for the others"
			}
			return "all classes but one are masked (−Inf) in some row"
		},
	}, {
		Name: "lse", Text: "mean of log Σ exp(z/T)", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.LSE) },
	}, {
		Name: "largest_logit", Text: "mean of max z, not divided by T", Needs: NeedsStats,
		Of: func(c *Counted) float64 { return c.Scores.Mean(c.Scores.LargestLogit) },
	},
}

// whyNull returns why a figure is null that gives no reason of its own.
func (c *Counted) whyNull() string {
	switch {
	case c.Scores.N == 0:
		return "no labelled row has a softmax"
	case math.IsInf(c.Scores.NLL, 1) && c.Given:
		return "the label of some row was given probability 0"
	case math.IsInf(c.Scores.NLL, 1):
		return "the class of some label is masked (−Inf)"
	}
	return "it is beyond the largest number"
}

// within says by how much an estimate may be off where there are more rows than the ranking orders, "" where it is exact.
func (c *Counted) within(e summary.Estimate) string {
	switch {
	case e.Bound == 0 || c.Scores.N == 0:
		return ""
	case math.IsNaN(e.Value):
		return fmt.Sprintf("%d rows are more than are ordered (%d), and a grid tells nothing of it", c.Scores.N, summary.MaxRanked)
	}
	return fmt.Sprintf("within ±%.2g: %d rows are more than are ordered (%d), and counted on a grid instead", e.Bound, c.Scores.N, summary.MaxRanked)
}

// ofRanked says which classes a mean over classes leaves out, and by how much it may be off; "" where it leaves out none and is exact.
func (c *Counted) ofRanked(e summary.Estimate) string {
	k := len(c.Classes)
	switch {
	case c.Scores.N == 0:
		return ""
	case c.Ranks.Classes == 0 && c.Classes.OneLabel():
		return "all labels are of one class: there is none to tell it from"
	case c.Ranks.Classes == 0 || c.Ranks.Classes == k:
		return c.within(e)
	}
	says := fmt.Sprintf("averaged over the %d of %d classes that have samples", c.Ranks.Classes, k)
	if within := c.within(e); within != "" {
		says += "; " + within
	}
	return says
}
