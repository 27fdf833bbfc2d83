package analysis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/logit"
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

	values []Number // of figures, in their order

	Bins      []ReliabilityBin    `json:"bins"`
	PerClass  []ClassScore        `json:"per_class"`
	Confusion [][]int             `json:"confusion"` // [K,K], a row a label, a column a predicted class
	Intervals map[string]Interval `json:"intervals,omitempty"`
	Undefined map[string]string   `json:"undefined"`      // figure to why it is null, or of what it is not
	Note      string              `json:"note,omitempty"` // what was done to the values before they were scored
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
	Temperature float64 // that the logits are divided by; 0 for that of the batch
	Bins        int     // of the calibration errors; 0 for 15
	Bootstrap   int     // samples for the intervals; 0 for no intervals
	Seed        uint64
}

// maxBootstrapRows keeps the memory of the intervals in bounds: 40 bytes a row.
const maxBootstrapRows = 1 << 25

// ScoreOf scores labelled rows, whose logits it reads twice and some at a time. The error is what Batch.Check finds wrong, or that of
// ctx where it ends, which stops the work.
func ScoreOf(ctx context.Context, rows summary.Rows, o ScoreOptions) (*Score, error) {
	if o.Temperature != 0 {
		rows = summary.AtTemperature(rows, o.Temperature)
	}
	kind := rows.Part(0, 0)
	check := kind.Check
	if b, ok := rows.(summary.Batch); ok {
		check = b.Check
	}
	if err := check(); err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	o.Bins = cmp.Or(o.Bins, defaultBins)
	var draws []drawn
	if o.Bootstrap > 0 && rows.Len() <= maxBootstrapRows {
		draws = make([]drawn, rows.Len())
	}
	totals, err := summary.TotalsOf(ctx, rows, o.Bins, func(block summary.Batch, stats []logit.RowStats) {
		if draws != nil {
			draw(draws[block.First-kind.First:], block, stats, o.Bins)
		}
	})
	if err != nil {
		return nil, err
	}
	s := ScoreFrom(totals)
	if err := ctx.Err(); err != nil {
		return nil, err // the ranking is not that of all rows
	}
	s.Temperature = cmp.Or(kind.Temperature, 1)
	if o.Bootstrap > 0 {
		draws = slices.DeleteFunc(draws, func(r drawn) bool { return r.label == loss.Ignored })
		if err := s.bootstrap(ctx, draws, rows.Len(), kind.Slack, o); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// defaultBins of the calibration errors.
const defaultBins = 15

// ScoreFrom is the score of what was counted, and merged, in any number of parts. Its figures have the digits that those of all rows
// at once have.
func ScoreFrom(t *summary.Totals) *Score {
	kind, scores := t.Kind(), &t.Table.Scores
	s := &Score{
		N: scores.N, Classes: len(t.Table.Classes), Temperature: kind.Temperature, UndefinedRows: scores.Undefined,
		Unlabelled: t.Rows - scores.N - scores.Undefined, Undefined: map[string]string{},
	}
	s.fill(t.Table)
	s.evaluate(&Counted{Table: t.Table, ClassBins: t.ClassBins, Ranks: t.Ranking.Figures(len(t.Table.Bins)), Given: kind.Normal})
	return s
}

func (s *Score) fill(t *summary.Table) {
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

// Value is one number of a score, by its name in JSON.
type Value struct {
	Name  string
	Value Number
}

// Figures are the numbers of a score, in the order to print them.
func (s *Score) Figures() []Value {
	values := make([]Value, len(s.values))
	for i, v := range s.values {
		values[i] = Value{figures[i].Name, v}
	}
	return values
}

// Figure is the number of a score that has the name. It panics where there is no such figure.
func (s *Score) Figure(name string) Number {
	for i, f := range figures {
		if f.Name == name {
			return s.values[i]
		}
	}
	panic("analysis: Score.Figure: there is no figure " + name)
}

// MarshalJSON implements json.Marshaler: each figure has a key of its own.
func (s *Score) MarshalJSON() ([]byte, error) {
	type fields Score // without this method
	var b bytes.Buffer
	for i, v := range s.values {
		text, err := v.MarshalJSON()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s,", figures[i].Name, text)
	}
	all, err := json.Marshal((*fields)(s))
	if err != nil {
		return nil, err
	}
	at := bytes.Index(all, []byte(`"bins":`)) // figures stand before what is more than a number
	return slices.Concat(all[:at], b.Bytes(), all[at:]), nil
}

// UnmarshalJSON implements json.Unmarshaler: a figure without a key is null.
func (s *Score) UnmarshalJSON(data []byte) error {
	type fields Score
	if err := json.Unmarshal(data, (*fields)(s)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	s.values = make([]Number, len(figures))
	for i, f := range figures {
		s.values[i] = Number(math.NaN())
		if text, ok := keys[f.Name]; ok {
			if err := s.values[i].UnmarshalJSON(text); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

// evaluate works out every figure, and says why those that are null are.
func (s *Score) evaluate(c *Counted) {
	s.values = make([]Number, len(figures))
	for i, f := range figures {
		s.values[i] = Number(f.Of(c))
		if f.Says != nil {
			if why := f.Says(c); why != "" {
				s.Undefined[f.Name] = why
			}
		}
		if s.Undefined[f.Name] == "" && !finite(float64(s.values[i])) {
			s.Undefined[f.Name] = c.whyNull()
		}
	}
	if s.Confusion == nil {
		s.Undefined["confusion"] = fmt.Sprintf("%d classes: it is counted for at most %d", s.Classes, summary.MaxConfusion)
	}
}
