package calibrate

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// observation is the log-odds of a class in a row, and whether the row is labelled with the class.
type observation struct {
	s   float64 // log-odds
	yes bool
}

// byOdds returns the distinct log-odds of observations as x, ascending, with the number n of observations that have each and the number of
// hits among them. Log-odds that differ by rounding alone count as the same. It sorts obs.
func byOdds(obs []observation) (x, n, hits []float64) {
	const rounding = 1e-12
	slices.SortFunc(obs, func(a, b observation) int { return cmp.Compare(a.s, b.s) })
	for _, o := range obs {
		if last := len(x) - 1; last < 0 || o.s-x[last] > rounding*max(1, math.Abs(x[last])) {
			x, n, hits = append(x, o.s), append(n, 0), append(hits, 0)
		}
		n[len(n)-1]++
		if o.yes {
			hits[len(hits)-1]++
		}
	}
	return x, n, hits
}

// within moves a frequency y over n observations away from 0 and 1, at which a single wrong row would have an infinite NLL.
func within(y float64, n int) float64 {
	edge := 1 / float64(n+2)
	return min(max(y, edge), 1-edge)
}

// isotonic fits the rising function with the least sum of squared differences from the observations, by the pool-adjacent-violators
// algorithm: R. Barlow, D. Bartholomew, J. Bremner, H. Brunk, "Statistical Inference under Order Restrictions", 1972. Between pools the
// function is linear, as scikit-learn's IsotonicRegression is.
func isotonic(obs []observation) Curve {
	if len(obs) == 0 {
		return Curve{X: []float64{0}, Y: []float64{0.5}}
	}
	x, n, hits := byOdds(obs)
	type pool struct {
		n, hits     float64
		first, last int // of x
	}
	var pools []pool
	for i := range x {
		next := pool{n[i], hits[i], i, i}
		for len(pools) > 0 {
			p := pools[len(pools)-1]
			if p.hits*next.n < next.hits*p.n {
				break
			}
			next = pool{p.n + next.n, p.hits + next.hits, p.first, next.last}
			pools = pools[:len(pools)-1]
		}
		pools = append(pools, next)
	}
	var c Curve
	for _, p := range pools {
		y := within(p.hits/p.n, len(obs))
		c.X, c.Y = append(c.X, x[p.first]), append(c.Y, y)
		if p.last > p.first {
			c.X, c.Y = append(c.X, x[p.last]), append(c.Y, y)
		}
	}
	return c
}

// histogramBins is the number of bins of histogram binning; with few observations there are fewer.
const histogramBins = 15

// histogram fits the frequency of hits in bins that hold equally many observations, as nearly as possible: those of the same log-odds are in
// one bin. A bin ends half way to the next observation, so that swapping yes and no mirrors the bins.
func histogram(obs []observation) Curve {
	if len(obs) == 0 {
		return Curve{X: []float64{0}, Y: []float64{0.5}, Steps: true}
	}
	x, n, hits := byOdds(obs)
	before := make([]float64, len(x)+1) // observations before each x
	for i := range n {
		before[i+1] = before[i] + n[i]
	}
	total, ends := before[len(x)], []int{0}
	for bin := 1; bin < histogramBins; bin++ {
		wanted := total * float64(bin) / histogramBins
		end := sort.SearchFloat64s(before, wanted)
		if below := end - 1; end > 0 && (wanted-before[below] < before[end]-wanted || wanted-before[below] == before[end]-wanted && wanted < total/2) {
			end = below
		}
		if end > ends[len(ends)-1] && end < len(x) {
			ends = append(ends, end)
		}
	}
	ends = append(ends, len(x))
	c := Curve{Steps: true}
	for i, start := range ends[:len(ends)-1] {
		low, inBin, right := x[start], 0.0, 0.0
		if start > 0 {
			low = x[start-1] + (x[start]-x[start-1])/2
		}
		for j := start; j < ends[i+1]; j++ {
			inBin += n[j]
			right += hits[j]
		}
		c.X, c.Y = append(c.X, low), append(c.Y, within(right/inBin, len(obs)))
	}
	return c
}
