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

// layersGolden is what tools/oracle/layers.py wrote with PyTorch in float64.
type layersGolden struct {
	Cases []struct {
		Name    string
		Image   []int
		Inputs  int
		Layers  [][]any
		K       int
		X       []float64
		Labels  []int32
		Params  [][]float64
		Loss    float64
		Grads   [][]float64
		Losses  []float64
		Trained [][]float64
		State   [][]float64
		Logits  []float64
	}
	Bags []struct {
		Mode                string
		Table, Weight, Bias []float64
		Batches             []struct {
			Tokens, Offsets     []int32
			Weights             []float64
			X                   []float64
			Labels              []int32
			Loss                float64
			Grad, Table, Weight []float64
		}
	}
}

func readLayers(t *testing.T) (g layersGolden) {
	t.Helper()
	numtest.ReadGolden(t, "testdata/torch_layers.json", &g)
	if len(g.Cases) < 8 || len(g.Bags) != 2 || g.Bags[1].Batches[0].Weights == nil {
		t.Fatalf("torch_layers.json holds %d cases and %d bags", len(g.Cases), len(g.Bags))
	}
	return g
}

func layersOf(t *testing.T, image []int, described [][]any) (layers []nn.Layer) {
	t.Helper()
	if image != nil {
		layers = append(layers, nn.Image(image[0], image[1], image[2]))
	}
	for _, l := range described {
		number := func(i int) int { return int(l[i].(float64)) }
		switch l[0] {
		case "dense":
			layers = append(layers, nn.Dense(number(1)))
		case "relu":
			layers = append(layers, nn.ReLU())
		case "gelu":
			layers = append(layers, nn.GELU())
		case "conv":
			layers = append(layers, nn.Conv(number(1), number(2), number(3), number(4)))
		case "maxpool":
			layers = append(layers, nn.MaxPool(number(1)))
		case "batchnorm":
			layers = append(layers, nn.BatchNorm())
		case "layernorm":
			layers = append(layers, nn.LayerNorm())
		default:
			t.Fatalf("no layer for %v", l)
		}
	}
	return layers
}

func as[T nn.Float](x []float64) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}

func TestLayersMatchPyTorch(t *testing.T) {
	t.Run("float64", func(t *testing.T) { layersMatch[float64](t, 1e-11) })
	t.Run("float32", func(t *testing.T) { layersMatch[float32](t, 2e-4) })
}

func layersMatch[T nn.Float](t *testing.T, tolerance float64) {
	for _, c := range readLayers(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			net, err := nn.New[T](c.Inputs, nn.Softmax(c.K), nn.Uniform, seeded(1), layersOf(t, c.Image, c.Layers)...)
			if err != nil {
				t.Fatal(err)
			}
			if len(net.Params()) != len(c.Params) {
				t.Fatalf("%d parameters, PyTorch has %d", len(net.Params()), len(c.Params))
			}
			for i, p := range net.Params() {
				copy(p.Data, as[T](c.Params[i]))
			}
			batch := labelled(as[T](c.X), c.Labels)
			sgd := &nn.SGD[T]{LearningRate: 0.05, Momentum: 0.9}
			for step, want := range c.Losses {
				mean, err := net.Gradients(batch)
				if err != nil {
					t.Fatal(err)
				}
				if !numtest.Near(mean, want, 10*tolerance) {
					t.Errorf("step %d: loss %v, PyTorch has %v", step+1, mean, want)
				}
				for i, p := range net.Params() {
					if step == 0 {
						numtest.AllNear(t, p.Name+" gradient", p.Grad, c.Grads[i], tolerance)
					}
				}
				net.Update(sgd)
			}
			for i, p := range net.Params() {
				numtest.AllNear(t, p.Name, p.Data, c.Trained[i], 20*tolerance)
			}
			if len(net.State()) != len(c.State) {
				t.Fatalf("%d running statistics, PyTorch has %d", len(net.State()), len(c.State))
			}
			for i, s := range net.State() {
				// The last Gradients saw the weights before the last step, as PyTorch's did.
				numtest.AllNear(t, s.Name, s.Data, c.State[i], 20*tolerance)
			}
			logits := make([]T, len(c.Logits))
			net.Logits(logits, batch)
			numtest.AllNear(t, "logits", logits, c.Logits, 40*tolerance)
		})
	}
}

