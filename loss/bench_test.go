package loss_test

import (
	"fmt"
	"testing"

	"github.com/logitscope/logitscope/loss"
)

func BenchmarkCrossEntropy(b *testing.B) {
	for _, s := range [][2]int{{65536, 10}, {8192, 1000}, {512, 128256}} {
		n, k := s[0], s[1]
		rng := seeded(1)
		z, grad, nll, labels := make([]float32, n*k), make([]float32, n*k), make([]float32, n), make([]int32, n)
		for i := range z {
			z[i] = float32(rng.NormFloat64())
		}
		for i := range labels {
			labels[i] = int32(rng.IntN(k))
		}
		for _, backward := range []bool{false, true} {
			name, out := "forward", []float32(nil)
			if backward {
				name, out = "both", grad
			}
			b.Run(fmt.Sprintf("%dx%d/%s", n, k, name), func(b *testing.B) {
				for b.Loop() {
					loss.FromLogits(nll, out, z, k, labels)
				}
			})
		}
	}
}
