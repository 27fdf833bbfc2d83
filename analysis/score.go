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

// Score holds every figure of a split's logits, which docs/metrics.md defines. A figure that is not defined is null in JSON, and
// Undefined says why.
type Score struct {
	N             int     `json:"n"` // the number of rows that are scored, which have a label and a softmax
	Classes       int     `json:"classes"`
	Temperature   float64 `json:"temperature"`    // the number that logits were divided by
	Unlabelled    int     `json:"unlabelled"`     // the number of rows without a label
	UndefinedRows int     `json:"undefined_rows"` // the number of labelled rows without a softmax, which are left out

	values []Number // the values of figures, in their order

	Bins      []ReliabilityBin    `json:"bins"`
	PerClass  []ClassScore        `json:"per_class"`
	Confusion [][]int             `json:"confusion"`           // [K,K] counts: a row for each label, a column for each predicted class; null for too many classes
	Intervals map[string]Interval `json:"intervals,omitempty"` // by name of figure; nil without a bootstrap
	Undefined map[string]string   `json:"undefined"`           // for a figure by its name, why it is null or how it is limited
	Note      string              `json:"note,omitempty"`      // what was done to the values before they were scored
}

// ReliabilityBin counts the rows whose confidence, the largest probability, is in (Low, High].
type ReliabilityBin struct {
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	N          int     `json:"n"`
	Confidence Number  `json:"confidence"` // the mean confidence of the bin's rows; null for none
	Accuracy   Number  `json:"accuracy"`   // the share of the bin's rows that are right; null for none
}

// ClassScore holds the figures of one class. A ratio of 0 to 0 is null.
type ClassScore struct {
	N         int    `json:"n"`         // the number of rows that are labelled with the class
	Predicted int    `json:"predicted"` // the number of rows that the class is predicted for
	Precision Number `json:"precision"` // the share of Predicted that is right
	Recall    Number `json:"recall"`    // the share of N that is right
	F1        Number `json:"f1"`        // 2·right/(N + Predicted)
	NLL       Number `json:"nll"`       // the mean over the N rows
	PTrue     Number `json:"p_true"`    // the mean over the N rows of the class's probability
}

// Interval is the range of the middle 95 % of a figure over bootstrap samples.
type Interval struct {
	Low  Number `json:"low"`
	High Number `json:"high"`
}

// ScoreOptions say how a split is scored.
type ScoreOptions struct {
	Temperature float64 // the number that logits are divided by; 0 for the temperature of the batch
	Bins        int     // the number of bins of the calibration errors; 0 for 15
	Bootstrap   int     // the number of bootstrap samples for the intervals; 0 for no intervals
	Seed        uint64  // the seed of drawing bootstrap samples
}

// maxBootstrapRows bounds the memory of the intervals, which take 40 bytes a row. There are no intervals for more rows.
const maxBootstrapRows = 1 << 25

// ScoreOf scores labelled rows. It reads their logits twice, some rows at a time. The error is what summary.Batch.Check finds wrong, or that of
// ctx, whose end stops the work.
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
		return nil, err // the ranking was stopped before it had all rows
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

// defaultBins is the number of bins of the calibration errors where none is given.
const defaultBins = 15

// ScoreFrom returns the score of totals, which may have been merged from any number of parts. The figures have the same digits as if all rows had been
// counted at once.
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

// fill fills in the bins, the figures of classes and the confusion matrix.
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

// Value is one figure of a score: its name, which is its key in JSON, and its value.
type Value struct {
	Name  string
	Value Number
}

// Figures returns the figures of a score, in the order to print them.
func (s *Score) Figures() []Value {
	values := make([]Value, len(s.values))
	for i, v := range s.values {
		values[i] = Value{figures[i].Name, v}
	}
	return values
}

// Figure returns the figure of a score that has the name. It panics where Figures lists no such name: names are constants of the caller's, never data.
func (s *Score) Figure(name string) Number {
	for i, f := range figures {
		if f.Name == name {
			return s.values[i]
		}
	}
	panic("analysis: Score.Figure: there is no figure " + name)
}

// MarshalJSON implements json.Marshaler. Each figure has a key of its own.
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
	bins := bytes.Index(all, []byte(`"bins":`)) // the figures go before the first member that is no number
	return slices.Concat(all[:bins], b.Bytes(), all[bins:]), nil
}

// UnmarshalJSON implements json.Unmarshaler. A figure whose key is absent is NaN.
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

// evaluate computes every figure, and fills in why figures are null.
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
