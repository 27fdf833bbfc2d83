package logit

import (
	"unsafe"

	"github.com/logitscope/logitscope/internal/kernel"
)

// RowStats is what Stats says of a row of logits, p being softmax(z/T). A row that has no softmax has NaN in every number, Argmax
// None and Rank 0; a row without a label has NaN in what needs one, and Rank 0.
type RowStats struct {
	NLL        float64 // −log p of the label's class
	LSE        float64 // log Σ exp(z/T)
	Entropy    float64 // −Σ p·log p, in nats
	SumSquares float64 // Σ p²; the Brier score is 1 − 2·exp(−NLL) + Σ p²
	PMax       float64 // the largest p

	// Logits, not divided by T: the label's, the largest, the smallest finite one.
	True, Largest, Least float64
	Margin               float64 // the label's logit less the largest of the others

	Argmax int32 // the class of the largest logit, the lowest on a tie
	Rank   int32 // of the label's class, 1 for the largest logit; on a tie the lower class comes first
}

// The two are the same but for their names: one is turned into the other where it lies.
var _ = RowStats(kernel.Stat{})

// Stats writes to out [N] what the rows of z [N,K] say of themselves and of their labels [N], which may be nil for none. A label of
// −100 (loss.Ignored) is none. Each row is read once. Of float32 the numbers are within 1e-6 of float64's, or of 1 where they are
// larger, and the NLL has all the digits of float32 also where it is small. It panics on another label outside [0,K), and unless
// temperature is finite and above 0.
func Stats[T Float](out []RowStats, z []T, k int, labels []int32, temperature float64) {
	kernel.RowStats(unsafe.Slice((*kernel.Stat)(unsafe.SliceData(out)), len(out)), z, k, labels, temperature)
}
