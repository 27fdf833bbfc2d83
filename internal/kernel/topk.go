package kernel

import "fmt"

// topBlock is the number of logits that are passed over at once where none of them is large enough.
const topBlock = 64

// TopK writes the count largest logits of each row of z [N,K] to values [N,count], in falling order, and their classes to classes [N,count]. Of
// equal logits the one of the lower class comes first. NaN is not larger than anything, and is taken only where a row has too few other logits.
// No row is sorted. It panics unless count is in [1,K].
func TopK[T Float](values []T, classes []int32, z []T, k, count int) {
	n := rowsOf("TopK", z, k)
	if count < 1 || count > k {
		panic(fmt.Sprintf("kernel: TopK: count %d is not in [1, %d]", count, k))
	}
	checkLen("TopK", "values", len(values), n*count)
	checkLen("TopK", "classes", len(classes), n*count)
	for i := range n {
		topK(values[i*count:(i+1)*count], classes[i*count:(i+1)*count], z[i*k:(i+1)*k])
	}
}

// topK is TopK of a row.
func topK[T Float](values []T, classes []int32, row []T) {
	count := len(values)
	kept := 0
	// insert puts class j, of logit v, behind the logits that are at least as large.
	insert := func(j int, v T) {
		if kept < count {
			kept++
		}
		at := kept - 1
		for ; at > 0 && !(values[at-1] >= v); at-- {
			values[at], classes[at] = values[at-1], classes[at-1]
		}
		values[at], classes[at] = v, int32(j)
	}
	row32, fast := any(row).([]float32)
	for start := 0; start < len(row); start += topBlock {
		block := row[start:min(start+topBlock, len(row))]
		if fast && kept == count && len(block) == topBlock && noneAbove(row32[start:start+topBlock], float32(values[count-1])) {
			continue
		}
		for j, v := range block {
			if kept < count && v == v || kept == count && v > values[count-1] {
				insert(start+j, v)
			}
		}
	}
	// Where the row has fewer numbers than count, NaN take the places that are left.
	for j := 0; kept < count; j++ {
		if v := row[j]; v != v {
			values[kept], classes[kept] = v, int32(j)
			kept++
		}
	}
}
