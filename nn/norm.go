package nn

import (
	"math"
	"math/rand/v2"
)

const normEpsilon = 1e-5 // added to a variance, as PyTorch has it

// scaled is what both normalisations end with: y = γ·x̂ + β, x̂ the normalised value.
type scaled[T Float] struct {
	label           string
	width, channels int // values a row; their last axis, which γ and β lie along
	gain, gradGain  []T // γ [channels]
	bias, gradBias  []T // β [channels]
	outputs, normal []T // [rows,width]; x̂
}

func (s *scaled[T]) name() string { return s.label }

func (s *scaled[T]) shapes() []shape {
	return []shape{{"weight", []int{s.channels}}, {"bias", []int{s.channels}}}
}

func (s *scaled[T]) bind(own []Param[T]) {
	s.gain, s.gradGain = own[0].Data, own[0].Grad
	s.bias, s.gradBias = own[1].Data, own[1].Grad
}

func (s *scaled[T]) start(Init[T], *rand.Rand) {
	for i := range s.gain {
		s.gain[i] = 1
	}
}

func (s *scaled[T]) reserve(rows int) {
	s.outputs, s.normal = make([]T, rows*s.width), make([]T, rows*s.width)
}

func (s *scaled[T]) output(n int) []T { return s.outputs[:n*s.width] }

// gradients adds up those of γ and β.
func (s *scaled[T]) gradients(gradOut []T) {
	clear(s.gradGain)
	clear(s.gradBias)
	for at := 0; at < len(gradOut); at += s.channels {
		row, normal := gradOut[at:at+s.channels], s.normal[at:at+s.channels]
		for c, g := range row {
			s.gradGain[c] += g * normal[c]
			s.gradBias[c] += g
		}
	}
}

// layerNorm makes each sample's values mean 0 and variance 1: over a row of a dense layer, over all of an image.
type layerNorm[T Float] struct {
	scaled[T]
	rstd []T // [rows] 1/√(variance + ε)
}

func (l *layerNorm[T]) reserve(rows int) {
	l.scaled.reserve(rows)
	l.rstd = make([]T, rows)
}

func (l *layerNorm[T]) forward(x []T, n int, _ bool) []T {
	y := l.output(n)
	for i := range n {
		row, out, normal := x[i*l.width:(i+1)*l.width], y[i*l.width:(i+1)*l.width], l.normal[i*l.width:(i+1)*l.width]
		mean := 0.0
		for _, v := range row {
			mean += float64(v)
		}
		mean /= float64(l.width)
		variance := 0.0
		for _, v := range row {
			d := float64(v) - mean
			variance += d * d
		}
		rstd := 1 / math.Sqrt(variance/float64(l.width)+normEpsilon)
		l.rstd[i] = T(rstd)
		for j, v := range row {
			normal[j] = T((float64(v) - mean) * rstd)
		}
		for at := 0; at < l.width; at += l.channels {
			for c, gain := range l.gain {
				out[at+c] = gain*normal[at+c] + l.bias[c]
			}
		}
	}
	return y
}

// dx = (g − mean(g) − x̂·mean(g·x̂))/σ, g = γ·dy, the means over the row.
func (l *layerNorm[T]) backward(_, gradOut []T, n int, _ bool) []T {
	l.gradients(gradOut)
	for i := range n {
		row, normal := gradOut[i*l.width:(i+1)*l.width], l.normal[i*l.width:(i+1)*l.width]
		sum, along := 0.0, 0.0
		for at := 0; at < l.width; at += l.channels {
			for c, gain := range l.gain {
				g := gain * row[at+c]
				row[at+c] = g
				sum += float64(g)
				along += float64(g) * float64(normal[at+c])
			}
		}
		mean, slope, rstd := T(sum/float64(l.width)), T(along/float64(l.width)), l.rstd[i]
		for j, g := range row {
			row[j] = (g - mean - normal[j]*slope) * rstd
		}
	}
	return gradOut
}

// batchNorm makes each channel mean 0 and variance 1 over the batch (and over an image's pixels); afterwards it uses running
// means of both, which are no parameters.
type batchNorm[T Float] struct {
	scaled[T]
	runningMean, runningVariance []T
	mean, rstd, sum, along       []float64 // [channels]
}

const batchNormMomentum = 0.1 // of the newest batch in the running statistics

func newBatchNorm[T Float](s scaled[T]) *batchNorm[T] {
	b := &batchNorm[T]{scaled: s, runningMean: make([]T, s.channels), runningVariance: make([]T, s.channels)}
	for i := range b.runningVariance {
		b.runningVariance[i] = 1
	}
	work := make([]float64, 4*s.channels)
	for i, part := range []*[]float64{&b.mean, &b.rstd, &b.sum, &b.along} {
		*part = work[i*s.channels : (i+1)*s.channels]
	}
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
	for at := 0; at < len(x); at += b.channels {
		row, out, normal := x[at:at+b.channels], y[at:at+b.channels], b.normal[at:at+b.channels]
		for c, v := range row {
			normal[c] = T((float64(v) - b.mean[c]) * b.rstd[c])
			out[c] = b.gain[c]*normal[c] + b.bias[c]
		}
	}
	return y
}

// measure takes mean and variance of each channel and moves the running ones towards them: that of the variance is the
// unbiased one, as PyTorch has it. Over a single value a channel the variance is 0 and the running one stays.
func (b *batchNorm[T]) measure(x []T) {
	count := float64(len(x) / b.channels)
	clear(b.mean)
	for at := 0; at < len(x); at += b.channels {
		for c, v := range x[at : at+b.channels] {
			b.mean[c] += float64(v)
		}
	}
	for c := range b.mean {
		b.mean[c] /= count
	}
	clear(b.rstd)
	for at := 0; at < len(x); at += b.channels {
		for c, v := range x[at : at+b.channels] {
			d := float64(v) - b.mean[c]
			b.rstd[c] += d * d
		}
	}
	for c, squares := range b.rstd {
		b.rstd[c] = 1 / math.Sqrt(squares/count+normEpsilon)
		b.runningMean[c] += T(batchNormMomentum * (b.mean[c] - float64(b.runningMean[c])))
		if count > 1 {
			b.runningVariance[c] += T(batchNormMomentum * (squares/(count-1) - float64(b.runningVariance[c])))
		}
	}
}

// dx = γ·(dy − mean(dy) − x̂·mean(dy·x̂))/σ, the means over the channel.
func (b *batchNorm[T]) backward(_, gradOut []T, _ int, _ bool) []T {
	b.gradients(gradOut)
	count := float64(len(gradOut) / b.channels)
	for c := range b.sum {
		b.sum[c], b.along[c] = float64(b.gradBias[c])/count, float64(b.gradGain[c])/count
	}
	for at := 0; at < len(gradOut); at += b.channels {
		row, normal := gradOut[at:at+b.channels], b.normal[at:at+b.channels]
		for c, g := range row {
			row[c] = T((float64(g) - b.sum[c] - float64(normal[c])*b.along[c]) * b.rstd[c] * float64(b.gain[c]))
		}
	}
	return gradOut
}
