// Package numtest compares floating-point results in tests, and lends buffers in which a read or write out of bounds
// is seen.
package numtest

import (
	"math"
	"testing"
)

// Float is the element type of what is compared.
type Float interface{ float32 | float64 }

// Near reports whether got is want to within tolerance·max(1, |want|). NaN is near NaN alone, an infinity itself alone.
func Near(got, want, tolerance float64) bool {
	switch {
	case math.IsNaN(want):
		return math.IsNaN(got)
	case math.IsInf(want, 0):
		return got == want
	}
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

// AllNear fails the test at the first element of got that is not near that of want.
func AllNear[T, U Float](t testing.TB, what string, got []T, want []U, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s has %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !Near(float64(got[i]), float64(want[i]), tolerance) {
			t.Errorf("%s[%d] = %v, want %v to within %v", what, i, got[i], want[i], tolerance)
			return
		}
	}
}

// ULP32 is the distance of got from the exact value want in steps of float32 at want; infinite where one of them is NaN
// or infinite and the other is something else.
func ULP32(got float32, want float64) float64 {
	switch rounded := float32(want); {
	case math.IsNaN(want) && got != got, got == rounded:
		return 0
	case got != got, math.IsNaN(want), math.IsInf(float64(got), 0), math.IsInf(float64(rounded), 0):
		return math.Inf(1)
	default:
		size := float32(math.Abs(want))
		step := float64(math.Nextafter32(size, math.MaxFloat32)) - float64(size)
		return math.Abs(float64(got)-want) / step
	}
}
