package kernel

import "fmt"

// Bag writes to each row of dst [N,stride], in its first width places, the sum of the rows of table [M,width] that sample i
// names, tokens[offsets[i]:offsets[i+1]], or their mean; an empty bag gives 0. Panics on a token outside [0,M).
func Bag[T Float](dst, table []T, tokens, offsets []int32, width, stride int, mean bool) {
	checkBag("Bag", len(dst), len(table), tokens, offsets, width, stride)
	for i := range len(offsets) - 1 {
		sum := dst[i*stride : i*stride+width]
		clear(sum)
		bag := tokens[offsets[i]:offsets[i+1]]
		for _, token := range bag {
			addTo(sum, table[int(token)*width:int(token+1)*width])
		}
		if mean && len(bag) > 1 {
			scale := 1 / T(len(bag))
			for j := range sum {
				sum[j] *= scale
			}
		}
	}
}

// BagBackward adds to the rows of dTable [M,width] that samples name their part of dy [N,stride].
func BagBackward[T Float](dTable, dy []T, tokens, offsets []int32, width, stride int, mean bool) {
	checkBag("BagBackward", len(dy), len(dTable), tokens, offsets, width, stride)
	for i := range len(offsets) - 1 {
		row := dy[i*stride : i*stride+width]
		bag := tokens[offsets[i]:offsets[i+1]]
		if mean && len(bag) > 1 {
			scale := 1 / T(len(bag))
			for j := range row {
				row[j] *= scale // each sample's row is used once
			}
		}
		for _, token := range bag {
			addTo(dTable[int(token)*width:int(token+1)*width], row)
		}
	}
}

func checkBag(function string, rows, table int, tokens, offsets []int32, width, stride int) {
	n := len(offsets) - 1
	if n < 0 || width < 1 || stride < width || rows != n*stride || table%width != 0 {
		panic(fmt.Sprintf("kernel: %s: %d offsets, rows of %d hold %d values, a table of rows of %d holds %d", function, len(offsets), stride, rows, width, table))
	}
	for i := range n {
		if offsets[i] < 0 || offsets[i+1] < offsets[i] || int(offsets[i+1]) > len(tokens) {
			panic(fmt.Sprintf("kernel: %s: sample %d is tokens [%d, %d) of %d", function, i, offsets[i], offsets[i+1], len(tokens)))
		}
		for _, token := range tokens[offsets[i]:offsets[i+1]] {
			if uint(token) >= uint(table/width) {
				panic(fmt.Sprintf("kernel: %s: token %d of sample %d is not in [0, %d)", function, token, i, table/width))
			}
		}
	}
}

// addTo: dst += x.
func addTo[T Float](dst, x []T) {
	done := 0
	if dst32, ok := any(dst).([]float32); ok {
		done = addRow32(dst32, any(x).([]float32))
	}
	for i := done; i < len(dst); i++ {
		dst[i] += x[i]
	}
}
