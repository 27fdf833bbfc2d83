package nn_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

func labelled[T nn.Float](features []T, labels []int32) nn.Batch[T] {
	return nn.Batch[T]{N: len(labels), Features: features, Targets: loss.Targets[T]{Labels: labels}}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// lossOf returns a network's mean loss on a batch as a function of its parameters. Each call leaves the gradients in Params.
func lossOf(t *testing.T, net *nn.Network[float64], batch nn.Batch[float64]) func() float64 {
	t.Helper()
	return func() float64 {
		mean, err := net.Gradients(batch)
		if err != nil {
			t.Fatal(err)
		}
		return mean
	}
}

// copiedGradients returns a copy of a network's gradients, one slice a parameter.
func copiedGradients(net *nn.Network[float64]) (grads [][]float64) {
	for _, p := range net.Params() {
		grads = append(grads, slices.Clone(p.Grad))
	}
	return grads
}

// stencil returns the derivative of loss by *x, from five points that are h apart.
func stencil(loss func() float64, x *float64, h float64) (slope float64) {
	at := *x
	for _, point := range []struct{ step, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
		*x = at + point.step*h
		slope += point.weight * loss()
	}
	*x = at
	return slope / (12 * h)
}

// golden is what tools/oracle/mlp.py wrote with PyTorch in float64.
type golden struct {
	Cases []struct {
		Name, Activation, Head string
		Sizes                  []int
		Params                 []goldenParam
		X                      [][]float64
		Labels                 []int32
		Loss                   float64
		Grads                  []goldenParam
		Optimizers             []struct {
			Name        string
			LR          float64
			Momentum    float64
			Nesterov    bool
			WeightDecay float64 `json:"weight_decay"`
			Losses      []float64
			Params      []goldenParam
		}
	}
}

type goldenParam struct {
	Name string
	Data []float64
}

func readGolden(t *testing.T) golden {
	t.Helper()
	var g golden
	numtest.ReadGolden(t, "testdata/torch_mlp.json", &g)
	if len(g.Cases) < 3 {
		t.Fatalf("torch_mlp.json holds %d cases, want 3 or more", len(g.Cases))
	}
	return g
}

// build makes the golden case's network in precision T with PyTorch's starting weights.
func build[T nn.Float](t *testing.T, activation, head string, sizes []int, params []goldenParam) *nn.Network[T] {
	t.Helper()
	var layers []nn.Layer
	for _, width := range sizes[1 : len(sizes)-1] {
		layers = append(layers, nn.Dense(width))
		if activation == "gelu" {
			layers = append(layers, nn.GELU())
		} else {
			layers = append(layers, nn.ReLU())
		}
	}
	h := nn.Softmax(max(sizes[len(sizes)-1], 2))
	if head == "binary" {
		h = nn.Binary()
	}
	net, err := nn.New[T](sizes[0], h, nn.Uniform, seeded(1), layers...)
	if err != nil {
		t.Fatal(err)
	}
	if len(net.Params()) != len(params) {
		t.Fatalf("%d parameters, PyTorch has %d", len(net.Params()), len(params))
	}
	for i, p := range net.Params() {
		if len(p.Data) != len(params[i].Data) {
			t.Fatalf("%s has %d values, PyTorch's %s has %d", p.Name, len(p.Data), params[i].Name, len(params[i].Data))
		}
		for j, v := range params[i].Data {
			p.Data[j] = T(v)
		}
	}
	return net
}

func flat[T nn.Float](rows [][]float64) []T {
	var all []T
	for _, row := range rows {
		for _, v := range row {
			all = append(all, T(v))
		}
	}
	return all
}

func TestNetworkMatchesPyTorch(t *testing.T) {
	t.Run("float64", func(t *testing.T) { matchesPyTorch[float64](t, 1e-11) })
	t.Run("float32", func(t *testing.T) { matchesPyTorch[float32](t, 2e-4) })
}

func matchesPyTorch[T nn.Float](t *testing.T, tolerance float64) {
	for _, c := range readGolden(t).Cases {
		x := flat[T](c.X)
		t.Run(c.Name, func(t *testing.T) {
			net := build[T](t, c.Activation, c.Head, c.Sizes, c.Params)
			mean, err := net.Gradients(labelled(x, c.Labels))
			if err != nil {
				t.Fatal(err)
			}
			if !numtest.Near(mean, c.Loss, tolerance) {
				t.Errorf("loss %v, PyTorch has %v", mean, c.Loss)
			}
			for i, p := range net.Params() {
				numtest.AllNear(t, p.Name+" gradient", p.Grad, c.Grads[i].Data, tolerance)
			}
		})
		for _, o := range c.Optimizers {
			t.Run(c.Name+"/"+o.Name, func(t *testing.T) {
				net := build[T](t, c.Activation, c.Head, c.Sizes, c.Params)
				var optimizer nn.Optimizer[T]
				switch {
				case strings.HasPrefix(o.Name, "sgd"):
					optimizer = &nn.SGD[T]{LearningRate: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}
				case strings.HasPrefix(o.Name, "adamw"):
					optimizer = nn.NewAdamW[T](o.LR, o.WeightDecay)
				case strings.HasPrefix(o.Name, "adam"):
					adam := nn.NewAdam[T](o.LR)
					adam.WeightDecay = o.WeightDecay
					optimizer = adam
				default:
					t.Fatalf("no optimiser for %q", o.Name)
				}
				for step, want := range o.Losses {
					mean, err := net.Step(labelled(x, c.Labels), optimizer)
					if err != nil {
						t.Fatal(err)
					}
					if !numtest.Near(mean, want, 10*tolerance) {
						t.Errorf("step %d: loss %v, PyTorch has %v", step+1, mean, want)
					}
				}
				for i, p := range net.Params() {
					// Adam divides a gradient by its own size: where it is near 0, float32 may walk the other way.
					numtest.AllNear(t, p.Name, p.Data, o.Params[i].Data, 20*tolerance)
				}
			})
		}
	}
}

// The gradient of the loss by a five-point stencil in float64, over random networks: relative error at most 1e-6.
func TestGradientsByFiniteDifferences(t *testing.T) {
	for seed := range uint64(100) {
		rng := seeded(seed)
		head := nn.Softmax(2 + rng.IntN(4))
		if seed%3 == 0 {
			head = nn.Binary()
		}
		// Kinks have no gradient to compare with: GELU, and ReLU behind a dense layer that random input keeps off them.
		layers := []nn.Layer{nn.Dense(3 + rng.IntN(4)), nn.GELU(), nn.Dense(2 + rng.IntN(4))}
		if seed%2 == 0 {
			layers = append(layers, nn.ReLU())
		}
		inputs, n := 2+rng.IntN(4), 1+rng.IntN(5)
		net, err := nn.New[float64](inputs, head, nn.Uniform, rng, layers...)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float64, n*inputs)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		labels := make([]int32, n)
		for i := range labels {
			labels[i] = int32(rng.IntN(head.Classes()))
		}
		lossAt := lossOf(t, net, labelled(x, labels))
		lossAt()
		grads := copiedGradients(net)
		for k, p := range net.Params() {
			i := rng.IntN(len(p.Data))
			const h = 1e-4
			numeric := stencil(lossAt, &p.Data[i], h)
			// Below the scale of 1e-2 the stencil's own rounding, 1e-16/h, is what is left.
			if !(math.Abs(grads[k][i]-numeric) <= 1e-6*max(math.Abs(numeric), 1e-2)) {
				t.Errorf("seed %d: %s gradient [%d] = %v, finite differences give %v", seed, p.Name, i, grads[k][i], numeric)
			}
		}
	}
}

