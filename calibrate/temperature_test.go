package calibrate

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// meanNLL is the mean NLL of softmax(βz), by definition and in float64.
func meanNLL(z []float32, k int, labels []int32, beta float64) float64 {
	total, n := 0.0, 0
	for i, label := range labels {
		if label == loss.Ignored {
			continue
		}
		row := []float64{0, 0}[:0]
		if k == 1 {
			row = append(row, 0)
		}
		for _, v := range z[i*k : (i+1)*k] {
			row = append(row, float64(v))
		}
		largest, sum := math.Inf(-1), 0.0
		for _, v := range row {
			largest = max(largest, v)
		}
		for _, v := range row {
			sum += math.Exp(beta * (v - largest))
		}
		total += math.Log(sum) - beta*(row[label]-largest)
		n++
	}
	return total / float64(n)
}

// oracle is the β of the least NLL by golden-section search, which asks for no slope.
func oracle(z []float32, k int, labels []int32, low, high float64) float64 {
	const ratio = 0.6180339887498949
	a, b := math.Log(low), math.Log(high)
	for range 80 {
		c, d := b-ratio*(b-a), a+ratio*(b-a)
		if meanNLL(z, k, labels, math.Exp(c)) < meanNLL(z, k, labels, math.Exp(d)) {
			b = d
		} else {
			a = c
		}
	}
	return math.Exp((a + b) / 2)
}

// sample draws labels from softmax(z/trueT), so that trueT is near the best temperature.
func sample(rng *rand.Rand, n, k int, scale, trueT float64) (z []float32, labels []int32) {
	z, labels = make([]float32, n*k), make([]int32, n)
	for i := range labels {
		row := z[i*k : (i+1)*k]
		weights := make([]float64, max(k, 2))
		for j := range row {
			row[j] = float32(rng.NormFloat64() * scale)
		}
		total := 0.0
		for j := range weights {
			v := 0.0
			if k > 1 {
				v = float64(row[j])
			} else if j == 1 {
				v = float64(row[0])
			}
			weights[j] = math.Exp(v / trueT)
			total += weights[j]
		}
		u := rng.Float64() * total
		for j, w := range weights {
			if u -= w; u < 0 || j == len(weights)-1 {
				labels[i] = int32(j)
				break
			}
		}
	}
	return z, labels
}

// The fit is the optimum that a search without slopes finds; its NLL never exceeds that at T = 1, whatever the first guess.
func TestTemperatureIsTheOptimum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	most := 0
	for _, k := range []int{1, 2, 3, 10, 100} {
		for _, trueT := range []float64{0.05, 0.5, 1, 3, 40} {
			z, labels := sample(rng, 400, k, 2*trueT, trueT)
			fit := FitTemperature(z, k, labels)
			best := oracle(z, k, labels, 1e-3/trueT, 1e3/trueT)
			least := meanNLL(z, k, labels, best)
			if fit.Verdict != Converged || fit.N != 400 {
				t.Errorf("K = %d, T about %v: %+v", k, trueT, fit)
			}
			// The NLL is flat at its minimum: the optimum is known to the root of its rounding only.
			if !numtest.Near(fit.T*best, 1, 1e-4) || !(fit.NLLAfter <= least+1e-7) || !(fit.NLLAfter <= fit.NLLBefore) {
				t.Errorf("K = %d, T about %v: %+v, want T = %v, NLL %v", k, trueT, fit, 1/best, least)
			}
			if before := meanNLL(z, k, labels, 1); !numtest.Near(fit.NLLBefore, before, 1e-6) {
				t.Errorf("K = %d: NLL at T = 1 is %v, want %v", k, fit.NLLBefore, before)
			}
			most = max(most, fit.Passes)
			for _, guess := range []float64{fit.T, fit.T * 1.01, fit.T * 30, 1e-9, math.Inf(1), math.NaN()} {
				again := FitTemperatureFrom(guess, z, k, labels)
				if again.Verdict != Converged || !numtest.Near(again.T/fit.T, 1, 1e-4) {
					t.Errorf("K = %d, from %v: %+v, want %+v", k, guess, again, fit)
				}
			}
		}
	}
	t.Logf("at most %d passes", most)
	if most > 14 {
		t.Errorf("%d passes over the logits: the search does not close in", most)
	}
}

