package loss_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

type graded struct {
	PerSample numtest.Values `json:"per_sample"`
	Mean      numtest.Value
	Grad      numtest.Values
}

// golden is what tools/oracle/logit_loss.py wrote with PyTorch in float64.
type golden struct {
	Losses []struct {
		Name             string
		K                int
		Z                numtest.Values
		Labels, Ignored  []int32
		Soft             numtest.Values
		CrossEntropy     graded         `json:"cross_entropy"`
		CrossEntropySoft graded         `json:"cross_entropy_soft"`
		WithIgnored      *graded        `json:"cross_entropy_ignored"`
		LogProbs         numtest.Values `json:"log_probs"`
		NLL              graded
	}
	Binary []struct {
		Z      numtest.Values
		Labels []int32
		graded
	}
}

func readGolden(t *testing.T) golden {
	t.Helper()
	var g golden
	numtest.ReadGolden(t, "testdata/torch.json", &g)
	if len(g.Losses) < 10 || len(g.Binary) != 2 {
		t.Fatalf("torch.json holds %d and %d cases", len(g.Losses), len(g.Binary))
	}
	return g
}

// check runs a loss and compares the mean, each sample's loss and the gradient, and that each may be left out.
func check(t *testing.T, what string, want graded, run func(perSample, grad []float64) float64) {
	t.Helper()
	const tolerance = 1e-14
	perSample, grad := make([]float64, len(want.PerSample)), make([]float64, len(want.Grad))
	for i := range grad {
		grad[i] = math.NaN() // must be overwritten
	}
	mean := run(perSample, grad)
	if !numtest.Near(mean, float64(want.Mean), tolerance) {
		t.Errorf("%s: mean %v, PyTorch has %v", what, mean, want.Mean)
	}
	for i := range perSample {
		if !numtest.Near(perSample[i], want.PerSample[i], tolerance) {
			t.Errorf("%s: sample %d has %v, PyTorch has %v", what, i, perSample[i], want.PerSample[i])
		}
	}
	for i := range grad {
		if !numtest.Near(grad[i], want.Grad[i], tolerance) {
			t.Errorf("%s: gradient[%d] = %v, PyTorch has %v", what, i, grad[i], want.Grad[i])
		}
	}
	if forward := run(nil, nil); !numtest.Near(forward, mean, 1e-15) {
		t.Errorf("%s: forward alone gives %v, with the gradient it was %v", what, forward, mean)
	}
	if alone := run(nil, grad); !numtest.Near(alone, mean, 1e-15) {
		t.Errorf("%s: without a place for each sample it gives %v, with one it was %v", what, alone, mean)
	}
}

var ce loss.CrossEntropy[float64]

func weighed(soft []float64) loss.Targets[float64]  { return loss.Targets[float64]{Soft: soft} }
func labelled(labels []int32) loss.Targets[float64] { return loss.Targets[float64]{Labels: labels} }

func TestMatchesPyTorch(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Losses {
		t.Run(c.Name, func(t *testing.T) {
			check(t, "cross-entropy", c.CrossEntropy, func(perSample, grad []float64) float64 {
				return ce.Loss(perSample, grad, c.Z, c.K, labelled(c.Labels))
			})
			if c.WithIgnored != nil {
				check(t, "cross-entropy, one ignored", *c.WithIgnored, func(perSample, grad []float64) float64 {
					return ce.Loss(perSample, grad, c.Z, c.K, labelled(c.Ignored))
				})
			}
			check(t, "cross-entropy, soft targets", c.CrossEntropySoft, func(perSample, grad []float64) float64 {
				return ce.Loss(perSample, grad, c.Z, c.K, weighed(c.Soft))
			})
			check(t, "NLL", c.NLL, func(perSample, grad []float64) float64 {
				return loss.NLL(perSample, grad, c.LogProbs, c.K, c.Labels)
			})
		})
	}
	for _, c := range g.Binary {
		check(t, fmt.Sprintf("binary, label %d", c.Labels[0]), c.graded, func(perSample, grad []float64) float64 {
			return loss.FromLogits(perSample, grad, c.Z, 1, c.Labels)
		})
	}
}

