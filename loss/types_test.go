package loss_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

type lossCase struct {
	Name     string // of loss.Catalog
	Settings loss.Settings
	K        int
	Z        numtest.Values
	Soft     []float64
	graded
}

// What tools/oracle/losses.py wrote, with PyTorch and scikit-learn in float64: one sample is ignored.
func TestTypesMatchPyTorch(t *testing.T) {
	var g struct {
		Labels []int32
		Cases  []lossCase
	}
	numtest.ReadGolden(t, "testdata/losses.json", &g)
	held := map[string]bool{}
	for i, c := range g.Cases {
		targets := loss.Targets[float64]{Soft: c.Soft}
		if c.Soft == nil {
			targets.Labels = g.Labels
		}
		l, err := loss.ByName[float64](c.Name, c.Settings)
		if err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		held[c.Name] = true
		for name := range c.Settings {
			held[c.Name+":"+name] = true
		}
		check(t, fmt.Sprintf("case %d, %s", i, c.Name), c.graded, func(perSample, grad []float64) float64 {
			return l.Loss(perSample, grad, c.Z, c.K, targets)
		})
	}
	for _, info := range loss.Catalog() {
		if !held[info.Name] {
			t.Errorf("%s: tools/oracle/losses.py has no case of it", info.Name)
		}
		for _, s := range info.Settings {
			if !held[info.Name+":"+s.Name] {
				t.Errorf("%s: tools/oracle/losses.py has no case with %s", info.Name, s.Name)
			}
		}
	}
}

