package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/logit"
)

// KL is the Kullback-Leibler divergence of p = softmax(z/T) from a teacher's distribution q: the mean over the samples of
// ℓ = T²·Σ_c q_c·log(q_c/p_c). q is the sample's row of Targets.Soft: the softmax of the teacher's logits at the same T. The factor T²
// keeps the gradient, T·(p·Σq − q)/N, at the same scale for every T. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
// section 2. At T = 1 the gradient is that of CrossEntropy for the same targets, and the loss is CrossEntropy's less their entropy.
//
// A class with q_c > 0 whose logit is −Inf makes the loss +Inf; a class with q_c = 0 takes no part.
//
// Loss panics where Targets.Soft is nil, and for a Temperature out of range.
type KL[T Float] struct {
	Temperature float64 // T, finite and above 0; 0 stands for 1
}

var (
	temperature = Setting{
		Name: "temperature", Title: "temperature", Key: "teacher_temperature", Symbol: "T",
		Text:  "T that the teacher's logits and the learner's are divided by (default 1; 2 to 5 show what the teacher thinks of the wrong classes)",
		Range: positive, Default: 1, Usual: 2,
	}
	kl = definition{
		Info: Info{
			Name: "kl", Formula: "T²·Σ_c q_c·log(q_c/p_c), p = softmax(z/T), q a teacher's softmax at the same T",
			Use:      "distillation: learn another model's probabilities; T of 2 to 5 shows what the teacher thinks of the wrong classes",
			Pitfalls: "a teacher's errors are learnt with the rest; T must be that of the teacher's probabilities",
			Heads:    []logit.Head{logit.HeadSoftmax}, Targets: BySoft, Settings: []Setting{temperature},
		},
		float32: newKL[float32], float64: newKL[float64],
	}
)

func newKL[T Float](s Settings) Loss[T] { return KL[T]{Temperature: s.number(temperature)} }

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
		sampleLoss, mass, logSum := sum-sum, 0.0, math.Log(sum)
		for j, q := range target {
			if q != 0 {
				sampleLoss += float64(q) * (math.Log(float64(q)) - ((float64(row[j])-largest)/temperature - logSum))
				mass += float64(q)
			}
		}
		sampleLoss *= temperature * temperature
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
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
