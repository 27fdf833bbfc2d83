package calibrate

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// Temperature and vector scaling end where SciPy's searches do; Platt's and isotonic calibration are scikit-learn's:
// tools/oracle/calibrate.py.
func TestFitIsScikitLearns(t *testing.T) {
	var golden struct {
		Cases []struct {
			Name        string
			Columns     int
			Logits      []float32
			Labels      []int32
			NLL         float64
			Temperature float64
			VectorNLL   *float64 `json:"vector_nll"`
			Platt       [][2]float64
			Isotonic    [][]float64
		}
	}
	numtest.ReadGolden(t, "testdata/sklearn.json", &golden)
	if len(golden.Cases) < 4 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		b := summary.Batch{Logits: c.Logits, Labels: c.Labels, Columns: c.Columns}
		fitted := map[Method]*Calibrator{}
		for _, method := range Methods {
			if method == ByVector && c.Columns == 1 {
				continue
			}
			var err error
			if fitted[method], err = Fit(t.Context(), b, method, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := fitted[ByTemperature]; !numtest.Near(got.Temperature, c.Temperature, 1e-5) || !numtest.Near(got.Fit.NLLBefore, c.NLL, 1e-6) {
			t.Errorf("%s: T = %v from NLL %v, want %v, %v", c.Name, got.Temperature, got.Fit.NLLBefore, c.Temperature, c.NLL)
		}
		if got := fitted[ByVector]; c.VectorNLL != nil && (!numtest.Near(got.Fit.NLLAfter, *c.VectorNLL, 1e-5) || got.Fit.Verdict != Converged) {
			t.Errorf("%s: vector scaling ends at NLL %v, %s, want %v", c.Name, got.Fit.NLLAfter, got.Fit.Verdict, *c.VectorNLL)
		}
		for j, want := range c.Platt {
			if got := fitted[ByPlatt]; !numtest.Near(got.Weights[j], want[0], 1e-4) || !numtest.Near(got.Biases[j], want[1], 1e-4) {
				t.Errorf("%s: Platt's sigmoid %d is %v, %v, want %v", c.Name, j, got.Weights[j], got.Biases[j], want)
			}
		}
		z, odds := make([]float64, c.Columns), make([]float64, c.Columns)
		for i := range c.Labels {
			b.Row(z, i)
			logOdds(odds, z)
			for j, want := range c.Isotonic {
				column := j
				if len(c.Isotonic) == 1 {
					column = c.Columns - 1
				}
				if got := fitted[ByIsotonic].curveAt(j, odds[column]); !numtest.Near(got, want[i], 1e-9) {
					t.Errorf("%s: isotonic curve %d at row %d is %v, want %v", c.Name, j, i, got, want[i])
				}
			}
		}
	}
}

// An over-confident network, 3 times too sure, is mended by every method, on rows that it was not fitted on; auto takes the one
// with the lowest held-out NLL. A calibrator does the same once it was written and read.
func TestEveryMethodCalibrates(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for _, k := range []int{1, 2, 4} {
		z, labels := sample(rng, 3000, k, 6, 3)
		b := summary.Batch{Logits: z, Labels: labels, Columns: k}
		fresh, freshLabels := sample(rng, 3000, k, 6, 3)
		test := summary.Batch{Logits: fresh, Labels: freshLabels, Columns: k}
		var raw *Calibrator
		before := raw.figuresOf(t.Context(), test, 15)
		for _, method := range Methods {
			if method == ByVector && k == 1 {
				continue
			}
			c, err := Fit(t.Context(), b, method, Options{})
			if err != nil {
				t.Fatal(err)
			}
			after := c.figuresOf(t.Context(), test, 15)
			if !(after.ece < before.ece/2) || !(after.nll < before.nll) {
				t.Errorf("K = %d, %s: NLL %v → %v, ECE %v → %v", k, method, before.nll, after.nll, before.ece, after.ece)
			}
			held := c.Fit.HeldOut
			if held.Folds != 5 || !(math.Abs(float64(held.NLLAfter)-after.nll) < 0.05) || !numtest.Near(float64(held.NLLBefore), c.Fit.NLLBefore, 1e-6) {
				t.Errorf("K = %d, %s: held out %+v, on new rows %v", k, method, held, after.nll)
			}
			path := filepath.Join(t.TempDir(), "calibration.json")
			if err := c.Save(path); err != nil {
				t.Fatal(err)
			}
			again, err := Load(path)
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("K = %d, %s: read as %+v, %v", k, method, again, err)
			}
		}
		best, err := FitBest(t.Context(), b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tried := range best.Fit.Tried {
			if !(best.Fit.HeldOut.NLLAfter <= tried.NLL) {
				t.Errorf("K = %d: auto took %s at %v, though %+v", k, best.Method, best.Fit.HeldOut.NLLAfter, tried)
			}
		}
		if len(best.Fit.Tried) < 4 {
			t.Errorf("K = %d: tried %v", k, best.Fit.Tried)
		}
	}
}

// What Apply writes are logits: rows without a softmax stay so, masked classes stay masked, equal logits stay equal.
func TestApplyKeepsWhatIsUndefined(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	rng := rand.New(rand.NewPCG(6, 1))
	for _, k := range []int{1, 2, 3} {
		z, labels := sample(rng, 200, k, 3, 2)
		for _, method := range Methods {
			if method == ByVector && k == 1 {
				continue
			}
			c, err := Fit(t.Context(), summary.Batch{Logits: z, Labels: labels, Columns: k}, method, Options{})
			if err != nil {
				t.Fatal(err)
			}
			extreme := make([]float32, 2*k)
			for j := range extreme {
				extreme[j] = []float32{1e30, -1e30, 3e4}[j%3]
			}
			c.Apply(extreme, extreme)
			for j, v := range extreme {
				if v != v {
					t.Errorf("K = %d, %s: extreme logit %d becomes NaN", k, method, j)
				}
			}
			row := make([]float32, k)
			row[0] = nan
			if c.Apply(row, row); row[0] == row[0] && (k == 1 || row[k-1] == row[k-1]) {
				t.Errorf("K = %d, %s: NaN becomes %v", k, method, row)
			}
			if k == 3 {
				masked := []float32{1, -inf, 2}
				if c.Apply(masked, masked); masked[1] != -inf || masked[0] != masked[0] || masked[2] != masked[2] {
					t.Errorf("%s: a masked class becomes %v", method, masked)
				}
			}
		}
	}
	c := Calibrator{Method: ByTemperature, Columns: 3, Temperature: 2}
	numtest.Panics(t, "calibrate: Apply: dst holds 3 values and logits 4, want as many, in rows of 3", func() { c.Apply(make([]float32, 3), make([]float32, 4)) })
}

func TestFitSaysWhatCannotBe(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name    string
		z       []float32
		labels  []int32
		verdict Verdict
		want    string
	}{
		{"no label", []float32{1, 2}, []int32{loss.Ignored}, "", "nothing to fit"},
		{"undefined", []float32{inf, 2}, []int32{0}, "", "nothing to fit"},
		{"label masked", []float32{-inf, 2, 1, 2}, []int32{0, 1}, "", "masked"},
		{"all right", []float32{3, 2, 1, 2}, []int32{0, 1}, Separable, "T = 1 is kept"},
		{"all wrong", []float32{3, 2, 1, 2}, []int32{1, 0}, AtBound, "uniform"},
	} {
		fitted, err := Fit(t.Context(), summary.Batch{Logits: c.z, Labels: c.labels, Columns: 2}, ByTemperature, Options{})
		if c.verdict == "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil || fitted.Fit.Verdict != c.verdict || !strings.Contains(fitted.Fit.Note, c.want) || fitted.Fit.NLLAfter > fitted.Fit.NLLBefore {
			t.Errorf("%s: %+v, %v", c.name, fitted, err)
		}
		if c.verdict == Separable && fitted.Temperature != 1 {
			t.Errorf("%s: T = %v is shipped", c.name, fitted.Temperature)
		}
	}
}

