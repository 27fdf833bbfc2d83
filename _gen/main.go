// Command _gen writes the vector code of internal/kernel: float32 for AVX-512 (F, DQ, BW, VL) and for AVX2 with FMA.
//
// It is a module of its own, so that nothing of it reaches whoever uses logitscope. `make gen` runs it; its output is in
// the repository, and CI checks that it is what this makes.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("!noasm")
	for _, rows := range []int{8, 4, 2, 1} {
		multiplyTile(avx512, rows, 2)
		multiplyTile(avx512, rows, 1)
	}
	for _, rows := range []int{4, 2, 1} {
		multiplyTile(avx2, rows, 2)
		multiplyTile(avx2, rows, 1)
	}
	packedTile(avx512, 14, 2)
	packedTile(avx2, 6, 2)
	for width := 2; width > 0; width-- {
		windowTile(avx512, 8, width)
		windowTile(avx2, 4, width)
	}
	for width := 2; width > 0; width-- {
		poolTile(avx512, 8, width)
		poolTile(avx512, 4, width)
		poolTile(avx2, 4, width)
	}
	for _, v := range []vector{avx512, avx2} {
		for _, vectors := range []int{3, 1} {
			pooledGradient(v, vectors, false)
			pooledGradient(v, vectors, true)
		}
	}
	spin()
	rows := newRowConstants()
	columns := newColumnConstants(rows)
	stats := newStatConstants(rows)
	erf := newGELUConstants()
	decays := newDecayConstants()
	exact := newExactConstants()
	for _, v := range []vector{avx512, avx2} {
		copySteps(v)
		transposeSteps(v)
		adam(v)
		reluBackward(v)
		addRow(v)
		bagSum(v)
		bagAdd(v)
		allFinite(v)
		countLabels(v)
		sumLanes(v)
		maxRow(v)
		expSum(v, rows)
		expRow(v, rows, false)
		expRow(v, rows, true)
		affineRow(v)
		transposeRows(v, false)
		transposeRows(v, true)
		columnsSum(v, columns, false, 1)
		columnsSum(v, columns, true, 1)
		columnsLog(v, columns)
		columnsScale(v, columns)
		columnsAffine(v)
		copyRow(v, stats)
		powerSums(v, decays)
		addPowers(v, decays)
		aboveEach(v, stats)
		indexBins(v, stats)
		exactSum(v, exact)
		findRow(v)
		aboveRow(v, stats)
		columnsStats(v, columns, stats)
		poolRow(v, columns.integerOne)
		poolRowBackward(v, columns.integerOne)
		sumRows(v)
		columnMoments(v)
		blend(v)
		relu(v)
		gelu(v, rows, erf, false)
		gelu(v, rows, erf, true)
	}
	countBins(avx512)
	columnsSum(avx512, columns, false, 2)
	columnsSum(avx512, columns, true, 2)
	Generate()
}
