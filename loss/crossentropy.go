package loss

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/logit"
)

// CrossEntropy is softmax and negative log-likelihood in one, over logits z [N,K]. A sample with the target distribution q (its label's
// one-hot vector, or its row of Targets.Soft) has the loss
//
//	ℓ = Σ_c w_c·q'_c·(LSE(z) − z_c + λ·LSE(z)²),   q' = (1−ε)·q + ε·Σq/K,
//
// and the loss of the batch is Σℓ / Σ_n Σ_c w_c·q_nc over the samples that are not Ignored: a mean in which each sample counts with the
// weight of its class. The gradient of ℓ is W·(1 + 2λ·LSE)·p_j − w_j·q'_j, W = Σ_c w_c·q'_c, which without any setting is (p − q)/N.
// Bishop, "Pattern Recognition and Machine Learning", 2006, equations 4.108 and 4.109.
//
// It follows that weights apply to smoothed targets as to any others, that an ignored sample counts as absent whatever is set, that
// multiplying all weights by a number changes nothing, and that a one-hot row of Soft is the same as the label. PyTorch computes the same
// for labels (since its fixes of #69339 and #73205); for soft targets with weights PyTorch divides by N.
//
// A class with q'_c > 0 whose logit is −Inf makes the loss +Inf; a class with q'_c = 0 takes no part. A sample of weight W = 0 has loss
// and gradient 0 exactly.
//
// Loss panics for settings out of range.
type CrossEntropy[T Float] struct {
	// LabelSmoothing is ε, in [0,1]. Szegedy et al., "Rethinking the Inception Architecture", 2016, section 7.
	LabelSmoothing float64
	// ClassWeights is w [K], the weight of each class, finite and 0 or above; nil for 1 each.
	ClassWeights []float64
	// ZLoss is λ, finite and 0 or above. It holds LSE near 0. PaLM (Chowdhery et al., 2022, section 5) uses 1e-4.
	ZLoss float64
}

var (
	labelSmoothing = Setting{
		Name: "label_smoothing", Title: "label smoothing", Key: "label_smoothing", Symbol: "ε", Text: "share of each target spread over all classes",
		Range: Range{Low: 0, High: 1, HighOpen: true}, Usual: 0.1,
	}
	classWeights = Setting{
		Name: "class_weights", Title: "class weights", Key: "class_weights", Symbol: "w", Text: "balanced, or one number a class: 1,2,0.5",
		Per: PerClass, Range: nonNegative, Default: 1,
	}
	zLoss = Setting{
		Name: "z_loss", Title: "z-loss", Key: "z_loss", Symbol: "λ", Text: "λ of the z-loss, which holds LSE near 0",
		Range: nonNegative, Usual: 1e-4,
	}
	crossEntropy = definition{
		Info: Info{
			Name: "cross-entropy", Formula: "Σ_c w_c·q_c·(LSE(z) − z_c + λ·LSE(z)²), q the label's one-hot, smoothed by ε, or soft targets",
			Mean:     "Σℓ / Σ_n Σ_c w_c·q_nc",
			Use:      "one class of several: the default. Class weights where rare classes matter; label smoothing ε = 0.1 where labels are noisy; λ = 1e-4 where logits drift",
			Pitfalls: "weights and smoothing bend the probabilities: they no longer match frequencies, so calibrate afterwards; never give it probabilities instead of logits",
			Heads:    []logit.Head{logit.HeadSoftmax}, Targets: ByBoth, Settings: []Setting{labelSmoothing, classWeights, zLoss},
		},
		float32: newCrossEntropy[float32], float64: newCrossEntropy[float64],
	}
)

func newCrossEntropy[T Float](s Settings) Loss[T] {
	return CrossEntropy[T]{LabelSmoothing: s.number(labelSmoothing), ClassWeights: s[classWeights.Name], ZLoss: s.number(zLoss)}
}

// blockRows is the number of rows whose rowTargets are computed at a time, before their gradient is, which may overwrite the logits.
const blockRows = 256

// rowTarget is what is needed of a row once its gradient may have overwritten its logits. The row's reference class r is that with the
// largest w_c·q'_c.
type rowTarget struct {
	weight float64 // W; a row of weight 0 has loss and gradient 0
	apart  float64 // Σ_c w_c·q'_c·(z_r − z_c): the loss is W·(LSE − z_r) + apart, and the z-loss
	zRef   float64 // z_r
}

