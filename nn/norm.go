package nn

import (
	"math"
	"math/rand/v2"

	"github.com/logitscope/logitscope/internal/kernel"
)

// normEpsilon is added to every variance, as PyTorch does.
const normEpsilon = 1e-5

// scaled is what both normalisations have in common: y = γ·x̂ + β, where x̂ = (x − mean)/σ. Forward and backward are each a pass that sums
// the columns, which are the channels, and a pass of kernel.Blend, a·u + b·(v − shift) + add. The mean is taken off rounded to T,
// as shift; add makes up for what the rounding took.
type scaled[T Float] struct {
	label           string
	width, channels int       // the number of values in a row, and of their last axis, which γ and β belong to
	gain, gradGain  []T       // γ [channels]
	bias, gradBias  []T       // β [channels]
	outputs         []T       // [rows,width]
	first, second   []float64 // [channels], the results of sums
	zeros           []T       // [channels]
	shift           []T       // [channels], the mean of each channel rounded to T
	a, b, add       []T       // [channels], kernel.Blend's arguments
}

// newScaled returns a scaled with its memory, except the outputs.
func newScaled[T Float](label string, width, channels int) scaled[T] {
	s := scaled[T]{label: label, width: width, channels: channels}
	s.first, s.second = make([]float64, channels), make([]float64, channels)
	for _, part := range []*[]T{&s.zeros, &s.shift, &s.a, &s.b, &s.add} {
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

// sums writes Σ(u − shiftU) to first and Σ(u − shiftU)·(v − shift) to second, for each channel.
func (s *scaled[T]) sums(u, v, shiftU []T) {
	clear(s.first)
	clear(s.second)
	kernel.ColumnMoments(s.first, s.second, u, v, shiftU, s.shift)
}

// normalise sets channel c's part of shift, b and add so that Blend computes y = γ·(x − mean)·rstd + β.
func (s *scaled[T]) normalise(c int, mean, rstd float64) {
	s.shift[c] = T(mean)
	slope := float64(s.gain[c]) * rstd
	s.b[c], s.add[c] = T(slope), T(float64(s.bias[c])-slope*(mean-float64(s.shift[c])))
}

// along returns Σ dy·x̂ of channel c, after a call of sums with dy and x.
func (s *scaled[T]) along(c int, mean, rstd float64) float64 {
	return rstd * (s.second[c] - (mean-float64(s.shift[c]))*s.first[c])
}

// gradient sets channel c's part of a, b and add so that Blend computes dx = (γ·dy − sum − x̂·along)·rstd.
func (s *scaled[T]) gradient(c int, mean, rstd, sum, along float64) {
	s.a[c] = T(float64(s.gain[c]) * rstd)
	s.b[c] = T(-rstd * rstd * along)
	s.add[c] = T(rstd * (rstd*along*(mean-float64(s.shift[c])) - sum))
}

// spread returns rstd = 1/√(variance + ε) and deviations = Σ(x − mean)², from Σ(x − shift) and Σ(x − shift)² of count values.
func spread(sum, squares, count float64) (rstd, deviations float64) {
	deviations = max(squares-sum*sum/count, 0)
	return 1 / math.Sqrt(deviations/count+normEpsilon), deviations
}

// layerNorm is the layer of LayerNorm: each sample's values, of an image all of them, get mean 0 and variance 1.
type layerNorm[T Float] struct {
	scaled[T]
	mean, rstd       []float64 // [rows]; rstd is 1/√(variance + ε)
	sumGain, sumBias []float64 // [channels], the gradients of γ and β while they are summed
}

func newLayerNorm[T Float](s scaled[T]) *layerNorm[T] {
	return &layerNorm[T]{scaled: s, sumGain: make([]float64, s.channels), sumBias: make([]float64, s.channels)}
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
		kernel.Blend(y[i*l.width:(i+1)*l.width], row, row, l.zeros, l.b, l.shift, l.add)
	}
	return y
}

// backward computes dx = (γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂))/σ, the means being over the row.
func (l *layerNorm[T]) backward(x, gradOut []T, n int, _ bool) []T {
	clear(l.sumGain)
	clear(l.sumBias)
	count := float64(l.width)
	for i := range n {
		row, grad := x[i*l.width:(i+1)*l.width], gradOut[i*l.width:(i+1)*l.width]
		mean, rstd := l.mean[i], l.rstd[i]
		for c := range l.shift {
			l.shift[c] = T(mean)
		}
		l.sums(grad, row, l.zeros)
		sum, along := 0.0, 0.0
		for c, gain := range l.gain {
			alongGain := l.along(c, mean, rstd)
			l.sumBias[c] += l.first[c]
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
		l.gradGain[c], l.gradBias[c] = T(l.sumGain[c]), T(l.sumBias[c])
	}
	return gradOut
}

// batchNorm is the layer of BatchNorm: while training, the values of each channel get mean 0 and variance 1 over the batch, and over an
// image's pixels. A trained network uses the running mean and variance instead, which are no parameters.
type batchNorm[T Float] struct {
	scaled[T]
	runningMean, runningVariance []T       // [channels]
	mean, rstd                   []float64 // [channels], of the last pass
}

// batchNormMomentum is the weight of the newest batch in the running statistics, as in PyTorch.
const batchNormMomentum = 0.1

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
	kernel.Blend(y, x, x, b.zeros, b.b, b.shift, b.add)
	return y
}

// measure computes the mean and rstd of each channel of x, and moves the running mean and variance towards the batch's. The running variance
// moves towards the unbiased one, as PyTorch's does. Where a channel has a single value, its variance is 0 and the running variance stays.
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

// backward computes dx = γ·(dy − mean(dy) − x̂·mean(dy·x̂))/σ, the means being over the channel.
func (b *batchNorm[T]) backward(x, gradOut []T, _ int, _ bool) []T {
	count := float64(len(gradOut) / b.channels)
	b.sums(gradOut, x, b.zeros)
	for c, sum := range b.first {
		mean, rstd, gain := b.mean[c], b.rstd[c], float64(b.gain[c])
		along := b.along(c, mean, rstd)
		b.gradGain[c], b.gradBias[c] = T(along), T(sum)
		b.gradient(c, mean, rstd, gain*sum/count, gain*along/count)
	}
	kernel.Blend(gradOut, gradOut, x, b.a, b.b, b.shift, b.add)
	return gradOut
}
