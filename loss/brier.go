package loss

import (
	"math"

	"github.com/logitscope/logitscope/logit"
)

// Brier is the squared distance of p = softmax(z) from the target q, a label's one-hot vector or a row of Targets.Soft:
// ℓ = Σ_c (p_c − q_c)², between 0 and 2, meant over the samples. Its gradient is 2·p_j·(d_j − Σ_c p_c·d_c)/N, d = p − q. Brier,
// "Verification of Forecasts Expressed in Terms of Probability", 1950.
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
	places := takePlaces[float64]()
	defer places.give()
	p := places.values(k)
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
		sampleLoss, turn := 0.0, 0.0 // turn: Σ p·d
		for j := range p {
			p[j] /= sum
			d := p[j] - t.at(i, j, k)
			if t.Soft == nil && int(t.Labels[i]) == j {
				// 1 − p as the sum of the others: no difference of numbers near 1.
				_, _, rest, _ := trueClass(row, j)
				d = -rest
			}
			sampleLoss += d * d
			turn += p[j] * d
		}
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
		}
		if grad == nil {
			continue
		}
		for j, v := range p {
			grad[i*k+j] = T(2 * v * (v - t.at(i, j, k) - turn) / float64(counted))
		}
	}
	return mean(total, counted)
}

// at is the target q of sample i and class c.
func (t Targets[T]) at(i, c, k int) float64 {
	switch {
	case t.Soft != nil:
		return float64(t.Soft[i*k+c])
	case int(t.Labels[i]) == c:
		return 1
	}
	return 0
}

// greatest returns the largest of a row, or its first where that is NaN; another NaN is passed over.
func greatest[T Float](row []T) float64 {
	largest := row[0]
	for _, v := range row[1:] {
		if v > largest {
			largest = v
		}
	}
	return float64(largest)
}
