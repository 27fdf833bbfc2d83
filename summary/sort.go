package summary

// sortKeys sorts keys, by one digit of 8 bits after the other from the lowest on. Digits that all keys share are passed over.
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
		at := &counts[d]
		if len(keys) == 0 || at[uint8(keys[0]>>(8*d))] == len(keys) {
			continue
		}
		start := 0
		for i, n := range at {
			at[i] = start
			start += n
		}
		for _, key := range from {
			digit := uint8(key >> (8 * d))
			to[at[digit]] = key
			at[digit]++
		}
		from, to = to, from
	}
	copy(keys, from)
}
