// Package nn holds the layers, networks and optimisers that logitscope trains.
package nn

import (
	"math"
	"math/rand/v2"
)

// Float is the element type of weights and activations. Training runs in float32; float64 is there to check gradients.
type Float interface{ float32 | float64 }

// Init gives a dense layer its starting values, drawn from rng: weights [out,in] and bias [out], which comes as zeros.
type Init[T Float] func(weights, bias []T, in, out int, rng *rand.Rand)

// Uniform draws weights and bias from ±1/√in: what PyTorch's Linear starts from. It keeps the first logits small, so that
// training begins near the uniform distribution. LeCun et al., "Efficient BackProp", 1998, section 4.6.
func Uniform[T Float](weights, bias []T, in, _ int, rng *rand.Rand) {
	fillUniform(weights, 1/math.Sqrt(float64(in)), rng)
	fillUniform(bias, 1/math.Sqrt(float64(in)), rng)
}

// He draws weights from a normal distribution with variance 2/in, which keeps the scale of activations through ReLU
// layers. He et al., "Delving Deep into Rectifiers", 2015, equation 10.
func He[T Float](weights, _ []T, in, _ int, rng *rand.Rand) {
	deviation := math.Sqrt(2 / float64(in))
	for i := range weights {
		weights[i] = T(rng.NormFloat64() * deviation)
	}
}

// Xavier draws weights uniformly from ±√(6/(in+out)), which keeps the variance of activations and of gradients through
// linear layers. Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
// equation 16.
func Xavier[T Float](weights, _ []T, in, out int, rng *rand.Rand) {
	fillUniform(weights, math.Sqrt(6/float64(in+out)), rng)
}

func fillUniform[T Float](dst []T, limit float64, rng *rand.Rand) {
	for i := range dst {
		dst[i] = T((2*rng.Float64() - 1) * limit)
	}
}
