//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

// available returns the paths that this processor can run, the best one last.
func available() []*path {
	paths := []*path{portable}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		paths = append(paths, avx2)
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL {
		paths = append(paths, avx512)
	}
	return paths
}

// lanes holds the masks by which AVX2 loads and stores the first n elements of a vector: from element 16−n on it has n times −1, then zeros.
var lanes = func() (l [32]int32) {
	for i := range 16 {
		l[i] = -1
	}
	return l
}()

// firstLanes returns the mask by which AVX-512 loads and stores the first n elements.
func firstLanes(n int) uint32 { return uint32(uint64(1)<<n - 1) }

var avx512 = &path{
	name: "avx512", lanes: 16, tileRows: 14, tileWidth: 32, plainRows: 8,
	tile: func(rows, columns int, a *float32, rowStride, step int, b *float32, bStride int, c *float32, cStride, k int, bias *float32, flags int) {
		mask := firstLanes(columns)
		switch wide := columns > 16; {
		case wide && rows == 8:
			tileAVX512r8x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide && rows == 4:
			tileAVX512r4x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide && rows == 2:
			tileAVX512r2x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide:
			tileAVX512r1x32(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 8:
			tileAVX512r8x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 4:
			tileAVX512r4x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 2:
			tileAVX512r2x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		default:
			tileAVX512r1x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		}
	},
	packedTile: func(columns int, a, b, c, ahead *float32, cStride, k int, bias *float32, flags int) {
		tilePackedAVX512r14x32(a, b, c, ahead, cStride, k, bias, firstLanes(columns), flags)
	},
	copySteps: func(dst, src *float32, few, steps, stride, width int) {
		copyStepsAVX512(dst, 4*width, src, 4*stride, steps, firstLanes(few), firstLanes(width))
	},
	transposeSteps: func(dst, src *float32, few, steps, stride, width int) {
		for at := 0; at < width; at += 16 {
			from := min(at, few-1)
			transposeStepsAVX512(after(dst, at), 4*width, after(src, from*stride), 4*stride, few-from, steps, firstLanes(min(16, width-at)), &lanes[0])
		}
	},
	windowTile: func(columns int, x *float32, rows, steps *int32, k int, b *float32, bStride int, c *float32, cStride int, bias *float32, flags int) {
		if columns > 16 {
			tileWindowsAVX512r8x32(x, rows, steps, k, b, bStride, c, cStride, bias, firstLanes(columns), flags)
		} else {
			tileWindowsAVX512r8x16(x, rows, steps, k, b, bStride, c, cStride, bias, firstLanes(columns), flags)
		}
	},
	poolTile: func(rows, columns int, y *float32, from *int32, stride int, x *float32, corners, values *int32, k int, b, bias *float32, flags, tiles int) {
		switch mask := firstLanes(columns); {
		case rows == 8 && columns > 16:
			tilePoolAVX512r8x32(y, from, stride, x, corners, values, k, b, bias, mask, flags, tiles)
		case rows == 8:
			tilePoolAVX512r8x16(y, from, stride, x, corners, values, k, b, bias, mask, flags, tiles)
		case columns > 16:
			tilePoolAVX512r4x32(y, from, stride, x, corners, values, k, b, bias, mask, flags, tiles)
		default:
			tilePoolAVX512r4x16(y, from, stride, x, corners, values, k, b, bias, mask, flags, tiles)
		}
	},
	pooledGradient: func(back bool, vectors, elements int, w, x, dy *float32, from *int32, squares, stride, channels, xLine, wLine int) {
		switch mask := firstLanes(min(elements, 16)); {
		case back && vectors == 3:
			poolBackAVX512x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case back:
			poolBackAVX512x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case vectors == 3:
			poolWeightsAVX512x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		default:
			poolWeightsAVX512x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		}
	},
	poolRow: func(y *float32, which *int32, x *float32, pixels, channels, size, line, pixel int) {
		poolRowAVX512(y, which, x, pixels, channels, size, line, pixel, &lanes[0])
	},
	poolBackward: func(dx, dy *float32, which *int32, pixels, channels, size, line, pixel int) {
		poolRowBackwardAVX512(dx, dy, which, pixels, channels, size, line, pixel, &lanes[0])
	},
	adam: adamAVX512, dropout: dropoutAVX512, relu: reluAVX512, reluBackward: reluBackwardAVX512, gelu: geluAVX512, geluSlope: geluSlopeAVX512, addRow: addRowAVX512,
	allFinite: allFiniteAVX512, countLabels: countLabelsAVX512, sumLanes: sumLanesAVX512,
	sumRows:       func(dst, x *float32, rows, channels int) { sumRowsAVX512(dst, x, rows, channels, &lanes[0]) },
	columnMoments: columnMomentsAVX512, blend: blendAVX512, bagSum: bagSumAVX512, bagAdd: bagAddAVX512,
	maxRow: maxRowAVX512, findRow: findRowAVX512, expSum: expSumAVX512, expRow: expRowAVX512, expRowStream: expRowStreamAVX512,
	affineRow: affineRowAVX512, copyRow: copyRowAVX512, powerSums: powerSumsAVX512, powerSpread: powerSpreadAVX512, addPowers: addPowersAVX512, aboveRow: aboveRowAVX512,
	aboveEach: aboveEachAVX512, indexBins: indexBinsAVX512, exactSum: exactSumAVX512, countBins: countBinsIf(cpu.X86.HasAVX512VPOPCNTDQ),
	transposed: func(columns, rows *float32, k, groups int, back bool) {
		if back {
			columnsToRowsAVX512(columns, rows, k, groups, firstLanes(k%16))
		} else {
			rowsToColumnsAVX512(columns, rows, k, groups, firstLanes(k%16))
		}
	},
	columnsSum: func(columns *float32, k, first, groups int, e *[4]float32, labels *int32, keep bool) {
		if keep {
			columnsPowersAVX512(columns, k, first, groups, e, labels)
		} else {
			columnsSumAVX512(columns, k, first, groups, e, labels)
		}
	},
	columnsPairs: func(columns *float32, k, first, groups int, e *[4]float32, labels *int32, keep bool) {
		if keep {
			columnsPowersPairsAVX512(columns, k, first, groups, e, labels)
		} else {
			columnsSumPairsAVX512(columns, k, first, groups, e, labels)
		}
	},
	columnsLog: columnsLogAVX512, columnsScale: columnsScaleAVX512, columnsShift: columnsAffineAVX512, columnsStats: columnsStatsAVX512, columnsSpread: columnsSpreadAVX512,
}

// countBinsIf returns the routine countBins where the processor counts the bits of vectors, else nil.
func countBinsIf(popcounts bool) func(counts *uint64, indices *uint8, n int) {
	if popcounts {
		return countBinsAVX512
	}
	return nil
}

var avx2 = &path{
	name: "avx2", lanes: 8, tileRows: 6, tileWidth: 16, plainRows: 4,
	tile: func(rows, columns int, a *float32, rowStride, step int, b *float32, bStride int, c *float32, cStride, k int, bias *float32, flags int) {
		mask := &lanes[16-columns]
		switch wide := columns > 8; {
		case wide && rows == 4:
			tileAVX2r4x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide && rows == 2:
			tileAVX2r2x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case wide:
			tileAVX2r1x16(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 4:
			tileAVX2r4x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		case rows == 2:
			tileAVX2r2x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		default:
			tileAVX2r1x8(a, rowStride, step, b, bStride, c, cStride, k, bias, mask, flags)
		}
	},
	packedTile: func(columns int, a, b, c, ahead *float32, cStride, k int, bias *float32, flags int) {
		tilePackedAVX2r6x16(a, b, c, ahead, cStride, k, bias, &lanes[16-columns], flags)
	},
	copySteps: func(dst, src *float32, few, steps, stride, width int) {
		copyStepsAVX2(dst, 4*width, src, 4*stride, steps, &lanes[16-few], &lanes[16-width])
	},
	transposeSteps: func(dst, src *float32, few, steps, stride, width int) {
		for at := 0; at < width; at += 8 {
			from := min(at, few-1)
			transposeStepsAVX2(after(dst, at), 4*width, after(src, from*stride), 4*stride, few-from, steps, &lanes[16-min(8, width-at)], &lanes[0])
		}
	},
	windowTile: func(columns int, x *float32, rows, steps *int32, k int, b *float32, bStride int, c *float32, cStride int, bias *float32, flags int) {
		if columns > 8 {
			tileWindowsAVX2r4x16(x, rows, steps, k, b, bStride, c, cStride, bias, &lanes[16-columns], flags)
		} else {
			tileWindowsAVX2r4x8(x, rows, steps, k, b, bStride, c, cStride, bias, &lanes[16-columns], flags)
		}
	},
	poolTile: func(_, columns int, y *float32, from *int32, stride int, x *float32, corners, values *int32, k int, b, bias *float32, flags, tiles int) {
		if columns > 8 {
			tilePoolAVX2r4x16(y, from, stride, x, corners, values, k, b, bias, &lanes[16-columns], flags, tiles)
		} else {
			tilePoolAVX2r4x8(y, from, stride, x, corners, values, k, b, bias, &lanes[16-columns], flags, tiles)
		}
	},
	pooledGradient: func(back bool, vectors, elements int, w, x, dy *float32, from *int32, squares, stride, channels, xLine, wLine int) {
		switch mask := &lanes[16-min(elements, 8)]; {
		case back && vectors == 3:
			poolBackAVX2x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case back:
			poolBackAVX2x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		case vectors == 3:
			poolWeightsAVX2x3(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		default:
			poolWeightsAVX2x1(w, x, dy, from, squares, stride, channels, xLine, wLine, mask)
		}
	},
	poolRow: func(y *float32, which *int32, x *float32, pixels, channels, size, line, pixel int) {
		poolRowAVX2(y, which, x, pixels, channels, size, line, pixel, &lanes[0])
	},
	poolBackward: func(dx, dy *float32, which *int32, pixels, channels, size, line, pixel int) {
		poolRowBackwardAVX2(dx, dy, which, pixels, channels, size, line, pixel, &lanes[0])
	},
	adam: adamAVX2, dropout: dropoutAVX2, relu: reluAVX2, reluBackward: reluBackwardAVX2, gelu: geluAVX2, geluSlope: geluSlopeAVX2, addRow: addRowAVX2,
	allFinite: allFiniteAVX2, countLabels: countLabelsAVX2, sumLanes: sumLanesAVX2,
	sumRows:       func(dst, x *float32, rows, channels int) { sumRowsAVX2(dst, x, rows, channels, &lanes[0]) },
	columnMoments: columnMomentsAVX2, blend: blendAVX2, bagSum: bagSumAVX2, bagAdd: bagAddAVX2,
	maxRow: maxRowAVX2, findRow: findRowAVX2, expSum: expSumAVX2, expRow: expRowAVX2, expRowStream: expRowStreamAVX2,
	affineRow: affineRowAVX2, copyRow: copyRowAVX2, powerSums: powerSumsAVX2, powerSpread: powerSpreadAVX2, addPowers: addPowersAVX2, aboveRow: aboveRowAVX2,
	aboveEach: aboveEachAVX2, indexBins: indexBinsAVX2, exactSum: exactSumAVX2,
	transposed: func(columns, rows *float32, k, groups int, back bool) {
		if back {
			columnsToRowsAVX2(columns, rows, k, groups, &lanes[16-k%8])
		} else {
			rowsToColumnsAVX2(columns, rows, k, groups, &lanes[16-k%8])
		}
	},
	columnsSum: func(columns *float32, k, first, groups int, e *[4]float32, labels *int32, keep bool) {
		if keep {
			columnsPowersAVX2(columns, k, first, groups, e, labels)
		} else {
			columnsSumAVX2(columns, k, first, groups, e, labels)
		}
	},
	columnsLog: columnsLogAVX2, columnsScale: columnsScaleAVX2, columnsShift: columnsAffineAVX2, columnsStats: columnsStatsAVX2, columnsSpread: columnsSpreadAVX2,
}
