package half_test

import (
	"math"
	"testing"

	"github.com/logitscope/logitscope/internal/half"
	"github.com/logitscope/logitscope/internal/numtest"
)

// Each value of float16 against the definition of the format: sign, five bits of exponent, ten of fraction.
func TestHalf(t *testing.T) {
	for _, c := range []struct {
		bits uint16
		want float64
	}{
		{0x0000, 0},
		{0x0001, 0x1p-24},
		{0x03ff, 1023 * 0x1p-24},
		{0x0400, 0x1p-14},
		{0x3c00, 1},
		{0x3555, 0.333251953125},
		{0xc000, -2},
		{0x7bff, 65504},
		{0x7c00, math.Inf(1)},
		{0xfc00, math.Inf(-1)},
		{0x7e00, math.NaN()},
	} {
		if got := float64(half.Float32(c.bits)); !numtest.Near(got, c.want, 0) {
			t.Errorf("%#04x is %v, want %v", c.bits, got, c.want)
		}
	}
}
