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

func BenchmarkHead(b *testing.B) {
	const n, h, k = 2048, 768, 32000
	rng := seeded(1)
	values := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	x := loss.Linear[float32]{Hidden: values(n * h), Weights: values(k * h)}
	for i := range x.Weights {
		x.Weights[i] /= 50
	}
	grad := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, k*h)}
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(rng.IntN(k))
	}
	var head loss.LinearCrossEntropy[float32]
	head.Loss(nil, grad, x, h, labels) // makes its block
	for b.Loop() {
		head.Loss(nil, grad, x, h, labels)
	}
	b.ReportMetric(6e-9*float64(n*h*k)*float64(b.N)/b.Elapsed().Seconds(), "GFLOP/s")
}