// Loss implements the interface Loss.
func (l CrossEntropy[T]) Loss(perSample, grad, z []T, k int, t Targets[T]) float64 {
	n, counted := check("CrossEntropy", perSample, grad, z, k, k, t)
	checkWeights("CrossEntropy", "ClassWeights", l.ClassWeights, k)
	if !(l.LabelSmoothing >= 0 && l.LabelSmoothing <= 1) {
		panic(fmt.Sprintf("loss: CrossEntropy: LabelSmoothing %v is not in [0, 1]", l.LabelSmoothing))
	}
	if !(l.ZLoss >= 0 && l.ZLoss <= math.MaxFloat64) {
		panic(fmt.Sprintf("loss: CrossEntropy: ZLoss %v is not finite and 0 or above", l.ZLoss))
	}
	room := takeScratch[T]()
	defer room.give()
	if perSample == nil {
		perSample = room.values(n)
	}
	if l.Plain() && t.Soft == nil {
		scale := T(1 / float64(max(counted, 1)))
		if l.LabelSmoothing == 0 {
			kernel.CrossEntropy(perSample, grad, z, t.Labels, k, scale)
		} else {
			kernel.SmoothedCrossEntropy(perSample, grad, z, t.Labels, k, scale, T(l.LabelSmoothing))
		}
		return mean(kernel.Sum(perSample), counted)
	}
	total := l.totalWeight(k, n, t)
	scale := 1 / total
	if total == 0 {
		scale = 0
	}
	for start := 0; start < n; start += blockRows {
		end := min(start+blockRows, n)
		var out []T
		if grad != nil {
			out = grad[start*k : end*k]
		}
		for i := start; i < end; i++ {
			room.labels[i-start], room.rows[i-start] = l.target(z[i*k:(i+1)*k], i, t)
		}
		// The kernel computes loss and gradient as if the reference class were the label; then each row is corrected.
		kernel.CrossEntropy(perSample[start:end], out, z[start*k:end*k], room.labels[:end-start], k, T(scale))
		for i := start; i < end; i++ {
			row := room.rows[i-start]
			if row.weight == 0 {
				continue
			}
			nll := float64(perSample[i])
			lse := nll + row.zRef
			factor := 1.0
			sampleLoss := row.weight*nll + row.apart
			if l.ZLoss != 0 {
				sampleLoss += row.weight * l.ZLoss * lse * lse
				factor += 2 * l.ZLoss * lse
			}
			if math.IsInf(nll, 1) || math.IsInf(row.apart, 1) {
				sampleLoss = math.Inf(1)
			}
			perSample[i] = T(sampleLoss)
			if grad != nil {
				l.correct(grad[i*k:(i+1)*k], i, int(room.labels[i-start]), row.weight*factor, scale, t)
			}
		}
	}
	return kernel.Sum(perSample) / total
}

// Plain reports whether neither class weights nor a z-loss are set.
func (l CrossEntropy[T]) Plain() bool { return l.ClassWeights == nil && l.ZLoss == 0 }

// classWeight returns w_c.
func (l CrossEntropy[T]) classWeight(c int) float64 {
	if l.ClassWeights == nil {
		return 1
	}
	return l.ClassWeights[c]
}

// totalWeight returns Σ_n Σ_c w_c·q_nc over the samples that are not Ignored.
func (l CrossEntropy[T]) totalWeight(k, n int, t Targets[T]) float64 {
	total := 0.0
	for i := range n {
		switch {
		case t.ignored(i):
		case t.Soft == nil:
			total += l.classWeight(int(t.Labels[i]))
		default:
			for c, q := range t.Soft[i*k : (i+1)*k] {
				total += l.classWeight(c) * float64(q)
			}
		}
	}
	return total
}

// target returns the reference class and the rowTarget of row i, whose logits are z [K]. The class is Ignored where the row has no weight.
func (l CrossEntropy[T]) target(z []T, i int, t Targets[T]) (ref int32, row rowTarget) {
	if t.ignored(i) {
		return Ignored, row
	}
	k := len(z)
	if t.Soft == nil && l.LabelSmoothing == 0 {
		ref = t.Labels[i]
		row.weight = l.classWeight(int(ref))
	} else {
		spread, largest := l.spread(i, k, t), 0.0
		for c := range k {
			share := l.classWeight(c) * l.smoothed(i, c, k, spread, t)
			row.weight += share
			if share > largest {
				largest, ref = share, int32(c)
			}
		}
		for c := range k {
			share := l.classWeight(c) * l.smoothed(i, c, k, spread, t)
			switch {
			case share == 0 || c == int(ref):
			case math.IsInf(float64(z[c]), -1):
				row.apart = math.Inf(1)
			default:
				row.apart += share * (float64(z[ref]) - float64(z[c]))
			}
		}
	}
	if row.weight == 0 {
		return Ignored, rowTarget{}
	}
	row.zRef = float64(z[ref])
	return ref, row
}

// spread returns what smoothing adds to each class's target of sample i: ε·Σq/K.
func (l CrossEntropy[T]) spread(i, k int, t Targets[T]) float64 {
	mass := 1.0
	if t.Soft != nil {
		mass = kernel.Sum(t.Soft[i*k : (i+1)*k])
	}
	return l.LabelSmoothing * mass / float64(k)
}

// smoothed returns q'_c of sample i.
func (l CrossEntropy[T]) smoothed(i, c, k int, spread float64, t Targets[T]) float64 {
	if t.Soft != nil {
		return (1-l.LabelSmoothing)*float64(t.Soft[i*k+c]) + spread
	}
	if c == int(t.Labels[i]) {
		return 1 - l.LabelSmoothing + spread
	}
	return spread
}

// correct turns the gradient of sample i from (p − onehot(ref))·scale, as the kernel left it, into (weight·p − w·q')·scale.
func (l CrossEntropy[T]) correct(grad []T, i, ref int, weight, scale float64, t Targets[T]) {
	k := len(grad)
	for j := range grad {
		grad[j] *= T(weight)
	}
	if t.Soft == nil && l.LabelSmoothing == 0 {
		grad[ref] += T((weight - l.classWeight(ref)) * scale)
		return
	}
	spread := l.spread(i, k, t)
	for j := range grad {
		less := l.classWeight(j) * l.smoothed(i, j, k, spread, t)
		if j == ref {
			less -= weight
		}
		grad[j] -= T(less * scale)
	}
}
