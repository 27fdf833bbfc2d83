package analysis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/logitscope/logitscope/analysis"
)

// Six samples of two classes, scored as a split of a run is.
func ExampleArrays() {
	logits := []float32{2, 0, 1, 0, 0, 1, 0, 3, 0, 1, 2, 0}
	labels := []int32{0, 0, 1, 1, 0, 0}
	a := analysis.Of(analysis.Arrays(logits, 2, labels, []string{"no", "yes"}))
	score, err := a.Score(context.Background(), 1, "val", analysis.ScoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("NLL %.3f, accuracy %.3f of %d samples\n", float64(score.Figure("nll")), float64(score.Figure("accuracy")), score.N)
	hardest, err := a.Hardest(context.Background(), 1, "val", 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("sample %d is hardest: NLL %.3f\n", hardest.Samples[0].ID, float64(hardest.Samples[0].NLL))
	// Output:
	// NLL 0.374, accuracy 0.833 of 6 samples
	// sample 4 is hardest: NLL 1.313
}
