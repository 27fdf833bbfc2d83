package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/logit"
)

// BinaryCrossEntropy is the cross-entropy of K independent yes-or-no questions, each with one logit z and the probability y of yes: the
// mean over the samples of
//
//	ℓ = mean over the K columns of w·y·log(1 + exp(−z)) + (1−y)·log(1 + exp(z)).
//
// For a single logit (K = 1), y is the label, 0 or 1, or Targets.Soft [N,1]; for several it is Targets.Soft [N,K]. The gradient is
// ((1−y)·σ(z) − w·y·σ(−z))/(N·K), σ being the logistic function, which without weights is (σ(z) − y)/(N·K). For a single logit the loss
// equals CrossEntropy over the logits [0, z].
//
// A logit of ±Inf stands for certainty: its loss is 0 where it is right and +Inf where it is wrong.
//
// Loss panics for several logits without Targets.Soft, and for PosWeights out of range.
type BinaryCrossEntropy[T Float] struct {
	// PosWeights is w [K], the weight of a yes in each column, finite and 0 or above; nil for 1 each. PyTorch calls it pos_weight.
	PosWeights []float64
}

var (
	posWeights = Setting{
		Name: "pos_weights", Title: "positive weights", Key: "pos_weights", Symbol: "w", Text: "of the yes of each label: balanced, or one number each",
		Per: PerColumn, Range: nonNegative, Default: 1,
	}
	binaryCrossEntropy = definition{
		Info: Info{
			Name: "binary-cross-entropy", Formula: "w·y·log(1 + exp(−z)) + (1−y)·log(1 + exp(z)), the mean over a sample's logits",
			Use:      "yes or no by a single logit, or several independent yes-or-no questions (multi-label); positive weights where yes is rare",
			Pitfalls: "sigmoids of several logits do not sum to 1: for classes that exclude each other use cross-entropy; a positive weight w shifts the logit by log w",
			Heads:    []logit.Head{logit.HeadBinary, logit.HeadSigmoid}, Targets: ByBoth, Settings: []Setting{posWeights},
		},
		float32: newBinaryCrossEntropy[float32], float64: newBinaryCrossEntropy[float64],
	}
)

func newBinaryCrossEntropy[T Float](s Settings) Loss[T] {
	return BinaryCrossEntropy[T]{PosWeights: s[posWeights.Name]}
}

// Loss implements the interface Loss.
func (l BinaryCrossEntropy[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	n, counted := check("BinaryCrossEntropy", perSample, grad, z, k, max(k, 2), t) // a single logit has two classes
	checkWeights("BinaryCrossEntropy", "PosWeights", l.PosWeights, k)
	if k > 1 && t.Soft == nil {
		panic(fmt.Sprintf("loss: BinaryCrossEntropy: %d logits a sample want Targets.Soft [N,%d]", k, k))
	}
	scale := 1 / float64(max(counted, 1)*k)
	total := 0.0
	for i := range n {
		if t.ignored(i) {
			zeroRow(perSample, grad, i, k)
			continue
		}
		sampleLoss := 0.0
		for j := i * k; j < (i+1)*k; j++ {
			var yes float64
			if t.Soft != nil {
				yes = float64(t.Soft[j])
			} else {
				yes = float64(t.Labels[i])
			}
			no, v, gradient := 1-yes, float64(z[j]), 0.0
			if l.PosWeights != nil {
				yes *= l.PosWeights[j-i*k]
			}
			// A part of weight 0 is left out, because 0·∞ would be NaN where z is infinite.
			if yes != 0 {
				sampleLoss += yes * softplus(-v)
				gradient = -yes * sigmoid(-v)
			}
			if no != 0 {
				sampleLoss += no * softplus(v)
				gradient += no * sigmoid(v)
			}
			if grad != nil {
				grad[j] = T(gradient * scale)
			}
		}
		sampleLoss /= float64(k)
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
		}
	}
	return mean(total, counted)
}

// zeroRow writes the loss and the gradient of an ignored sample i: zeros.
func zeroRow[T Float](perSample, grad []T, i, k int) {
	if perSample != nil {
		perSample[i] = 0
	}
	if grad != nil {
		clear(grad[i*k : (i+1)*k])
	}
}

// softplus returns log(1 + exp(x)), without overflow for large x and with all digits for small results.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// sigmoid returns 1/(1 + exp(−x)). It takes exp of −|x| only, which cannot overflow.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}
