package nn_test

import (
	"testing"

	"github.com/logitscope/logitscope/nn"
)

// A step of ParseModel's networks on images as MNIST's.
func BenchmarkStepOfImages(b *testing.B) {
	for _, model := range []string{"cnn", "cnn+batchnorm", "cnn+layernorm", "cnn+gelu", "mlp:256+batchnorm"} {
		b.Run(model, func(b *testing.B) { stepOfImages(b, model) })
	}
}

func stepOfImages(b *testing.B, model string) {
	rng := seeded(1)
	layers, err := nn.ParseModel(model, nn.InputShape{Features: 784, Height: 28, Width: 28, Channels: 1})
	if err != nil {
		b.Fatal(err)
	}
	net, err := nn.New[float32](784, nn.Softmax(10), nn.Uniform, rng, layers...)
	if err != nil {
		b.Fatal(err)
	}
	x, labels := make([]float32, 32*784), make([]int32, 32)
	for i := range x {
		x[i] = rng.Float32()
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(10))
	}
	adam := nn.NewAdam[float32](1e-4)
	for b.Loop() {
		if _, err := net.Step(labelled(x, labels), adam); err != nil {
			b.Fatal(err)
		}
	}
}

// One step of Adam: forward, loss, backward, update.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name       string
		n, in, out int
		hidden     []int
	}{
		{"32x64-64-10", 32, 64, 10, []int{64}},
		{"128x784-256-10", 128, 784, 10, []int{256}},
		{"256x768-1024-1000", 256, 768, 1000, []int{1024}},
	} {
		b.Run(c.name, func(b *testing.B) {
			rng := seeded(1)
			var layers []nn.Layer
			for _, width := range c.hidden {
				layers = append(layers, nn.Dense(width), nn.ReLU())
			}
			net, err := nn.New[float32](c.in, nn.Softmax(c.out), nn.Uniform, rng, layers...)
			if err != nil {
				b.Fatal(err)
			}
			x, labels := make([]float32, c.n*c.in), make([]int32, c.n)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			for i := range labels {
				labels[i] = int32(rng.IntN(c.out))
			}
			adam := nn.NewAdam[float32](0.001)
			for b.Loop() {
				if _, err := net.Step(labelled(x, labels), adam); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
