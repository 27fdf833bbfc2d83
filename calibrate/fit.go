package calibrate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/summary"
)

// Report says how a calibrator was fitted and what it does. NLL are means in nats; before is without the calibrator, after with it.
type Report struct {
	N         int     `json:"n"`              // the number of labelled rows that have a softmax
	Undefined int     `json:"undefined_rows"` // the number of labelled rows that have none
	Classes   int     `json:"classes"`
	Verdict   Verdict `json:"verdict"`
	Note      string  `json:"note,omitempty"`    // what the user should know, as a sentence
	Clipped   int     `json:"clipped,omitempty"` // how many given probabilities of 0 were replaced by the smallest that is above 0
	Bins      int     `json:"bins"`              // the number of bins of the ECE
	NLLBefore float64 `json:"nll_before"`        // these four are of the rows that it was fitted on
	NLLAfter  float64 `json:"nll_after"`
	ECEBefore float64 `json:"ece_before"`
	ECEAfter  float64 `json:"ece_after"`
	HeldOut   HeldOut `json:"held_out"`        // the same of rows that it was not fitted on
	Tried     []Tried `json:"tried,omitempty"` // the methods that Auto chose among
}

// HeldOut are figures by cross-fitting: each row is calibrated by a function that was fitted on the other folds. They are NaN, and null in
// JSON, where there are too few rows for folds.
type HeldOut struct {
	Folds     int            `json:"folds"` // 0 where there are too few rows
	NLLBefore summary.Number `json:"nll_before"`
	NLLAfter  summary.Number `json:"nll_after"`
	ECEBefore summary.Number `json:"ece_before"`
	ECEAfter  summary.Number `json:"ece_after"`
}

// Worse reports whether rows that the calibrator was not fitted on have a lower NLL without it.
func (h HeldOut) Worse() bool { return h.Folds > 0 && !(h.NLLAfter <= h.NLLBefore) }

// Tried is a method that Auto chose among, with its figures on rows that it was not fitted on.
type Tried struct {
	Method Method         `json:"method"`
	NLL    summary.Number `json:"nll"`
	ECE    summary.Number `json:"ece"`
}

// Options say how to fit. The zero value is what the program uses.
type Options struct {
	Bins  int    // the number of bins of the ECE; 0 for 15
	Folds int    // the number of folds of cross-fitting; 0 for 5
	Seed  uint64 // of the random division of rows into folds
}

// filled returns o with its defaults in place of zeros.
func (o Options) filled() Options {
	if o.Bins == 0 {
		o.Bins = 15
	}
	if o.Folds == 0 {
		o.Folds = 5
	}
	return o
}

// Fitted is a fit as it is printed in JSON.
type Fitted struct {
	Method      Method   `json:"method"`
	Temperature *float64 `json:"temperature"` // null for the other methods
	*Report
}

// Fitted returns the fit of c, a calibrator that Fit returned, as it is printed in JSON.
func (c *Calibrator) Fitted() Fitted {
	f := Fitted{Method: c.Method, Report: c.Fit}
	if c.Method == ByTemperature {
		f.Temperature = &c.Temperature
	}
	return f
}

