package train_test

import (
	"context"
	"fmt"
	"log"
	"maps"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// corners are points around (0,0) and (1,1), of class 0 and 1.
func corners(name string, n int) train.Split {
	s := train.Split{Name: name, Width: 2}
	for i := range n {
		class := i % 2
		s.Features = append(s.Features, float32(class)+0.01*float32(i%7), float32(class)-0.01*float32(i%5))
		s.Labels = append(s.Labels, int32(class))
	}
	return s
}

// The first split is trained on; every epoch hands out the figures and the raw logits of each.
func Example() {
	config := train.DefaultConfig()
	config.Model, config.Epochs, config.Batch, config.LearningRate = "mlp:8", 50, 8, 0.01
	splits := []train.Split{corners("train", 40), corners("val", 20)}
	var val train.SplitResult
	err := train.Run(context.Background(), config, nn.Binary(), splits, func(e train.Epoch) error {
		val = e.Splits[1]
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: accuracy %.2f, NLL below 0.1: %t, %d logits\n", val.Name, val.Accuracy, val.NLL < 0.1, len(val.Logits))
	// Output: val: accuracy 1.00, NLL below 0.1: true, 20 logits
}

// A checkpoint is taken between two epochs. What is restored from it trains on to the same bits.
func ExampleTrainer_Restore() {
	config := train.DefaultConfig()
	config.Model, config.Epochs, config.Dropout = "mlp:8", 6, 0.2
	splits := []train.Split{corners("train", 40)}
	start := func() *train.Trainer {
		t, err := train.New(config, nn.Binary(), splits)
		if err != nil {
			log.Fatal(err)
		}
		return t
	}
	kept, nll := map[string][]byte{}, map[int]float64{}
	whole := start()
	err := whole.Run(context.Background(), func(e train.Epoch) error {
		nll[e.Number] = e.Splits[0].NLL
		if e.Number == 4 {
			for _, file := range whole.Checkpoint(nil) {
				kept[file.Name] = file.Data
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	resumed := start()
	if err := resumed.Restore(maps.Clone(kept)); err != nil {
		log.Fatal(err)
	}
	err = resumed.Run(context.Background(), func(e train.Epoch) error {
		fmt.Println("epoch", e.Number, e.Splits[0].NLL == nll[e.Number])
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// epoch 5 true
	// epoch 6 true
}

// Settings that cannot be trained with are named, with what they may be.
func ExampleConfig_Validate() {
	config := train.DefaultConfig()
	config.Dropout = 1
	fmt.Println(config.Validate())
	// Output: dropout 1 is not in [0, 1)
}