// A temperature has the unit of the logits.
func TestTemperatureScalesWithTheLogits(t *testing.T) {
	z, labels := sample(rand.New(rand.NewPCG(2, 1)), 300, 7, 3, 1.5)
	want := FitTemperature(z, 7, labels)
	for _, factor := range []float32{1e-6, 1e-3, 0.25, 16, 1e4, 1e9} {
		scaled := make([]float32, len(z))
		for i, v := range z {
			scaled[i] = v * factor
		}
		got := FitTemperature(scaled, 7, labels)
		if got.Verdict != Converged || !numtest.Near(got.T/float64(factor)/want.T, 1, 1e-4) || !numtest.Near(got.NLLAfter, want.NLLAfter, 1e-5) {
			t.Errorf("logits times %v: %+v, want T = %v, NLL %v", factor, got, want.T*float64(factor), want.NLLAfter)
		}
	}
}

// gpleiss/temperature_scaling fits T by L-BFGS on T itself, from 1.5. What its users report:
func TestTemperatureScalingIssues(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	// Issues 20 and 31: NLL or ECE after scaling above that before, on a confident network that is right most of the time.
	z, labels := sample(rng, 1000, 10, 1, 1)
	for i, label := range labels {
		z[i*10+int(label)] += 12
		if i%50 == 0 {
			labels[i] = int32((int(label) + 1) % 10)
		}
	}
	fit := FitTemperature(z, 10, labels)
	if fit.Verdict != Converged || !(fit.NLLAfter < fit.NLLBefore) {
		t.Errorf("a confident network: %+v", fit)
	}
	// Issue 29: T = 1386304. Logits that tell nothing of the labels, or the contrary: the best β is at or below 0.
	for name, sign := range map[string]float32{"chance": 0, "worse than chance": -1} {
		z, labels := sample(rng, 1000, 4, 2, 1)
		for i, label := range labels {
			for j := range 4 {
				z[i*4+j] *= sign
			}
			if sign == 0 {
				z[i*4+(int(label)+1)%4] = 3
			}
		}
		fit := FitTemperature(z, 4, labels)
		if fit.Verdict != AtBound || !(fit.T > 1) || math.IsInf(fit.T, 0) || !numtest.Near(fit.NLLAfter, math.Log(4), 1e-3) {
			t.Errorf("%s: %+v, want a bound and NLL log 4", name, fit)
		}
		if !strings.Contains(fit.String(), "no finite temperature") {
			t.Errorf("%s: %s", name, fit)
		}
	}
	// Issue 34: a negative T. β is positive by construction, from wherever the search begins.
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 4))
		z, labels := sample(rng, 1+rng.IntN(6), 2+rng.IntN(3), math.Exp(rng.NormFloat64()*4), math.Exp(rng.NormFloat64()*4))
		fit := FitTemperatureFrom(math.Exp(rng.NormFloat64()*9), z, len(z)/len(labels), labels)
		if !(fit.T > 0) || math.IsInf(fit.T, 0) || !(fit.NLLAfter <= fit.NLLBefore) {
			t.Errorf("seed %d: %+v", seed, fit)
		}
	}
}