// CE = NLL∘log-softmax = the one-hot sum; a single logit is the softmax over [0, z]; each gradient row sums to 0.
func TestIdentities(t *testing.T) {
	for seed := range uint64(200) {
		rng := seeded(seed)
		n, k := 1+rng.IntN(300), 2+rng.IntN(20)
		z, oneHot := make([]float64, n*k), make([]float64, n*k)
		labels := make([]int32, n)
		for i := range z {
			z[i] = 5 * rng.NormFloat64()
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(k))
			oneHot[i*k+int(labels[i])] = 1
		}
		grad, gradSoft, logP := make([]float64, n*k), make([]float64, n*k), make([]float64, n*k)
		plain := loss.FromLogits(nil, grad, z, k, labels)
		logit.LogSoftmax(logP, z, k)
		if nll := loss.NLL(nil, nil, logP, k, labels); !numtest.Near(nll, plain, 1e-14) {
			t.Errorf("seed %d: NLL of log-softmax %v, CE %v", seed, nll, plain)
		}
		if soft := ce.Loss(nil, gradSoft, z, k, weighed(oneHot)); !numtest.Near(soft, plain, 1e-14) {
			t.Errorf("seed %d: one-hot sum %v, CE %v", seed, soft, plain)
		}
		for i := range n {
			sum := 0.0
			for j := range k {
				sum += grad[i*k+j]
				if !numtest.Near(gradSoft[i*k+j], grad[i*k+j], 1e-15) {
					t.Fatalf("seed %d: gradient of the one-hot sum %v, of CE %v", seed, gradSoft[i*k+j], grad[i*k+j])
				}
			}
			if !(math.Abs(sum) <= 1e-15) {
				t.Errorf("seed %d: gradient row %d sums to %v", seed, i, sum)
			}
		}
		// Through log-softmax and NLL in two steps the gradient is that of CE in one.
		gradLogP := make([]float64, n*k)
		loss.NLL(nil, gradLogP, logP, k, labels)
		logit.LogSoftmaxBackward(gradLogP, gradLogP, logP, k)
		for i := range grad {
			if !numtest.Near(gradLogP[i], grad[i], 1e-15) {
				t.Fatalf("seed %d: gradient in two steps %v, in one %v", seed, gradLogP[i], grad[i])
			}
		}
		single, double, two := make([]float64, n), make([]float64, 2*n), make([]int32, n)
		for i := range single {
			single[i], double[2*i+1], two[i] = z[i], z[i], int32(rng.IntN(2))
		}
		gradSingle, gradDouble := make([]float64, n), make([]float64, 2*n)
		one, other := loss.FromLogits(nil, gradSingle, single, 1, two), loss.FromLogits(nil, gradDouble, double, 2, two)
		if !numtest.Near(one, other, 1e-14) {
			t.Errorf("seed %d: one logit %v, two logits %v", seed, one, other)
		}
		for i := range gradSingle {
			if !numtest.Near(gradSingle[i], gradDouble[2*i+1], 1e-15) {
				t.Fatalf("seed %d: gradient of one logit %v, of two %v", seed, gradSingle[i], gradDouble[2*i+1])
			}
		}
	}
}

func TestGradientsByFiniteDifferences(t *testing.T) {
	for seed := range uint64(100) {
		rng := seeded(seed)
		n, k := 1+rng.IntN(4), 2+rng.IntN(6)
		z, soft := make([]float64, n*k), make([]float64, n*k)
		labels, two := make([]int32, n), make([]int32, n*k)
		for i := range z {
			z[i], soft[i], two[i] = 2*rng.NormFloat64(), rng.Float64(), int32(rng.IntN(2))
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(k))
		}
		if n > 1 {
			labels[rng.IntN(n)] = loss.Ignored
		}
		for name, f := range map[string]func(grad []float64) float64{
			"cross-entropy": func(g []float64) float64 { return loss.FromLogits(nil, g, z, k, labels) },
			"soft":          func(g []float64) float64 { return ce.Loss(nil, g, z, k, weighed(soft)) },
			"NLL":           func(g []float64) float64 { return loss.NLL(nil, g, z, k, labels) },
			"binary":        func(g []float64) float64 { return loss.FromLogits(nil, g, z, 1, two) },
		} {
			grad := make([]float64, n*k)
			f(grad)
			for i := range z {
				const h = 1e-3
				at, numeric := z[i], 0.0
				for _, point := range []struct{ step, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
					z[i] = at + point.step*h
					numeric += point.weight * f(nil) / (12 * h)
				}
				z[i] = at
				if !(math.Abs(grad[i]-numeric) <= 1e-6*max(math.Abs(numeric), 1e-3)) {
					t.Errorf("seed %d: %s gradient[%d] = %v, finite differences give %v", seed, name, i, grad[i], numeric)
				}
			}
		}
	}
}

