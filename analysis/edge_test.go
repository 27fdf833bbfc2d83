package analysis_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

// A binary head's one logit is read as the two [0, z].
func TestBinaryHead(t *testing.T) {
	run, _ := runOf(t, record.Manifest{Classes: []string{"no", "yes"}, Head: record.HeadBinary, Columns: 1},
		map[string]record.Samples{"train": {IDs: []int64{1, 2}, Labels: []int32{1, 0}}},
		map[int]map[string][]float32{1: {"train": {log2, log2}}})
	a := analysis.New(run)
	e, err := a.Explain(t.Context(), 1, "train", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	// p of class 1 is 2/3.
	if len(e.Z) != 2 || e.Z[0] != 0 || !near(e.Softmax[1], 2./3) || !near(e.Gradient[1], -1./3) || e.Argmax != 1 || e.Rank != 1 {
		t.Errorf("explanation %+v", e)
	}
	c, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Epochs[0].Splits["train"]; s.N != 2 || !near(s.PTrue, 0.5) || !near(s.Accuracy, 0.5) || !near(s.ZTrue, float64(log2)/2) {
		t.Errorf("scores %+v", s)
	}
	g, err := a.Graphs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Quantities[1].Splits["train"]; d.True.N != 2 || d.Other.N != 2 || !near(d.Other.Mean, 0.5) {
		t.Errorf("softmax %+v", d)
	}
	if c.Story.Kind != analysis.Unvalidated {
		t.Errorf("story %+v", c.Story)
	}
}

// Splits without samples, or without a labelled one, have null figures and empty graphs.
func TestNothingToCount(t *testing.T) {
	run, _ := runOf(t, record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2},
		map[string]record.Samples{"train": {IDs: []int64{1}, Labels: []int32{record.Ignored}}, "val": {IDs: []int64{}, Labels: []int32{}}},
		map[int]map[string][]float32{1: {"train": {1, 2}, "val": {}}})
	a := analysis.New(run)
	c, err := a.Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(c)
	if err != nil || strings.Count(string(raw), `"n":0,"nll":null,"accuracy":null`) != 2 || !strings.Contains(c.Story.Sentence, "No epoch has labelled") {
		t.Errorf("curves %s, %v", raw, err)
	}
	g, err := a.Graphs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(g); err != nil || strings.Contains(string(raw), `"mean":0`) {
		t.Errorf("graphs %s, %v", raw, err)
	}
	if h, err := a.Hardest(t.Context(), 1, "val", 5); err != nil || h.Samples == nil || len(h.Samples) != 0 {
		t.Errorf("hardest %+v, %v", h, err)
	}
	var missing *analysis.NotFoundError
	if _, err := a.Explain(t.Context(), 1, "val", 1, 1); !errors.As(err, &missing) || !strings.Contains(err.Error(), "it has none") {
		t.Errorf("a sample of an empty split: %v", err)
	}
	e, err := a.Explain(t.Context(), 1, "train", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(e); err != nil || !strings.Contains(string(raw), `"nll":null,"gradient":[0,0]`) || e.Rank != 0 || !strings.Contains(e.Note, "no label") {
		t.Errorf("a sample without a label: %s, %v", raw, err)
	}
}

// A mapped file that is cut short while it is read is that epoch's damage, not the end of the process.
func TestFileCutWhileRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	run, dir := recorded(t, even(), even())
	a := analysis.New(run)
	sum := float32(0)
	err := a.Read(t.Context(), 1, "val", func(s *analysis.Split) error {
		logits := s.At(0, s.Len()).Logits
		if err := os.Truncate(filepath.Join(dir, "epochs", "000001", "val.arrow"), 0); err != nil {
			t.Fatal(err)
		}
		for _, z := range logits {
			sum += z
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "epoch 1, split val") {
		t.Errorf("error %v, sum %v", err, sum)
	}
	if _, err := a.Graphs(t.Context(), 2); err != nil {
		t.Errorf("the other epoch: %v", err)
	}
	defer func() {
		if recover() != "ours" {
			t.Error("a panic of the caller's own is taken for a fault")
		}
	}()
	_ = a.Read(t.Context(), 2, "val", func(*analysis.Split) error { panic("ours") })
}

// Many ask at once, and all are told the same.
func TestAskedAtOnce(t *testing.T) {
	run, _ := recorded(t, even(), certain(1, 1), certain(2, 2), certain(3, 1))
	a := analysis.New(run)
	answers := make([]string, 16)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			c, err := a.Curves(t.Context())
			g, err2 := a.Graphs(t.Context(), 3)
			raw, err3 := json.Marshal([]any{c, g})
			if err := errors.Join(err, err2, err3); err != nil {
				t.Error(err)
			}
			answers[i] = string(raw)
		})
	}
	wait.Wait()
	for i := range answers {
		if answers[i] != answers[0] {
			t.Errorf("answer %d differs: %s\n%s", i, answers[i], answers[0])
		}
	}
}

// TestExplainRefusesTemperatures holds that a temperature that logits cannot be divided by is an error of Explain.
func TestExplainRefusesTemperatures(t *testing.T) {
	a := analysis.Of(analysis.Arrays([]float32{1, 2}, 2, []int32{0}, []string{"a", "b"}))
	for _, temperature := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := a.Explain(t.Context(), 1, record.ValSplit, 0, temperature); err == nil {
			t.Errorf("temperature %v is taken", temperature)
		}
	}
	if _, err := a.Explain(t.Context(), 1, record.ValSplit, 0, 2); err != nil {
		t.Error(err)
	}
}
