package nn_test

import (
	"slices"
	"testing"

	"github.com/logitscope/logitscope/nn"
)

// An optimiser that takes over another's state steps as that one does, bit by bit.
func TestOptimizerState(t *testing.T) {
	for name, fresh := range map[string]func() nn.Optimizer[float32]{
		"adam":         func() nn.Optimizer[float32] { return nn.NewAdam[float32](0.01) },
		"adamw":        func() nn.Optimizer[float32] { return nn.NewAdamW[float32](0.01, 0.1) },
		"sgd":          func() nn.Optimizer[float32] { return &nn.SGD[float32]{LearningRate: 0.1} },
		"sgd momentum": func() nn.Optimizer[float32] { return &nn.SGD[float32]{LearningRate: 0.1, Momentum: 0.9} },
	} {
		for _, before := range []int{0, 3} {
			one, two := fresh(), fresh()
			params, grads := []float32{1, -2, 3, 0.5, 7}, []float32{0.1, -0.3, 2, 0, 1}
			for range before {
				one.Step(params, grads)
			}
			if err := two.SetState(one.State(), len(params)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again := slices.Clone(params)
			for range 4 {
				one.Step(params, grads)
				two.Step(again, grads)
			}
			if !slices.Equal(params, again) {
				t.Errorf("%s after %d steps: %v, with the state taken over %v", name, before, params, again)
			}
			if before > 0 && name != "sgd" {
				if err := two.SetState(one.State(), len(params)+1); err == nil {
					t.Errorf("%s: the state of %d parameters was taken for %d", name, len(params), len(params)+1)
				}
				if err := two.SetState(nn.OptimizerState[float32]{Steps: 1}, len(params)); err == nil {
					t.Errorf("%s: a state without values was taken", name)
				}
			}
		}
	}
}