// Values whose mean is a thousand times their spread, and nearly constant ones: float32 loses no more than their own rounding.
func TestNormalisationOfALargeMean(t *testing.T) {
	for name, layer := range map[string]nn.Layer{"batchnorm": nn.BatchNorm(), "layernorm": nn.LayerNorm()} {
		for _, spread := range []float64{1, 0.01} {
			const n, width = 40, 33
			rng := seeded(8)
			x, labels := make([]float32, n*width), make([]int32, n)
			wide := make([]float64, len(x))
			for i := range x {
				x[i] = float32(1000 + spread*rng.NormFloat64())
				wide[i] = float64(x[i])
				labels[i%n] = int32(i % 3)
			}
			small, err := nn.New[float32](width, nn.Softmax(3), nn.Uniform, seeded(1), layer)
			if err != nil {
				t.Fatal(err)
			}
			large, err := nn.New[float64](width, nn.Softmax(3), nn.Uniform, seeded(1), layer)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range large.Params() {
				for j, v := range small.Params()[i].Data {
					p.Data[j] = float64(v)
				}
			}
			got, err := small.Gradients(labelled(x, labels))
			if err != nil {
				t.Fatal(err)
			}
			want, err := large.Gradients(labelled(wide, labels))
			if err != nil {
				t.Fatal(err)
			}
			if !numtest.Near(got, want, 1e-6) {
				t.Errorf("%s, spread %v: loss %v, in float64 %v", name, spread, got, want)
			}
			for i, p := range large.Params() {
				numtest.AllNear(t, fmt.Sprintf("%s, spread %v: %s gradient", name, spread, p.Name), small.Params()[i].Grad, p.Grad, 1e-6)
			}
		}
	}
}

// The table by PyTorch's SparseAdam: rows that a batch does not name stay, and so do their means.
func TestEmbeddingBagMatchesPyTorch(t *testing.T) {
	for _, c := range readLayers(t).Bags {
		net, err := nn.New[float64](2, nn.Softmax(3), nn.Uniform, seeded(1), nn.EmbeddingBag(20, 4))
		if err != nil {
			t.Fatal(err)
		}
		params := net.Params()
		copy(params[0].Data, c.Table)
		copy(params[1].Data, c.Weight)
		copy(params[2].Data, c.Bias)
		adam := nn.NewAdam[float64](0.01)
		adam.Epsilon = 1e-30
		for i, b := range c.Batches {
			batch := labelled(b.X, b.Labels)
			batch.Tokens, batch.Offsets, batch.Weights = b.Tokens, b.Offsets, b.Weights
			mean, err := net.Step(batch, adam)
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("%s, batch %d: ", c.Mode, i)
			if !numtest.Near(mean, b.Loss, 1e-12) {
				t.Errorf("%sloss %v, PyTorch has %v", what, mean, b.Loss)
			}
			numtest.AllNear(t, what+"gradient", params[0].Grad, b.Grad, 1e-12)
			numtest.AllNear(t, what+"table", params[0].Data, b.Table, 1e-10)
			numtest.AllNear(t, what+"weight", params[1].Data, b.Weight, 1e-10)
		}
	}
}

