package dataset_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/dataset"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func digits(t *testing.T) *dataset.Dataset {
	t.Helper()
	d, err := dataset.Digits()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The counts a class are those that scikit-learn's load_digits states for the same file.
func TestDigitsAreWhole(t *testing.T) {
	d := digits(t)
	if d.Len() != 1797 || d.Columns != 64 || len(d.Features) != 1797*64 || len(d.Image.Pixels) != 1797*64 {
		t.Fatalf("%d samples, %d columns, %d features, %d pixels", d.Len(), d.Columns, len(d.Features), len(d.Image.Pixels))
	}
	counts := make([]int, 10)
	for _, label := range d.Labels {
		counts[label]++
	}
	if want := []int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}; !slices.Equal(counts, want) {
		t.Errorf("samples a class %v, want %v", counts, want)
	}
	for i, value := range d.Features {
		if !(value >= 0 && value <= 1) || value*16 != float32(d.Image.Pixels[i]) {
			t.Fatalf("feature %d is %v, its pixel %d", i, value, d.Image.Pixels[i])
		}
	}
	// The first image of load_digits begins 0 0 5 13 9 1 0 0 and is a zero.
	if first := d.Image.Pixels[:8]; !slices.Equal(first, []byte{0, 0, 5, 13, 9, 1, 0, 0}) || d.Labels[0] != 0 {
		t.Errorf("first row %v, label %d", first, d.Labels[0])
	}
}

func TestSplitIsStratifiedAndDisjoint(t *testing.T) {
	d := digits(t)
	perClass := make([]float64, 10)
	for _, label := range d.Labels {
		perClass[label]++
	}
	for _, c := range []struct {
		fraction   float64
		size       int
		train, val int
	}{
		{0.2, 0, 1437, 360},
		{0.2, 400, 400, 360},
		{0, 0, 1797, 0},
		{0.5, 1, 1, 899},
	} {
		for seed := range uint64(5) {
			train, val, err := d.Split(c.fraction, c.size, seeded(seed))
			if err != nil {
				t.Fatal(err)
			}
			if len(train) != c.train || len(val) != c.val {
				t.Fatalf("%v, %d: %d training and %d validation samples", c.fraction, c.size, len(train), len(val))
			}
			seen := map[int]bool{}
			for _, i := range slices.Concat(train, val) {
				if seen[i] {
					t.Fatalf("sample %d is there twice", i)
				}
				seen[i] = true
			}
			got := make([]float64, 10)
			for _, i := range val {
				got[d.Labels[i]]++
			}
			for class := range got {
				if share := perClass[class] * float64(c.val) / 1797; !(got[class] > share-1 && got[class] < share+1) {
					t.Errorf("class %d has %v validation samples, its share is %v", class, got[class], share)
				}
			}
		}
	}
}

func TestSplitFollowsTheSeed(t *testing.T) {
	d := digits(t)
	a, av, _ := d.Split(0.2, 400, seeded(1))
	b, bv, _ := d.Split(0.2, 400, seeded(1))
	c, _, _ := d.Split(0.2, 400, seeded(2))
	if !slices.Equal(a, b) || !slices.Equal(av, bv) {
		t.Error("one seed gave two splits")
	}
	if slices.Equal(a, c) {
		t.Error("two seeds gave one split")
	}
}

func TestSplitRefuses(t *testing.T) {
	d := digits(t)
	for _, c := range []struct {
		fraction float64
		size     int
	}{{-0.1, 0}, {1, 0}, {0.2, 1438}, {0.2, -1}} {
		if _, _, err := d.Split(c.fraction, c.size, seeded(1)); err == nil {
			t.Errorf("fraction %v, size %d: no error", c.fraction, c.size)
		}
	}
}

func TestPlantWrongLabels(t *testing.T) {
	d := digits(t)
	for _, share := range []float64{0, 0.1, 0.2, 1} {
		noisy, err := dataset.PlantWrongLabels(d.Labels, 10, share, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		wrong, to := 0, make([]int, 10)
		for i := range noisy {
			if noisy[i] < 0 || noisy[i] > 9 {
				t.Fatalf("label %d", noisy[i])
			}
			if noisy[i] != d.Labels[i] {
				wrong++
				to[noisy[i]]++
			}
		}
		if want := int(share*1797 + 0.5); wrong != want {
			t.Errorf("share %v: %d wrong labels, want %d", share, wrong, want)
		}
		if share == 1 && slices.Min(to) < 100 {
			t.Errorf("wrong labels are not spread over the classes: %v", to)
		}
	}
	if _, err := dataset.PlantWrongLabels(d.Labels, 10, 1.5, seeded(3)); err == nil {
		t.Error("share 1.5: no error")
	}
	if _, err := dataset.PlantWrongLabels([]int32{0}, 1, 0.5, seeded(3)); err == nil {
		t.Error("one class: no error")
	}
}

func ExampleDigits() {
	digits, err := dataset.Digits()
	if err != nil {
		panic(err)
	}
	train, val, err := digits.Split(0.2, 400, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		panic(err)
	}
	fmt.Println(digits.Len(), "digits,", len(train), "to train on,", len(val), "to validate")
	// Output: 1797 digits, 400 to train on, 360 to validate
}