// every loss with each choice of its settings, by what it takes.
func every(t *testing.T, k int, weights []float64) (byLabel, bySoft map[string]loss.Loss[float64]) {
	byLabel, bySoft = map[string]loss.Loss[float64]{}, map[string]loss.Loss[float64]{}
	for _, info := range loss.Catalog() {
		for chosen := range 1 << len(info.Settings) {
			settings := loss.Settings{}
			for i, s := range info.Settings {
				switch {
				case chosen>>i&1 == 0:
				case s.Per == loss.PerLoss:
					settings[s.Name] = []float64{s.Usual}
				default:
					settings[s.Name] = weights
				}
			}
			l, err := loss.ByName[float64](info.Name, settings)
			if err != nil {
				t.Fatalf("%s with %v: %v", info.Name, settings, err)
			}
			name := fmt.Sprintf("%s %v", info.Name, settings)
			if info.Targets != loss.BySoft && slices.Contains(info.Heads, logit.HeadSoftmax) {
				byLabel[name] = l
			}
			if info.Targets != loss.ByLabels {
				bySoft[name] = l
			}
		}
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
		byLabel, bySoft := every(t, k, weights)
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
	byLabel, bySoft := every(t, k, []float64{0.5, 2, 3})
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
		if mean := l.Loss(nil, masked, []float64{1, math.Inf(-1), 2}, k, labelled([]int32{0})); math.IsNaN(mean) || !strings.Contains(name, "label_smoothing") && (math.IsInf(mean, 0) || masked[1] != 0) {
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
		narrow, err := loss.ByName[float32](info.Name, nil)
		if err != nil {
			t.Errorf("%s: %v", info.Name, err)
		}
		wide, err := loss.ByName[float64](info.Name, nil)
		if err != nil {
			t.Errorf("%s: %v", info.Name, err)
		}
		name, _, _ := strings.Cut(fmt.Sprintf("%T", narrow), "[")
		if other, _, _ := strings.Cut(fmt.Sprintf("%T", wide), "["); name != other {
			t.Errorf("%s: %s for float32, %s for float64", info.Name, name, other)
		}
		if len(info.Heads) == 0 || info.Targets.String() == "" || info.Formula == "" || info.Use == "" || info.Pitfalls == "" {
			t.Errorf("%s: %+v leaves something out", info.Name, info)
		}
		for _, head := range info.Heads {
			if err := loss.Fits(info.Name, head, info.Targets == loss.BySoft); err != nil {
				t.Errorf("%s on %s: %v", info.Name, head, err)
			}
		}
		for _, s := range info.Settings {
			if same, err := loss.SettingNamed(s.Name); err != nil || same != s {
				t.Errorf("%s: setting %+v is elsewhere %+v (%v)", info.Name, s, same, err)
			}
			if s.Title == "" || s.Symbol == "" || s.Text == "" || s.Per == loss.PerLoss && !s.Range.Contains(s.Usual) {
				t.Errorf("%s: %+v leaves something out, or its usual value is out of range", info.Name, s)
			}
			if strings.Contains(info.Formula, s.Symbol) == (s.Symbol == "w" && info.Name == "focal") {
				t.Errorf("%s: its formula has no %s, the symbol of %s", info.Name, s.Symbol, s.Name)
			}
		}
	}
	for _, head := range logit.Heads() {
		if err := loss.Fits(loss.Default(head), head, head.MultiLabel()); err != nil {
			t.Errorf("%s: its default does not fit: %v", head, err)
		}
	}
	for _, task := range []loss.Task{{Classes: 2}, {Classes: 3}, {Classes: 5, MultiLabel: true}, {Classes: 2, Teacher: true}} {
		head, name, _ := loss.Choose(task)
		if err := loss.Fits(name, head, task.MultiLabel || task.Teacher); err != nil {
			t.Errorf("%+v: %v", task, err)
		}
	}
	one := func(name string, v float64) loss.Settings { return loss.Settings{name: {v}} }
	for want, err := range map[string]error{
		"use binary-cross-entropy":                           loss.Fits("focal", logit.HeadBinary, false),
		"use cross-entropy, kl or brier":                     loss.Fits("hinge", logit.HeadSoftmax, true),
		"needs a teacher's probabilities":                    loss.Fits("kl", logit.HeadSoftmax, false),
		"unknown loss \"spam\"":                              loss.Fits("spam", logit.HeadSoftmax, false),
		"no loss is named":                                   second(loss.ByName[float32]("", nil)),
		"hinge has no gamma; it belongs to focal":            second(loss.ByName[float32]("hinge", one("gamma", 2))),
		"label smoothing 1 is not in [0, 1)":                 second(loss.ByName[float32]("cross-entropy", one("label_smoothing", 1))),
		"label smoothing NaN is not in":                      second(loss.ByName[float64]("cross-entropy", one("label_smoothing", math.NaN()))),
		"z-loss -1: give a number 0 or more":                 second(loss.ByName[float32]("cross-entropy", one("z_loss", -1))),
		"gamma +Inf: give a number 0 or more":                second(loss.ByName[float32]("focal", one("gamma", math.Inf(1)))),
		"temperature 0: give a number above 0":               second(loss.ByName[float32]("kl", one("temperature", 0))),
		"class weights: weight -2 of class 1: give 0 or mo":  second(loss.ByName[float32]("focal", loss.Settings{"class_weights": {1, -2}})),
		"gamma: 2 numbers, want one":                         second(loss.ByName[float32]("focal", loss.Settings{"gamma": {1, 2}})),
		"hinge has no settings, so no \"margin\" either":     second(loss.ByName[float32]("hinge", one("margin", 1))),
		"focal has no setting \"margin\": it has gamma, cla": second(loss.ByName[float32]("focal", one("margin", 1))),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestParseSpec(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"focal":                              {},
		"focal:gamma=2":                      {"gamma": "2"},
		"focal:gamma=2,class-weights=1,2,.5": {"gamma": "2", "class_weights": "1,2,.5"},
		"focal: class_weights = balanced , gamma=1e+2":          {"class_weights": "balanced", "gamma": "1e+2"},
		"cross-entropy:class_weights=1,0.5,label-smoothing=0.1": {"class_weights": "1,0.5", "label_smoothing": "0.1"},
	} {
		spec, err := loss.ParseSpec(text)
		if err != nil || !reflect.DeepEqual(spec.Values, want) {
			t.Errorf("%q: %v (%v), want %v", text, spec.Values, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                      "no loss is named",
		":gamma=2":              "no loss is named",
		"Focal":                 `unknown loss "Focal": use cross-entropy`,
		"focal:":                `"" sets nothing: give focal:setting=value`,
		"focal:2":               `"2" sets nothing`,
		"focal:gama=2":          `focal has no setting "gama": it has gamma, class_weights`,
		"focal:temperature=2":   "focal has no temperature; it belongs to kl",
		"focal:gamma=2,gamma=3": "gamma is given twice",
		"brier:gamma=2":         "brier has no gamma; it belongs to focal",
	} {
		if _, err := loss.ParseSpec(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
