package logit

import (
	"unsafe"

	"github.com/logitscope/logitscope/internal/kernel"
)

// RowStats are the statistics of one row of logits z and its label, p being softmax(z/T). For a row that has no softmax every float is NaN,
// Argmax is None and Rank is 0. For a row without a label, NLL, True and Margin are NaN and Rank is 0.
type RowStats struct {
	NLL        float64 // −log p of the label's class
	LSE        float64 // log Σ exp(z/T)
	Entropy    float64 // −Σ p·log p, in nats
	SumSquares float64 // Σ p²; the Brier score is 1 − 2·exp(−NLL) + Σ p²
	PMax       float64 // the largest p

	// Logits, not divided by T.
	True    float64 // the label's
	Largest float64
	Least   float64 // the smallest that is finite
	Margin  float64 // the label's less the largest of the others

	Argmax int32 // the class of the largest logit; of several, the lowest
	Rank   int32 // of the label's logit, 1 for the largest; of equal ones, the lower class comes first
}

// The two types have the same fields, so that Stats can pass a []RowStats on as a []kernel.Stat.
var _ = RowStats(kernel.Stat{})

// Stats writes to out [N] the statistics of the rows of z [N,K] with their labels [N]. labels may be nil, and a label may be Ignored: then
// the row has no label. Each row is read once. For float32 logits the statistics are within 1e-6 of those computed in float64, relative
// to 1 or to the value where that is larger; a small NLL has all the digits of float32.
//
// Stats panics for lengths that do not fit, for a label outside [0,K) that is not Ignored, and unless temperature is finite and above 0.
func Stats[T Float](out []RowStats, z []T, k int, labels []int32, temperature float64) {
	kernel.RowStats(unsafe.Slice((*kernel.Stat)(unsafe.SliceData(out)), len(out)), z, k, labels, temperature)
}
