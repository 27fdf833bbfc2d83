package analysis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// logitsAlone is a run that is asked as if it kept no statistics.
type logitsAlone struct{ analysis.Source }

// counted counts how often logits are opened.
type counted struct {
	analysis.Source
	analysis.StatsKeeper
	logits atomic.Int32
}

func (c *counted) Rows(ctx context.Context, epoch int, split string) (analysis.Rows, error) {
	c.logits.Add(1)
	return c.Source.Rows(ctx, epoch, split)
}

// statsAlone is a run that keeps statistics of its rows and no logits.
type statsAlone struct {
	analysis.Source
	analysis.StatsKeeper
}

func (s statsAlone) Stats(ctx context.Context, epoch int, split string) (analysis.Rows, error) {
	rows, err := s.StatsKeeper.Stats(ctx, epoch, split)
	return sparse{rows}, err
}

func (s statsAlone) Rows(ctx context.Context, epoch int, split string) (analysis.Rows, error) {
	return s.Stats(ctx, epoch, split)
}

type sparse struct{ analysis.Rows }

func (r sparse) Info() record.RowsInfo {
	info := r.Rows.Info()
	info.Dense = false
	return info
}

// wideRun records epochs of 20 classes, which keep statistics beside their logits. values turns logits into what is recorded. Some rows have no
// label and the last epoch has some of the rows only, in parts. Where values is nil these are logits, one of whose rows has no softmax, and
// another a masked class.
func wideRun(t *testing.T, seed uint64, values func(z []float64)) analysis.Source {
	t.Helper()
	const n, k = 700, 20
	rng := rand.New(rand.NewPCG(seed, 14))
	m := record.Manifest{FormatVersion: 3, Name: "wide", Head: record.HeadSoftmax, Columns: k}
	for j := range k {
		m.Classes = append(m.Classes, fmt.Sprint(j))
	}
	samples := map[string]record.Samples{}
	for _, split := range []string{record.TrainSplit, record.ValSplit} {
		s := record.Samples{}
		for i := range n {
			s.IDs, s.Labels = append(s.IDs, int64(3*i)), append(s.Labels, int32(rng.IntN(k)))
		}
		s.Labels[5], s.Labels[600] = record.Ignored, record.Ignored
		samples[split] = s
	}
	run, _ := runtest.Write(t, m, samples, func(w *record.Writer) error {
		for epoch := 1; epoch <= 4; epoch++ {
			for _, split := range []string{record.TrainSplit, record.ValSplit} {
				s := samples[split]
				part := record.Part{}
				for i, id := range s.IDs {
					row := make([]float64, k)
					for j := range row {
						row[j] = rng.NormFloat64() * float64(epoch)
					}
					if s.Labels[i] >= 0 && rng.Float64() < 0.8 {
						row[s.Labels[i]] += 2 * float64(epoch)
					}
					switch {
					case values != nil:
						values(row)
					case i == 9 && epoch == 2:
						row[3] = math.NaN()
					case i == 11 && epoch == 2:
						row[(s.Labels[i]+1)%k] = math.Inf(-1)
					}
					if epoch == 4 && i%7 == 0 {
						continue
					}
					part.IDs = append(part.IDs, id)
					for _, z := range row {
						part.Logits = append(part.Logits, float32(z))
					}
					if i == 300 {
						if err := w.AppendPart(epoch, split, part); err != nil {
							return err
						}
						part = record.Part{}
					}
				}
				if err := w.AppendPart(epoch, split, part); err != nil {
					return err
				}
			}
			if err := w.Commit(epoch, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for _, info := range must(run.Epoch(1)) {
		if !info.Stats || !info.Dense {
			t.Fatalf("%+v: want statistics and logits", info)
		}
	}
	return analysis.New(run).Source()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// printed is an answer with its numbers to the five digits that a table shows at most.
func printed(t *testing.T, answer any) any {
	t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// sameToDigits returns where two answers differ by more than what is printed: half a unit of the fifth digit.
func sameToDigits(path string, a, b any) []string {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return []string{path}
		}
		var differ []string
		for _, key := range slices.Sorted(maps.Keys(x)) {
			differ = append(differ, sameToDigits(path+"."+key, x[key], y[key])...)
		}
		return differ
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return []string{path}
		}
		var differ []string
		for i := range x {
			differ = append(differ, sameToDigits(fmt.Sprintf("%s[%d]", path, i), x[i], y[i])...)
		}
		return differ
	case float64:
		if y, ok := b.(float64); ok && math.Abs(x-y) <= 5e-6*max(1, math.Abs(x)) {
			return nil
		}
	default:
		if reflect.DeepEqual(a, b) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %v and %v", path, a, b)}
}

var recordedValues = map[string]func(z []float64){
	"logits": nil,
	"small logits": func(z []float64) {
		for j := range z {
			z[j] /= 20
		}
	},
	"logits of one size": func(z []float64) {
		for j := range z {
			z[j] = math.Tanh(z[j]) / 2
		}
	},
	"probabilities":     softmax,
	"log-probabilities": func(z []float64) { softmax(z); each(z, math.Log) },
	"sigmoids":          func(z []float64) { each(z, func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }) },
}

func each(z []float64, f func(float64) float64) {
	for j := range z {
		z[j] = f(z[j])
	}
}

func softmax(z []float64) {
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(v)
	}
	each(z, func(v float64) float64 { return math.Exp(v) / sum })
}

// What is made of kept statistics is what the same logits without them say, to the digits that are printed: curves with their story, the
// history of a sample and its dynamics, the hardest samples, the traits that findings rest on, and the graphs.
func TestKeptStatisticsAnswerAsLogits(t *testing.T) {
	for name, values := range recordedValues {
		t.Run(name, func(t *testing.T) {
			source := wideRun(t, 1, values)
			if told := must(analysis.Of(source).Curves(t.Context())).Story; (told.Kind == analysis.NotLogits) != (name == "probabilities") {
				t.Errorf("the story of %s is of kind %s: %s", name, told.Kind, told.Sentence)
			}
			questions := map[string]func(a *analysis.Analyzer) (any, error){
				"curves":   func(a *analysis.Analyzer) (any, error) { return a.Curves(t.Context()) },
				"explain":  func(a *analysis.Analyzer) (any, error) { return a.Explain(t.Context(), 3, record.ValSplit, 9, 1) },
				"no label": func(a *analysis.Analyzer) (any, error) { return a.Explain(t.Context(), 3, record.ValSplit, 15, 1) },
				"hardest":  func(a *analysis.Analyzer) (any, error) { return a.Hardest(t.Context(), 2, record.TrainSplit, 40) },
				"graphs":   func(a *analysis.Analyzer) (any, error) { return a.Graphs(t.Context(), 4) },
				"traits": func(a *analysis.Analyzer) (any, error) {
					_, moments, err := a.Timeline(t.Context())
					for i := range moments {
						for _, s := range []*analysis.Traits{&moments[i].Train, &moments[i].Val} {
							if math.IsNaN(s.NLLSpread) { // JSON has no NaN
								s.NLLSpread = -1
							}
						}
					}
					return moments, err
				},
			}
			for question, ask := range questions {
				kept, err := ask(analysis.Of(source))
				if err != nil {
					t.Fatalf("%s: %v", question, err)
				}
				read, err := ask(analysis.Of(logitsAlone{source}))
				if err != nil {
					t.Fatalf("%s: %v", question, err)
				}
				for _, differs := range sameToDigits(question, printed(t, kept), printed(t, read)) {
					t.Error(differs)
				}
				// An Analyzer that was asked for its curves before says the same.
				a := analysis.Of(source)
				if _, err := a.Curves(t.Context()); err != nil {
					t.Fatal(err)
				}
				if again := must(ask(a)); !reflect.DeepEqual(printed(t, again), printed(t, kept)) {
					t.Errorf("%s: another answer behind the curves", question)
				}
			}
		})
	}
}

// Where statistics are kept no logits are opened but those that the question needs.
func TestKeptStatisticsReadNoLogits(t *testing.T) {
	source := wideRun(t, 2, recordedValues["logits"])
	c := &counted{Source: source, StatsKeeper: source.(analysis.StatsKeeper)}
	a := analysis.Of(c)
	for _, question := range []struct {
		name  string
		ask   func() error
		opens int32
	}{
		{"hardest", func() error { _, err := a.Hardest(t.Context(), 2, record.ValSplit, 3); return err }, 0},
		{"early", func() error {
			_, err := a.Early(t.Context(), source.Epochs(), record.ValSplit, &analysis.Lacking{})
			return err
		}, 0},
		{"explain", func() error { _, err := a.Explain(t.Context(), 3, record.ValSplit, 9, 1); return err }, 1}, // the sample and its neighbours
		{"curves", func() error { _, err := a.Curves(t.Context()); return err }, 8},                             // the search for T* of each epoch and split
		{"curves again", func() error { _, err := a.Curves(t.Context()); return err }, 0},
		{"timeline", func() error { _, _, err := a.Timeline(t.Context()); return err }, 8}, // what statistics do not tell
		{"graphs", func() error { _, err := a.Graphs(t.Context(), 1); return err }, 2},
	} {
		c.logits.Store(0)
		if err := question.ask(); err != nil || c.logits.Load() != question.opens {
			t.Errorf("%s: logits were opened %d times, want %d; %v", question.name, c.logits.Load(), question.opens, err)
		}
	}
}

// A run that keeps statistics and no logits answers what these tell. A question that needs the logits says so in one error.
func TestStatisticsWithoutLogits(t *testing.T) {
	source := wideRun(t, 3, recordedValues["logits"])
	a := analysis.Of(statsAlone{source, source.(analysis.StatsKeeper)})
	curves, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := must(analysis.Of(source).Curves(t.Context()))
	for i := range want.Epochs { // T* is of the logits
		for split, s := range want.Epochs[i].Splits {
			s.Parts = nil
			want.Epochs[i].Splits[split] = s
		}
	}
	want.Rise = nil
	if !reflect.DeepEqual(printed(t, curves), printed(t, want)) {
		t.Errorf("curves %+v, want %+v", curves, want)
	}
	if _, err := a.Hardest(t.Context(), 2, record.ValSplit, 3); err != nil {
		t.Error(err)
	}
	if _, err := a.Early(t.Context(), source.Epochs(), record.ValSplit, &analysis.Lacking{}); err != nil {
		t.Error(err)
	}
	for question, ask := range map[string]func() error{
		"explain":  func() error { _, err := a.Explain(t.Context(), 3, record.ValSplit, 9, 1); return err },
		"score":    func() error { _, err := a.Score(t.Context(), 3, record.ValSplit, analysis.ScoreOptions{}); return err },
		"graphs":   func() error { _, err := a.Graphs(t.Context(), 3); return err },
		"timeline": func() error { _, _, err := a.Timeline(t.Context()); return err },
	} {
		var notKept *record.NotKeptError
		if err := ask(); !errors.As(err, &notKept) || notKept.What != record.KeptLogits || !strings.Contains(err.Error(), "does not keep all logits") {
			t.Errorf("%s: %v, want an error that names what is not kept", question, err)
		}
	}
}

// A context that ends while statistics are read stops the question, with its error.
func TestReadingStatisticsStops(t *testing.T) {
	source := wideRun(t, 4, recordedValues["logits"])
	for question, ask := range map[string]func(context.Context, *analysis.Analyzer) error{
		"curves": func(ctx context.Context, a *analysis.Analyzer) error { _, err := a.Curves(ctx); return err },
		"hardest": func(ctx context.Context, a *analysis.Analyzer) error {
			_, err := a.Hardest(ctx, 2, "val", 3)
			return err
		},
		"explain": func(ctx context.Context, a *analysis.Analyzer) error {
			_, err := a.Explain(ctx, 2, "val", 9, 1)
			return err
		},
		"early": func(ctx context.Context, a *analysis.Analyzer) error {
			_, err := a.Early(ctx, source.Epochs(), "val", &analysis.Lacking{})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := ask(ctx, analysis.Of(ends{source, source.(analysis.StatsKeeper), cancel}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want that of the context", question, err)
		}
		cancel()
	}
}

// ends is a run whose context ends once some of its statistics are read.
type ends struct {
	analysis.Source
	keeper analysis.StatsKeeper
	cancel func()
}

func (e ends) Stats(ctx context.Context, epoch int, split string) (analysis.Rows, error) {
	rows, err := e.keeper.Stats(ctx, epoch, split)
	return endingRows{rows, e.cancel}, err
}

type endingRows struct {
	analysis.Rows
	cancel func()
}

func (r endingRows) At(first, n int) record.Block {
	r.cancel()
	return r.Rows.At(first, n)
}

// A split in parts, some of whose samples have no row, is scored as its rows side by side in memory are, to the bit.
func TestScoreOfParts(t *testing.T) {
	a := analysis.Of(wideRun(t, 5, nil))
	options := analysis.ScoreOptions{Temperature: 1.5, Bootstrap: 10, Seed: 1}
	for epoch := 1; epoch <= 4; epoch++ {
		got := must(a.Score(t.Context(), epoch, record.ValSplit, options))
		err := a.ReadDecisions(t.Context(), epoch, record.ValSplit, func(d analysis.Decisions) error {
			want, err := analysis.ScoreOf(t.Context(), d.Part(0, d.Len()), options)
			if err == nil && !reflect.DeepEqual(printed(t, got), printed(t, want)) {
				t.Errorf("epoch %d: %+v, want %+v", epoch, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
