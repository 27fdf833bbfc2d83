package plot_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/plot"
	"github.com/logitscope/logitscope/summary"
	"github.com/logitscope/logitscope/train"
)

// svg draws a picture and checks that it is XML without a number that is none.
func svg(t *testing.T, p *plot.Picture) string {
	t.Helper()
	raw, err := p.SVG()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(raw)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	if strings.Contains(string(raw), "NaN") || strings.Contains(string(raw), "Inf") {
		t.Error("the picture holds what is no number")
	}
	return string(raw)
}

// scored is a score of k classes, names and all.
func scored(k int) plot.Scored {
	b := summary.Batch{Columns: k}
	for i := range 3 * k {
		for j := range k {
			b.Logits = append(b.Logits, float32((i*7+j*3)%5))
		}
		b.Labels = append(b.Labels, int32(i%k))
	}
	score, err := analysis.ScoreOf(context.Background(), b, analysis.ScoreOptions{})
	if err != nil {
		panic(err)
	}
	s := plot.Scored{Run: "run", Split: "val", Epoch: 3, Score: score}
	for j := range k {
		s.Classes = append(s.Classes, fmt.Sprintf("<b>class & %d</b>", j))
	}
	return s
}

func TestKinds(t *testing.T) {
	for _, k := range []int{2, 10, 60} {
		s := scored(k)
		confusion, err := plot.Confusion(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			picture *plot.Picture
			want    string
		}{
			{plot.Reliability([]plot.Scored{s, s}), "Reliability: run, validation, epoch 3"},
			{confusion, "Confusion: run, validation, epoch 3"},
			{plot.Classes(s), "Classes: run, validation, epoch 3"},
		} {
			if drawn := svg(t, c.picture); !strings.Contains(drawn, c.want) || strings.Contains(drawn, "<b>") {
				t.Errorf("%d classes: the picture does not say %q, or a class's name became markup", k, c.want)
			}
		}
	}
	s := scored(3)
	s.Confusion = nil
	if _, err := plot.Confusion(s); err == nil {
		t.Error("no confusion counted: no error")
	}
}

func TestMapAndCurves(t *testing.T) {
	clean := int32(1)
	d := &dynamics.Dynamics{Run: "run", Split: "train", Epochs: []int{1, 2}, Samples: []dynamics.Sample{
		{TraceFigures: analysis.TraceFigures{Confidence: 0.9, Variability: 0.1, Correctness: 1}},
		{CleanLabel: &clean, TraceFigures: analysis.TraceFigures{Confidence: 0.1, Variability: 0.5}},
		{TraceFigures: analysis.TraceFigures{Confidence: analysis.Number(math.NaN()), Variability: analysis.Number(math.NaN()), Correctness: analysis.Number(math.NaN())}},
	}}
	if drawn := svg(t, plot.Map(d)); !strings.Contains(drawn, "Data map: run, training, 3 samples, epochs 1 to 2") || !strings.Contains(drawn, "known to be wrong: 1") {
		t.Error("the map does not say what it shows")
	}
	for _, n := range []int{0, 1, 40} {
		c := &analysis.Curves{Run: "run", Story: analysis.Story{BestEpoch: min(n, 7), Mark: "overfits from 7"}}
		for e := range n {
			split := map[string]analysis.SplitScores{"train": {N: 1, NLL: analysis.Number(1 / float64(e+1))}, "val": {N: 1, NLL: analysis.Number(math.Inf(1))}}
			c.Epochs = append(c.Epochs, analysis.EpochScores{Epoch: e + 1, Splits: split})
		}
		if drawn := svg(t, plot.Curves(c)); n == 40 && !strings.Contains(drawn, "overfits from 7") {
			t.Error("the onset is not marked")
		}
	}
}

// The rate suggested is marked and named; a loss that blows up, or nothing at all, is drawn too.
func TestRates(t *testing.T) {
	r := &train.RateRange{Suggested: 0.01}
	for i := range 60 {
		loss := 2.3 - 2/(1+math.Exp(-float64(i-30)/4))
		if i == 59 {
			loss = math.Inf(1)
		}
		r.Rates, r.Losses, r.Smoothed = append(r.Rates, math.Pow(10, float64(i)/10-5)), append(r.Losses, loss), append(r.Smoothed, min(loss, 1e300))
	}
	if drawn := svg(t, plot.Rates("digits", r)); !strings.Contains(drawn, "Learning rate: digits, 60 steps") || !strings.Contains(drawn, "falls fastest: 0.01") || !strings.Contains(drawn, ">0.001<") {
		t.Error("the picture does not say what it shows")
	}
	for _, r := range []*train.RateRange{{}, {Rates: []float64{0.1}, Losses: []float64{1}, Smoothed: []float64{1}}} {
		if drawn := svg(t, plot.Rates("none", r)); strings.Contains(drawn, "falls fastest") {
			t.Error("a rate is marked that is none")
		}
	}
}