// Fit fits a calibrator to the labelled rows of b; for Auto it calls FitBest. It returns an error where there is no labelled row, where there is no such method, where the
// label of a row is masked, where the method does not work with one column, and where b.Check does. It stops when ctx ends, and returns the
// context's error.
func Fit(ctx context.Context, b summary.Batch, method Method, o Options) (*Calibrator, error) {
	if _, err := ParseMethod(string(method)); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	if method == Auto {
		return FitBest(ctx, b, o)
	}
	if err := b.Check(); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	if method == ByVector && b.Columns == 1 {
		return nil, fmt.Errorf("%s scaling of one logit is %s: choose that", method, ByPlatt)
	}
	o = o.filled()
	rows := len(b.Labels) - count(b.Labels, kernel.Ignored)
	b, err := labelled(ctx, b)
	if err != nil {
		return nil, err
	}
	if len(b.Labels) == 0 {
		return nil, fmt.Errorf("no labelled row has a softmax: there is nothing to fit")
	}
	b, clipped := clip(b)
	var raw *Calibrator
	before := raw.figuresOf(ctx, b, o.Bins)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if math.IsInf(before.nll, 1) {
		return nil, fmt.Errorf("the class of some label is masked (−Inf): its NLL is infinite whatever the calibration; leave such rows out")
	}
	c, verdict := fit(ctx, b, method)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	after := c.figuresOf(ctx, b, o.Bins)
	c.Fit = &Report{
		N: len(b.Labels), Undefined: rows - len(b.Labels), Classes: b.Classes(), Verdict: verdict, Clipped: clipped, Bins: o.Bins,
		NLLBefore: before.nll, NLLAfter: after.nll, ECEBefore: before.ece, ECEAfter: after.ece,
	}
	switch {
	case verdict == Separable && method == ByVector:
		c.Fit.Note = "some weights put every label on top: the NLL falls without end as they grow, and none are best; one temperature for all is kept. Fit on more rows, that the model was not trained on"
	case verdict == Separable:
		c.Fit.Note = "every row has its label on top: the NLL falls as T falls to 0 and no finite temperature is best; T = 1 is kept. Fit on more rows, that the model was not trained on"
	case verdict == AtBound && method == ByTemperature:
		c.Fit.Note = "the NLL still falls as T grows: the logits put the true class no higher than others, and uniform probabilities do better"
	case verdict == AtBound:
		c.Fit.Note = "the search ended before the optimum: the NLL still falls, slowly, as the weights grow"
	}
	c.Fit.HeldOut = crossFit(ctx, b, method, o)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.Fit.Note == "" && c.Fit.HeldOut.Worse() {
		c.Fit.Note = "on rows that it was not fitted on it does worse than none: these rows do not show that the logits need it"
	}
	return c, nil
}

// FitBest fits every method that works with b and returns the calibrator whose NLL on rows that it was not fitted on is lowest. It is that of
// None where no method lowers the NLL, or where there are too few rows to tell. Its errors are those of Fit.
func FitBest(ctx context.Context, b summary.Batch, o Options) (*Calibrator, error) {
	var best *Calibrator
	var tried []Tried
	for _, method := range Methods {
		if method == ByVector && b.Columns == 1 {
			continue // for one column it is the same as ByPlatt
		}
		c, err := Fit(ctx, b, method, o)
		if err != nil {
			return nil, err
		}
		held := c.Fit.HeldOut
		if best == nil {
			best = unchanged(c)
			if held.Folds == 0 {
				best.Fit.Note = "there are too few rows to tell what does better on rows it was not fitted on: nothing is changed"
				return best, nil
			}
			tried = append(tried, Tried{None, held.NLLBefore, held.ECEBefore})
		}
		tried = append(tried, Tried{method, held.NLLAfter, held.ECEAfter})
		if held.NLLAfter < best.Fit.HeldOut.NLLAfter {
			best = c
		}
	}
	best.Fit.Tried = tried
	return best, nil
}

// unchanged returns a calibrator that changes nothing, with figures of the rows that c was fitted on.
func unchanged(c *Calibrator) *Calibrator {
	fit := *c.Fit
	fit.Verdict, fit.NLLAfter, fit.ECEAfter = Converged, fit.NLLBefore, fit.ECEBefore
	fit.HeldOut.NLLAfter, fit.HeldOut.ECEAfter = fit.HeldOut.NLLBefore, fit.HeldOut.ECEBefore
	fit.Note = "no method does better on rows that it was not fitted on: the logits are left as they are"
	return &Calibrator{Version: formatVersion, Method: None, Columns: c.Columns, Fit: &fit}
}

// leastP replaces a given probability of 0, unless a smaller one was given: scikit-learn's log_loss does the same.
const leastP = 0x1p-52

// clip replaces given probabilities of 0 by the smallest given one above 0, at most leastP, since 0 has no logarithm, and returns how many it
// replaced. Where b has logits it changes nothing.
func clip(b summary.Batch) (summary.Batch, int) {
	if !b.Normal {
		return b, 0
	}
	least, zeros := math.Log(leastP), 0
	for _, v := range b.Wide {
		if math.IsInf(v, -1) {
			zeros++
		} else if v < least {
			least = v
		}
	}
	if zeros > 0 {
		b.Wide = slices.Clone(b.Wide)
		for i, v := range b.Wide {
			if math.IsInf(v, -1) {
				b.Wide[i] = least
			}
		}
	}
	return b, zeros
}

