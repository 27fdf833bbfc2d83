package dataset_test

import (
	"slices"
	"testing"

	"github.com/logitscope/logitscope/dataset"
)

// Every class is mistaken for one other, no two for the same.
func TestPlantConfused(t *testing.T) {
	d := digits(t)
	before := slices.Clone(d.Labels)
	for _, share := range []float64{0, 0.1, 0.3, 1} {
		noisy, err := dataset.PlantConfused(d.Labels, 10, share, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		next, wrong := map[int32]int32{}, 0
		for i, label := range noisy {
			if label == d.Labels[i] {
				continue
			}
			wrong++
			if to, ok := next[d.Labels[i]]; ok && to != label {
				t.Fatalf("class %d is mistaken for %d and for %d", d.Labels[i], to, label)
			}
			next[d.Labels[i]] = label
		}
		taken := map[int32]bool{}
		for _, to := range next {
			taken[to] = true
		}
		if want := int(share*1797 + 0.5); wrong != want || len(taken) != len(next) {
			t.Errorf("share %v: %d wrong labels, want %d; confusions %v", share, wrong, want, next)
		}
	}
	if !slices.Equal(d.Labels, before) {
		t.Error("the labels given were changed")
	}
	if _, err := dataset.PlantConfused(d.Labels, 10, -0.1, seeded(3)); err == nil {
		t.Error("share −0.1: no error")
	}
	if _, err := dataset.PlantConfused([]int32{0}, 1, 0.5, seeded(3)); err == nil {
		t.Error("one class: no error")
	}
}
