package kernel

import "fmt"

// Bag writes to the first width places of row i of dst [N,stride] the mean of the rows of table [M,width] that the tokens of sample i name,
// which are tokens[offsets[i]:offsets[i+1]]. Where weights, one for each token, is not nil, it writes the sum of these rows, each times its
// weight. The row of a sample without tokens is 0. It panics on a token outside [0,M).
func Bag[T Float](dst, table []T, tokens, offsets []int32, weights []T, width, stride int) {
	checkBag("Bag", len(dst), len(table), tokens, offsets, weights, width, stride)
	for i := range len(offsets) - 1 {
		sum := dst[i*stride : i*stride+width]
		clear(sum)
		from, to := int(offsets[i]), int(offsets[i+1])
		if weights != nil {
			weightedSum(sum, table, tokens[from:to], weights[from:to])
			continue
		}
		for _, token := range tokens[from:to] {
			addTo(sum, table[int(token)*width:int(token+1)*width])
		}
		divide(sum, to-from)
	}
}

// BagBackward adds to dTable [M,width] the gradient of Bag's table, from the gradient dy [N,stride] of what Bag wrote. It may overwrite dy.
func BagBackward[T Float](dTable, dy []T, tokens, offsets []int32, weights []T, width, stride int) {
	checkBag("BagBackward", len(dy), len(dTable), tokens, offsets, weights, width, stride)
	for i := range len(offsets) - 1 {
		grad := dy[i*stride : i*stride+width]
		from, to := int(offsets[i]), int(offsets[i+1])
		if weights != nil {
			weightedAdd(dTable, grad, tokens[from:to], weights[from:to])
			continue
		}
		divide(grad, to-from) // in place, since no other sample reads this row
		for _, token := range tokens[from:to] {
			addTo(dTable[int(token)*width:int(token+1)*width], grad)
		}
	}
}

// weightedSum adds the rows of table that tokens name, each times its weight, to sum, which is 0 everywhere.
func weightedSum[T Float](sum, table []T, tokens []int32, weights []T) {
	if sum32, ok := any(sum).([]float32); ok && bagSum32(sum32, any(table).([]float32), tokens, any(weights).([]float32)) {
		return
	}
	for i, token := range tokens {
		row := int(token) * len(sum)
		addScaled(sum, weights[i], table[row:row+len(sum)])
	}
}

// weightedAdd adds grad times each weight to the rows of table that tokens name.
func weightedAdd[T Float](table, grad []T, tokens []int32, weights []T) {
	if grad32, ok := any(grad).([]float32); ok && bagAdd32(grad32, any(table).([]float32), tokens, any(weights).([]float32)) {
		return
	}
	for i, token := range tokens {
		row := int(token) * len(grad)
		addScaled(table[row:row+len(grad)], weights[i], grad)
	}
}

// divide divides x by n, and leaves it alone where n is 0 or 1.
func divide[T Float](x []T, n int) {
	if n < 2 {
		return
	}
	scale := 1 / T(n)
	for i := range x {
		x[i] *= scale
	}
}

func checkBag[T Float](function string, rows, table int, tokens, offsets []int32, weights []T, width, stride int) {
	n := len(offsets) - 1
	if n < 0 || width < 1 || stride < width || rows != n*stride || table%width != 0 {
		panic(fmt.Sprintf("kernel: %s: %d offsets, rows of %d hold %d values, a table of rows of %d holds %d", function, len(offsets), stride, rows, width, table))
	}
	if weights != nil && len(weights) != len(tokens) {
		panic(fmt.Sprintf("kernel: %s: %d weights of %d tokens", function, len(weights), len(tokens)))
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

// addTo adds x to dst.
func addTo[T Float](dst, x []T) {
	done := 0
	if dst32, ok := any(dst).([]float32); ok {
		done = addRow32(dst32, any(x).([]float32))
	}
	for i := done; i < len(dst); i++ {
		dst[i] += x[i]
	}
}
