package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/logit"
)

// Hinge is the multi-class hinge loss of Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
// Machines", 2001, section 3: the mean over the samples of ℓ = max(0, 1 + max_{j≠y} z_j − z_y), y being the true class. scikit-learn's
// hinge_loss is the same; PyTorch's multi_margin_loss is that of Weston and Watkins, which sums over the classes.
//
// Where ℓ > 0, the gradient is −1/N at the true class and 1/N at the largest of the others, the first of several. A class whose logit is
// −Inf takes no part; where the true class's logit is −Inf, the loss is +Inf.
//
// Loss panics where it is given soft targets, and where there are fewer than two classes.
type Hinge[T Float] struct{}

var hinge = definition{
	Info: Info{
		Name: "hinge", Formula: "max(0, 1 + max_{j≠y} z_j − z_y)",
		Use:      "only the decision counts: a linear support vector machine (Crammer and Singer)",
		Pitfalls: "its logits are no log-probabilities: softmax over them means little before calibration",
		Heads:    []logit.Head{logit.HeadSoftmax}, Targets: ByLabels,
	},
	float32: newHinge[float32], float64: newHinge[float64],
}

func newHinge[T Float](Settings) Loss[T] { return Hinge[T]{} }

// Loss implements the interface Loss.
func (Hinge[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	refuseSoft("Hinge", t)
	n, counted := check("Hinge", perSample, grad, z, k, k, t)
	if k < 2 {
		panic(fmt.Sprintf("loss: Hinge: K = %d, want 2 or more", k))
	}
	scale := T(1 / float64(max(counted, 1)))
	total := 0.0
	for i, label := range t.Labels[:n] {
		if label == Ignored {
			zeroRow(perSample, grad, i, k)
			continue
		}
		row := z[i*k : (i+1)*k]
		rival, bad, finite := -1, false, false
		for j, v := range row {
			bad = bad || v != v || math.IsInf(float64(v), 1)
			finite = finite || v-v == 0
			if j != int(label) && (rival < 0 || v > row[rival]) {
				rival = j
			}
		}
		sampleLoss := 1 + float64(row[rival]) - float64(row[label])
		if bad || !finite {
			sampleLoss = math.NaN()
		}
		sampleLoss = max(sampleLoss, 0)
		total += sampleLoss
		if perSample != nil {
			perSample[i] = T(sampleLoss)
		}
		if grad == nil {
			continue
		}
		out := grad[i*k : (i+1)*k]
		clear(out)
		switch {
		case math.IsNaN(sampleLoss):
			for j := range out {
				out[j] = T(sampleLoss)
			}
		case sampleLoss > 0:
			out[label], out[rival] = -scale, scale
		}
	}
	return mean(total, counted)
}
