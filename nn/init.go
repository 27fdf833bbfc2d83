// Package nn has the layers, networks and optimisers that logitscope trains.
//
// A network is built by New from layers, which are plain data, and a head. What a configuration may get wrong, New and ParseModel return as
// an error. Slices whose lengths do not fit are the caller's mistake and panic, with a message that names the argument and the shape.
package nn

import (
	"math"
	"math/rand/v2"
)

// Float is the element type of weights and activations. Training runs in float32; float64 serves to check gradients.
type Float interface{ float32 | float64 }

// Init writes the starting values of a dense or convolutional layer, drawn from rng: weights [out,in] and bias [out], which are zeros when
// it is called. in is the number of values that an output is computed from.
type Init[T Float] func(weights, bias []T, in, out int, rng *rand.Rand)

// Uniform draws weights and bias uniformly from ±1/√in, as PyTorch's Linear does. It keeps the first logits small, so that training begins
// near the uniform distribution. LeCun et al., "Efficient BackProp", 1998, section 4.6.
func Uniform[T Float](weights, bias []T, in, _ int, rng *rand.Rand) {
	fillUniform(weights, 1/math.Sqrt(float64(in)), rng)
	fillUniform(bias, 1/math.Sqrt(float64(in)), rng)
}

// He draws weights from a normal distribution with variance 2/in, which keeps the scale of activations through ReLU layers; the bias stays
// 0. He et al., "Delving Deep into Rectifiers", 2015, equation 10.
func He[T Float](weights, _ []T, in, _ int, rng *rand.Rand) {
	deviation := math.Sqrt(2 / float64(in))
	for i := range weights {
		weights[i] = T(rng.NormFloat64() * deviation)
	}
}

// Xavier draws weights uniformly from ±√(6/(in+out)), which keeps the variance of activations and of gradients through linear layers; the
// bias stays 0. Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 16.
func Xavier[T Float](weights, _ []T, in, out int, rng *rand.Rand) {
	fillUniform(weights, math.Sqrt(6/float64(in+out)), rng)
}

// fillUniform draws values uniformly from ±limit.
func fillUniform[T Float](dst []T, limit float64, rng *rand.Rand) {
	for i := range dst {
		dst[i] = T((2*rng.Float64() - 1) * limit)
	}
}
