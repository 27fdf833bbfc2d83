package analysis_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/record"
)

// sure is a validation set of two classes, right of each eight samples right, each by a margin of gap. Its NLL is
// lowest where p of the class on top is right/8: at T = gap/log(right/(8 − right)), and is then the entropy of right/8.
type sure struct {
	right int
	gap   float64
}

func (s sure) ranking() float64 {
	p := float64(s.right) / 8
	return -p*math.Log(p) - (1-p)*math.Log(1-p)
}

func (s sure) nll() float64 {
	p := float64(s.right) / 8
	return p*math.Log1p(math.Exp(-s.gap)) + (1-p)*math.Log1p(math.Exp(s.gap))
}

func (s sure) temperature() float64 { return s.gap / math.Log(float64(s.right)/float64(8-s.right)) }

// validated records epochs of which the training NLL falls and validation is as given.
func validated(t *testing.T, epochs ...sure) *record.Run {
	t.Helper()
	const samples = 800
	val := record.Samples{Labels: make([]int32, samples)}
	for i := range samples {
		val.IDs = append(val.IDs, int64(i))
	}
	all := map[int]map[string][]float32{}
	for e, s := range epochs {
		var logits []float32
		for i := range samples {
			gap := float32(s.gap)
			if i%8 >= s.right {
				gap = -gap
			}
			logits = append(logits, gap, 0)
		}
		all[e+1] = map[string][]float32{"train": {float32(e + 1), 0}, "val": logits}
	}
	run, _ := runOf(t, twoClasses, map[string]record.Samples{"train": {IDs: []int64{0}, Labels: []int32{0}}, "val": val}, all)
	return run
}

func curvesOf(t *testing.T, run *record.Run) *analysis.Curves {
	t.Helper()
	c, err := analysis.New(run).Curves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDecompositionByHand(t *testing.T) {
	epochs := []sure{{6, 0.3}, {6, 4}, {7, 1}, {5, 9}}
	c := curvesOf(t, validated(t, epochs...))
	for i, want := range epochs {
		s := c.Epochs[i].Splits["val"]
		if p := s.Parts; !near6(p.Ranking, want.ranking()) || !near6(p.Scale, want.nll()-want.ranking()) ||
			!(math.Abs(float64(p.Temperature)/want.temperature()-1) <= 1e-4) || !near6(p.Scale+p.Ranking, float64(s.NLL)) || p.Verdict != calibrate.Converged {
			t.Errorf("epoch %d: %+v; want ranking %v, scale %v, T* %v", i+1, *p, want.ranking(), want.nll()-want.ranking(), want.temperature())
		}
		// The one training sample is right: its NLL is all scale, and no finite temperature is best.
		s = c.Epochs[i].Splits["train"]
		if p := s.Parts; p.Verdict != calibrate.Separable || !math.IsNaN(float64(p.Temperature)) || !near6(p.Ranking, 0) || !near6(p.Scale, float64(s.NLL)) {
			t.Errorf("epoch %d, train: %+v of %v", i+1, *p, s.NLL)
		}
	}
}

func TestRise(t *testing.T) {
	for says, epochs := range map[string][]sure{
		"the network got too sure, not worse":  {{6, 0.5}, {6, 1}, {6, 3}, {6, 6}},
		"the network got too sure, and better": {{6, 0.5}, {6, 1}, {6, 3}, {7, 8}},
		"0.000): the network got worse":        {{7, 0.5}, {7, math.Log(7)}, {6, math.Log(3)}, {5, math.Log(5. / 3)}},
		"while scale fell by 0.0":              {{7, 0.1}, {7, 0.9}, {6, 0.9}, {5, math.Log(5. / 3)}},
		"both too sure and worse":              {{7, 0.5}, {7, math.Log(7)}, {6, 2}, {5, 2}},
	} {
		c := curvesOf(t, validated(t, epochs...))
		r := c.Rise
		if r == nil || r.From != 2 || r.To != 4 || !strings.Contains(r.Sentence, says) {
			t.Errorf("%v: %+v, want %q", epochs, r, says)
			continue
		}
		last, best := epochs[3], epochs[1]
		if !near6(r.Ranking, last.ranking()-best.ranking()) || !near6(r.NLL, last.nll()-best.nll()) || !near6(r.Scale+r.Ranking, float64(r.NLL)) {
			t.Errorf("%v: %+v", epochs, r)
		}
		if better := last.ranking() < best.ranking(); better != (r.BestRanking == 4) {
			t.Errorf("%v: the best ranking is at epoch %d", epochs, r.BestRanking)
		}
	}
	for name, epochs := range map[string][]sure{
		"falling":         {{6, 0.1}, {6, 0.3}, {6, 0.5}, {6, 1}},
		"all right":       {{8, 1}, {8, 2}, {8, 3}},
		"hardly rising":   {{6, 0.1}, {6, 1}, {6, 1.2}},
		"no epoch":        {},
		"falling to zero": {{8, 1}, {8, 20}, {8, 30}},
	} {
		c := curvesOf(t, validated(t, epochs...))
		raw, err := json.Marshal(c)
		if c.Rise != nil || err != nil || !strings.Contains(string(raw), `"rise":null`) {
			t.Errorf("%s: %+v, %v", name, c.Rise, err)
		}
	}
}

// Where no finite temperature is best it is null, and where the NLL is infinite so are its parts.
func TestDecompositionWithoutTemperature(t *testing.T) {
	run, _ := recorded(t, certain(1, 2), [2][]float32{make([]float32, 9), {-inf, 0, 0, 0, 1, 0}}, [2][]float32{make([]float32, 9), {nan, 0, 0, nan, 0, 0}})
	c := curvesOf(t, run)
	for i, want := range []string{
		`"parts":{"temperature":null,"scale":0.2`, `"parts":{"temperature":null,"scale":null,"ranking":null,"verdict"`,
		`"parts":{"temperature":null,"scale":null,"ranking":null,"verdict":"no_samples"`,
	} {
		raw, err := json.Marshal(c.Epochs[i].Splits["val"])
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("epoch %d: %s, %v; want %s", i+1, raw, err, want)
		}
	}
}
