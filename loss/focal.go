package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/logit"
)

// Focal is a cross-entropy that gives less weight to samples which are already right: the mean over the samples of
// ℓ = −α_y·(1−p)^γ·log p, p being the probability of the true class y. Its gradient is
// α_y·((1−p)^γ − γ·p·(1−p)^(γ−1)·log p)·(p_j − 1{j = y})/N. Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 5. With
// γ = 0 it is CrossEntropy, except that the mean is not divided by the weights α.
//
// Loss panics where it is given soft targets, and for a Gamma or an Alpha out of range.
type Focal[T Float] struct {
	Gamma float64   // γ, finite and 0 or above; the paper has 2
	Alpha []float64 // α [K], each finite and 0 or above; nil for 1 each
}

var (
	gamma = Setting{Name: "gamma", Title: "gamma", Key: "focal_gamma", Symbol: "γ", Text: "γ of the focal loss", Range: nonNegative, Usual: 2}
	focal = definition{
		Info: Info{
			Name: "focal", Formula: "−α_y·(1 − p_y)^γ·log p_y",
			Use:      "many easy samples drown few hard ones; γ = 2 is usual, class weights are α",
			Pitfalls: "it holds on to samples that are wrong, wrong labels above all; its probabilities are too timid, so calibrate afterwards",
			Heads:    []logit.Head{logit.HeadSoftmax}, Targets: ByLabels, Settings: []Setting{gamma, classWeights},
		},
		float32: newFocal[float32], float64: newFocal[float64],
	}
)

func newFocal[T Float](s Settings) Loss[T] {
	return Focal[T]{Gamma: s.number(gamma), Alpha: s[classWeights.Name]}
}

// Loss implements the interface Loss.
func (l Focal[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	refuseSoft("Focal", t)
	n, counted := check("Focal", perSample, grad, z, k, k, t)
	checkWeights("Focal", "Alpha", l.Alpha, k)
	if !(l.Gamma >= 0 && l.Gamma <= math.MaxFloat64) {
		panic(fmt.Sprintf("loss: Focal: Gamma %v is not finite and 0 or above", l.Gamma))
	}
	total := 0.0
	for i, label := range t.Labels[:n] {
		if label == Ignored {
			zeroRow(perSample, grad, i, k)
			continue
		}
		row := z[i*k : (i+1)*k]
		largest, sum, rest, nll := trueClass(row, int(label))
		alpha := 1.0
		if l.Alpha != nil {
			alpha = l.Alpha[label]
		}
		p := math.Exp(-nll)
		sampleLoss, slope := 0.0, 0.0 // slope is −dℓ/dz_y/(1−p)
		if rest > 0 || math.IsNaN(rest) {
			focus := math.Pow(rest, l.Gamma)
			sampleLoss = alpha * focus * nll
			slope = alpha * focus
			if p > 0 {
				slope += alpha * l.Gamma * p * nll * focus / rest
			}
		}
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
		}
		if grad == nil {
			continue
		}
		scale := slope / float64(counted)
		out := grad[i*k : (i+1)*k]
		for j, v := range row {
			out[j] = T(math.Exp(float64(v)-largest) / sum * scale)
		}
		out[label] = T(-rest * scale)
	}
	return mean(total, counted)
}

// trueClass returns the largest logit m of a row, sum = Σ exp(z − m), and for the label's class rest = 1 − p and nll = −log p. The other
// classes are summed apart from it, so that neither is a difference of numbers near each other.
func trueClass[T Float](row []T, label int) (largest, sum, rest, nll float64) {
	largest = greatest(row)
	others := 0.0
	for j, v := range row {
		if j != label {
			others += math.Exp(float64(v) - largest)
		}
	}
	exponent := float64(row[label]) - largest
	sum = others + math.Exp(exponent)
	rest = others / sum
	if rest < 0.5 {
		return largest, sum, rest, -math.Log1p(-rest)
	}
	return largest, sum, rest, math.Log(sum) - exponent
}

// refuseSoft panics where there are soft targets, for the losses that take labels only.
func refuseSoft[T Float](function string, t Targets[T]) {
	if t.Soft != nil {
		panic(fmt.Sprintf("loss: %s: takes Targets.Labels, not Targets.Soft", function))
	}
}
