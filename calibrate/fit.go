package calibrate

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/summary"
)

// Report says how a calibrator was fitted and what it does. The held-out figures are of rows that the calibrator of their fold was
// not fitted on.
type Report struct {
	N         int     `json:"n"` // labelled rows that have a softmax
	Undefined int     `json:"undefined_rows"`
	Classes   int     `json:"classes"`
	Verdict   Verdict `json:"verdict"`
	Note      string  `json:"note,omitempty"`
	Bins      int     `json:"bins"` // of the ECE
	NLLBefore float64 `json:"nll_before"`
	NLLAfter  float64 `json:"nll_after"`
	ECEBefore float64 `json:"ece_before"`
	ECEAfter  float64 `json:"ece_after"`
	HeldOut   HeldOut `json:"held_out"`
	Tried     []Tried `json:"tried,omitempty"` // by auto
}

// HeldOut are figures by cross-fitting; the fit's fields are 0 where there were too few rows for folds.
type HeldOut struct {
	Folds     int     `json:"folds"`
	NLLBefore float64 `json:"nll_before"`
	NLLAfter  float64 `json:"nll_after"`
	ECEBefore float64 `json:"ece_before"`
	ECEAfter  float64 `json:"ece_after"`
}

// Tried is a method and its held-out figures.
type Tried struct {
	Method Method  `json:"method"`
	NLL    float64 `json:"nll"`
	ECE    float64 `json:"ece"`
}

// Options are how to fit.
type Options struct {
	Bins  int    // of the ECE; 0 for 15
	Folds int    // of cross-fitting; 0 for 5
	Seed  uint64 // of the rows' division into folds
}

func (o Options) filled() Options {
	if o.Bins == 0 {
		o.Bins = 15
	}
	if o.Folds == 0 {
		o.Folds = 5
	}
	return o
}

// Fit fits a calibrator to the labelled rows of b, or returns why there is none: no labelled row, a row whose label is masked, a
// method that does not go with one column. It panics where b.Check finds something wrong.
func Fit(b summary.Batch, method Method, o Options) (*Calibrator, error) {
	if err := b.Check(); err != nil {
		panic("calibrate: Fit: " + err.Error())
	}
	if method == ByVector && b.Columns == 1 {
		return nil, fmt.Errorf("%s scaling of one logit is %s: choose that", method, ByPlatt)
	}
	o = o.filled()
	rows := len(b.Labels) - count(b.Labels, kernel.Ignored)
	b = labelled(b)
	if len(b.Labels) == 0 {
		return nil, fmt.Errorf("no labelled row has a softmax: there is nothing to fit")
	}
	var raw *Calibrator
	before := raw.figuresOf(b, o.Bins)
	if math.IsInf(before.nll, 1) {
		return nil, fmt.Errorf("the class of some label is masked (−Inf): its NLL is infinite whatever the calibration; leave such rows out")
	}
	c, verdict := fit(b, method)
	after := c.figuresOf(b, o.Bins)
	c.Fit = &Report{
		N: len(b.Labels), Undefined: rows - len(b.Labels), Classes: b.Classes(), Verdict: verdict, Bins: o.Bins,
		NLLBefore: before.nll, NLLAfter: after.nll, ECEBefore: before.ece, ECEAfter: after.ece,
	}
	switch {
	case verdict == Separable:
		c.Fit.Note = "every row has its label on top: the NLL falls as T falls to 0 and no finite temperature is best; T = 1 is kept. Fit on more rows, that the model was not trained on"
	case verdict == AtBound && method == ByTemperature:
		c.Fit.Note = "the NLL still falls as T grows: the logits put the true class no higher than others, and uniform probabilities do better"
	case verdict == AtBound:
		c.Fit.Note = "the search ended before the optimum: the NLL still falls, slowly, as the weights grow"
	}
	c.Fit.HeldOut = crossFit(b, method, o)
	if held := c.Fit.HeldOut; c.Fit.Note == "" && held.Folds > 0 && held.NLLAfter > held.NLLBefore {
		c.Fit.Note = "on rows that it was not fitted on it does worse than none: these rows do not show that the logits need it"
	}
	return c, nil
}

// FitBest fits every method that goes with b and returns the calibrator whose held-out NLL is lowest.
func FitBest(b summary.Batch, o Options) (*Calibrator, error) {
	var best *Calibrator
	var tried []Tried
	for _, method := range Methods {
		if method == ByVector && b.Columns == 1 {
			continue // it is platt's
		}
		c, err := Fit(b, method, o)
		if err != nil {
			return nil, err
		}
		held := c.Fit.HeldOut
		if held.Folds == 0 { // nothing to choose by: the simplest
			return c, nil
		}
		tried = append(tried, Tried{method, held.NLLAfter, held.ECEAfter})
		if best == nil || held.NLLAfter < best.Fit.HeldOut.NLLAfter {
			best = c
		}
	}
	best.Fit.Tried = tried
	return best, nil
}

func count(labels []int32, class int32) (n int) {
	for _, label := range labels {
		if label == class {
			n++
		}
	}
	return n
}

// labelled returns the rows of b that have a label and a softmax: b itself where all have.
func labelled(b summary.Batch) summary.Batch {
	var rows []int
	b.Stats(func(part summary.Batch, stats []kernel.Stat) {
		for i, label := range part.Labels {
			if label != kernel.Ignored && !math.IsNaN(stats[i].LSE) {
				rows = append(rows, part.First-b.First+i)
			}
		}
	})
	if len(rows) == len(b.Labels) {
		return b
	}
	return pick(b, rows)
}

