package summary

// sortKeys sorts keys in ascending order by a radix sort: one pass for each digit of 8 bits, the lowest first. A digit that all keys share
// costs no pass.
func sortKeys(keys []uint64) {
	const digits = 8
	var counts [digits][256]int
	for _, key := range keys {
		for d := range counts {
			counts[d][uint8(key>>(8*d))]++
		}
	}
	from, to := keys, make([]uint64, len(keys))
	for d := range counts {
		next := &counts[d] // from here on: where the next key with each digit goes
		if len(keys) == 0 || next[uint8(keys[0]>>(8*d))] == len(keys) {
			continue
		}
		start := 0
		for i, n := range next {
			next[i] = start
			start += n
		}
		for _, key := range from {
			digit := uint8(key >> (8 * d))
			to[next[digit]] = key
			next[digit]++
		}
		from, to = to, from
	}
	copy(keys, from)
}
