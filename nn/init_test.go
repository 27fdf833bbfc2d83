package nn_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/nn"
)

// The variances are those the papers state: 2/in for He, 2/(in+out) for Xavier; that of ±1/√in is 1/(3·in).
func TestInitVariance(t *testing.T) {
	for _, c := range []struct {
		name    string
		init    nn.Init[float64]
		in, out int
		want    float64
	}{
		{"He 64→256", nn.He[float64], 64, 256, 2.0 / 64},
		{"He 256→64", nn.He[float64], 256, 64, 2.0 / 256},
		{"Xavier 64→256", nn.Xavier[float64], 64, 256, 2.0 / 320},
		{"Uniform 64→256", nn.Uniform[float64], 64, 256, 1.0 / (3 * 64)},
	} {
		weights := make([]float64, c.in*c.out)
		c.init(weights, make([]float64, c.out), c.in, c.out, rand.New(rand.NewPCG(1, 0)))
		var sum, squares float64
		for _, w := range weights {
			sum += w
			squares += w * w
		}
		n := float64(len(weights))
		// Four standard errors of a normal sample's variance and mean.
		if variance := squares / n; !(math.Abs(variance-c.want) <= 4*c.want*math.Sqrt(2/n)) {
			t.Errorf("%s: variance %v, want %v", c.name, variance, c.want)
		}
		if mean := sum / n; !(math.Abs(mean) <= 4*math.Sqrt(c.want/n)) {
			t.Errorf("%s: mean %v, want 0", c.name, mean)
		}
		again := make([]float64, len(weights))
		c.init(again, make([]float64, c.out), c.in, c.out, rand.New(rand.NewPCG(1, 0)))
		if !slices.Equal(weights, again) {
			t.Errorf("%s: one seed gave two sets of weights", c.name)
		}
	}
}
