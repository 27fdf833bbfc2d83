package train

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// batches goes through a split in a new order every epoch, and copies the samples of each batch together.
type batches struct {
	split    Split
	columns  int        // the number of a sample's soft targets
	size     int        // the number of samples in a batch
	rng      *rand.Rand // for the order
	byClass  [][]int    // for balanced sampling: the samples of each class that has any
	order    []int      // the samples of the epoch
	position int        // the number of them that were in batches so far
	step     int        // the number of batches so far
	rows     []int      // the samples of the current batch, a view of order

	// The current batch:
	features        []float32 // [len(rows),Width]
	tokens, offsets []int32
	weights         []float32 // of the tokens, where the split has weights
	labels          []int32   // [len(rows)]
	soft            []float32 // [len(rows),columns]; empty where there are no soft targets

	mixup   float64    // α; 0 for no mixup
	mixing  *rand.Rand // for mixup
	unmixed []float32  // features and targets before they are mixed
}

// newBatches returns the batches of the training split s. The random numbers of mixup are drawn from mixing.
func newBatches(c Config, head nn.Head, s Split, mixing rand.Source) (*batches, error) {
	b := &batches{
		split: s, columns: head.Columns(), size: min(c.Batch, s.N()), rng: rand.New(c.source(streamOrder)), order: make([]int, s.N()),
		mixup: c.Mixup, mixing: rand.New(mixing),
	}
	for i := range b.order {
		b.order[i] = i
	}
	if c.Mixup != 0 && s.Offsets != nil {
		return nil, errors.New("mixup adds up features, and a text has none: leave it out")
	}
	if c.Sampling == "balanced" {
		if head.Kind().MultiLabel() {
			return nil, errors.New("balanced sampling needs one class a sample: with several use positive weights (pos_weights: balanced)")
		}
		b.byClass = make([][]int, head.Classes())
		for i, label := range s.Labels {
			if label != loss.Ignored {
				b.byClass[label] = append(b.byClass[label], i)
			}
		}
		b.byClass = slices.DeleteFunc(b.byClass, func(members []int) bool { return len(members) == 0 })
		if len(b.byClass) == 0 {
			return nil, errors.New("balanced sampling: no training sample has a label")
		}
	}
	return b, nil
}

// perEpoch returns the number of batches in an epoch.
func (b *batches) perEpoch() int { return (len(b.order) + b.size - 1) / b.size }

// shuffle begins an epoch, with a new order.
func (b *batches) shuffle() {
	if b.byClass != nil {
		b.balance()
	}
	b.rng.Shuffle(len(b.order), func(i, j int) { b.order[i], b.order[j] = b.order[j], b.order[i] })
	b.position, b.step = 0, 0
}

// balance fills the order with as many samples of each class as of any other, to within one. All samples of a class come, in a new order,
// before one of them comes again. Which classes get one sample more changes every epoch.
func (b *batches) balance() {
	b.order = b.order[:0]
	n, classes := cap(b.order), len(b.byClass)
	first := b.rng.IntN(classes)
	for c := range classes {
		members := b.byClass[(first+c)%classes]
		quota := n / classes
		if c < n%classes {
			quota++
		}
		for quota > 0 {
			b.rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			take := min(quota, len(members))
			b.order = append(b.order, members[:take]...)
			quota -= take
		}
	}
}

// next makes the next batch, of which the last in an epoch may be smaller, and reports whether there was one.
func (b *batches) next() bool {
	b.rows = b.order[b.position:min(b.position+b.size, len(b.order))]
	if len(b.rows) == 0 {
		return false
	}
	b.position += len(b.rows)
	b.step++
	b.gather(&b.split, b.rows)
	if b.mixup != 0 {
		b.mix()
	}
	return true
}

