package logit_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
)

// χ² of 200,000 picks among the 5 classes that top-k 7 and top-p 0.9 leave: 4 degrees of freedom stay below 18.5 in 999 of 1,000
// seeds.
func TestSampleFollowsItsProbabilities(t *testing.T) {
	z := []float64{0, 1, -1, 2, 0.5, math.Inf(-1), -2, 1.5, 0.2, 0.1}
	const n = 200000
	picks, before, after := make([]int32, n), make([]float64, n), make([]float64, n)
	s := logit.Sampler{Temperature: 0.9, TopK: 7, TopP: 0.9}
	logit.Sample(picks, before, after, slices.Repeat(z, n), len(z), s, seeded(5))
	counts, p := map[int32]float64{}, map[int32]float64{}
	for i, class := range picks {
		counts[class]++
		p[class] = after[i]
	}
	chi, sum := 0.0, 0.0
	for class, share := range p {
		chi += (counts[class] - n*share) * (counts[class] - n*share) / (n * share)
		sum += share
	}
	if len(p) != 5 || !(math.Abs(sum-1) <= 1e-12) || !(chi < 18.5) {
		t.Errorf("%d classes of probability %v, χ² %v", len(p), sum, chi)
	}
	again := make([]int32, n)
	logit.Sample(again, nil, nil, slices.Repeat(z, n), len(z), s, seeded(5))
	if !slices.Equal(picks, again) {
		t.Error("one seed gave two sets of picks")
	}
}

// A row's pick depends neither on what the rows before it hold nor on how the rows before were picked.
func TestSampleRowsAreIndependent(t *testing.T) {
	const n, k = 600, 12
	z := logits[float32](seeded(6), n, k)
	want, got := make([]int32, n), make([]int32, n)
	s := logit.Sampler{Temperature: 1, TopP: 0.8}
	logit.Sample(want, nil, nil, z, k, s, seeded(7))
	rng := seeded(7)
	for i := range z[:300*k] {
		z[i] = float32(math.NaN())
	}
	logit.Sample(got[:300], nil, nil, z[:300*k], k, logit.Sampler{}, rng)
	logit.Sample(got[300:], nil, nil, z[300*k:], k, s, rng)
	if !slices.Equal(got[300:], want[300:]) || slices.IndexFunc(got[:300], func(c int32) bool { return c != logit.None }) >= 0 {
		t.Error("the rows before change a row's pick")
	}
}

// Temperature first or last keeps other classes: [3 2 1] at temperature ½ and top-p 0.8.
func TestSampleOrder(t *testing.T) {
	z := []float64{3, 2, 1}
	for _, c := range []struct {
		order []logit.Step
		want  float64 // of class 0
	}{
		{nil, 1},
		{logit.TemperatureLast(), 1 / (1 + math.Exp(-2))},
		{[]logit.Step{logit.StepTopP, logit.StepTemperature}, 1 / (1 + math.Exp(-2))},
	} {
		s := logit.Sampler{Temperature: 0.5, TopP: 0.8, Order: c.order}
		for seed := range uint64(40) {
			class, after := make([]int32, 1), make([]float64, 1)
			logit.Sample(class, nil, after, z, 3, s, seeded(seed))
			if want := c.want; class[0] == 0 && !(math.Abs(after[0]-want) <= 1e-12) || class[0] == 1 && !(math.Abs(after[0]-(1-want)) <= 1e-12) || class[0] == 2 {
				t.Errorf("order %v: class %d at %v", c.order, class[0], after[0])
			}
		}
	}
}

func TestSamplerValidate(t *testing.T) {
	for _, s := range []logit.Sampler{
		{Temperature: -1},
		{Temperature: math.NaN()},
		{Temperature: math.Inf(1)},
		{TopK: -1},
		{TopP: 1.5},
		{TopP: math.NaN()},
		{MinP: -0.1},
		{TopK: 3, Order: []logit.Step{logit.StepTopP}},
		{Order: []logit.Step{logit.StepTopP, logit.StepTopP}},
		{Order: []logit.Step{17}},
	} {
		if s.Validate() == nil {
			t.Errorf("%+v is taken", s)
		}
		numtest.Panics(t, "logit: Sample: ", func() { logit.Sample(make([]int32, 1), nil, nil, []float32{1, 2}, 2, s, seeded(1)) })
	}
	if err := (logit.Sampler{Temperature: 2, TopK: 1, TopP: 1, MinP: 1, Order: logit.TemperatureLast()}).Validate(); err != nil {
		t.Error(err)
	}
	numtest.Panics(t, "Sample: before holds 2 values, want 1", func() {
		logit.Sample(make([]int32, 1), make([]float64, 2), nil, []float32{1, 2}, 2, logit.Sampler{}, seeded(1))
	})
}

func ExampleSample() {
	z := []float64{2, 1, 0.1, -3}
	class, before, after := make([]int32, 1), make([]float64, 1), make([]float64, 1)
	s := logit.Sampler{Temperature: 1, TopP: 0.8} // of 0.66, 0.24, 0.10 and 0.00 the first two
	logit.Sample(class, before, after, z, 4, s, seeded(1))
	fmt.Printf("class %d: %.3f of all, %.3f of what is kept\n", class[0], before[0], after[0])
	// Output: class 0: 0.656 of all, 0.731 of what is kept
}