// A single-logit head is a softmax head over [0, z]: with the weights of class 0 at 0, both give the same loss and the
// same gradient of class 1.
func TestBinaryHeadIsTwoLogitSoftmax(t *testing.T) {
	one, err := nn.New[float64](3, nn.Binary(), nn.Xavier, seeded(5))
	if err != nil {
		t.Fatal(err)
	}
	two, err := nn.New[float64](3, nn.Softmax(2), nn.Xavier, seeded(6))
	if err != nil {
		t.Fatal(err)
	}
	clear(two.Params()[0].Data)
	copy(two.Params()[0].Data[3:], one.Params()[0].Data)
	x := []float64{0.1, -2, 3, 1, 1, -1, 0.5, 4, -0.3}
	labels := []int32{1, 0, 1}
	lossOne, err1 := one.Gradients(labelled(x, labels))
	lossTwo, err2 := two.Gradients(labelled(x, labels))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !numtest.Near(lossOne, lossTwo, 1e-14) {
		t.Errorf("loss of one logit %v, of two %v", lossOne, lossTwo)
	}
	numtest.AllNear(t, "gradient", two.Params()[0].Grad[3:], one.Params()[0].Grad, 1e-14)
}

func TestStepDoesNotAllocate(t *testing.T) {
	net, err := nn.New[float32](8, nn.Softmax(3), nn.Uniform, seeded(1), nn.Dense(16), nn.ReLU(), nn.Dropout(0.2), nn.Dense(16), nn.GELU())
	if err != nil {
		t.Fatal(err)
	}
	x, labels := make([]float32, 4*8), []int32{0, 1, 2, 0}
	for _, optimizer := range []nn.Optimizer[float32]{
		nn.NewAdam[float32](0.01), &nn.SGD[float32]{LearningRate: 0.01, Momentum: 0.9},
	} {
		step := func() {
			if _, err := net.Step(labelled(x, labels), optimizer); err != nil {
				t.Error(err)
			}
		}
		step()
		if allocations := testing.AllocsPerRun(20, step); allocations != 0 {
			t.Errorf("%T: %v allocations a step, want 0", optimizer, allocations)
		}
	}
	logits := make([]float32, 4*3)
	if allocations := testing.AllocsPerRun(20, func() { net.Logits(logits, labelled(x, labels)) }); allocations != 0 {
		t.Errorf("Logits allocates %v times, want 0", allocations)
	}
}