// gather copies the given samples of a split together as the current batch.
func (b *batches) gather(s *Split, rows []int) {
	b.features, b.labels, b.soft = b.features[:0], b.labels[:0], b.soft[:0]
	if s.Offsets == nil {
		b.features = slices.Grow(b.features, len(rows)*s.Width)[:len(rows)*s.Width]
		// The features may lie in a mapped file, where a row can take as long as a page fault.
		shared(len(rows), s.Width, func(from, to int) {
			for i := from; i < to; i++ {
				copy(b.features[i*s.Width:], s.features(rows[i]))
			}
		})
	}
	b.tokens, b.weights, b.offsets = b.tokens[:0], b.weights[:0], append(b.offsets[:0], 0)
	for _, i := range rows {
		if s.Offsets != nil {
			from, to := s.text(i)
			b.tokens = append(b.tokens, s.Tokens[from:to]...)
			if s.Weights != nil {
				b.weights = append(b.weights, s.Weights[from:to]...)
			}
			b.offsets = append(b.offsets, int32(len(b.tokens)))
		}
		b.labels = append(b.labels, s.Labels[i])
		if s.Soft != nil {
			b.soft = append(b.soft, s.Soft[i*b.columns:(i+1)*b.columns]...)
		}
	}
}

// shared calls do with parts of the rows [0,n), of width values each. Where there are many values, it does so on every processor.
func shared(n, width int, do func(from, to int)) {
	each := max(sharedValues/width, 1)
	if n <= each {
		do(0, n)
		return
	}
	parallel.Each((n+each-1)/each, func(part int) { do(part*each, min((part+1)*each, n)) })
}

// sharedValues is the number of values that a processor takes at a time.
const sharedValues = 1 << 16

// batch returns the current batch, whose slices are overwritten by the next.
func (b *batches) batch() nn.Batch[float32] {
	batch := nn.Batch[float32]{N: len(b.labels), Features: b.features, Targets: loss.Targets[float32]{Labels: b.labels}}
	if b.split.Offsets != nil {
		batch.Tokens, batch.Offsets = b.tokens, b.offsets
		if b.split.Weights != nil {
			batch.Weights = b.weights
		}
	}
	if len(b.soft) > 0 {
		batch.Targets.Soft = b.soft
	}
	if b.split.Soft != nil {
		batch.Targets.Labels = nil // samples without a label are trained on too
	}
	return batch
}

// mix replaces each sample of the batch by λ·itself + (1−λ)·another sample of the batch, features and targets alike. λ is drawn from
// Beta(α,α) once for each batch. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018. Where either of two samples has no label,
// the first stays as it is.
func (b *batches) mix() {
	n, width := len(b.labels), b.split.Width
	if len(b.soft) == 0 {
		b.soft = slices.Grow(b.soft, n*b.columns)[:n*b.columns]
		clear(b.soft)
		for i, label := range b.labels {
			switch {
			case label == loss.Ignored:
			case b.columns == 1:
				b.soft[i] = float32(label)
			default:
				b.soft[i*b.columns+int(label)] = 1
			}
		}
	}
	lambda := float32(beta(b.mixup, b.mixing))
	partner := b.mixing.Perm(n)
	b.unmixed = append(append(b.unmixed[:0], b.features...), b.soft...)
	features, soft := b.unmixed[:n*width], b.unmixed[n*width:]
	for i, j := range partner {
		if b.split.Soft == nil && (b.labels[i] == loss.Ignored || b.labels[j] == loss.Ignored) {
			continue
		}
		blend(b.features[i*width:(i+1)*width], features[j*width:], lambda)
		blend(b.soft[i*b.columns:(i+1)*b.columns], soft[j*b.columns:], lambda)
	}
}

// blend writes λ·dst + (1−λ)·other to dst.
func blend(dst, other []float32, lambda float32) {
	for i := range dst {
		dst[i] = lambda*dst[i] + (1-lambda)*other[i]
	}
}

// beta draws a number from Beta(α,α): x/(x+y) for two numbers x and y from Gamma(α,1).
func beta(alpha float64, rng *rand.Rand) float64 {
	x, y := gamma(alpha, rng), gamma(alpha, rng)
	if x+y == 0 {
		return 0.5 // both are too small for a float64
	}
	return x / (x + y)
}

// gamma draws a number from Gamma(α,1). Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000, and its section 6
// for α below 1.
func gamma(alpha float64, rng *rand.Rand) float64 {
	if alpha < 1 {
		return gamma(alpha+1, rng) * math.Pow(1-rng.Float64(), 1/alpha)
	}
	d := alpha - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
