package loss

import (
	"fmt"
	"math"
)

// KL is the Kullback-Leibler divergence of p = softmax(z/T) from a teacher's distribution q: ℓ = T²·Σ_c q_c·log(q_c/p_c), meant
// over the samples; q is the row of Targets.Soft, the softmax of the teacher's logits at the same T. The factor T² keeps the
// gradient, T·(p·Σq − q)/N, of one size at any T. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
// section 2. Its gradient at T = 1 is that of CrossEntropy on the same targets; the loss is less by their entropy.
//
// A class with q_c > 0 whose logit is −Inf gives +Inf; with q_c = 0 it takes no part.
type KL[T Float] struct {
	Temperature float64 // T, finite and above 0; 0 stands for 1
}

// Loss implements the interface Loss.
func (l KL[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	if t.Soft == nil {
		panic("loss: KL: takes Targets.Soft, the teacher's probabilities")
	}
	n, counted := check("KL", perSample, grad, z, k, k, t)
	temperature := l.Temperature
	if temperature == 0 {
		temperature = 1
	}
	if !(temperature > 0 && temperature <= math.MaxFloat64) {
		panic(fmt.Sprintf("loss: KL: Temperature %v is not finite and above 0", temperature))
	}
	total := 0.0
	for i := range n {
		if t.ignored(i) {
			zeroRow(perSample, grad, i, k)
			continue
		}
		row, target := z[i*k:(i+1)*k], t.Soft[i*k:(i+1)*k]
		largest := greatest(row)
		sum := 0.0
		for _, v := range row {
			sum += math.Exp((float64(v) - largest) / temperature)
		}
		own, mass, logSum := sum-sum, 0.0, math.Log(sum)
		for j, q := range target {
			if q != 0 {
				own += float64(q) * (math.Log(float64(q)) - ((float64(row[j])-largest)/temperature - logSum))
				mass += float64(q)
			}
		}
		own *= temperature * temperature
		total += own
		if perSample != nil {
			perSample[i] = T(own)
		}
		if grad == nil {
			continue
		}
		scale := temperature / float64(counted)
		for j, v := range row {
			p := math.Exp((float64(v)-largest)/temperature) / sum
			grad[i*k+j] = T((p*mass - float64(target[j])) * scale)
		}
	}
	return mean(total, counted)
}

// Brier is the squared distance of p = softmax(z) from the target q, a label's one-hot vector or a row of Targets.Soft:
// ℓ = Σ_c (p_c − q_c)², between 0 and 2, meant over the samples. Its gradient is 2·p_j·(d_j − Σ_c p_c·d_c)/N, d = p − q. Brier,
// "Verification of Forecasts Expressed in Terms of Probability", 1950.
type Brier[T Float] struct{}

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
		own, turn := 0.0, 0.0 // turn: Σ p·d
		for j := range p {
			p[j] /= sum
			d := p[j] - t.at(i, j, k)
			if t.Soft == nil && int(t.Labels[i]) == j {
				// 1 − p as the sum of the others: no difference of numbers near 1.
				_, _, rest, _ := trueClass(row, j)
				d = -rest
			}
			own += d * d
			turn += p[j] * d
		}
		total += own
		if perSample != nil {
			perSample[i] = T(own)
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
