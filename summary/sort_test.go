package summary

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 1000} {
		for _, mask := range []uint64{0, 0xff, 1 << 63, 0xffff00, ^uint64(0)} {
			keys := make([]uint64, n)
			for i := range keys {
				keys[i] = rng.Uint64() & mask
			}
			want := slices.Sorted(slices.Values(keys))
			if sortKeys(keys); !slices.Equal(keys, want) {
				t.Errorf("%d keys of bits %x: %x, want %x", n, mask, keys, want)
			}
		}
	}
}
