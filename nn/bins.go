package nn

import (
	"fmt"
	"math"
	"slices"
)

// binsLayer encodes features piecewise linearly: see Bins.
type binsLayer[T Float] struct {
	inputs, each int
	edges        []T // [inputs, each+1], rising; a bin between two that are the same gives 0
	mean, scale  []T // [each] what is taken off a bin's place, and what that is multiplied by
	outputs      []T // [rows, inputs·each]
}

// newBins begins with edges evenly between −2 and 2, where standardised features lie. Places are standardised as those of bins of equal counts
// are: bin i has a share of i/n of the rows below it, of 1/n within it, evenly, and the others above.
func newBins[T Float](inputs, each int) *binsLayer[T] {
	l := &binsLayer[T]{inputs: inputs, each: each, edges: make([]T, inputs*(each+1)), mean: make([]T, each), scale: make([]T, each)}
	for i := range each {
		above, within := float64(each-i-1)/float64(each), 1/float64(each)
		mean := above + within/2
		l.mean[i], l.scale[i] = T(mean), T(1/math.Sqrt(above+within/3-mean*mean))
	}
	for i := range l.edges {
		l.edges[i] = T(4*float64(i%(each+1))/float64(each) - 2)
	}
	return l
}

func (*binsLayer[T]) name() string       { return "bins" }
func (l *binsLayer[T]) reserve(rows int) { l.outputs = make([]T, rows*l.inputs*l.each) }
func (l *binsLayer[T]) output(n int) []T { return l.outputs[:n*l.inputs*l.each] }

func (l *binsLayer[T]) state() []Param[T] {
	return []Param[T]{{Name: "bins.edges", Shape: []int{l.inputs, l.each + 1}, Data: l.edges}}
}

func (l *binsLayer[T]) forward(x []T, n int, _ bool) []T {
	y := l.output(n)
	for i, v := range x[:n*l.inputs] {
		feature := i % l.inputs
		l.encode(y[i*l.each:(i+1)*l.each], l.edges[feature*(l.each+1):(feature+1)*(l.each+1)], v)
	}
	return y
}

// encode writes to bins how far into each v is: 0 below it and 1 above, standardised.
func (l *binsLayer[T]) encode(bins, edges []T, v T) {
	first, last := 0, len(bins)-1
	for first < last && edges[first+1] == edges[first] {
		first++
	}
	for last > first && edges[last+1] == edges[last] {
		last--
	}
	for i := range bins {
		from, to := edges[i], edges[i+1]
		if from == to {
			bins[i] = 0 * v // a NaN stays one
			continue
		}
		place := (v - from) / (to - from)
		if i > first {
			place = max(place, 0)
		}
		if i < last {
			place = min(place, 1)
		}
		bins[i] = (place - l.mean[i]) * l.scale[i]
	}
}

// backward has nothing to give: nothing before it learns, and its edges stay.
func (*binsLayer[T]) backward(_, _ []T, _ int, _ bool) []T { return nil }

// FitBins has the network's Bins take the quantiles of features [N,inputs] as the edges of their bins, the least and the greatest among them.
// Values that are not finite count for nothing. A network without Bins stays as it is. It panics where the features are not whole rows.
func (net *Network[T]) FitBins(features []T) {
	if len(net.layers) == 0 || len(features) == 0 {
		return
	}
	l, ok := net.layers[0].(*binsLayer[T])
	if !ok {
		return
	}
	if len(features)%l.inputs != 0 {
		panic(fmt.Sprintf("nn: FitBins: %d values are no rows of %d features", len(features), l.inputs))
	}
	column := make([]T, 0, len(features)/l.inputs)
	for feature := range l.inputs {
		column = column[:0]
		for i := feature; i < len(features); i += l.inputs {
			if finite(float64(features[i])) {
				column = append(column, features[i])
			}
		}
		if len(column) == 0 {
			continue
		}
		slices.Sort(column)
		edges := l.edges[feature*(l.each+1) : (feature+1)*(l.each+1)]
		for i := range edges {
			edges[i] = quantile(column, float64(i)/float64(l.each))
		}
	}
}

// quantile is that of sorted values, linear between them, as NumPy has it.
func quantile[T Float](sorted []T, p float64) T {
	at := p * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return T(float64(sorted[below]) + (at-float64(below))*(float64(sorted[above])-float64(sorted[below])))
}
