// Package benchmark measures the speed of logitscope's main computations on this machine: the head, its loss and their gradients from ten classes to a
// vocabulary, a matrix product, and whole training steps.
package benchmark

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// Result is how long one call takes.
type Result struct {
	Name    string  `json:"name"`
	Shape   string  `json:"shape"` // N×K of logits, M×N×K of a product, N×H×V of a head, batch×inputs-hidden-classes of a step
	Threads int     `json:"threads"`
	Median  float64 `json:"median_ms"`
}

// job is a computation to time. prepare makes the operands and returns the function that is timed.
type job struct {
	name, shape string
	prepare     func(rng *rand.Rand) func()
}

// A call is repeated until both bounds are reached. All jobs together take about ten seconds.
const (
	atLeast = 7
	budget  = 300 * time.Millisecond
)

// Run times every job with at most so many threads and calls report with each result. When ctx ends it returns ctx's error.
func Run(ctx context.Context, threads int, report func(Result)) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	for _, j := range jobs() {
		runtime.GC() // frees the operands of the last job before those of the next are made
		call := j.prepare(rand.New(rand.NewPCG(1, 2)))
		call() // the first call allocates buffers and is not timed
		var taken []time.Duration
		for began := time.Now(); len(taken) < atLeast || time.Since(began) < budget; {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			call()
			taken = append(taken, time.Since(start))
		}
		slices.Sort(taken)
		report(Result{j.name, j.shape, threads, taken[len(taken)/2].Seconds() * 1e3})
	}
	return nil
}

func jobs() []job {
	var all []job
	for _, s := range [][2]int{{65536, 10}, {8192, 1000}, {1024, 32000}, {512, 128256}} {
		n, k := s[0], s[1]
		shape := fmt.Sprintf("%dx%d", n, k)
		all = append(
			all,
			job{"cross_entropy_forward", shape, func(rng *rand.Rand) func() {
				z, labels, nll := normal(rng, n*k, 1), classes(rng, n, k), make([]float32, n)
				return func() { loss.FromLogits(nll, nil, z, k, labels) }
			}},
			job{"cross_entropy_forward_backward", shape, func(rng *rand.Rand) func() {
				z, labels, nll, grad := normal(rng, n*k, 1), classes(rng, n, k), make([]float32, n), make([]float32, n*k)
				return func() { loss.FromLogits(nll, grad, z, k, labels) }
			}},
			job{"softmax", shape, func(rng *rand.Rand) func() {
				z, p := normal(rng, n*k, 1), make([]float32, n*k)
				return func() { logit.Softmax(p, z, k) }
			}},
		)
	}
	return append(
		all,
		job{"matmul", "1024x1024x1024", func(rng *rand.Rand) func() {
			const n = 1024
			a, b, c := normal(rng, n*n, 1), normal(rng, n*n, 1), make([]float32, n*n)
			return func() { kernel.MatMul(kernel.NN, c, a, b, n, n, n, kernel.Epilogue[float32]{}) }
		}},
		job{"fused_head", "2048x768x32000", func(rng *rand.Rand) func() {
			const n, h, v = 2048, 768, 32000
			x := loss.Linear[float32]{Hidden: normal(rng, n*h, 1), Weights: normal(rng, v*h, 0.02)}
			grad := loss.Linear[float32]{Hidden: make([]float32, n*h), Weights: make([]float32, v*h)}
			labels, nll := classes(rng, n, v), make([]float32, n)
			var head loss.LinearCrossEntropy[float32]
			return func() { head.Loss(nll, grad, x, h, labels) }
		}},
		step(32, 64, 64, 10),
		step(128, 784, 256, 10),
		step(256, 768, 1024, 1000),
		job{"top_p_sample", "1x128256", func(rng *rand.Rand) func() {
			z, class := normal(rng, 128256, 1), make([]int32, 1)
			return func() { logit.Sample(class, nil, nil, z, len(z), logit.Sampler{Temperature: 1, TopP: 0.9}, rng) }
		}},
	)
}

// step returns a training step of a perceptron with one hidden layer by Adam, forward and backward pass included.
func step(n, inputs, hidden, k int) job {
	return job{"mlp_step", fmt.Sprintf("%dx%d-%d-%d", n, inputs, hidden, k), func(rng *rand.Rand) func() {
		net, err := nn.New(inputs, nn.Softmax(k), nn.Uniform[float32], rng, nn.Dense(hidden), nn.ReLU())
		if err != nil {
			panic(err)
		}
		x, labels, adam := make([]float32, n*inputs), classes(rng, n, k), nn.NewAdam[float32](0.001)
		for i := range x {
			x[i] = rng.Float32()
		}
		batch := nn.Batch[float32]{N: n, Features: x, Targets: loss.Targets[float32]{Labels: labels}}
		return func() {
			if _, err := net.Step(batch, adam); err != nil {
				panic(err)
			}
		}
	}}
}

// normal returns n normally distributed values. After a million they repeat, so that the rows differ all the same.
func normal(rng *rand.Rand, n int, deviation float64) []float32 {
	x := make([]float32, n)
	own := min(n, 1<<20+3)
	for i := range own {
		x[i] = float32(deviation * rng.NormFloat64())
	}
	for have := own; have < n; have *= 2 {
		copy(x[have:], x[:have])
	}
	return x
}

func classes(rng *rand.Rand, n, k int) []int32 {
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(rng.IntN(k))
	}
	return labels
}
