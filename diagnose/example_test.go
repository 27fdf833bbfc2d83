package diagnose_test

import (
	"context"
	"fmt"
	"log"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/record"
)

// A run whose recorded values are probabilities is told so.
func Example() {
	a := analysis.Of(&analysis.Memory{
		Run: record.Manifest{
			Name: "probabilities", Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3,
			Splits: []record.SplitInfo{{Name: "train", N: 3}},
		},
		SamplesOf: map[string]*record.Samples{"train": {IDs: []int64{1, 2, 3}, Labels: []int32{0, 1, 2}}},
		Logits:    map[int]map[string][]float32{1: {"train": {0.8, 0.1, 0.1, 0.3, 0.5, 0.2, 0.2, 0.2, 0.6}}},
	})
	d, err := diagnose.Of(context.Background(), a)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range d.Findings {
		fmt.Println(f.Level, f.ID)
	}
	// Output:
	// error probabilities
}