// count returns how many of labels are class.
func count(labels []int32, class int32) (n int) {
	for _, label := range labels {
		if label == class {
			n++
		}
	}
	return n
}

// labelled returns the rows of b that have a label and a softmax, or b itself where all have. It stops when ctx ends, and returns the
// context's error.
func labelled(ctx context.Context, b summary.Batch) (summary.Batch, error) {
	var rows []int
	err := summary.Parts(ctx, b, b.Columns, 0, b.Len(), func(part summary.Batch) error {
		part.Stats(func(block summary.Batch, stats []logit.RowStats) {
			for i, label := range block.Labels {
				if label != kernel.Ignored && !math.IsNaN(stats[i].LSE) {
					rows = append(rows, block.First-b.First+i)
				}
			}
		})
		return nil
	})
	if err != nil || len(rows) == len(b.Labels) {
		return b, err
	}
	return pick(ctx, b, rows), ctx.Err()
}

// pick returns copies of the given rows of b. Those that were not copied when ctx ended are 0.
func pick(ctx context.Context, b summary.Batch, rows []int) summary.Batch {
	picked := b
	picked.Labels, picked.First = make([]int32, len(rows)), 0
	for place, i := range rows {
		picked.Labels[place] = b.Labels[i]
	}
	if b.Wide != nil {
		picked.Wide = pickRows(ctx, b.Wide, b.Columns, rows)
	} else {
		picked.Logits = pickRows(ctx, b.Logits, b.Columns, rows)
	}
	return picked
}

func pickRows[T kernel.Float](ctx context.Context, logits []T, columns int, rows []int) []T {
	picked := make([]T, len(rows)*columns)
	for place, i := range rows {
		if ctx.Err() != nil {
			break
		}
		copy(picked[place*columns:], logits[i*columns:(i+1)*columns])
	}
	return picked
}

// fit fits a method to rows that all have a label and a softmax. What it returns is of no use where ctx has ended.
func fit(ctx context.Context, b summary.Batch, method Method) (*Calibrator, Verdict) {
	c := &Calibrator{Version: formatVersion, Method: method, Columns: b.Columns}
	verdict := Converged
	switch method {
	case ByTemperature, ByVector:
		t, err := FitTemperatureRows(ctx, b, b.Columns)
		if err != nil {
			return c, verdict
		}
		verdict, c.Temperature = t.Verdict, t.T
		if verdict == Separable {
			c.Temperature = 1 // the samples do not say which T is best
		}
		if method == ByVector {
			c.Weights, c.Biases = make([]float64, b.Columns), make([]float64, b.Columns)
			if verdict != Separable {
				c.Weights, c.Biases, verdict = vector(ctx, b, t.T)
			}
			if verdict == Separable { // by a temperature, or by weights
				c.Biases = make([]float64, b.Columns)
				for j := range c.Weights {
					c.Weights[j] = 1 / c.Temperature
				}
			}
			c.Temperature = 0
		}
	case ByPlatt, ByIsotonic, ByHistogram:
		c.fitCurves(ctx, b)
	}
	return c, verdict
}

// fitCurves fits a function for each class, on every processor. Infinite log-odds, of a masked class or of one of which all others are masked,
// take no part: no function would change their probability.
func (c *Calibrator) fitCurves(ctx context.Context, b summary.Batch) {
	n, k := len(b.Labels), curves(c.Columns)
	odds := make([]float64, n*c.Columns) // [N,Columns]
	_, err := summary.FoldRows(ctx, b, c.Columns, stripes, func() []float64 { return make([]float64, c.Columns) }, func(z []float64, part summary.Batch) {
		for i := range part.Labels {
			start := (part.First - b.First + i) * c.Columns
			part.Row(z, i)
			summary.LogOdds(odds[start:start+c.Columns], z)
		}
	}, func(_, _ []float64) {})
	if err != nil {
		return
	}
	if c.Method == ByPlatt {
		c.Weights, c.Biases = make([]float64, k), make([]float64, k)
	} else {
		c.Curves, c.CurvesOf = make([]Curve, k), logOddsName
	}
	_ = parallel.Until(ctx, k, func(j int) error {
		class := j
		if oneCurve(c.Columns) {
			class = 1
		}
		obs := make([]observation, 0, n)
		for i, label := range b.Labels {
			if s := odds[i*c.Columns+class%c.Columns]; !math.IsInf(s, 0) {
				obs = append(obs, observation{s, int(label) == class})
			}
		}
		switch c.Method {
		case ByPlatt:
			c.Weights[j], c.Biases[j] = platt(obs)
		case ByIsotonic:
			c.Curves[j] = isotonic(obs)
		case ByHistogram:
			c.Curves[j] = histogram(obs)
		}
		return nil
	})
}

