package loss_test

import (
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
)

// Every combination of smoothing, soft cap, ignored labels and bias against PyTorch, in one block and in several.
func TestLinearCrossEntropyAgainstPyTorch(t *testing.T) {
	var cases []struct {
		N, H, K               int
		Smoothing, Cap, Mean  float64
		Hidden, Weights, Bias numtest.Values
		Labels, Classes       []int32
		PerSample             numtest.Values `json:"per_sample"`
		GradHidden            numtest.Values `json:"grad_hidden"`
		GradWeights           numtest.Values `json:"grad_weights"`
		GradBias              numtest.Values `json:"grad_bias"`
		Top, LSE              numtest.Values
	}
	numtest.ReadGolden(t, "testdata/linear.json", &cases)
	if len(cases) != 14 {
		t.Fatalf("linear.json holds %d cases", len(cases))
	}
	for _, c := range cases {
		for _, rows := range []int{100, 2} {
			back := loss.SetBlockLogits(rows * c.K)
			l := loss.LinearCrossEntropy[float64]{LabelSmoothing: c.Smoothing, SoftCap: c.Cap}
			x := loss.Linear[float64]{Hidden: c.Hidden, Weights: c.Weights, Bias: c.Bias}
			grad := loss.Linear[float64]{Hidden: make([]float64, c.N*c.H), Weights: make([]float64, c.K*c.H)}
			if c.Bias != nil {
				grad.Bias = make([]float64, c.K)
			}
			for range 2 { // what a call leaves behind is not seen by the next
				perSample := make([]float64, c.N)
				mean := l.Loss(perSample, grad, x, c.H, c.Labels)
				numtest.AllNear(t, "mean", []float64{mean}, []float64{c.Mean}, 1e-13)
				numtest.AllNear(t, "losses", perSample, c.PerSample, 1e-13)
				numtest.AllNear(t, "hidden's gradient", grad.Hidden, c.GradHidden, 1e-13)
				numtest.AllNear(t, "weights' gradient", grad.Weights, c.GradWeights, 1e-13)
				numtest.AllNear(t, "bias's gradient", grad.Bias, c.GradBias, 1e-13)
			}
			if mean := l.Loss(nil, loss.Linear[float64]{}, x, c.H, c.Labels); !numtest.Near(mean, c.Mean, 1e-13) {
				t.Errorf("loss alone %v, want %v", mean, c.Mean)
			}
			count := len(c.Top) / c.N
			values, classes, lse := make([]float64, len(c.Top)), make([]int32, len(c.Top)), make([]float64, c.N)
			l.TopK(values, classes, lse, x, c.H, count)
			numtest.AllNear(t, "top logits", values, c.Top, 1e-13)
			numtest.AllNear(t, "LSE", lse, c.LSE, 1e-13)
			if !slices.Equal(classes, c.Classes) {
				t.Errorf("top classes %v, want %v", classes, c.Classes)
			}
			back()
			if t.Failed() {
				t.Fatalf("N %d, K %d, smoothing %v, cap %v, %d rows a block", c.N, c.K, c.Smoothing, c.Cap, rows)
			}
		}
	}
}

// In float32, over a vocabulary and in blocks, the same as float64; any number of threads, the same bits.
func TestLinearCrossEntropyFloat32(t *testing.T) {
	defer loss.SetBlockLogits(70 * 3000)()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const n, h, k = 150, 24, 3000
	rng := seeded(8)
	narrow := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h), Bias: make([]float32, k)}
	for _, x := range [][]float32{narrow.Hidden, narrow.Weights, narrow.Bias} {
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
	}
	wide := loss.Linear[float64]{Hidden: widened(narrow.Hidden), Weights: widened(narrow.Weights), Bias: widened(narrow.Bias)}
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(rng.IntN(k))
		if i%7 == 0 {
			labels[i] = loss.Ignored
		}
	}
	for _, l := range []loss.LinearCrossEntropy[float32]{{}, {LabelSmoothing: 0.1, SoftCap: 8}} {
		oracle := loss.LinearCrossEntropy[float64]{LabelSmoothing: l.LabelSmoothing, SoftCap: l.SoftCap}
		want := loss.Linear[float64]{Hidden: make([]float64, n*h), Weights: make([]float64, k*h), Bias: make([]float64, k)}
		wantLosses := make([]float64, n)
		wantMean := oracle.Loss(wantLosses, want, wide, h, labels)
		var first loss.Linear[float32]
		for _, procs := range []int{1, 2, 4} {
			runtime.GOMAXPROCS(procs)
			grad := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h), Bias: make([]float32, k)}
			losses := make([]float32, n)
			if mean := l.Loss(losses, grad, narrow, h, labels); !numtest.Near(mean, wantMean, 1e-6) {
				t.Errorf("mean %v, want %v", mean, wantMean)
			}
			numtest.AllNear(t, "losses", losses, wantLosses, 1e-5)
			for _, g := range []struct {
				what string
				got  []float32
				want []float64
			}{{"hidden", grad.Hidden, want.Hidden}, {"weights", grad.Weights, want.Weights}, {"bias", grad.Bias, want.Bias}} {
				largest := 0.0
				for _, v := range g.want {
					largest = max(largest, math.Abs(v))
				}
				for i, v := range g.want {
					if d := math.Abs(float64(g.got[i]) - v); !(d <= 1e-5*largest) {
						t.Fatalf("gradient of %s[%d] = %v, want %v", g.what, i, g.got[i], v)
					}
				}
			}
			if first.Hidden == nil {
				first = grad
			} else if !slices.Equal(first.Hidden, grad.Hidden) || !slices.Equal(first.Weights, grad.Weights) || !slices.Equal(first.Bias, grad.Bias) {
				t.Errorf("GOMAXPROCS=%d gives other bits", procs)
			}
		}
	}
}

