package dynamics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
)

// Four samples over three epochs: the third is labelled 0, and the network takes it for 1 until it knows it by heart.
func Example() {
	a := analysis.Of(&analysis.Memory{
		Run: record.Manifest{
			Name: "four", Classes: []string{"cat", "dog"}, Head: record.HeadSoftmax, Columns: 2,
			Splits: []record.SplitInfo{{Name: "train", N: 4}},
		},
		SamplesOf: map[string]*record.Samples{"train": {IDs: []int64{1, 2, 3, 4}, Labels: []int32{0, 1, 0, 1}}},
		Logits: map[int]map[string][]float32{
			1: {"train": {1, 0, 0, 1, 0, 2, 0, 1}},
			2: {"train": {2, 0, 0, 2, 0, 1, 0, 2}},
			3: {"train": {3, 0, 0, 3, 1, 0, 0, 3}},
		},
	})
	d, err := dynamics.Of(context.Background(), a, "train")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range d.Samples {
		fmt.Printf("sample %d: mean p %.2f, learned at epoch %d\n", s.ID, float64(s.Confidence), s.Learned)
	}
	w, err := dynamics.FindWrongLabels(context.Background(), a, "train", 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("sample %d may be a %s\n", w.Suspects[0].ID, w.Classes[w.Suspects[0].Likelier])
	// Output:
	// sample 1: mean p 0.85, learned at epoch 1
	// sample 2: mean p 0.85, learned at epoch 1
	// sample 3: mean p 0.37, learned at epoch 3
	// sample 4: mean p 0.85, learned at epoch 1
	// sample 3 may be a dog
}
