package nn_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/nn"
)

// Edges and what features become are NumPy's, by tools/oracle/bins.py: a head whose weights are the identity gives them as logits.
func TestBinsAreNumPys(t *testing.T) {
	text, err := os.ReadFile("testdata/numpy_bins.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Inputs int
		Cases  []struct {
			Bins                      int
			Fitted, X, Edges, Encoded []float64
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil || len(golden.Cases) != 3 {
		t.Fatalf("%d cases, %v", len(golden.Cases), err)
	}
	for _, c := range golden.Cases {
		width := golden.Inputs * c.Bins
		net, err := nn.New[float64](golden.Inputs, nn.Softmax(width), nn.Uniform, seeded(1), nn.Bins(c.Bins))
		if err != nil {
			t.Fatal(err)
		}
		net.FitBins(append(slices.Clone(c.Fitted), math.NaN(), math.Inf(1), math.NaN(), math.Inf(-1)))
		state := net.State()
		if len(state) != 1 || state[0].Name != "bins.edges" || !slices.Equal(state[0].Shape, []int{golden.Inputs, c.Bins + 1}) {
			t.Fatalf("%d bins: the state is %+v", c.Bins, state)
		}
		numtest.AllNear(t, "edges", state[0].Data, c.Edges, 1e-12)
		for _, p := range net.Params() {
			clear(p.Data)
		}
		for i := range width {
			net.Params()[0].Data[i*width+i] = 1
		}
		n := len(c.X) / golden.Inputs
		got := make([]float64, n*width)
		net.Logits(got, nn.Batch[float64]{N: n, Features: c.X})
		numtest.AllNear(t, "encoded", got, c.Encoded, 1e-5) // the oracle's means are over 10⁶ rows
	}
}

// The gradient of layers behind bins, which have none themselves, by a five-point stencil in float64.
func TestGradientsBehindBins(t *testing.T) {
	rng := seeded(3)
	net, err := nn.New[float64](3, nn.Softmax(4), nn.Uniform, rng, nn.Bins(5), nn.Dense(6), nn.GELU())
	if err != nil {
		t.Fatal(err)
	}
	features, labels := make([]float64, 3*20), make([]int32, 20)
	for i := range features {
		features[i] = rng.NormFloat64()
	}
	for i := range labels {
		labels[i] = rng.Int32N(4)
	}
	net.FitBins(features)
	lossAt := lossOf(t, net, labelled(features, labels))
	lossAt()
	grads := copiedGradients(net)
	for k, p := range net.Params() {
		grad := grads[k]
		for i := range p.Data {
			slope := stencil(lossAt, &p.Data[i], 1e-3)
			if !(math.Abs(grad[i]-slope) <= 1e-6*max(math.Abs(slope), 1e-2)) {
				t.Errorf("%s gradient [%d] = %v, finite differences give %v", p.Name, i, grad[i], slope)
			}
		}
	}
}

// A feature that is no number is told, not hidden between two edges.
func TestBinsKeepNaN(t *testing.T) {
	net, err := nn.New[float32](1, nn.Softmax(2), nn.Uniform, seeded(1), nn.Bins(3), nn.Dense(4), nn.ReLU())
	if err != nil {
		t.Fatal(err)
	}
	var wrong *nn.NonFiniteError
	if _, err := net.Step(labelled([]float32{1, float32(math.NaN())}, []int32{0, 1}), nn.NewAdam[float32](0.01)); !errors.As(err, &wrong) || wrong.Layer != "input" {
		t.Errorf("%v, want an error of the input", err)
	}
}
