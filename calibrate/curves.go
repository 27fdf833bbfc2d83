package calibrate

import (
	"cmp"
	"slices"
)

// observation is a probability and whether its class was the label.
type observation struct {
	p   float64
	yes bool
}

// byProbability sorts observations and joins those of one probability: x rising, with the number of each and of its hits.
func byProbability(obs []observation) (x, n, hits []float64) {
	slices.SortFunc(obs, func(a, b observation) int { return cmp.Compare(a.p, b.p) })
	for _, o := range obs {
		if len(x) == 0 || o.p != x[len(x)-1] {
			x, n, hits = append(x, o.p), append(n, 0), append(hits, 0)
		}
		n[len(n)-1]++
		if o.yes {
			hits[len(hits)-1]++
		}
	}
	return x, n, hits
}

// within keeps a frequency over n observations off 0 and 1, where one that is wrong would cost an infinite NLL.
func within(y float64, n int) float64 {
	edge := 1 / float64(n+2)
	return min(max(y, edge), 1-edge)
}

// isotonic fits the rising function that is nearest to the observations in squares, by pooling adjacent violators: R. Barlow, D.
// Bartholomew, J. Bremner, H. Brunk, "Statistical Inference under Order Restrictions", 1972. Between the ends of its pools it is
// straight, as scikit-learn's IsotonicRegression.
func isotonic(obs []observation) Curve {
	x, n, hits := byProbability(obs)
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

// histogramBins is how many equally filled bins histogram binning has, fewer where there are few observations.
const histogramBins = 15

// histogram fits the frequency of hits in bins that hold equally many observations; those of one probability are in one bin.
func histogram(obs []observation) Curve {
	x, n, hits := byProbability(obs)
	each := max(float64(len(obs))/histogramBins, 1)
	c := Curve{Steps: true}
	full, inBin, right := each, 0.0, 0.0
	start, seen := 0, 0.0
	for i := range x {
		inBin += n[i]
		right += hits[i]
		seen += n[i]
		if seen >= full-0.5 || i == len(x)-1 {
			c.X, c.Y = append(c.X, x[start]), append(c.Y, within(right/inBin, len(obs)))
			start, inBin, right = i+1, 0, 0
			for full <= seen+0.5 {
				full += each
			}
		}
	}
	return c
}
