package kernel

import "math"

// The functions below are the vector code of AddSoftmax, Above, ExpSum, Index and CountBins. done is how many elements they did; the portable code
// does the rest.

func addSoftmax32(sums []float64, z []float32, largest, top, temperature float64) (done int) {
	d, ok := newDecay(temperature)
	if d.ref = float32(largest); !ok {
		return 0
	}
	ref := &onStack(&d).ref
	done = len(z) &^ (rowLanes - 1)
	if done > 0 {
		active.addPowers(&sums[0], &z[0], done, ref, float32(top))
	}
	if done < len(z) {
		var restOfZ [rowLanes]float32
		var last [rowLanes]float64
		rest, sum := onStack(&restOfZ), onStack(&last)
		copy(rest[copy(rest[:], z[done:]):], nothing[:])
		copy(sum[:], sums[done:])
		active.addPowers(&sum[0], &rest[0], rowLanes, ref, float32(top))
		copy(sums[done:], sum[:])
	}
	return len(z)
}

func above32Each(at []int32, z, thresholds []float32, offset float32) (done, n int) {
	if done = active.whole(len(z)); done > 0 {
		n = active.aboveEach(&at[0], &z[0], &thresholds[0], done, offset)
	}
	return done, n
}

func exactSum32(z []float32, largest, temperature float64) (sum uint64, done int) {
	if active.lanes == 0 {
		return 0, 0
	}
	e := onStack(&[2]float64{largest, math.Log2E / temperature})
	if math.IsInf(e[1], 1) {
		return 0, 0
	}
	if done = len(z) &^ (exactLanes - 1); done > 0 {
		sum = active.exactSum(&z[0], done, e)
	}
	if done < len(z) {
		var last [exactLanes]float32
		rest := onStack(&last)
		copy(rest[copy(rest[:], z[done:]):], nothing[:])
		sum += active.exactSum(&rest[0], exactLanes, e)
	}
	return sum, len(z)
}

func index32(dst []uint8, near []int32, z []float32, e *edges) (done, n int) {
	if done = active.whole(len(z)); done > 0 {
		n = active.indexBins(&dst[0], &near[0], &z[0], done, &onStack(e).scale)
	}
	return done, n
}

func countBins8(counts []int, indices []uint8) (done int) {
	done = len(indices) &^ (countedBins - 1)
	if active.countBins == nil || done == 0 {
		return 0
	}
	by := onStack(new([64][8]uint64))
	active.countBins(&by[0][0], &indices[0], done)
	for i := range counts {
		for _, n := range by[i] {
			counts[i] += int(n)
		}
	}
	return done
}
