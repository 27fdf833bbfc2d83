package experiment

import (
	"testing"

	"github.com/logitscope/logitscope/dataset"
)

// Few samples have small batches and many epochs, many have large batches and few.
func TestDefaultsBySize(t *testing.T) {
	vectors := func(width int) *dataset.Dataset {
		return &dataset.Dataset{Columns: width, Pipeline: &dataset.Pipeline{Kind: dataset.KindVectors}}
	}
	for _, c := range []struct {
		width, n      int
		model         string
		epochs, batch int
	}{
		{768, 1_000_000, "linear", 10, 128},
		{768, 300, "linear", 60, 16},
		{20, 16_000, "mlp:256,128", 20, 128},
		{20, 50_000, "mlp:256,128", 16, 128},
		{20, 0, "mlp:256,128", 20, 16},
	} {
		if d := defaultsFor(vectors(c.width), c.n); d.model != c.model || d.epochs != c.epochs || d.batch != c.batch {
			t.Errorf("%d vectors of %d values: %+v, want %+v", c.n, c.width, d, c)
		}
	}
}

// The rate for images rises first, unless a schedule is given; their batches stay larger than those of tables.
func TestDefaultsForImages(t *testing.T) {
	images := &dataset.Dataset{Columns: 784, Image: &dataset.Image{Height: 28, Width: 28, Channels: 1}}
	for n, want := range map[int][2]int{60_000: {64, 5}, 8000: {64, 5}, 1000: {32, 20}, 0: {32, 60}} {
		if d := defaultsFor(images, n); d.model != "cnn" || [2]int{d.batch, d.epochs} != want {
			t.Errorf("%d images: %+v, want batch and epochs %v", n, d, want)
		}
	}
	c, given, zero := Default(), Default(), Default()
	chosen := c.fill(defaultsFor(images, 8000))
	want := []Choice{{"lr", 0.008, ""}, {"schedule", "cosine", ""}, {"warmup", 0.3, ""}}
	for i, got := range chosen[len(chosen)-len(want):] {
		if got.Setting != want[i].Setting || got.Value != want[i].Value || got.Why == "" {
			t.Errorf("%+v, want %+v with a reason", got, want[i])
		}
	}
	if c.Warmup != 0.3 {
		t.Errorf("warm-up %v", c.Warmup)
	}
	zero.Given = map[string]bool{"warmup": true}
	if zero.fill(defaultsFor(images, 8000)); zero.Warmup != 0 {
		t.Errorf("a warm-up of 0 is given, and %v chosen", zero.Warmup)
	}
	given.Schedule.Schedule = "constant"
	if given.fill(defaultsFor(images, 8000)); given.Warmup != 0 {
		t.Errorf("schedule constant is given, and warm-up %v chosen", given.Warmup)
	}
}

// An n-gram has a value for each logit, in whole vectors.
func TestTextDim(t *testing.T) {
	for _, c := range []struct {
		classes int
		targets []uint8
		want    int
	}{{2, nil, 1}, {2, []uint8{0, 1}, 8}, {3, nil, 8}, {9, nil, 16}, {51, nil, 32}, {1000, nil, 32}} {
		if got := textDim(&dataset.Dataset{Classes: make([]string, c.classes), Targets: c.targets}); got != c.want {
			t.Errorf("%d classes: %d values, want %d", c.classes, got, c.want)
		}
	}
}
