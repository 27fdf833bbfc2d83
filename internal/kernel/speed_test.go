package kernel

import (
	"fmt"
	"testing"
)

func BenchmarkMatMul(b *testing.B) {
	rng := seeded(1)
	for _, s := range []struct {
		layout  Layout
		m, n, k int
	}{
		{NN, 1024, 1024, 1024},
		{NT, 1024, 1024, 1024},
		{TN, 1024, 1024, 1024},
		{NT, 410, 32000, 768},
		{NN, 410, 768, 32000},
		{TN, 32000, 768, 410},
		{NT, 128, 256, 784},
		{TN, 256, 784, 128},
		{NT, 256, 1024, 768},
		{TN, 1024, 768, 256},
		{NN, 256, 1024, 1000},
		{NT, 32, 64, 64},
		{TN, 64, 64, 32},
	} {
		x, y, z := normal(rng, s.m*s.k), normal(rng, s.n*s.k), make([]float32, s.m*s.n)
		b.Run(fmt.Sprintf("%s/%dx%dx%d", [...]string{"NN", "NT", "TN"}[s.layout], s.m, s.n, s.k), func(b *testing.B) {
			for b.Loop() {
				MatMul(s.layout, z, x, y, s.m, s.n, s.k, Epilogue[float32]{})
			}
			b.ReportMetric(2e-9*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds(), "GFLOP/s")
		})
	}
}
