package loss_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/loss"
)

type lossCase struct {
	Name        string
	K           int
	Z           numtest.Values
	Smoothing   float64
	Weights     []float64
	ZLoss       float64 `json:"z_loss"`
	Gamma       float64
	Temperature float64
	Soft        []float64
	graded
}

func (c lossCase) loss(t *testing.T) loss.Loss[float64] {
	switch c.Name {
	case "cross-entropy", "soft":
		return loss.CrossEntropy[float64]{LabelSmoothing: c.Smoothing, ClassWeights: c.Weights, ZLoss: c.ZLoss}
	case "focal":
		return loss.Focal[float64]{Gamma: c.Gamma, Alpha: c.Weights}
	case "brier":
		return loss.Brier[float64]{}
	case "kl":
		return loss.KL[float64]{Temperature: c.Temperature}
	case "binary":
		return loss.BinaryCrossEntropy[float64]{PosWeights: c.Weights}
	}
	t.Fatalf("no loss for %q", c.Name)
	return nil
}

// What tools/oracle/losses.py wrote, with PyTorch and scikit-learn in float64: one sample is ignored.
func TestTypesMatchPyTorch(t *testing.T) {
	var g struct {
		Labels []int32
		Cases  []lossCase
		Hinge  float64
	}
	numtest.ReadGolden(t, "testdata/losses.json", &g)
	if len(g.Cases) < 13 {
		t.Fatalf("losses.json holds %d cases", len(g.Cases))
	}
	for i, c := range g.Cases {
		targets := loss.Targets[float64]{Soft: c.Soft}
		if c.Soft == nil {
			targets.Labels = g.Labels
		}
		check(t, fmt.Sprintf("case %d, %s", i, c.Name), c.graded, func(perSample, grad []float64) float64 {
			return c.loss(t).Loss(perSample, grad, c.Z, c.K, targets)
		})
	}
	if got := (loss.Hinge[float64]{}).Loss(nil, nil, g.Cases[0].Z, 5, labelled(g.Labels)); !numtest.Near(got, g.Hinge, 1e-14) {
		t.Errorf("hinge %v, scikit-learn has %v", got, g.Hinge)
	}
}

// every loss with its settings, by whether it takes soft targets.
func every(k int, weights []float64) (byLabel, bySoft map[string]loss.Loss[float64]) {
	byLabel = map[string]loss.Loss[float64]{
		"focal": loss.Focal[float64]{Gamma: 1.5, Alpha: weights}, "hinge": loss.Hinge[float64]{}, "brier": loss.Brier[float64]{},
	}
	bySoft = map[string]loss.Loss[float64]{
		"kl": loss.KL[float64]{Temperature: 2}, "brier": loss.Brier[float64]{}, "binary": loss.BinaryCrossEntropy[float64]{PosWeights: weights},
	}
	for i := range 8 {
		ce := loss.CrossEntropy[float64]{}
		if i&1 != 0 {
			ce.LabelSmoothing = 0.1
		}
		if i&2 != 0 {
			ce.ClassWeights = weights
		}
		if i&4 != 0 {
			ce.ZLoss = 0.01
		}
		name := fmt.Sprintf("cross-entropy %+v", ce)
		byLabel[name], bySoft[name] = ce, ce
	}
	return byLabel, bySoft
}

func TestTypesByFiniteDifferences(t *testing.T) {
	for seed := range uint64(100) {
		rng := seeded(seed)
		n, k := 2+rng.IntN(4), 2+rng.IntN(5)
		z, soft, weights, labels := make([]float64, n*k), make([]float64, n*k), make([]float64, k), make([]int32, n)
		for i := range z {
			z[i], soft[i] = 2*rng.NormFloat64(), rng.Float64()
		}
		for i := range weights {
			weights[i] = 0.2 + rng.Float64()
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(k))
		}
		labels[rng.IntN(n)] = loss.Ignored
		byLabel, bySoft := every(k, weights)
		differ := func(name string, l loss.Loss[float64], targets loss.Targets[float64]) {
			grad := make([]float64, n*k)
			l.Loss(nil, grad, z, k, targets)
			for i := range z {
				const h = 1e-4
				at, numeric := z[i], 0.0
				for _, point := range []struct{ step, weight float64 }{{-2, 1}, {-1, -8}, {1, 8}, {2, -1}} {
					z[i] = at + point.step*h
					numeric += point.weight * l.Loss(nil, nil, z, k, targets) / (12 * h)
				}
				z[i] = at
				if !(math.Abs(grad[i]-numeric) <= 1e-6*max(math.Abs(numeric), 1e-3)) {
					t.Errorf("seed %d: %s gradient[%d] = %v, finite differences give %v", seed, name, i, grad[i], numeric)
				}
			}
		}
		for name, l := range byLabel {
			differ(name, l, loss.Targets[float64]{Labels: labels})
		}
		for name, l := range bySoft {
			differ(name+" soft", l, loss.Targets[float64]{Soft: soft})
			differ(name+" soft, ignored", l, loss.Targets[float64]{Soft: soft, Labels: labels})
		}
	}
}

