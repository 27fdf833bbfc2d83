package summary

import (
	"math"

	"github.com/logitscope/logitscope/internal/kernel"
)

// otherClasses counts the values of the classes that are not the label, for the Other histograms of q. float32 vector code finds the bins
// of z and log p, which are collected and counted many at a time. A value so near an edge that float32 cannot tell its side is looked at
// again in float64.
type otherClasses struct {
	q               *Quantities
	z, p, logP, nll binning // of q's histograms
	least           float64 // p is in its first bin where log p is below this
	even            bool    // the edges are so evenly spaced that vector code can find the bins

	zBins, logPBins []uint8   // the bins that are collected and not yet counted
	places          []int32   // [K + kernel.MorePlaces], room for what kernel.Above and Index return
	zeros           []float32 // [K]
}

// collected is the largest number of bins that are collected, so few that they stay in the first-level cache.
const collected = 1 << 13

func newOthers(q *Quantities, k int) *otherClasses {
	edges := q.P.Other.Edges
	o := &otherClasses{
		q: q, z: newBinning(q.Z.Other.Edges), p: newBinning(edges), logP: newBinning(q.LogP.Other.Edges), nll: newBinning(q.NLL.Other.Edges),
		least: math.Log(max(edges[1], 0)) - 1e-9, zBins: make([]uint8, 0, collected), logPBins: make([]uint8, 0, collected),
		places: make([]int32, k+kernel.MorePlaces), zeros: make([]float32, k),
	}
	o.even = o.z.even() && o.logP.even() && len(o.nll.edges) == len(o.logP.edges)
	for i, edge := range o.nll.edges {
		o.even = o.even && math.Abs(edge+o.logP.edges[len(o.logP.edges)-1-i])*o.logP.scale < evenly
	}
	return o
}

// evenly is how far, in bins, an edge may lie from its place in evenly spaced bins: far less than float32 can tell.
const evenly = 1e-8

// even reports whether there are at most 64 bins, and they have the same width.
func (b *binning) even() bool {
	for i, edge := range b.edges {
		if !(math.Abs((edge-b.low)*b.scale-float64(i)) < evenly) {
			return false
		}
	}
	return len(b.edges) <= 65
}

// vectorCode returns what vector code needs to find the bins of values v·scale + offset. ok is false where they are so large or so small
// that float32 cannot tell the bins apart.
func (b *binning) vectorCode(scale, offset float64) (k kernel.Binning, ok bool) {
	k = kernel.Binning{Scale: scale * b.scale, Offset: (offset - b.low) * b.scale, Bins: len(b.edges) - 1}
	return k, k.Scale > 0x1p-60 && k.Scale < 0x1p60 && math.Abs(k.Offset) < 1<<18
}

// add counts the classes other than label of a row of logits z [K] whose LSE is lse.
func (o *otherClasses) add(z []float32, label int, lse, temperature float64) {
	q := o.q
	sum, n := kernel.Sum(z[:label])+kernel.Sum(z[label+1:]), len(z)-1
	sumLogP := sum/temperature - float64(n)*lse
	q.Z.Other.Sum += sum
	q.LogP.Other.Sum += sumLogP
	q.NLL.Other.Sum -= sumLogP
	for _, pair := range [...]*Pair{&q.Z, &q.P, &q.LogP, &q.NLL} {
		pair.Other.N += n
	}
	logP := func(j int32) float64 { return min(float64(z[j])/temperature-lse, 0) }

	zBinning, ok := o.z.vectorCode(1, 0)
	logPBinning, ok2 := o.logP.vectorCode(1/temperature, -lse)
	if !(o.even && ok && ok2) || len(z) < fewClasses {
		for j := range z {
			if j == label {
				continue
			}
			v := logP(int32(j))
			q.Z.Other.Counts[o.z.index(float64(z[j]))]++
			q.LogP.Other.Counts[o.logP.index(v)]++
			q.NLL.Other.Counts[o.nll.index(-v)]++
			if v < o.least {
				q.P.Other.Counts[0]++
			} else {
				q.P.Other.Counts[o.p.index(math.Exp(v))]++
			}
		}
		return
	}

	// Most p are in the first bin: all are counted there, and those that are not are moved.
	q.P.Other.Counts[0] += n
	least := (o.least + lse) * temperature
	for _, j := range o.places[:kernel.Above(o.places, z, o.zeros, float32(least-math.Abs(least)*nearEdge))] {
		if v := logP(j); int(j) != label && v >= o.least {
			q.P.Other.Counts[0]--
			q.P.Other.Counts[o.p.index(math.Exp(v))]++
		}
	}
	mirror := len(q.NLL.Other.Counts) - 1
	for start := 0; start < len(z); start += collected {
		part := z[start:min(start+collected, len(z))]
		if len(o.zBins)+len(part) > collected {
			o.count()
		}
		zBins, logPBins := appended(&o.zBins, len(part)), appended(&o.logPBins, len(part))
		for _, j := range o.places[:zBinning.Index(zBins, o.places, part)] {
			zBins[j] = uint8(o.z.index(float64(part[j])))
		}
		for _, j := range o.places[:logPBinning.Index(logPBins, o.places, part)] {
			v := logP(int32(start) + j)
			logPBins[j] = uint8(o.logP.index(v))
			q.NLL.Other.Counts[mirror-int(logPBins[j])]-- // a value on an edge is in the bin above it, of log p and of NLL
			q.NLL.Other.Counts[o.nll.index(-v)]++
		}
		if j := label - start; j >= 0 && j < len(part) { // the label's own values are collected too, and taken out again
			v := logP(int32(label))
			q.Z.Other.Counts[zBins[j]]--
			q.LogP.Other.Counts[logPBins[j]]--
			q.NLL.Other.Counts[o.nll.index(-v)]--
		}
	}
}

// appended makes a slice longer by n, within its capacity, and returns the new elements.
func appended(s *[]uint8, n int) []uint8 {
	*s = (*s)[:len(*s)+n]
	return (*s)[len(*s)-n:]
}

// count counts the collected bins. Those of −log p are the bins of log p in reverse.
func (o *otherClasses) count() {
	q := o.q
	if len(o.zBins) == 0 {
		return // with more than 64 bins none are collected
	}
	kernel.CountBins(q.Z.Other.Counts, o.zBins)
	var counts [64]int
	kernel.CountBins(counts[:len(q.LogP.Other.Counts)], o.logPBins)
	for i := range q.LogP.Other.Counts {
		q.LogP.Other.Counts[i] += counts[i]
		q.NLL.Other.Counts[len(q.NLL.Other.Counts)-1-i] += counts[i]
	}
	o.zBins, o.logPBins = o.zBins[:0], o.logPBins[:0]
}
