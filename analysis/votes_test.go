package analysis

import (
	"fmt"
	"math"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/summary"
)

// Shares of votes, k of n, are in the bins that fractions say, and their ties are ties, whether they were given in float64 or float32, as p,
// as log p, as one column, or as 1 less the other: tools/oracle/votes.py.
func TestVotesAreFractions(t *testing.T) {
	var golden struct {
		Cases []struct {
			Votes, K, Bins int
			Counts         []int
			Labels         []int32
			InBins         []int `json:"in_bins"`
			Expected       map[string]float64
		}
	}
	numtest.ReadGolden(t, "testdata/votes.json.gz", &golden)
	if len(golden.Cases) < 90 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		n, float32Slack := float64(c.Votes), Rounding(23)
		p, complement := make([]float64, len(c.Counts)), make([]float64, len(c.Counts))
		var one []float64
		for i, count := range c.Counts {
			p[i] = float64(count) / n
			if complement[i] = p[i]; i%c.K == 1 {
				one = append(one, p[i])
				complement[i-1] = 1 - p[i]
			}
		}
		of := func(f func(float64) float64, values []float64) []float64 {
			out := make([]float64, len(values))
			for i, v := range values {
				out[i] = f(v)
			}
			return out
		}
		single := func(v float64) float64 { return float64(float32(v)) }
		type form struct {
			name    string
			values  []float64
			scale   Scale
			columns int
			slack   float64
			within  float64
		}
		forms := []form{
			{"float64", p, Probs, c.K, 0, 1e-12},
			{"float32", of(single, p), Probs, c.K, float32Slack, 2e-7},
			{"log p", of(math.Log, p), LogProbs, c.K, 0, 1e-12},
			{"log p in float32", of(single, of(math.Log, p)), LogProbs, c.K, float32Slack, 1e-6},
		}
		if c.K == 2 {
			forms = append(
				forms,
				form{"1 less the other", complement, Probs, 2, 0, 1e-12},
				form{"one column", one, Probs, 1, 0, 1e-12},
				form{"one column in float32", of(single, one), Probs, 1, float32Slack, 2e-7},
			)
		}
		for _, form := range forms {
			name := fmt.Sprintf("%d votes of %d, %d bins, %s", c.Votes, c.K, c.Bins, form.name)
			b, note, err := AsLogits(summary.Batch{Wide: form.values, Labels: c.Labels, Columns: form.columns, Slack: form.slack}, form.scale)
			if err != nil || note != "" {
				t.Errorf("%s: %v, %s", name, err, note)
				continue
			}
			s := scoreOf(t, b, ScoreOptions{Bins: c.Bins})
			got := map[string]Number{}
			for _, f := range s.Figures() {
				got[f.Name] = f.Value
			}
			for figure, want := range c.Expected {
				if !numtest.Near(float64(got[figure]), want, form.within) {
					t.Errorf("%s: %s is %v, want %v", name, figure, got[figure], want)
				}
			}
			for i, want := range c.InBins {
				if s.Bins[i].N != want {
					t.Errorf("%s: %d rows in (%v, %v], want %d", name, s.Bins[i].N, s.Bins[i].Low, s.Bins[i].High, want)
				}
			}
		}
	}
}
