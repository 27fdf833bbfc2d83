package predict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/nn"
)

// model is an untrained network over two features, with the head given.
func model(t *testing.T, head nn.Head, classes ...string) *Model {
	t.Helper()
	net, err := nn.New(2, head, nn.Uniform[float32], rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return &Model{Classes: classes, net: net, head: head, Pipeline: &dataset.Pipeline{Kind: dataset.KindVectors, Classes: classes, Inputs: 2}}
}

func vectors(n int) []float32 {
	rng := rand.New(rand.NewPCG(2, 2))
	x := make([]float32, 2*n)
	for i := range x {
		x[i] = float32(3 * rng.NormFloat64())
	}
	return x
}

// Probabilities are softmax(z/T) of the logits handed out, of the calibrated ones where there is a calibrator.
func TestProbabilities(t *testing.T) {
	for _, c := range []struct{ calibration, temperature, want float64 }{{0, 0, 1}, {0, 2, 2}, {4, 0, 4}, {4, 2, 8}} {
		m := model(t, nn.Softmax(3), "a", "b", "c")
		m.Top = 3
		m.Sampler.Temperature = c.temperature
		if c.calibration != 0 {
			m.Calibrator = &calibrate.Calibrator{Version: 1, Method: calibrate.ByTemperature, Columns: 3, Temperature: c.calibration}
		}
		all, err := m.Vectors(vectors(3000))
		if err != nil || len(all) != 3000 {
			t.Fatalf("%d predictions, %v", len(all), err)
		}
		for i, p := range all {
			sum, best := 0.0, 0
			for j, z := range p.Logits {
				sum += math.Exp(float64(z) / c.want)
				if z > p.Logits[best] {
					best = j
				}
			}
			want := math.Exp(float64(p.Logits[best])/c.want) / sum
			if p.Row != i || p.Label != m.Classes[best] || !(math.Abs(p.Probability-want) <= 1e-5) || p.Top[0] != (Candidate{p.Label, p.Probability}) {
				t.Fatalf("T %v, row %d: %+v, want %s with %v", c.want, i, p, m.Classes[best], want)
			}
			if total := p.Top[0].Probability + p.Top[1].Probability + p.Top[2].Probability; !(math.Abs(total-1) <= 1e-5) || p.Top[1].Probability < p.Top[2].Probability {
				t.Fatalf("row %d: the classes listed are %v", i, p.Top)
			}
		}
	}
}

func TestHeads(t *testing.T) {
	binary := model(t, nn.Binary(), "no", "yes")
	all, err := binary.Vectors(vectors(50))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		z := float64(p.Logits[0])
		if want := 1 / (1 + math.Exp(-math.Abs(z))); len(p.Logits) != 1 || p.Label != map[bool]string{true: "yes", false: "no"}[z > 0] || !(math.Abs(p.Probability-want) <= 1e-5) {
			t.Errorf("%+v, want probability %v", p, want)
		}
	}
	many := model(t, nn.Sigmoid(3), "a", "b", "c")
	all, err = many.Vectors(vectors(50))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		var want []string
		for j, z := range p.Logits {
			if z >= 0 {
				want = append(want, many.Classes[j])
			}
		}
		if fmt.Sprint(p.Labels) != fmt.Sprint(want) {
			t.Errorf("labels %v of logits %v", p.Labels, p.Logits)
		}
	}
}

// Drawn labels come as often as their probabilities say, and the same seed draws the same.
func TestSampling(t *testing.T) {
	m := model(t, nn.Softmax(3), "a", "b", "c")
	m.Sample, m.Seed, m.Sampler.Temperature = true, 5, 1
	x := make([]float32, 2*20000) // the same row throughout
	all, err := m.Vectors(x)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := m.Vectors(x)
	counts := map[string]float64{}
	for i, p := range all {
		counts[p.Label]++
		if again[i].Label != p.Label {
			t.Fatal("one seed drew two labels")
		}
	}
	sum := 0.0
	for _, z := range all[0].Logits {
		sum += math.Exp(float64(z))
	}
	for j, z := range all[0].Logits {
		p := math.Exp(float64(z)) / sum
		if got := counts[m.Classes[j]] / 20000; !(math.Abs(got-p) <= 5*math.Sqrt(p*(1-p)/20000)) {
			t.Errorf("class %s came with frequency %v, its probability is %v", m.Classes[j], got, p)
		}
	}
}