// A calibrator that does worse on rows that it was not fitted on says so, and no other does.
func TestFitOfNoise(t *testing.T) {
	said := map[bool]int{}
	for seed := range uint64(10) {
		z, labels := sample(rand.New(rand.NewPCG(seed, 1)), 40, 4, 2, 1)
		c, err := Fit(t.Context(), summary.Batch{Logits: z, Labels: labels, Columns: 4}, ByTemperature, Options{})
		if err != nil {
			t.Fatal(err)
		}
		worse := c.Fit.HeldOut.NLLAfter > c.Fit.HeldOut.NLLBefore
		said[worse]++
		if worse != strings.Contains(c.Fit.Note, "worse than none") {
			t.Errorf("seed %d, held out %+v: %q", seed, c.Fit.HeldOut, c.Fit.Note)
		}
	}
	if len(said) != 2 {
		t.Errorf("worse: %v; the test wants both", said)
	}
}

// Whatever the JSON, it is an error or a calibrator that can be applied.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 1))
	for _, k := range []int{1, 3} {
		z, labels := sample(rng, 30, k, 3, 2)
		for _, method := range Methods {
			if method == ByVector && k == 1 {
				continue
			}
			c, err := Fit(f.Context(), summary.Batch{Logits: z, Labels: labels, Columns: k}, method, Options{})
			if err != nil {
				f.Fatal(err)
			}
			data, err := json.Marshal(c)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(`{"format_version":1,"method":"isotonic","columns":2,"curves":[{"x":[0.5,0.5],"y":[0.1,0.2]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil || c.Columns > 1000 {
			return
		}
		row := make([]float32, c.Columns)
		row[0] = 3
		c.Apply(row, row)
	})
}

// Weights and biases that put every label on top leave no finite optimum, though a temperature has one.
func TestVectorSaysSeparable(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 2))
	const n, k = 60, 3
	z, labels := make([]float32, n*k), make([]int32, n)
	for i := range labels {
		labels[i] = int32(rng.IntN(k))
		for j := range k {
			z[i*k+j] = float32(0.3 * rng.NormFloat64())
		}
		z[i*k+int(labels[i])] += 3
		z[i*k+2] += 5 // which a bias takes away
	}
	b := summary.Batch{Logits: z, Labels: labels, Columns: k}
	byT, err := Fit(t.Context(), b, ByTemperature, Options{})
	if err != nil || byT.Fit.Verdict != Converged {
		t.Fatalf("temperature: %+v, %v", byT, err)
	}
	c, err := Fit(t.Context(), b, ByVector, Options{})
	if err != nil || c.Fit.Verdict != Separable || !strings.Contains(c.Fit.Note, "some weights put every label on top") {
		t.Fatalf("vector: %+v, %v", c.Fit, err)
	}
	if !numtest.Near(c.Fit.NLLAfter, byT.Fit.NLLAfter, 1e-6) || !numtest.Near(c.Weights[0], 1/byT.Temperature, 1e-12) {
		t.Errorf("vector keeps weights %v, NLL %v; the temperature is %v, NLL %v", c.Weights, c.Fit.NLLAfter, byT.Temperature, byT.Fit.NLLAfter)
	}
}

// Curves of format 1 were of probabilities: those files say the same as they did.
func TestCurvesOfProbabilities(t *testing.T) {
	c, err := Decode([]byte(`{"format_version":1,"method":"isotonic","columns":1,"curves":[{"x":[0.25,0.75],"y":[0.4,0.8]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[float64]float64{0.1: 0.4, 0.5: 0.6, 0.9: 0.8} {
		z := []float32{float32(math.Log(p / (1 - p)))}
		if c.Apply(z, z); !numtest.Near(sigmoid(float64(z[0])), want, 1e-6) {
			t.Errorf("p %v becomes %v, want %v", p, sigmoid(float64(z[0])), want)
		}
	}
}

// The mirror image of a problem, −z and 1 − y, comes out the same, with ties and with logits of which no p is left.
func TestMirrorImage(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 3))
	for _, scale := range []float64{0.5, 3, 60, 3000} {
		const n = 211
		z, mirror, y, yes := make([]float32, n), make([]float32, n), make([]int32, n), make([]int32, n)
		for i := range z {
			z[i] = float32(math.Round(10*rng.NormFloat64())/10*scale + 0.03)
			if rng.Float64() < sigmoid(float64(z[i])/scale) {
				y[i] = 1
			}
			mirror[i], yes[i] = -z[i], 1-y[i]
		}
		for _, method := range []Method{ByTemperature, ByPlatt, ByIsotonic, ByHistogram} {
			a, err := Fit(t.Context(), summary.Batch{Logits: z, Labels: y, Columns: 1}, method, Options{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := Fit(t.Context(), summary.Batch{Logits: mirror, Labels: yes, Columns: 1}, method, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]float64{
				{a.Fit.NLLAfter, b.Fit.NLLAfter}, {a.Fit.ECEAfter, b.Fit.ECEAfter}, {float64(a.Fit.HeldOut.NLLAfter), float64(b.Fit.HeldOut.NLLAfter)},
			} {
				if !numtest.Near(pair[0], pair[1], 1e-5) {
					t.Errorf("scale %v, %s: %v, of the mirror image %v", scale, method, pair[0], pair[1])
				}
			}
		}
	}
}

// A file that Load would refuse for its size is not written, and what was there stays.
func TestSaveWithinBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calibration.json")
	c := &Calibrator{Method: ByTemperature, Temperature: 2, Columns: 3}
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func(most int64) { maxBytes = most }(maxBytes)
	maxBytes = int64(len(before))
	if err := c.Save(path); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if _, err := Load(path); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	c.Run = "abc"
	if err := c.Save(path); err == nil || !strings.Contains(err.Error(), "is read up to") {
		t.Errorf("beyond the bound: error %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("%v; the file before is gone", err)
	}
	maxBytes--
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "which is the limit") {
		t.Errorf("a reader of a lower bound: error %v", err)
	}
}

// A method that there is not is an error, and no other one in its place.
func TestFitKnowsItsMethods(t *testing.T) {
	z, labels := sample(rand.New(rand.NewPCG(3, 1)), 200, 3, 3, 2)
	for _, method := range []Method{"", "histgram", None} {
		if c, err := Fit(t.Context(), summary.Batch{Logits: z, Labels: labels, Columns: 3}, method, Options{}); err == nil || c != nil {
			t.Errorf("%q: %v, %v", method, c, err)
		}
	}
}

// A fit ends with its context, whatever the method.
func TestFitEndsWithItsContext(t *testing.T) {
	z, labels := sample(rand.New(rand.NewPCG(3, 1)), 200, 3, 3, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, method := range append(slices.Clone(Methods), Auto) {
		if c, err := Fit(ctx, summary.Batch{Logits: z, Labels: labels, Columns: 3}, method, Options{}); !errors.Is(err, context.Canceled) || c != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// endsWhenAsked is a context that ends when Err is called for the given time.
type endsWhenAsked struct {
	context.Context
	asked, end atomic.Int64
}

func (e *endsWhenAsked) Err() error {
	if e.asked.Add(1) >= e.end.Load() {
		return context.Canceled
	}
	return nil
}

// A fit ends wherever it is when its context ends. Vector scaling asks during each of its many passes over the rows, not only between them.
func TestFitEndsInTheMiddle(t *testing.T) {
	z, labels := sample(rand.New(rand.NewPCG(3, 1)), 200, 3, 3, 2)
	labels[7] = loss.Ignored
	asked := map[Method]int64{}
	b := summary.Batch{Logits: z, Labels: labels, Columns: 3}
	for _, method := range append(slices.Clone(Methods), Auto) {
		whole := &endsWhenAsked{Context: t.Context()}
		whole.end.Store(math.MaxInt64)
		if _, err := Fit(whole, b, method, Options{}); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		all := whole.asked.Load()
		asked[method] = all
		for end := int64(1); end < all; end += max(1, all/200) {
			ctx := &endsWhenAsked{Context: t.Context()}
			ctx.end.Store(end)
			if c, err := Fit(ctx, b, method, Options{}); !errors.Is(err, context.Canceled) || c != nil {
				t.Fatalf("%s, ended at question %d of %d: %v, %v", method, end, all, c, err)
			}
		}
	}
	if asked[ByVector] < 2*asked[ByTemperature] {
		t.Errorf("vector scaling asks its context %d times, temperature scaling %d times", asked[ByVector], asked[ByTemperature])
	}
}