func TestLinearCrossEntropyAllocatesNothing(t *testing.T) {
	const n, h, k = 40, 16, 500
	x := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h), Bias: make([]float32, k)}
	grad := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h), Bias: make([]float32, k)}
	l, labels, losses := loss.LinearCrossEntropy[float32]{LabelSmoothing: 0.1, SoftCap: 30}, make([]int32, n), make([]float32, n)
	if n := testing.AllocsPerRun(20, func() { l.Loss(losses, grad, x, h, labels) }); n >= 1 {
		t.Errorf("%v allocations a call, want none", n)
	}
}

// A head holds 64 MiB beside its operands and their gradients, whatever its size: the two matrices of logits and of their
// gradients that it never holds would be 240 MB here. Its first call allocates all that it ever does.
func TestLinearCrossEntropyMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n, h, k, most = 300, 4, 100_000, 64 << 20
	x := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h)}
	grad := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h)}
	labels := make([]int32, n)
	for _, rows := range []int{n, 36, 1} { // several blocks, one, the least
		var before, after runtime.MemStats
		var l loss.LinearCrossEntropy[float32]
		runtime.ReadMemStats(&before)
		l.Loss(nil, loss.Linear[float32]{Hidden: grad.Hidden[:rows*h], Weights: grad.Weights}, loss.Linear[float32]{Hidden: x.Hidden[:rows*h], Weights: x.Weights}, h, labels[:rows])
		runtime.ReadMemStats(&after)
		if held := after.TotalAlloc - before.TotalAlloc; held > most {
			t.Errorf("%d rows: %d MiB were allocated, want %d at most", rows, held>>20, most>>20)
		}
	}
}

func TestLinearCrossEntropyPanics(t *testing.T) {
	x := loss.Linear[float32]{Hidden: make([]float32, 6), Weights: make([]float32, 12)}
	labels, none := []int32{0, 1}, loss.Linear[float32]{}
	for want, call := range map[string]func(l *loss.LinearCrossEntropy[float32]){
		"Hidden and Weights hold 6 and 12 values, want rows of H = 4": func(l *loss.LinearCrossEntropy[float32]) { l.Loss(nil, none, x, 4, labels) },
		"labels holds 1 values, want 2":                               func(l *loss.LinearCrossEntropy[float32]) { l.Loss(nil, none, x, 3, labels[:1]) },
		"label 4 of row 1 is not in [0, 4)":                           func(l *loss.LinearCrossEntropy[float32]) { l.Loss(nil, none, x, 3, []int32{0, 4}) },
		"grad.Weights holds 3 values, want 12": func(l *loss.LinearCrossEntropy[float32]) {
			l.Loss(nil, loss.Linear[float32]{Weights: make([]float32, 3)}, x, 3, labels)
		},
		"LabelSmoothing 2 is not in [0, 1]": func(l *loss.LinearCrossEntropy[float32]) { l.LabelSmoothing = 2; l.Loss(nil, none, x, 3, labels) },
		"SoftCap -1 is not 0 or above":      func(l *loss.LinearCrossEntropy[float32]) { l.SoftCap = -1; l.Loss(nil, none, x, 3, labels) },
		"count 5 is not in [1, 4]":          func(l *loss.LinearCrossEntropy[float32]) { l.TopK(nil, nil, nil, x, 3, 5) },
	} {
		numtest.Panics(t, want, func() { call(new(loss.LinearCrossEntropy[float32])) })
	}
}

func widened(x []float32) []float64 {
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	return wide
}
