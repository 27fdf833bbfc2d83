package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// PlantConfused returns a copy of labels in which round(share·N) of them, chosen at random, name the class that theirs is
// confused with: class-dependent label noise. Which class that is, is drawn once: the classes lie on a ring in random order,
// and each is mistaken for the next (pair flipping, Han et al. 2018). The given labels stay as they are.
func PlantConfused(labels []int32, classes int, share float64, rng *rand.Rand) ([]int32, error) {
	if !(share >= 0 && share <= 1) {
		return nil, fmt.Errorf("share of wrong labels %v is not in [0, 1]", share)
	}
	if share > 0 && classes < 2 {
		return nil, fmt.Errorf("wrong labels need at least 2 classes, there are %d", classes)
	}
	ring := rng.Perm(classes)
	next := make([]int32, classes)
	for i, class := range ring {
		next[class] = int32(ring[(i+1)%classes])
	}
	noisy := slices.Clone(labels)
	for _, i := range rng.Perm(len(labels))[:int(math.Round(share*float64(len(labels))))] {
		noisy[i] = next[noisy[i]]
	}
	return noisy, nil
}