// In every combination of settings: an ignored sample is as if it were absent (pytorch#69339, #73205), whatever it holds; a
// one-hot row is its label; the gradient in z's place is the same; a NaN stays in its row; nothing is allocated.
func TestTypesInEveryCombination(t *testing.T) {
	const k = 3
	z := []float64{1, 2, 0, math.NaN(), math.Inf(1), 0, -1, 0.5, 2}
	without := append(append([]float64{}, z[:3]...), z[6:]...)
	labels, kept := []int32{1, loss.Ignored, 0}, []int32{1, 0}
	oneHot := []float64{0, 1, 0, 1, 0, 0}
	byLabel, bySoft := every(k, []float64{0.5, 2, 3})
	for name, l := range byLabel {
		own, grad, wantOwn, want := make([]float64, 3), make([]float64, 9), make([]float64, 2), make([]float64, 6)
		mean, wantMean := l.Loss(own, grad, z, k, labelled(labels)), l.Loss(wantOwn, want, without, k, labelled(kept))
		numtest.AllNear(t, name+" with one ignored", append(append([]float64{mean}, own...), grad...),
			append([]float64{wantMean, wantOwn[0], 0, wantOwn[1]}, append(append(append([]float64{}, want[:3]...), 0, 0, 0), want[3:]...)...), 1e-14)
		place := append([]float64{}, without...)
		l.Loss(nil, place, place, k, labelled(kept))
		numtest.AllNear(t, name+" in place", place, want, 1e-14)
		if soft, ok := bySoft[name]; ok {
			other := make([]float64, 6)
			if got := soft.Loss(nil, other, without, k, weighed(oneHot)); !numtest.Near(got, wantMean, 1e-14) {
				t.Errorf("%s: one-hot gives %v, labels %v", name, got, wantMean)
			}
			numtest.AllNear(t, name+" one-hot gradient", other, want, 1e-14)
		}
		if mean := l.Loss(own, grad, z, k, labelled([]int32{1, 1, 0})); !math.IsNaN(mean) || math.IsNaN(own[0]) || !math.IsNaN(own[1]) || math.IsNaN(own[2]) {
			t.Errorf("%s: a row of NaN gives %v, mean %v", name, own, mean)
		}
		masked := make([]float64, 3)
		if mean := l.Loss(nil, masked, []float64{1, math.Inf(-1), 2}, k, labelled([]int32{0})); math.IsNaN(mean) || !strings.Contains(name, "Smoothing:0.1") && (math.IsInf(mean, 0) || masked[1] != 0) {
			t.Errorf("%s: a masked class gives %v, gradient %v", name, mean, masked)
		}
		if n := testing.AllocsPerRun(20, func() { l.Loss(nil, grad, z, k, labelled(labels)) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Two logits and one are the same model: z = z₁ − z₀. docs/losses.md says so.
func TestOneLogitIsTwo(t *testing.T) {
	rng := seeded(1)
	for range 100 {
		z, label := []float64{3 * rng.NormFloat64(), 3 * rng.NormFloat64()}, []int32{int32(rng.IntN(2))}
		two, one := make([]float64, 2), make([]float64, 1)
		if a, b := loss.FromLogits(nil, two, z, 2, label), loss.FromLogits(nil, one, []float64{z[1] - z[0]}, 1, label); !numtest.Near(a, b, 1e-14) {
			t.Errorf("two logits %v, one %v", a, b)
		}
		if !numtest.Near(two[1], one[0], 1e-14) || !numtest.Near(two[0], -one[0], 1e-14) {
			t.Errorf("gradients %v and %v", two, one)
		}
	}
}

func TestCatalog(t *testing.T) {
	for _, info := range loss.Catalog() {
		if _, err := loss.ByName[float32](info.Name, loss.Settings{}); err != nil {
			t.Errorf("%s: %v", info.Name, err)
		}
		for _, head := range info.Heads {
			if err := loss.Fits(info.Name, head, info.Targets == "soft"); err != nil {
				t.Errorf("%s on %s: %v", info.Name, head, err)
			}
		}
	}
	for _, task := range []loss.Task{{Classes: 2}, {Classes: 3}, {Classes: 5, MultiLabel: true}, {Classes: 2, Teacher: true}} {
		head, name, _ := loss.Choose(task)
		if err := loss.Fits(name, head, task.MultiLabel || task.Teacher); err != nil {
			t.Errorf("%+v: %v", task, err)
		}
	}
	for want, err := range map[string]error{
		"use binary-cross-entropy":          loss.Fits("focal", "binary", false),
		"use cross-entropy, kl or brier":    loss.Fits("hinge", "softmax", true),
		"needs a teacher's probabilities":   loss.Fits("kl", "softmax", false),
		"unknown loss \"spam\"":             loss.Fits("spam", "softmax", false),
		"it belongs to focal":               second(loss.ByName[float32]("hinge", loss.Settings{Gamma: 2})),
		"label smoothing 1 is not in [0, 1": second(loss.ByName[float32]("cross-entropy", loss.Settings{LabelSmoothing: 1})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
