//go:build !noasm

package kernel

import (
	"math"

	"golang.org/x/sys/cpu"
)

func addSoftmax32(sums []float64, z []float32, largest, top, temperature float64) (done int) {
	d, ok := newDecay(temperature)
	if d.ref = float32(largest); !ok {
		return 0
	}
	done = len(z) &^ (rowLanes - 1)
	if done > 0 {
		addPowers(&sums[0], &z[0], done, &d, float32(top))
	}
	if done < len(z) {
		rest, last := nothing, [rowLanes]float64{}
		copy(rest[:], z[done:])
		copy(last[:], sums[done:])
		addPowers(&last[0], &rest[0], rowLanes, &d, float32(top))
		copy(sums[done:], last[:])
	}
	return len(z)
}

func addPowers(sums *float64, x *float32, n int, d *decay, factor float32) {
	if active == avx512 {
		addPowersAVX512(sums, x, n, &d.ref, factor)
	} else {
		addPowersAVX2(sums, x, n, &d.ref, factor)
	}
}

func above32Each(at []int32, z, thresholds []float32, offset float32) (done, n int) {
	switch {
	case active == avx512 && len(z) >= 16:
		done = len(z) & wholeAVX512
		n = aboveEachAVX512(&at[0], &z[0], &thresholds[0], done, offset)
	case active >= avx2 && len(z) >= 8:
		done = len(z) & wholeAVX2
		n = aboveEachAVX2(&at[0], &z[0], &thresholds[0], done, offset)
	}
	return done, n
}

// exactLanes is what exactSum's vector code does a multiple of.
const exactLanes = 8

func exactSum32(z []float32, largest, temperature float64) (sum uint64, done int) {
	if active < avx2 {
		return 0, 0
	}
	e := [2]float64{largest, math.Log2E / temperature}
	if math.IsInf(e[1], 1) {
		return 0, 0
	}
	if done = len(z) &^ (exactLanes - 1); done > 0 {
		sum = exactSumOf(&z[0], done, &e)
	}
	if done < len(z) {
		rest := nothing
		copy(rest[:], z[done:])
		sum += exactSumOf(&rest[0], exactLanes, &e)
	}
	return sum, len(z)
}

func exactSumOf(x *float32, n int, e *[2]float64) uint64 {
	if active == avx512 {
		return exactSumAVX512(x, n, e)
	}
	return exactSumAVX2(x, n, e)
}

func index32(dst []uint8, near []int32, z []float32, e *edges) (done, n int) {
	switch {
	case active == avx512 && len(z) >= 16:
		done = len(z) & wholeAVX512
		n = indexBinsAVX512(&dst[0], &near[0], &z[0], done, &e.scale)
	case active >= avx2 && len(z) >= 8:
		done = len(z) & wholeAVX2
		n = indexBinsAVX2(&dst[0], &near[0], &z[0], done, &e.scale)
	}
	return done, n
}

// countedBins is how many indices countBins takes at a time.
const countedBins = 512

// popcounts is whether the processor counts the bits of vectors.
var popcounts = cpu.X86.HasAVX512VPOPCNTDQ

func countBins8(counts []int, indices []uint8) (done int) {
	done = len(indices) &^ (countedBins - 1)
	if active < avx512 || !popcounts || done == 0 {
		return 0
	}
	var by [64][8]uint64
	countBinsAVX512(&by[0][0], &indices[0], done)
	for i := range counts {
		for _, n := range by[i] {
			counts[i] += int(n)
		}
	}
	return done
}
