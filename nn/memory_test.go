package nn_test

import (
	"runtime"
	"testing"

	"github.com/logitscope/logitscope/nn"
)

// A head with 100,000 classes trains in the memory of its weights, gradients and 64 MiB: the logits of the batch would take
// 73 MiB, and their gradient as much. Every byte allocated counts, whether collected by now or not.
func TestManyClassesTrainInBoundedMemory(t *testing.T) {
	const n, inputs, hidden, classes = 192, 8, 8, 100_000
	const logits, bound = 4 * n * classes, 64 << 20
	rng := seeded(1)
	net, err := nn.New[float32](inputs, nn.Softmax(classes), nn.Uniform, rng, nn.Dense(hidden), nn.ReLU())
	if err != nil {
		t.Fatal(err)
	}
	x, labels := make([]float32, n*inputs), make([]int32, n)
	for i := range x {
		x[i] = rng.Float32()
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(classes))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var means [2]float64
	for i := range means {
		if means[i], err = net.Step(labelled(x, labels), &nn.SGD[float32]{LearningRate: 10}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > bound {
		t.Errorf("two steps took %d MiB, want at most %d; the logits alone are %d", took>>20, bound>>20, logits>>20)
	} else {
		t.Logf("two steps took %.1f MiB; the logits alone are %d", float64(took)/(1<<20), logits>>20)
	}
	if !(means[1] < means[0]) {
		t.Errorf("loss %v, then %v: it does not fall", means[0], means[1])
	}
}