// float32 against float64 on the same logits: gradients within 1e-5, losses within 2 ulp or, near 0, 2 ulp of 1.
func TestFloat32AgainstFloat64(t *testing.T) {
	for seed := range uint64(200) {
		rng := seeded(seed)
		n, k := 1+rng.IntN(70), 2+rng.IntN(70)
		z, wide, labels := make([]float32, n*k), make([]float64, n*k), make([]int32, n)
		scale := math.Pow(10, 3*rng.Float64()-1)
		for i := range z {
			z[i] = float32(rng.NormFloat64() * scale)
			wide[i] = float64(z[i])
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(k))
		}
		nll, grad := make([]float32, n), make([]float32, n*k)
		wideNLL, wideGrad := make([]float64, n), make([]float64, n*k)
		loss.FromLogits(nll, grad, z, k, labels)
		loss.FromLogits(wideNLL, wideGrad, wide, k, labels)
		for i := range nll {
			if !(math.Abs(float64(nll[i])-wideNLL[i]) <= 2*0x1p-23*max(wideNLL[i], 1)) {
				t.Errorf("seed %d: NLL %v, in float64 %v", seed, nll[i], wideNLL[i])
			}
		}
		for i := range grad {
			if !(math.Abs(float64(grad[i])-wideGrad[i]) <= 1e-5*math.Abs(wideGrad[i])+1e-9) {
				t.Errorf("seed %d: gradient %v, in float64 %v", seed, grad[i], wideGrad[i])
			}
		}
	}
}

// The binary loss far from 0, where log(1 + exp(−z)) is all in its small digits, against math/big.
func TestBinarySmallLosses(t *testing.T) {
	for _, z := range []float64{1, 5, 20, 36, 37, 40, 100, 700} {
		own := make([]float64, 1)
		loss.FromLogits(own, nil, []float64{z}, 1, []int32{1})
		// log(1+e) = e − e²/2 + e³/3 − … for e = exp(−z); big for the sum, so that nothing is lost before the end.
		e, sum, power := new(big.Float).SetPrec(200).SetFloat64(math.Exp(-z)), new(big.Float).SetPrec(200), big.NewFloat(1).SetPrec(200)
		for i := 1; i < 400; i++ {
			power.Mul(power, e)
			term := new(big.Float).SetPrec(200).Quo(power, big.NewFloat(float64(i)))
			if i%2 == 0 {
				term.Neg(term)
			}
			sum.Add(sum, term)
		}
		want, _ := sum.Float64()
		if !(math.Abs(own[0]-want) <= 4e-16*want) {
			t.Errorf("loss at z = %v is %v, want %v", z, own[0], want)
		}
	}
}

