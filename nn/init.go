// Package nn holds the layers, networks and optimisers that logitscope trains.
package nn

import (
	"math"
	"math/rand/v2"
)

// Float is the element type of weights and activations. Training runs in float32; float64 is there to check gradients.
type Float interface{ float32 | float64 }

// Init fills a weight matrix [out,in] with its starting values, drawn from rng.
type Init[T Float] func(weights []T, in, out int, rng *rand.Rand)

// He draws from a normal distribution with variance 2/in, which keeps the scale of activations through ReLU layers.
// He et al., "Delving Deep into Rectifiers", 2015, equation 10.
func He[T Float](weights []T, in, _ int, rng *rand.Rand) {
	deviation := math.Sqrt(2 / float64(in))
	for i := range weights {
		weights[i] = T(rng.NormFloat64() * deviation)
	}
}

// Xavier draws uniformly from ±√(6/(in+out)), which keeps the variance of activations and of gradients through linear
// layers. Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 16.
func Xavier[T Float](weights []T, in, out int, rng *rand.Rand) {
	limit := math.Sqrt(6 / float64(in+out))
	for i := range weights {
		weights[i] = T((2*rng.Float64() - 1) * limit)
	}
}
