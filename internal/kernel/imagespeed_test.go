package kernel

import (
	"fmt"
	"testing"
)

func BenchmarkConv(b *testing.B) {
	rng := seeded(1)
	for _, c := range []struct{ h, in, out int }{{28, 1, 16}, {14, 16, 32}} {
		w := Window{H: c.h, W: c.h, C: c.in, Size: 3, Stride: 1, Pad: 1}
		const n = 64
		x, weights, bias := normal(rng, n*w.image()), normal(rng, c.out*w.patch()), normal(rng, c.out)
		y, dy := make([]float32, n*w.pixels()*c.out), normal(rng, n*w.pixels()*c.out)
		dx, dWeights, dBias := make([]float32, len(x)), make([]float32, len(weights)), make([]float32, c.out)
		pooled := Window{H: c.h, W: c.h, C: c.out, Size: 2, Stride: 2}
		best, which := make([]float32, len(y)/4), make([]int32, len(y)/4)
		places := make([]int32, len(best))
		flops := 2e-9 * float64(n*w.pixels()*c.out*w.patch())
		for _, call := range []struct {
			name  string
			flops float64
			do    func()
		}{
			{"forward", flops, func() { Conv(y, x, weights, bias, n, c.out, w, true) }},
			{"gradient", flops, func() { ConvBackward(nil, dWeights, dBias, dy, x, y, weights, n, c.out, w) }},
			{"backward", 2 * flops, func() { ConvBackward(dx, dWeights, dBias, dy, x, y, weights, n, c.out, w) }},
			{"pooled", flops, func() { ConvPool(best, which, x, weights, bias, n, c.out, w, true) }},
			{"pooledGradient", flops, func() { ConvPoolBackward(nil, dWeights, dBias, dy[:len(best)], which, x, best, weights, n, c.out, w) }},
			{"pooledBackward", 2 * flops, func() {
				ConvPoolBackward(dx, dWeights, dBias, dy[:len(best)], which, x, best, weights, n, c.out, w)
			}},
			{"pool", 0, func() { MaxPool(best, places, y, n, pooled) }},
			{"poolBackward", 0, func() { MaxPoolBackward(y, best, places, n, pooled) }},
		} {
			b.Run(fmt.Sprintf("%dx%dx%d-%d/%s", c.h, c.h, c.in, c.out, call.name), func(b *testing.B) {
				for b.Loop() {
					call.do()
				}
				each := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(call.flops/each, "GFLOP/s")
				b.ReportMetric(1e6*each/n, "µs/image")
			})
		}
	}
}
