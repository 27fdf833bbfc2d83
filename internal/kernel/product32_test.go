package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// A product of which little is copied at a time, so that every loop over blocks goes round more than once.
func TestBlocksOfEveryCut(t *testing.T) {
	defer func(shared, extent int) { maxShared, maxExtent = shared, extent }(maxShared, maxExtent)
	maxShared, maxExtent = 1<<14, 40
	onEveryPath(t, func(t *testing.T) {
		rng := seeded(9)
		for i, s := range [][3]int{{45, 100, 1200}, {100, 45, 1200}, {28, 33, 1025}, {29, 64, 300}, {141, 32, 77}, {85, 85, 60}} {
			m, n, k := s[0], s[1], s[2]
			a, b, bias, old := normal(rng, m*k), normal(rng, n*k), normal(rng, n), normal(rng, m*n)
			for layout := NN; layout <= TN; layout++ {
				got := guarded(t, old, i%2 == 0)
				e := Epilogue[float32]{ReLU: i%2 == 0, Accumulate: i%3 == 0, Bias: guarded(t, bias, i%2 == 0)}
				MatMul(layout, got, guarded(t, a, i%2 == 0), guarded(t, b, i%2 == 0), m, n, k, e)
				want := widen(old)
				MatMul(layout, want, widen(a), widen(b), m, n, k, Epilogue[float64]{ReLU: e.ReLU, Accumulate: e.Accumulate, Bias: widen(bias)})
				numtest.AllNear(t, fmt.Sprintf("layout %d, %d×%d×%d", layout, m, n, k), got, want, 1e-5*max(1, float64(k)/64))
			}
		}
	})
}

// The generator gives out registers that processors with AVX2 alone do not have, where it is asked for too many.
func TestAVX2KeepsToItsRegisters(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, file := range files {
		part, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, part...)
	}
	beyond := regexp.MustCompile(`\b(Z\d+|[XY](1[6-9]|2\d|3[01])|K[0-7])\b`)
	seen := 0
	for _, routine := range strings.Split(string(code), "\nTEXT ")[1:] {
		if name, _, _ := strings.Cut(routine, "("); strings.Contains(name, "AVX2") {
			seen++
			if r := beyond.FindString(routine); r != "" {
				t.Errorf("%s uses %s", name, r)
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d routines for AVX2 were found", seen)
	}
}