// pick copies rows of b.
func pick(b summary.Batch, rows []int) summary.Batch {
	picked := summary.Batch{
		Columns: b.Columns, Temperature: b.Temperature,
		Logits: make([]float32, 0, len(rows)*b.Columns), Labels: make([]int32, 0, len(rows)),
	}
	for _, i := range rows {
		picked.Logits = append(picked.Logits, b.Logits[i*b.Columns:(i+1)*b.Columns]...)
		picked.Labels = append(picked.Labels, b.Labels[i])
	}
	return picked
}

func fit(b summary.Batch, method Method) (*Calibrator, Verdict) {
	c := &Calibrator{Version: formatVersion, Method: method, Columns: b.Columns}
	verdict := Converged
	switch method {
	case ByTemperature, ByVector:
		t := FitTemperature(b.Logits, b.Columns, b.Labels)
		verdict, c.Temperature = t.Verdict, t.T
		if verdict == Separable {
			c.Temperature = 1 // what no sample speaks for is left as it was
		}
		if method == ByVector {
			c.Weights, c.Biases = make([]float64, b.Columns), make([]float64, b.Columns)
			if verdict != Separable {
				c.Weights, c.Biases, verdict = vector(b, t.T)
			} else {
				for j := range c.Weights {
					c.Weights[j] = 1
				}
			}
			c.Temperature = 0
		}
	default:
		c.fitCurves(b)
	}
	return c, verdict
}

// fitCurves fits a function to each class, on every processor.
func (c *Calibrator) fitCurves(b summary.Batch) {
	n, k := len(b.Labels), curves(c.Columns)
	odds := make([]float64, n*c.Columns) // [N,Columns]
	summary.Fold(b, stripes, func() struct{} { return struct{}{} }, func(_ struct{}, part summary.Batch) {
		for i := range part.Labels {
			at := (part.First - b.First + i) * c.Columns
			logOdds(odds[at:at+c.Columns], part.Logits[i*c.Columns:(i+1)*c.Columns])
		}
	}, func(_, _ struct{}) {})
	if c.Method == ByPlatt {
		c.Weights, c.Biases = make([]float64, k), make([]float64, k)
	} else {
		c.Curves = make([]Curve, k)
	}
	parallel.Each(k, func(j int) {
		class := j
		if oneCurve(c.Columns) {
			class = 1
		}
		column := class % c.Columns
		if c.Method == ByPlatt {
			s, yes := make([]float64, n), make([]bool, n)
			for i, label := range b.Labels {
				s[i], yes[i] = odds[i*c.Columns+column], int(label) == class
			}
			c.Weights[j], c.Biases[j] = platt(s, yes)
			return
		}
		obs := make([]observation, n)
		for i, label := range b.Labels {
			obs[i] = observation{sigmoid(odds[i*c.Columns+column]), int(label) == class}
		}
		if c.Method == ByIsotonic {
			c.Curves[j] = isotonic(obs)
		} else {
			c.Curves[j] = histogram(obs)
		}
	})
}

// figures are those that calibration is judged by.
type figures struct{ nll, ece float64 }

// table returns the table, but for its confusion, of b's rows; calibrated, a block at a time, where c is not nil.
func (c *Calibrator) table(b summary.Batch, bins int) *summary.Table {
	const blockLogits = 1 << 14
	return summary.Fold(b, stripes, func() *summary.Table {
		return &summary.Table{Scores: *summary.NewScores(), Classes: make(summary.Classes, b.Classes()), Bins: make(summary.Bins, bins)}
	}, func(t *summary.Table, part summary.Batch) {
		if c == nil {
			t.Add(part)
			return
		}
		each := max(1, blockLogits/part.Columns)
		room := make([]float32, each*part.Columns)
		for start := 0; start < len(part.Labels); start += each {
			rows := part.Slice(start, min(start+each, len(part.Labels)))
			out := room[:len(rows.Logits)]
			c.Apply(out, rows.Logits)
			rows.Logits = out
			t.Add(rows)
		}
	}, (*summary.Table).Merge)
}

func (c *Calibrator) figuresOf(b summary.Batch, bins int) figures { return figuresOf(c.table(b, bins)) }

func figuresOf(t *summary.Table) figures {
	return figures{t.Scores.Mean(t.Scores.NLL), t.Bins.ECE()}
}

// crossFit divides the rows into folds at random, and has each calibrated by what was fitted on the others.
func crossFit(b summary.Batch, method Method, o Options) (held HeldOut) {
	n := len(b.Labels)
	const fewest = 2 // rows a fold
	if n < fewest*o.Folds {
		return held
	}
	order := rand.New(rand.NewPCG(o.Seed, 0xca11b)).Perm(n)
	b = pick(b, order)
	var raw *Calibrator
	before, after := raw.table(b.Slice(0, 0), o.Bins), raw.table(b.Slice(0, 0), o.Bins)
	others := summary.Batch{Columns: b.Columns, Logits: make([]float32, 0, len(b.Logits)), Labels: make([]int32, 0, n)}
	for fold := range o.Folds {
		start, end := fold*n/o.Folds, (fold+1)*n/o.Folds
		first, last, own := b.Slice(0, start), b.Slice(end, n), b.Slice(start, end)
		others.Logits = append(append(others.Logits[:0], first.Logits...), last.Logits...)
		others.Labels = append(append(others.Labels[:0], first.Labels...), last.Labels...)
		c, _ := fit(others, method)
		before.Merge(raw.table(own, o.Bins))
		after.Merge(c.table(own, o.Bins))
	}
	held.Folds = o.Folds
	was, is := figuresOf(before), figuresOf(after)
	held.NLLBefore, held.ECEBefore, held.NLLAfter, held.ECEAfter = was.nll, was.ece, is.nll, is.ece
	return held
}