// The same where two threads share a step's products, which AllocsPerRun does not see: it runs with one. A goroutine that goes to
// sleep now and then takes a ticket of 112 bytes from the runtime; what a step allocates itself it would allocate each time.
func TestSharedStepDoesNotAllocate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const n, in, out, steps = 64, 256, 300, 5
	net, err := nn.New[float32](in, nn.Softmax(out), nn.Uniform, seeded(1), nn.Dense(512), nn.ReLU())
	if err != nil {
		t.Fatal(err)
	}
	x, labels, adam := make([]float32, n*in), make([]int32, n), nn.NewAdam[float32](0.01)
	least := uint64(math.MaxUint64)
	for range 20 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range steps {
			if _, err := net.Step(labelled(x, labels), adam); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	if least >= steps {
		t.Errorf("%d allocations in %d steps, want none", least, steps)
	}
}

// Same seed, same bits, whatever GOMAXPROCS: over a network large enough for its products to be shared out.
func TestStepsAreDeterministic(t *testing.T) {
	trained := func(procs int) []float32 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		rng := seeded(9)
		net, err := nn.New[float32](96, nn.Softmax(50), nn.Uniform, rng, nn.Dense(300), nn.ReLU(), nn.Dropout(0.1), nn.Dense(128), nn.GELU())
		if err != nil {
			t.Fatal(err)
		}
		const n = 130
		x, labels := make([]float32, n*96), make([]int32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		for i := range labels {
			labels[i] = int32(i % 50)
		}
		adam := nn.NewAdam[float32](0.001)
		for range 5 {
			if _, err := net.Step(labelled(x, labels), adam); err != nil {
				t.Fatal(err)
			}
		}
		var all []float32
		for _, p := range net.Params() {
			all = append(all, p.Data...)
		}
		return all
	}
	want := trained(1)
	for _, procs := range []int{2, 4, 8} {
		if !slices.Equal(trained(procs), want) {
			t.Errorf("GOMAXPROCS=%d gives other weights than 1", procs)
		}
	}
}