// figures are the figures by which calibration is judged.
type figures struct{ nll, ece float64 }

// table returns the table of b's rows, without a confusion. Where c is not nil, the rows are calibrated first, a block at a time. The table is
// empty where ctx has ended.
func (c *Calibrator) table(ctx context.Context, b summary.Batch, bins int) *summary.Table {
	const blockLogits = 1 << 14
	fresh := func() *summary.Table {
		return &summary.Table{Scores: *summary.NewScores(), Classes: make(summary.Classes, b.Classes()), Bins: make(summary.Bins, bins)}
	}
	t, err := summary.FoldRows(ctx, b, b.Columns, stripes, fresh, func(t *summary.Table, part summary.Batch) {
		if c == nil {
			t.Add(part)
			return
		}
		each := max(1, blockLogits/part.Columns)
		for start := 0; start < len(part.Labels); start += each {
			t.Add(c.applied(part.Slice(start, min(start+each, len(part.Labels)))))
		}
	}, merge)
	if err != nil {
		return fresh()
	}
	return t
}

// merge adds the counts of one table to another with as many classes and bins.
func merge(into, from *summary.Table) {
	if err := into.Merge(from); err != nil {
		panic(err.Error()) // unreachable: both are made by table, for the same batch
	}
}

// applied returns rows with calibrated logits.
func (c *Calibrator) applied(rows summary.Batch) summary.Batch {
	if c.Method == ByTemperature {
		rows.Temperature, rows.Normal = c.Temperature, false // z/T itself would lose digits where all logits have a large offset
		return rows
	}
	if rows.Wide != nil {
		out := make([]float64, len(rows.Wide))
		apply(c, out, rows.Wide)
		rows.Wide, rows.Normal = out, false
		return rows
	}
	out := make([]float32, len(rows.Logits))
	apply(c, out, rows.Logits)
	rows.Logits = out
	return rows
}

// figuresOf returns the figures of b's rows, calibrated where c is not nil.
func (c *Calibrator) figuresOf(ctx context.Context, b summary.Batch, bins int) figures {
	return figuresOf(c.table(ctx, b, bins))
}

// figuresOf returns the figures of the rows that a table has counted.
func figuresOf(t *summary.Table) figures {
	return figures{t.Scores.Mean(t.Scores.NLL), t.Bins.ECE()}
}

// crossFit divides the rows into folds at random and calibrates each by what is fitted on the others. What it returns is of no use where ctx
// has ended.
func crossFit(ctx context.Context, b summary.Batch, method Method, o Options) HeldOut {
	n := len(b.Labels)
	const fewest = 2 // rows in a fold
	if n < fewest*o.Folds {
		none := summary.Number(math.NaN())
		return HeldOut{0, none, none, none, none}
	}
	order := rand.New(rand.NewPCG(o.Seed, 0xca11b)).Perm(n)
	var raw *Calibrator
	none := b.Slice(0, 0)
	before, after := raw.table(ctx, none, o.Bins), raw.table(ctx, none, o.Bins)
	for fold := range o.Folds {
		if ctx.Err() != nil {
			return HeldOut{}
		}
		start, end := fold*n/o.Folds, (fold+1)*n/o.Folds
		heldOut := pick(ctx, b, order[start:end])
		c, _ := fit(ctx, pick(ctx, b, slices.Concat(order[:start], order[end:])), method)
		merge(before, raw.table(ctx, heldOut, o.Bins))
		merge(after, c.table(ctx, heldOut, o.Bins))
	}
	rawFigures, fittedFigures := figuresOf(before), figuresOf(after)
	return HeldOut{o.Folds, summary.Number(rawFigures.nll), summary.Number(fittedFigures.nll), summary.Number(rawFigures.ece), summary.Number(fittedFigures.ece)}
}
