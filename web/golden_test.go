package web_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// near compares, NaN and infinities exactly.
func near(t *testing.T, what string, got []float64, want numtest.Values) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		same := got[i] == w || math.IsNaN(got[i]) && math.IsNaN(w)
		if !same && !(math.Abs(got[i]-w) <= 1e-12*max(1, math.Abs(w))) {
			t.Errorf("%s[%d] = %v, want %v", what, i, got[i], w)
		}
	}
}

// The page's own arithmetic is held to these values by its unit tests: here the program is, so that both show the same.
func TestProgramHasThePagesGoldenValues(t *testing.T) {
	var golden struct {
		Rows []struct {
			Name       string
			Z          numtest.Values
			K, Label   int
			T          float64
			Softmax    numtest.Values
			LogSoftmax numtest.Values `json:"log_softmax"`
			NLL        numtest.Value
			Gradient   numtest.Values
			Argmax     int32
		}
		Smoothed []struct {
			Z              numtest.Values
			Label          int32
			Epsilon, Value float64
		}
		Soft []struct {
			Z, Q         numtest.Values
			CrossEntropy numtest.Value `json:"cross_entropy"`
			KL           numtest.Value
		}
		YesOrNo []struct{ Z, Y, Value float64 } `json:"yes_or_no"`
	}
	numtest.ReadGolden(t, "src/lib/testdata/arithmetic.json", &golden)
	if len(golden.Rows) < 30 || len(golden.Soft) == 0 || len(golden.YesOrNo) == 0 {
		t.Fatal("the golden file is not whole")
	}
	for _, row := range golden.Rows {
		z, every := row.Z, 1
		if row.K > 10 {
			z, every = make([]float64, row.K), 37
			for j := range z {
				z[j] = float64((j*7919+13)%4001-2000) / 100
			}
		}
		scaled, p, logP, grad := make([]float64, row.K), make([]float64, row.K), make([]float64, row.K), make([]float64, row.K)
		logit.Temperature(scaled, z, row.T)
		logit.Softmax(p, scaled, row.K)
		logit.LogSoftmax(logP, scaled, row.K)
		argmax := make([]int32, 1)
		logit.Argmax(argmax, scaled, row.K)
		nll := make([]float64, 1)
		loss.FromLogits(nll, grad, scaled, row.K, []int32{int32(row.Label)})
		some := func(values []float64, scale float64) (out []float64) {
			for j := 0; j < len(values); j += every {
				out = append(out, values[j]*scale)
			}
			return out
		}
		name := fmt.Sprintf("%s at T = %v: ", row.Name, row.T)
		near(t, name+"softmax", some(p, 1), row.Softmax)
		near(t, name+"log-softmax", some(logP, 1), row.LogSoftmax)
		near(t, name+"gradient", some(grad, 1/row.T), row.Gradient)
		near(t, name+"NLL", nll, numtest.Values{float64(row.NLL)})
		if argmax[0] != row.Argmax {
			t.Errorf("%sargmax %d, want %d", name, argmax[0], row.Argmax)
		}
	}
	for _, c := range golden.Smoothed {
		got := loss.CrossEntropy[float64]{LabelSmoothing: c.Epsilon}.Loss(nil, nil, c.Z, len(c.Z), loss.Targets[float64]{Labels: []int32{c.Label}})
		near(t, fmt.Sprint("smoothed by ", c.Epsilon), []float64{got}, numtest.Values{float64(c.Value)})
	}
	for _, c := range golden.Soft {
		targets := loss.Targets[float64]{Soft: c.Q}
		near(t, "cross-entropy", []float64{loss.CrossEntropy[float64]{}.Loss(nil, nil, c.Z, 3, targets)}, numtest.Values{float64(c.CrossEntropy)})
		near(t, "KL", []float64{loss.KL[float64]{Temperature: 1}.Loss(nil, nil, c.Z, 3, targets)}, numtest.Values{float64(c.KL)})
	}
	for _, c := range golden.YesOrNo {
		got := loss.BinaryCrossEntropy[float64]{}.Loss(nil, nil, []float64{c.Z}, 1, loss.Targets[float64]{Soft: []float64{c.Y}})
		near(t, fmt.Sprintf("z = %v, y = %v", c.Z, c.Y), []float64{got}, numtest.Values{float64(c.Value)})
	}
}

// The network that trains in the page is the program's: the same loss, gradients, and weights after three steps of AdamW.
func TestProgramHasThePagesNetwork(t *testing.T) {
	var g struct {
		Units                               int
		Params, X, Logits, Gradients, After numtest.Values
		Labels                              []int32
		Loss, Rate, Decay                   float64
	}
	numtest.ReadGolden(t, "src/lib/testdata/network.json", &g)
	net, err := nn.New(2, nn.Softmax(3), nn.Uniform[float64], rand.New(rand.NewPCG(1, 1)),
		nn.Dense(g.Units), nn.ReLU(), nn.Dense(g.Units), nn.ReLU())
	if err != nil {
		t.Fatal(err)
	}
	rest := g.Params
	for _, p := range net.Params() {
		rest = rest[copy(p.Data, rest):]
	}
	if len(rest) != 0 {
		t.Fatalf("%d weights are left over", len(rest))
	}
	batch := nn.Batch[float64]{N: len(g.Labels), Features: g.X, Targets: loss.Targets[float64]{Labels: g.Labels}}
	logits := make([]float64, len(g.Logits))
	net.Logits(logits, batch)
	near(t, "logits", logits, g.Logits)
	mean, err := net.Gradients(batch)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", []float64{mean}, numtest.Values{float64(g.Loss)})
	var gradients, after []float64
	for _, p := range net.Params() {
		gradients = append(gradients, p.Grad...)
	}
	near(t, "gradient", gradients, g.Gradients)
	optimizer := nn.NewAdamW[float64](g.Rate, g.Decay)
	for range 3 {
		if _, err := net.Step(batch, optimizer); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range net.Params() {
		after = append(after, p.Data...)
	}
	near(t, "weights after three steps", after, g.After)
}