func TestTemperatureVerdicts(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name    string
		z       []float32
		k       int
		labels  []int32
		verdict Verdict
		after   float64
		n, bad  int
	}{
		{"all right", []float32{3, 1, 0, 2}, 2, []int32{0, 1}, Separable, 0, 2, 0},
		{"right or tied", []float32{3, 3, 0, 2}, 2, []int32{0, 1}, Separable, math.Ln2 / 2, 2, 0},
		{"all wrong", []float32{3, 1, 0, 2}, 2, []int32{1, 0}, AtBound, math.Ln2, 2, 0},
		{"binary, all right", []float32{3, -1}, 1, []int32{1, 0}, Separable, 0, 2, 0},
		{"binary, all wrong", []float32{3, -1}, 1, []int32{0, 1}, AtBound, math.Ln2, 2, 0},
		{"two of three right", []float32{1, 1, -1}, 1, []int32{1, 0, 0}, Converged, (math.Log1p(0.5)*2 + math.Log(3)) / 3, 3, 0},
		{"uniform", []float32{2, 2, 5, 5}, 2, []int32{0, 1}, Converged, math.Ln2, 2, 0},
		{"one class", []float32{2, 5}, 1, []int32{loss.Ignored, loss.Ignored}, NoSamples, math.NaN(), 0, 0},
		{"none", nil, 3, nil, NoSamples, math.NaN(), 0, 0},
		{"undefined alone", []float32{nan, 1, inf, 0}, 2, []int32{0, 1}, NoSamples, math.NaN(), 0, 2},
		{"undefined too", []float32{nan, 1, 3, 1, 0, 2}, 2, []int32{0, 0, 1}, Separable, 0, 2, 1},
		{"label masked", []float32{-inf, 1, 3, 1, 0, 2}, 2, []int32{0, 0, 1}, Separable, math.Inf(1), 3, 0},
		// x = exp(β) solves x³ − x − 2 = 0.
		{"other masked", []float32{3, 1, -inf, 2, 1, -inf}, 3, []int32{0, 1}, Converged, 0.64195, 2, 0},
	} {
		fit := FitTemperature(c.z, c.k, c.labels)
		if fit.Verdict != c.verdict || fit.N != c.n || fit.Undefined != c.bad || !(fit.T > 0) || math.IsInf(fit.T, 0) {
			t.Errorf("%s: %+v, want %s of %d and %d", c.name, fit, c.verdict, c.n, c.bad)
		}
		if !numtest.Near(fit.NLLAfter, c.after, 2e-3) || fit.NLLAfter > fit.NLLBefore {
			t.Errorf("%s: NLL from %v to %v, want %v", c.name, fit.NLLBefore, fit.NLLAfter, c.after)
		}
	}
}

func TestTemperatureBadInput(t *testing.T) {
	numtest.Panics(t, "calibrate: FitTemperature: row 1: label 2 of 2 classes", func() {
		FitTemperature([]float32{1, 2, 3, 4}, 2, []int32{0, 2})
	})
	numtest.Panics(t, "calibrate: FitTemperature: 3 logits and 2 labels", func() { FitTemperature([]float32{1, 2, 3}, 2, []int32{0, 1}) })
}

// A search that is told what a pass at T = 1 added up ends where the search of the logits alone does, and needs a pass less; also where
// the least logits of the rows are not known, whose spread bounds the search. Of many rows a few say where to begin.
func TestTemperatureAfterAPass(t *testing.T) {
	for _, c := range []struct {
		name   string
		n, k   int
		trueT  float64
		labels func(z []float32, k int, labels []int32)
	}{
		{name: "few rows", n: 400, k: 20, trueT: 0.7},
		{name: "many rows", n: 9000, k: 20, trueT: 1.6},
		{name: "all right", n: 9000, k: 5, trueT: 1, labels: func(z []float32, k int, labels []int32) { logit.Argmax(labels, z, k) }},
		{name: "none has a label", n: 9000, k: 5, trueT: 1, labels: func(_ []float32, _ int, labels []int32) {
			for i := range labels {
				labels[i] = loss.Ignored
			}
		}},
	} {
		z, labels := sample(rand.New(rand.NewPCG(8, 1)), c.n, c.k, 2, c.trueT)
		if c.labels != nil {
			c.labels(z, c.k, labels)
		}
		b := summary.Batch{Logits: z, Labels: labels, Columns: c.k}
		want, err := FitTemperatureRows(t.Context(), b, c.k)
		if err != nil {
			t.Fatal(err)
		}
		for _, unknown := range []bool{false, true} {
			var sums Sums
			b.Stats(func(rows summary.Batch, stats []logit.RowStats) {
				for i := range stats {
					if unknown {
						stats[i].Least = math.NaN()
					}
				}
				sums.AddStats(rows, stats)
			})
			got, err := FitTemperatureAfter(t.Context(), &sums, b, c.k)
			if err != nil {
				t.Fatal(err)
			}
			if !(numtest.Near(got.T/want.T, 1, 1e-6) && (numtest.Near(got.NLLAfter, want.NLLAfter, 1e-9) || got.N == 0)) || got.Verdict != want.Verdict || got.N != want.N {
				t.Errorf("%s: %+v, want %+v", c.name, got, want)
			}
			most := want.Passes - 1
			if unknown && (c.n < 4096 || want.Verdict == Separable) { // the pass at T = 1 is the one that tells the spread
				most++
			}
			if got.Passes > most {
				t.Errorf("%s, least unknown %v: %d passes, want at most %d", c.name, unknown, got.Passes, most)
			}
			if c.name == "many rows" && got.Passes > 3 {
				t.Errorf("%d passes over many rows", got.Passes)
			}
		}
	}
}