func TestDropoutKeepsTheExpectedValue(t *testing.T) {
	net, err := nn.New[float64](1, nn.Binary(), nn.Xavier, seeded(3), nn.Dropout(0.25))
	if err != nil {
		t.Fatal(err)
	}
	weight := net.Params()[0]
	weight.Data[0] = 1
	// The head's gradient is (σ(z) − y)·x after dropout: with z = x·mask and one feature of 0 weight change, the mean of
	// the masked inputs is read from the bias-free logits of many rows.
	const n = 20000
	x, labels := make([]float64, n), make([]int32, n)
	for i := range x {
		x[i], labels[i] = 1e-6, 0
	}
	if _, err := net.Gradients(labelled(x, labels)); err != nil {
		t.Fatal(err)
	}
	// At z ≈ 0 each row's gradient is 0.5·(masked x)/n, so the sum is 0.5·mean(masked x): 5e-7 where dropout is unbiased.
	// Its standard deviation is 0.5e-6·√(0.25/0.75/n) = 2e-9; allowed are five of them.
	if !(math.Abs(weight.Grad[0]-5e-7) <= 1e-8) {
		t.Errorf("mean of the masked inputs is %v, want 5e-7 to within 1e-8", weight.Grad[0])
	}
	logits := make([]float64, n)
	net.Logits(logits, labelled(x, labels))
	for i, z := range logits {
		if z != x[i] {
			t.Fatalf("Logits row %d = %v with dropout, want %v: dropout must be off", i, z, x[i])
		}
	}
}

func TestNonFiniteIsNamed(t *testing.T) {
	nan := float32(math.NaN())
	fresh := func() *nn.Network[float32] {
		net, err := nn.New[float32](2, nn.Softmax(3), nn.Uniform, seeded(1), nn.Dense(4), nn.ReLU(), nn.Dense(4), nn.ReLU())
		if err != nil {
			t.Fatal(err)
		}
		return net
	}
	for _, c := range []struct {
		name  string
		plant func(net *nn.Network[float32], x []float32)
		want  nn.NonFiniteError
	}{
		{"feature", func(_ *nn.Network[float32], x []float32) { x[2*2+1] = nan }, nn.NonFiniteError{Layer: "input", Quantity: "features", Row: 2}},
		{"infinite feature", func(_ *nn.Network[float32], x []float32) { x[0] = float32(math.Inf(1)) }, nn.NonFiniteError{Layer: "input", Quantity: "features", Row: 0}},
		{"weight", func(net *nn.Network[float32], _ []float32) { net.Params()[2].Data[0] = nan }, nn.NonFiniteError{Layer: "dense2", Quantity: "weight", Row: 0}},
		{"head's bias", func(net *nn.Network[float32], _ []float32) { net.Params()[5].Data[1] = nan }, nn.NonFiniteError{Layer: "head", Quantity: "bias", Row: 0}},
		{"overflow", func(net *nn.Network[float32], x []float32) {
			for i := range net.Params()[0].Data {
				net.Params()[0].Data[i] = 3e38
			}
			x[2*3], x[2*3+1] = 3, 3
		}, nn.NonFiniteError{Layer: "dense1", Quantity: "output", Row: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, x, labels := fresh(), make([]float32, 4*2), []int32{0, 1, 2, 0}
			c.plant(net, x)
			before := fmt.Sprint(net.Params())
			_, err := net.Step(labelled(x, labels), nn.NewAdam[float32](0.1))
			var got *nn.NonFiniteError
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a NonFiniteError", err)
			}
			if *got != c.want {
				t.Errorf("found %+v, want %+v", *got, c.want)
			}
			for i, p := range net.Params() {
				// Gradients may have been written; the parameters themselves must be as before.
				if !strings.Contains(before, fmt.Sprint(p.Data)) {
					t.Errorf("parameter %d changed in a step that failed", i)
				}
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		inputs int
		head   nn.Head
		layers []nn.Layer
		want   string
	}{
		{"no inputs", 0, nn.Softmax(2), nil, "at least one input"},
		{"one class", 1, nn.Softmax(1), nil, "at least 2 classes"},
		{"empty dense", 1, nn.Softmax(2), []nn.Layer{nn.Dense(0)}, "layer 1"},
		{"dropout of all", 1, nn.Softmax(2), []nn.Layer{nn.Dense(1), nn.Dropout(1)}, "layer 2"},
		{"empty layer", 1, nn.Softmax(2), []nn.Layer{{}}, "use Dense"},
	} {
		_, err := nn.New[float32](c.inputs, c.head, nn.Uniform, seeded(1), c.layers...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}
