package loss

import (
	"math"

	"github.com/logitscope/logitscope/logit"
)

// Brier is the squared distance of p = softmax(z) from the target q, which is the label's one-hot vector or the sample's row of
// Targets.Soft: the mean over the samples of ℓ = Σ_c (p_c − q_c)², which is between 0 and 2 for targets that sum to 1. Its gradient is
// 2·p_j·(d_j − Σ_c p_c·d_c)/N, d = p − q. Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950.
type Brier[T Float] struct{}

var brier = definition{
	Info: Info{
		Name: "brier", Formula: "Σ_c (p_c − y_c)²",
		Use:      "probabilities that count as such, with outliers and wrong labels: a sample costs at most 2",
		Pitfalls: "its gradient vanishes where the network is sure and wrong, so it starts slowly and may stay stuck",
		Heads:    []logit.Head{logit.HeadSoftmax}, Targets: ByBoth,
	},
	float32: newBrier[float32], float64: newBrier[float64],
}

func newBrier[T Float](Settings) Loss[T] { return Brier[T]{} }

// Loss implements the interface Loss.
func (Brier[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	n, counted := check("Brier", perSample, grad, z, k, k, t)
	room := takeScratch[float64]()
	defer room.give()
	p := room.values(k)
	total := 0.0
	for i := range n {
		if t.ignored(i) {
			zeroRow(perSample, grad, i, k)
			continue
		}
		row := z[i*k : (i+1)*k]
		largest, sum := greatest(row), 0.0
		for j, v := range row {
			p[j] = math.Exp(float64(v) - largest)
			sum += p[j]
		}
		sampleLoss, inner := 0.0, 0.0 // inner is Σ_c p_c·d_c
		for j := range p {
			p[j] /= sum
			d := p[j] - t.weight(i, j, k)
			if t.Soft == nil && int(t.Labels[i]) == j {
				// 1 − p is summed from the other classes, because a difference of two numbers near 1 loses its digits.
				_, _, rest, _ := trueClass(row, j)
				d = -rest
			}
			sampleLoss += d * d
			inner += p[j] * d
		}
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
		}
		if grad == nil {
			continue
		}
		for j, v := range p {
			grad[i*k+j] = T(2 * v * (v - t.weight(i, j, k) - inner) / float64(counted))
		}
	}
	return mean(total, counted)
}

// weight returns the target q_c of sample i and class c, of k classes.
func (t Targets[T]) weight(i, c, k int) float64 {
	switch {
	case t.Soft != nil:
		return float64(t.Soft[i*k+c])
	case int(t.Labels[i]) == c:
		return 1
	}
	return 0
}

// greatest returns the largest value of a row, or NaN where the first value is NaN. Any other NaN is passed over: Σ exp(z − largest) is
// NaN all the same.
func greatest[T Float](row []T) float64 {
	largest := row[0]
	for _, v := range row[1:] {
		if v > largest {
			largest = v
		}
	}
	return float64(largest)
}