// network makes one of several kinds with a batch for it, all from the seed.
func network[T nn.Float](t testing.TB, kind int, seed uint64, n int) (*nn.Network[T], nn.Batch[T]) {
	t.Helper()
	rng := seeded(seed)
	inputs, layers := 0, []nn.Layer(nil)
	switch kind % 4 {
	case 0:
		h, w, c, size := 4+rng.IntN(4), 4+rng.IntN(4), 1+rng.IntN(3), 1+rng.IntN(3)
		inputs = h * w * c
		layers = []nn.Layer{nn.Image(h, w, c), nn.Conv(1+rng.IntN(4), size, 1+rng.IntN(2), rng.IntN(size)), nn.GELU(), nn.Conv(2, 2, 1, 1), nn.MaxPool(2)}
	case 1:
		inputs, layers = 5, []nn.Layer{nn.Dense(6), nn.BatchNorm(), nn.GELU(), nn.Dense(4), nn.BatchNorm()}
	case 2:
		inputs, layers = 5, []nn.Layer{nn.LayerNorm(), nn.Dense(6), nn.GELU(), nn.LayerNorm()}
	case 3:
		inputs, layers = rng.IntN(3), []nn.Layer{nn.EmbeddingBag(30, 4), nn.Dense(3), nn.GELU()}
	}
	net, err := nn.New[T](inputs, nn.Softmax(3), nn.Uniform, rng, layers...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Params() {
		for i := range p.Data {
			p.Data[i] += T(rng.NormFloat64() / 3)
		}
	}
	b := nn.Batch[T]{N: n, Features: make([]T, n*inputs), Targets: loss.Targets[T]{Labels: make([]int32, n)}}
	for i := range b.Features {
		b.Features[i] = T(rng.NormFloat64())
	}
	b.Offsets = []int32{0}
	for i := range n {
		b.Targets.Labels[i] = int32(rng.IntN(3))
		for range rng.IntN(4) {
			b.Tokens = append(b.Tokens, int32(rng.IntN(30)))
		}
		b.Offsets = append(b.Offsets, int32(len(b.Tokens)))
	}
	return net, b
}

// Five-point stencils in float64 over 100 random networks of each kind: a relative error of 1e-6 at most.
func TestLayerGradientsByFiniteDifferences(t *testing.T) {
	kinks, kind := 0, func(seed uint64) uint64 { return seed % 4 }
	defer func() {
		if kinks > 5 {
			t.Errorf("%d stencils lie over a kink of max-pooling, want at most 5", kinks)
		}
	}()
	for seed := range uint64(400) {
		net, batch := network[float64](t, int(seed), seed, 3+int(seed%3))
		lossAt := lossOf(t, net, batch)
		lossAt()
		grads := copiedGradients(net)
		rng := seeded(seed + 1000)
		for k, p := range net.Params() {
			i := rng.IntN(len(p.Data))
			numeric := stencil(lossAt, &p.Data[i], 1e-4)
			if closer := stencil(lossAt, &p.Data[i], 1e-5); kind(seed) == 0 && !(math.Abs(closer-numeric) <= 1e-6*max(math.Abs(numeric), 1e-2)) {
				kinks++ // another pixel is the largest
				continue
			}
			if !(math.Abs(grads[k][i]-numeric) <= 1e-6*max(math.Abs(numeric), 1e-2)) {
				t.Errorf("seed %d: %s gradient [%d] = %v, finite differences give %v", seed, p.Name, i, grads[k][i], numeric)
			}
		}
	}
}

// Nothing is allocated in the steady state, and the number of threads changes no bit.
func TestLayersAreSteady(t *testing.T) {
	for kind := range 4 {
		trained := func(procs int) []float32 {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			net, batch := network[float32](t, kind, 11, 64)
			adam := nn.NewAdam[float32](0.01)
			step := func() {
				if _, err := net.Step(batch, adam); err != nil {
					t.Error(err)
				}
			}
			step()
			if n := testing.AllocsPerRun(10, step); n != 0 {
				t.Errorf("kind %d: %v allocations a step, want 0", kind, n)
			}
			var all []float32
			for _, p := range net.Params() {
				all = append(all, p.Data...)
			}
			return all
		}
		want := trained(1)
		for _, procs := range []int{2, 4} {
			if !slices.Equal(trained(procs), want) {
				t.Errorf("kind %d: GOMAXPROCS=%d gives other weights than 1", kind, procs)
			}
		}
	}
}

// A large convolution is cut in blocks of rows and in parts of images; each thread count gives the same bits.
func TestLargeConvolution(t *testing.T) {
	trained := func(procs int) []float32 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		rng := seeded(3)
		net, err := nn.New[float32](64*64*4, nn.Softmax(3), nn.Uniform, rng,
			nn.Image(64, 64, 4), nn.Conv(8, 5, 1, 2), nn.ReLU(), nn.MaxPool(2), nn.Conv(8, 3, 2, 1), nn.ReLU())
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float32, 5*64*64*4)
		for i := range x {
			x[i] = rng.Float32()
		}
		for range 2 {
			if _, err := net.Step(labelled(x, []int32{0, 1, 2, 0, 1}), nn.NewAdam[float32](0.01)); err != nil {
				t.Fatal(err)
			}
		}
		return net.Params()[0].Data
	}
	if !slices.Equal(trained(1), trained(4)) {
		t.Error("GOMAXPROCS=4 gives other weights than 1")
	}
}

func TestNonFiniteIsNamedInEveryLayer(t *testing.T) {
	for kind, want := range []nn.NonFiniteError{
		{Layer: "conv1", Quantity: "weight", Row: 0},
		{Layer: "dense1", Quantity: "weight", Row: 0},
		{Layer: "layernorm1", Quantity: "weight", Row: 0},
		{Layer: "embedding", Quantity: "weight", Row: 2},
	} {
		net, batch := network[float32](t, kind, 5, 4)
		if kind == 3 {
			batch.Tokens, batch.Offsets = []int32{1, 2, 7, 3}, []int32{0, 1, 2, 3, 4}
			net.Params()[0].Data[7*4+1] = float32(math.NaN())
		} else {
			net.Params()[0].Data[0] = float32(math.NaN())
		}
		_, err := net.Gradients(batch)
		var got *nn.NonFiniteError
		if !errors.As(err, &got) || *got != want {
			t.Errorf("kind %d: %v, want %+v", kind, err, want)
		}
	}
}

