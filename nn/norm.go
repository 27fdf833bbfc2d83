package nn

import (
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

const normEpsilon = 1e-5 // added to a variance, as PyTorch has it

// scaled is what both normalisations end with: y = γ·x̂ + β, x̂ = (x − mean)/σ. Each pass is one of sums of columns, which are the
// channels, and one of kernel.Blend. The mean is taken off as a number of T; what that rounds off is made up for in what is added.
type scaled[T Float] struct {
	label                  string
	width, channels        int       // values a row; their last axis, which γ and β lie along
	gain, gradGain         []T       // γ [channels]
	bias, gradBias         []T       // β [channels]
	outputs                []T       // [rows,width]
	first, second          []float64 // [channels] as what follows
	none, shift, a, b, add []T
}

func newScaled[T Float](label string, width, channels int) scaled[T] {
	s := scaled[T]{label: label, width: width, channels: channels}
	s.first, s.second = make([]float64, channels), make([]float64, channels)
	for _, part := range []*[]T{&s.none, &s.shift, &s.a, &s.b, &s.add} {
		*part = make([]T, channels)
	}
	return s
}

func (s *scaled[T]) name() string { return s.label }

func (s *scaled[T]) shapes() []shape {
	return []shape{{"weight", []int{s.channels}}, {"bias", []int{s.channels}}}
}

func (s *scaled[T]) bind(params []Param[T]) {
	s.gain, s.gradGain = params[0].Data, params[0].Grad
	s.bias, s.gradBias = params[1].Data, params[1].Grad
}

func (s *scaled[T]) start(Init[T], *rand.Rand) {
	for i := range s.gain {
		s.gain[i] = 1
	}
}

func (s *scaled[T]) reserve(rows int) { s.outputs = make([]T, rows*s.width) }

func (s *scaled[T]) output(n int) []T { return s.outputs[:n*s.width] }

// sums leaves in first Σ(u − shiftU) and in second Σ(u − shiftU)·(v − shift) of each channel.
func (s *scaled[T]) sums(u, v, shiftU []T) {
	clear(s.first)
	clear(s.second)
	kernel.ColumnMoments(s.first, s.second, u, v, shiftU, s.shift)
}

// normalise makes of channel c's values y = γ·(x − mean)·rstd + β.
func (s *scaled[T]) normalise(c int, mean, rstd float64) {
	s.shift[c] = T(mean)
	slope := float64(s.gain[c]) * rstd
	s.b[c], s.add[c] = T(slope), T(float64(s.bias[c])-slope*(mean-float64(s.shift[c])))
}

// along returns Σ dy·x̂ of a channel after sums of dy and x.
func (s *scaled[T]) along(c int, mean, rstd float64) float64 {
	return rstd * (s.second[c] - (mean-float64(s.shift[c]))*s.first[c])
}

// gradient makes of channel c's values dx = (γ·dy − sum − x̂·along)·rstd.
func (s *scaled[T]) gradient(c int, mean, rstd, sum, along float64) {
	s.a[c] = T(float64(s.gain[c]) * rstd)
	s.b[c] = T(-rstd * rstd * along)
	s.add[c] = T(rstd * (rstd*along*(mean-float64(s.shift[c])) - sum))
}

// spread returns 1/√(variance + ε) and the variance's numerator from Σ(x − shift) and Σ(x − shift)² of count values.
func spread(sum, squares, count float64) (rstd, deviations float64) {
	deviations = max(squares-sum*sum/count, 0)
	return 1 / math.Sqrt(deviations/count+normEpsilon), deviations
}

// layerNorm makes each sample's values mean 0 and variance 1: over a row of a dense layer, over all of an image.
type layerNorm[T Float] struct {
	scaled[T]
	mean, rstd        []float64 // [rows]; rstd is 1/√(variance + ε)
	sumGain, sumShift []float64 // [channels] gradients of γ and β
}

func newLayerNorm[T Float](s scaled[T]) *layerNorm[T] {
	return &layerNorm[T]{scaled: s, sumGain: make([]float64, s.channels), sumShift: make([]float64, s.channels)}
}

func (l *layerNorm[T]) reserve(rows int) {
	l.scaled.reserve(rows)
	l.mean, l.rstd = make([]float64, rows), make([]float64, rows)
}

func (l *layerNorm[T]) forward(x []T, n int, _ bool) []T {
	y := l.output(n)
	count := float64(l.width)
	for i := range n {
		row := x[i*l.width : (i+1)*l.width]
		for c := range l.shift {
			l.shift[c] = row[0]
		}
		l.sums(row, row, l.shift)
		sum, squares := 0.0, 0.0
		for c, s := range l.first {
			sum += s
			squares += l.second[c]
		}
		l.mean[i] = float64(row[0]) + sum/count
		l.rstd[i], _ = spread(sum, squares, count)
		for c := range l.shift {
			l.normalise(c, l.mean[i], l.rstd[i])
		}
		kernel.Blend(y[i*l.width:(i+1)*l.width], row, row, l.none, l.b, l.shift, l.add)
	}
	return y
}

// dx = (γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂))/σ, the means over the row.
func (l *layerNorm[T]) backward(x, gradOut []T, n int, _ bool) []T {
	clear(l.sumGain)
	clear(l.sumShift)
	count := float64(l.width)
	for i := range n {
		row, grad := x[i*l.width:(i+1)*l.width], gradOut[i*l.width:(i+1)*l.width]
		mean, rstd := l.mean[i], l.rstd[i]
		for c := range l.shift {
			l.shift[c] = T(mean)
		}
		l.sums(grad, row, l.none)
		sum, along := 0.0, 0.0
		for c, gain := range l.gain {
			alongGain := l.along(c, mean, rstd)
			l.sumShift[c] += l.first[c]
			l.sumGain[c] += alongGain
			sum += float64(gain) * l.first[c]
			along += float64(gain) * alongGain
		}
		for c := range l.gain {
			l.gradient(c, mean, rstd, sum/count, along/count)
		}
		kernel.Blend(grad, grad, row, l.a, l.b, l.shift, l.add)
	}
	for c := range l.gradGain {
		l.gradGain[c], l.gradBias[c] = T(l.sumGain[c]), T(l.sumShift[c])
	}
	return gradOut
}

// batchNorm makes each channel mean 0 and variance 1 over the batch (and over an image's pixels); afterwards it uses running
// means of both, which are no parameters.
type batchNorm[T Float] struct {
	scaled[T]
	runningMean, runningVariance []T
	mean, rstd                   []float64 // [channels]
}

const batchNormMomentum = 0.1 // of the newest batch in the running statistics

func newBatchNorm[T Float](s scaled[T]) *batchNorm[T] {
	b := &batchNorm[T]{scaled: s, runningMean: make([]T, s.channels), runningVariance: make([]T, s.channels)}
	for i := range b.runningVariance {
		b.runningVariance[i] = 1
	}
	b.mean, b.rstd = make([]float64, s.channels), make([]float64, s.channels)
	return b
}

func (b *batchNorm[T]) state() []Param[T] {
	return []Param[T]{
		{Name: b.label + ".running_mean", Shape: []int{b.channels}, Data: b.runningMean},
		{Name: b.label + ".running_var", Shape: []int{b.channels}, Data: b.runningVariance},
	}
}

func (b *batchNorm[T]) forward(x []T, n int, training bool) []T {
	y := b.output(n)
	if training {
		b.measure(x)
	} else {
		for c := range b.mean {
			b.mean[c] = float64(b.runningMean[c])
			b.rstd[c] = 1 / math.Sqrt(float64(b.runningVariance[c])+normEpsilon)
		}
	}
	for c, mean := range b.mean {
		b.normalise(c, mean, b.rstd[c])
	}
	kernel.Blend(y, x, x, b.none, b.b, b.shift, b.add)
	return y
}

// measure takes mean and variance of each channel and moves the running ones towards them: that of the variance is the
// unbiased one, as PyTorch has it. Over a single value a channel the variance is 0 and the running one stays.
func (b *batchNorm[T]) measure(x []T) {
	count := float64(len(x) / b.channels)
	copy(b.shift, x)
	b.sums(x, x, b.shift)
	for c, sum := range b.first {
		b.mean[c] = float64(b.shift[c]) + sum/count
		var deviations float64
		b.rstd[c], deviations = spread(sum, b.second[c], count)
		b.runningMean[c] += T(batchNormMomentum * (b.mean[c] - float64(b.runningMean[c])))
		if count > 1 {
			b.runningVariance[c] += T(batchNormMomentum * (deviations/(count-1) - float64(b.runningVariance[c])))
		}
	}
}

// dx = γ·(dy − mean(dy) − x̂·mean(dy·x̂))/σ, the means over the channel.
func (b *batchNorm[T]) backward(x, gradOut []T, _ int, _ bool) []T {
	count := float64(len(gradOut) / b.channels)
	b.sums(gradOut, x, b.none)
	for c, sum := range b.first {
		mean, rstd, gain := b.mean[c], b.rstd[c], float64(b.gain[c])
		along := b.along(c, mean, rstd)
		b.gradGain[c], b.gradBias[c] = T(along), T(sum)
		b.gradient(c, mean, rstd, gain*sum/count, gain*along/count)
	}
	kernel.Blend(gradOut, gradOut, x, b.a, b.b, b.shift, b.add)
	return gradOut
}