func TestWhatHasNoSoftmax(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	bad := []float64{1, nan, 2, inf, 0, 0, -inf, -inf, -inf, 1, 2, 3}
	labels := []int32{0, 1, 2, 2}
	own, grad := make([]float64, 4), make([]float64, 12)
	if mean := loss.FromLogits(own, grad, bad, 3, labels); !math.IsNaN(mean) {
		t.Errorf("mean %v with rows that have no softmax, want NaN", mean)
	}
	for i, v := range own {
		if math.IsNaN(v) != (i < 3) {
			t.Errorf("row %d has loss %v", i, v)
		}
	}
	for i, v := range grad {
		if math.IsNaN(v) != (i < 9) {
			t.Errorf("gradient[%d] = %v", i, v)
		}
	}
	// An ignored row leaks nothing (pytorch#11551), whatever it holds.
	labels = []int32{loss.Ignored, loss.Ignored, loss.Ignored, 2}
	want := math.Log(1 + math.Exp(-1) + math.Exp(-2))
	if mean := loss.FromLogits(own, grad, bad, 3, labels); !numtest.Near(mean, want, 1e-14) {
		t.Errorf("mean %v with the bad rows ignored, want %v", mean, want)
	}
	for i, v := range grad[:9] {
		if v != 0 {
			t.Errorf("ignored gradient[%d] = %v, want 0", i, v)
		}
	}
	// No sample to take the mean of: NaN, and a gradient of 0.
	if mean := loss.FromLogits(nil, grad, bad, 3, slices.Repeat([]int32{loss.Ignored}, 4)); !math.IsNaN(mean) || grad[11] != 0 {
		t.Errorf("mean of no sample %v, want NaN; gradient %v", mean, grad[11])
	}
	// Masks: probability and gradient exactly 0; the true class masked is certain failure.
	masked := []float64{1, -inf, 2}
	if mean := loss.FromLogits(nil, grad[:3], masked, 3, []int32{0}); !numtest.Near(mean, math.Log(1+math.E), 1e-14) || grad[1] != 0 {
		t.Errorf("masked row: loss %v, gradient %v", mean, grad[:3])
	}
	if mean := loss.FromLogits(nil, nil, masked, 3, []int32{1}); !math.IsInf(mean, 1) {
		t.Errorf("true class masked: loss %v, want +Inf", mean)
	}
	if mean := ce.Loss(nil, grad[:3], masked, 3, weighed([]float64{0.5, 0, 0.5})); math.IsNaN(mean) || grad[1] != 0 {
		t.Errorf("soft target of 0 on a masked class: loss %v, gradient %v", mean, grad[:3])
	}
	if mean := ce.Loss(nil, nil, masked, 3, weighed([]float64{0.5, 0.5, 0})); !math.IsInf(mean, 1) {
		t.Errorf("soft target on a masked class: loss %v, want +Inf", mean)
	}
	for _, c := range []struct {
		z     float64
		label int32
		want  float64
	}{{inf, 1, 0}, {inf, 0, inf}, {-inf, 0, 0}, {-inf, 1, inf}, {nan, 0, nan}} {
		if got := loss.FromLogits(nil, nil, []float64{c.z}, 1, []int32{c.label}); !numtest.Near(got, c.want, 0) {
			t.Errorf("binary loss of z = %v, label %d: %v, want %v", c.z, c.label, got, c.want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	z, grad, own, labels, two := make([]float32, 40), make([]float32, 40), make([]float32, 4), make([]int32, 4), make([]int32, 40)
	if n := testing.AllocsPerRun(50, func() {
		loss.FromLogits(own, grad, z, 10, labels)
		loss.FromLogits(nil, nil, z, 10, labels)
		loss.CrossEntropy[float32]{}.Loss(own, grad, z, 10, loss.Targets[float32]{Soft: z})
		loss.NLL(own, grad, z, 10, labels)
		loss.FromLogits(nil, grad, z, 1, two)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestPanicsNameTheArgument(t *testing.T) {
	z := make([]float64, 6)
	for _, c := range []struct {
		want string
		call func()
	}{
		{"label 3 of row 1 is not in [0, 3)", func() { loss.FromLogits(nil, nil, z, 3, []int32{0, 3}) }},
		{"label -1 of row 0 is not in [0, 3)", func() { loss.NLL(nil, nil, z, 3, []int32{-1, 0}) }},
		{"label 2 of row 0 is not in [0, 2)", func() { loss.FromLogits(nil, nil, z, 1, []int32{2, 0, 0, 0, 0, 0}) }},
		{"label 1 of row 5 is not in [0, 1)", func() { ce.Loss(nil, nil, z, 1, loss.Targets[float64]{Labels: []int32{0, 0, 0, 0, 0, 1}}) }},
		{"label 1 of row 0 is not in [0, 1)", func() { loss.Brier[float64]{}.Loss(nil, nil, z[:1], 1, loss.Targets[float64]{Labels: []int32{1}}) }},
		{"Targets.Labels holds 1 values, want 2", func() { loss.FromLogits(nil, nil, z, 3, []int32{0}) }},
		{"grad holds 5 values, want 6", func() { loss.FromLogits(nil, z[:5], z, 3, []int32{0, 0}) }},
		{"perSample holds 3 values, want 2", func() { loss.NLL(z[:3], nil, z, 3, []int32{0, 0}) }},
		{"Targets.Soft holds 3 values, want 6", func() { ce.Loss(nil, nil, z, 3, weighed(z[:3])) }},
		{"rows of K = 4", func() { loss.FromLogits(nil, nil, z, 4, []int32{0}) }},
	} {
		numtest.Panics(t, c.want, c.call)
	}
}

func ExampleFromLogits() {
	z := []float64{2, 1, 0.1, 0.5, 3, 0.2} // two rows of three logits
	labels := []int32{0, 2}
	nll, grad := make([]float64, 2), make([]float64, 6)
	mean := loss.FromLogits(nll, grad, z, 3, labels)
	fmt.Printf("NLL %.3f, mean %.3f\n", nll, mean)
	fmt.Printf("gradient %.3f\n", grad)
	// Output:
	// NLL [0.417 2.934], mean 1.675
	// gradient [-0.170 0.121 0.049 0.036 0.437 -0.473]
}

func ExampleFromLogits_binary() {
	z := []float64{2, -1} // the logit of class 1 against class 0
	fmt.Printf("%.3f\n", loss.FromLogits(nil, nil, z, 1, []int32{1, 1}))
	// Output: 0.720
}

func ExampleCrossEntropy() {
	z := []float64{2, 1, 0.1}
	smoothed := []float64{0.9, 0.05, 0.05}
	fmt.Printf("%.3f\n", loss.CrossEntropy[float64]{}.Loss(nil, nil, z, 3, loss.Targets[float64]{Soft: smoothed}))
	// Output: 0.562
}