// A row that no batch named keeps its value, its gradient is 0 and a step costs nothing for it.
func TestUntouchedRowsStay(t *testing.T) {
	const buckets = 1 << 12
	net, err := nn.New[float32](0, nn.Softmax(2), nn.Uniform, seeded(1), nn.EmbeddingBag(buckets, 8))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	adam := nn.NewAdamW[float32](0.1, 0.1)
	for range 20 {
		batch := nn.Batch[float32]{N: 2, Tokens: []int32{int32(rng.IntN(100)), 7}, Offsets: []int32{0, 1, 2}}
		batch.Targets.Labels = []int32{0, 1}
		if _, err := net.Step(batch, adam); err != nil {
			t.Fatal(err)
		}
		named := 0
		for row := range buckets {
			if slices.ContainsFunc(net.Params()[0].Grad[row*8:row*8+8], func(g float32) bool { return g != 0 }) {
				named++
			}
		}
		if named > 2 {
			t.Fatalf("%d rows have a gradient, and the batch names 2", named)
		}
	}
	for i, v := range net.Params()[0].Data[100*8:] {
		if v != 0 {
			t.Fatalf("value %d behind the rows that were named is %v", i, v)
		}
	}
	numtest.Panics(t, "token 4096 of sample 0 is not in [0, 4096)", func() {
		net.Logits(make([]float32, 2), nn.Batch[float32]{N: 1, Tokens: []int32{buckets}, Offsets: []int32{0, 1}})
	})
	numtest.Panics(t, "Offsets holds 0 values", func() { net.Logits(make([]float32, 2), nn.Batch[float32]{N: 1}) })
}

func TestParseModel(t *testing.T) {
	table := nn.InputShape{Features: 20}
	pixels := nn.InputShape{Features: 784, Height: 28, Width: 28, Channels: 1}
	text := nn.InputShape{Buckets: 1000}
	for _, c := range []struct {
		spec  string
		input nn.InputShape
		names string // of the parameters, or the error
	}{
		{"linear", table, "head.weight head.bias"},
		{"mlp:8,4", table, "dense1.weight dense1.bias dense2.weight dense2.bias head.weight head.bias"},
		{"mlp:8+batchnorm+gelu+dropout=0.1", table, "dense1.weight dense1.bias batchnorm1.weight batchnorm1.bias head.weight head.bias"},
		{"cnn", pixels, "conv1.weight conv1.bias conv2.weight conv2.bias dense1.weight dense1.bias head.weight head.bias"},
		{"cnn", nn.InputShape{Features: 2 * 3 * 3, Height: 2, Width: 3, Channels: 3}, "conv1.weight conv1.bias conv2.weight conv2.bias dense1.weight dense1.bias head.weight head.bias"},
		{"text", text, "embedding.weight head.weight head.bias"},
		{"mlp:5", nn.InputShape{Features: 3, Buckets: 10}, "embedding.weight dense1.weight dense1.bias head.weight head.bias"},
		{"mlp:8+bins=4+dropout=0.1", table, "dense1.weight dense1.bias head.weight head.bias"},
		{"linear+bins=4", table, "head.weight head.bias"},
		{"mlp:8+bins=0", table, `"0" bins: want 1 to 1024`},
		{"mlp:8+bins=1e9", table, `"1e9" bins: want 1 to 1024`},
		{"mlp:8+bins", table, "unknown option"},
		{"cnn+bins=4", pixels, "bins are of mlp and linear"},
		{"mlp:5+bins=4", nn.InputShape{Features: 3, Buckets: 10}, "bins are of mlp and linear"},
		{"mlp", table, `"" is no number of units`},
		{"mlp:8,x", table, `"x" is no number of units`},
		{"mlp:0", table, `"0" is no number of units`},
		{"linear:8", table, "linear takes no units"},
		{"linear+layernorm", table, "no hidden layer"},
		{"text", table, "no text in the data"},
		{"cnn", table, "no images"},
		{"mlp:8+dropout", table, "unknown option"},
		{"mlp:8+dropout=1", table, "not in [0, 1)"},
		{"mlp:8+spam", table, "unknown option"},
		{"tree", table, "unknown kind"},
		{"mlp:" + strings.Repeat("0", 1<<20) + "8", table, "text of 1048581 bytes"},
		{"mlp:8" + strings.Repeat("+relu", 1<<14), table, "want at most 65536"},
		{"mlp:" + strings.Repeat("0", 1<<15) + "8", table, "dense1.weight dense1.bias head.weight head.bias"},
	} {
		layers, err := nn.ParseModel(c.spec, c.input)
		if err != nil {
			if !strings.Contains(err.Error(), c.names) {
				t.Errorf("%.100s: error %.500q, want one that says %q", c.spec, err, c.names)
			}
			if len(err.Error()) > 500 {
				t.Errorf("%.100s: an error of %d bytes", c.spec, len(err.Error()))
			}
			continue
		}
		net, err := nn.New[float32](c.input.Features, nn.Softmax(2), nn.Uniform, seeded(1), layers...)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		var names []string
		for _, p := range net.Params() {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != c.names {
			t.Errorf("%s: parameters %s, want %s", c.spec, got, c.names)
		}
	}
}
