package summary_test

import (
	"fmt"

	"github.com/logitscope/logitscope/summary"
)

// Rows are counted on two machines, sent as bytes, and merged.
func Example() {
	count := func(logits []float32, labels ...int32) []byte {
		s := summary.NewScores()
		s.Add(summary.Batch{Logits: logits, Labels: labels, Columns: 3})
		data, err := s.MarshalBinary()
		if err != nil {
			panic(err)
		}
		return data
	}
	all := summary.NewScores()
	for _, data := range [][]byte{
		count([]float32{2, 0, 0, 0, 1, 0}, 0, 1),
		count([]float32{0, 0, 3}, 1),
	} {
		part := new(summary.Scores)
		if err := part.UnmarshalBinary(data); err != nil {
			panic(err)
		}
		if err := all.Merge(part); err != nil {
			panic(err)
		}
	}
	fmt.Printf("%d rows, NLL %.3f, accuracy %.2f\n", all.N, all.Mean(all.NLL), all.Accuracy())
	// Output: 3 rows, NLL 1.295, accuracy 0.67
}

// Four rows of a binary head, whose logit stands for the two [0, z].
func ExampleRanking() {
	r := summary.NewRanking(2)
	r.Add(summary.Batch{Logits: []float32{-1, 0.5, 0.2, 3}, Labels: []int32{0, 0, 1, 1}, Columns: 1})
	ranks := r.Figures(2)
	fmt.Printf("ROC AUC %.2f, exact to %v\n", ranks.AUC.Value, ranks.AUC.Bound)
	// Output: ROC AUC 0.75, exact to 0
}
