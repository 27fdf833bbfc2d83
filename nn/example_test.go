package nn_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// A network learns the exclusive or, which no linear one does. Its rows of logits have a column for each class.
func Example() {
	net, err := nn.New(2, nn.Softmax(2), nn.He[float64], rand.New(rand.NewPCG(1, 2)), nn.Dense(16), nn.ReLU())
	if err != nil {
		log.Fatal(err)
	}
	all := nn.Batch[float64]{N: 4, Features: []float64{0, 0, 0, 1, 1, 0, 1, 1}, Targets: loss.Targets[float64]{Labels: []int32{0, 1, 1, 0}}}
	adam := nn.NewAdam[float64](0.05)
	mean := 0.0
	for range 200 {
		if mean, err = net.Step(all, adam); err != nil {
			log.Fatal(err)
		}
	}
	z := make([]float64, 4*net.Columns()) // [N,K], row-major
	net.Logits(z, all)
	for i := range all.N {
		x := all.Features[2*i:]
		fmt.Println(x[0], "xor", x[1], "is", z[2*i+1] > z[2*i])
	}
	fmt.Println("mean NLL below 0.01:", mean < 0.01)
	// Output:
	// 0 xor 0 is false
	// 0 xor 1 is true
	// 1 xor 0 is true
	// 1 xor 1 is false
	// mean NLL below 0.01: true
}

// A model can be named by text, as train --model takes it.
func ExampleParseModel() {
	layers, err := nn.ParseModel("mlp:32,16+layernorm+dropout=0.2", nn.InputShape{Features: 4})
	if err != nil {
		log.Fatal(err)
	}
	net, err := nn.New(4, nn.Binary(), nn.Uniform[float32], rand.New(rand.NewPCG(1, 2)), layers...)
	if err != nil {
		log.Fatal(err)
	}
	weights := 0
	for _, p := range net.Params() {
		weights += len(p.Data)
	}
	fmt.Println(weights, "weights,", net.Columns(), "logit a sample")
	_, err = nn.ParseModel("mlp:32+batchnom", nn.InputShape{Features: 4})
	fmt.Println(err)
	// Output:
	// 801 weights, 1 logit a sample
	// model "mlp:32+batchnom": unknown option "batchnom"; use relu, gelu, layernorm, batchnorm, dropout=0.2 or bins=16
}
