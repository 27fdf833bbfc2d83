package record

import (
	"math"
	"testing"

	"github.com/logitscope/logitscope/internal/half"
)

// halfByDefinition is the value of a binary16.
func halfByDefinition(h uint16) float64 {
	exponent, fraction := int(h>>10&31), float64(h&1023)
	v := 0.0
	switch exponent {
	case 31:
		if v = math.Inf(1); fraction != 0 {
			v = math.NaN()
		}
	case 0:
		v = math.Ldexp(fraction, -24)
	default:
		v = math.Ldexp(1024+fraction, exponent-25)
	}
	if h>>15 == 1 {
		v = math.Copysign(v, -1)
	}
	return v
}

// Every binary16 is read as what it is and comes back; what lies between two of them goes to the nearer, and from the middle to the
// even one. That is all of rounding, because between two halves it is monotonic.
func TestFloat16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		want := halfByDefinition(h)
		got := half.Float32(h)
		if math.IsNaN(want) {
			if back := halfOf(got); got == got || back&0x7c00 != 0x7c00 || back&0x3ff == 0 {
				t.Fatalf("%04x: %v, and back %04x", h, got, back)
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
			t.Fatalf("%04x: %v, want %v", h, got, want)
		}
		if back := halfOf(got); back != h {
			t.Fatalf("%04x: %v went back to %04x", h, got, back)
		}
		if h&0x7fff >= halfInf {
			continue
		}
		next := halfByDefinition(h&0x7fff + 1)
		if h&0x7fff == 0x7bff {
			next = 65536 // where the next would lie if the exponent went on: IEEE 754 rounds to it and calls it infinite
		}
		middle := float32(math.Copysign((math.Abs(want)+next)/2, want)) // exact, with 11 bits more
		even := h
		if h&1 == 1 {
			even++
		}
		toZero, away := math.Nextafter32(middle, 0), math.Nextafter32(middle, middle*4)
		if a, b, c := halfOf(toZero), halfOf(middle), halfOf(away); a != h || b != even || c != h+1 {
			t.Fatalf("around the middle %v behind %04x: %04x, %04x, %04x", middle, h, a, b, c)
		}
	}
	if halfOf(math.MaxFloat32) != 0x7c00 || halfOf(-math.MaxFloat32) != 0xfc00 || halfOf(math.SmallestNonzeroFloat32) != 0 {
		t.Error("the ends of float32")
	}
}

// What a file of halves says is what single conversions say; what overflows is counted, and what was infinite is not.
func TestHalves(t *testing.T) {
	inf := float32(math.Inf(1))
	numbers := []float32{0, 1, -2.5, 65504, 65519.996, 65520, -70000, inf, -inf, float32(math.NaN()), 1e-8, 6e-8, float32(math.Copysign(0, -1))}
	for i := range 100 {
		numbers = append(numbers, float32(i)*0.37-17)
	}
	bytes, overflowed := appendHalves([]byte{9, 9}, numbers)
	if overflowed != 2 || len(bytes) != 2+2*len(numbers) || bytes[0] != 9 {
		t.Errorf("%d overflowed, %d bytes", overflowed, len(bytes))
	}
	back := appendFloats([]float32{7}, bytes[2:])
	for i, v := range numbers {
		if want := half.Float32(halfOf(v)); math.Float32bits(back[1+i]) != math.Float32bits(want) {
			t.Errorf("%v became %v, want %v", v, back[1+i], want)
		}
	}
}

func BenchmarkHalves(b *testing.B) {
	numbers := make([]float32, 1<<16)
	for i := range numbers {
		numbers[i] = float32(i%997)/32 - 15
	}
	var bytes []byte
	b.Run("write", func(b *testing.B) {
		b.SetBytes(4 << 16)
		for b.Loop() {
			bytes, _ = appendHalves(bytes[:0], numbers)
		}
	})
	bytes, _ = appendHalves(bytes[:0], numbers)
	b.Run("read", func(b *testing.B) {
		b.SetBytes(4 << 16)
		for b.Loop() {
			numbers = appendFloats(numbers[:0], bytes)
		}
	})
}
