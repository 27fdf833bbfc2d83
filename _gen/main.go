// Command _gen writes the vector code of internal/kernel: float32 for AVX-512 (F, DQ, BW, VL) and for AVX2 with FMA.
//
// Each generator file NAME.go makes NAME_amd64.s and beside it NAME_amd64.go, which declares its routines. make gen runs it. What it makes is kept
// in the repository, and CI checks that it is up to date. It is a module of its own, so that programs which use logitscope do not depend on
// what it imports.
package main

import (
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	. "github.com/mmcloughlin/avo/build"
)

// files has, for each generator file, what makes its routines.
var files = map[string]func(){
	"matmul": func() {
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
		both(copySteps, transposeSteps)
	},
	"images": func() {
		for width := 2; width > 0; width-- {
			windowTile(avx512, 8, width)
			windowTile(avx2, 4, width)
		}
		one := integerOne()
		both(func(v vector) { poolRow(v, one) }, func(v vector) { poolRowBackward(v, one) })
	},
	"pooled": func() {
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
	},
	"elements": func() {
		spin()
		places := repeated("places", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
		both(adam, func(v vector) { dropout(v, places) }, relu, reluBackward, addRow, allFinite, countLabels, sumLanes)
	},
	"norm": func() { both(sumRows, columnMoments, blend) },
	"bag":  func() { both(bagSum, bagAdd) },
	"gelu": func() {
		rows, erf := newRowConstants(), newGELUConstants()
		both(func(v vector) { gelu(v, rows, erf, false) }, func(v vector) { gelu(v, rows, erf, true) })
	},
	"rows": func() {
		k := newRowConstants()
		both(maxRow, func(v vector) { expSum(v, k) }, func(v vector) { expRow(v, k, false) }, func(v vector) { expRow(v, k, true) }, affineRow)
	},
	"columns": func() {
		k := newColumnConstants(newRowConstants())
		both(func(v vector) { transposeRows(v, false) }, func(v vector) { transposeRows(v, true) },
			func(v vector) { columnsSum(v, k, false, 1) }, func(v vector) { columnsSum(v, k, true, 1) },
			func(v vector) { columnsLog(v, k) }, func(v vector) { columnsScale(v, k) }, columnsAffine)
		columnsSum(avx512, k, false, 2)
		columnsSum(avx512, k, true, 2)
	},
	"columnstats": func() {
		rows := newRowConstants()
		k, c := newColumnConstants(rows), newStatConstants(rows)
		decays := newDecayConstants()
		both(func(v vector) { columnsStats(v, k, c) }, func(v vector) { columnsSpread(v, decays) })
	},
	"rowstats": func() {
		c, decays := newStatConstants(rowConstants{}), newDecayConstants()
		both(func(v vector) { copyRow(v, c) }, func(v vector) { powerSums(v, decays) }, func(v vector) { powerSpread(v, decays) }, findRow)
	},
	"sample": func() {
		c := newStatConstants(rowConstants{})
		both(func(v vector) { aboveRow(v, c) })
	},
	"tally": func() {
		c, decays, exact := newStatConstants(rowConstants{}), newDecayConstants(), newExactConstants()
		grain := repeatedDoubles("grain", float64(layout.value("Grain")))
		both(func(v vector) { addPowers(v, decays, grain) }, func(v vector) { aboveEach(v, c) }, func(v vector) { indexBins(v, c) },
			func(v vector) { exactSum(v, exact) })
		countBins(avx512)
	},
}

// both makes routines for both instruction sets.
func both(routines ...func(v vector)) {
	for _, v := range []vector{avx512, avx2} {
		for _, routine := range routines {
			routine(v)
		}
	}
}

func main() {
	file := flag.String("file", "", "generator file to run; without it all are, into the folder named")
	flag.Parse()
	if *file == "" {
		all(flag.Arg(0))
		return
	}
	ConstraintExpr("!noasm")
	files[*file]()
	Generate()
}

// all runs every generator file in a process of its own, since avo makes one file in a process.
func all(dir string) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name+"_amd64")
		cmd := exec.Command(os.Args[0], "-file", name, "-out", path+".s", "-stubs", path+".go", "-pkg", "kernel")
		if out, err := cmd.CombinedOutput(); err != nil {
			log.Fatalf("%s: %v\n%s", name, err, out)
		}
		fmt.Println(path + ".s")
	}
}
