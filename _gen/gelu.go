package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// For a in [0,geluEdge], Φ(−a)·e^(a²/2) is approximated by a quotient of two polynomials, whose coefficients tools/oracle/gelu.py found. All of them
// are above 0, so that no digits cancel. Beyond the edge Φ(−a) is 0 in float32, and so is its approximation.
const geluEdge = 16

var (
	geluAbove = []float32{0.5, 0.4411078095436096, 0.18532851338386536, 0.04134147986769676, 0.00422209408134222}
	geluBelow = []float32{1, 1.680100679397583, 1.2111778259277344, 0.4749988615512848, 0.10363325476646423, 0.010583123192191124}
)

type geluConstants struct {
	abs, edge, high, low, magic Mem
	above, below                []Mem
	density, one                Mem
}

func newGELUConstants() (k geluConstants) {
	const scale = 8 * -0.5 * math.Log2E // of a² to eighths of the exponent
	high := float32(scale)
	k.abs, k.edge = repeated("gelu_abs", 1<<31-1), repeatedFloats("gelu_edge", geluEdge)
	k.high, k.low, k.magic = repeatedFloats("gelu_high", high), repeatedFloats("gelu_low", float32(scale-float64(high))), repeatedFloats("gelu_magic", 0x1.8p23)
	unbias := math.Ldexp(1, -bias)
	for i, c := range geluAbove {
		k.above = append(k.above, repeatedFloats(fmt.Sprintf("gelu_above%d", i), float32(float64(c)*unbias)))
	}
	for i, c := range geluBelow {
		k.below = append(k.below, repeatedFloats(fmt.Sprintf("gelu_below%d", i), c))
	}
	k.density, k.one = repeatedFloats("gelu_density", float32(unbias/math.Sqrt(2*math.Pi))), repeatedFloats("gelu_one", 1)
	return k
}

// gelu makes a routine that multiplies y by Φ(x) or, where slope is set, by Φ(x) + x·φ(x). For x = −a below 0, Φ(x) is e^(−a²/2)·r, where r is the
// quotient, and Φ(x) + x·φ(x) is e^(−a²/2)·(r − a/√2π). For x = a both are 1 minus what they are for −a. a² is held as a sum of two floats.
func gelu(v vector, rows rowConstants, k geluConstants, slope bool) {
	name, what := "gelu"+v.suffix, "Φ(x)"
	if slope {
		name, what = "geluSlope"+v.suffix, "(Φ(x) + x·φ(x))"
	}
	TEXT(name, NOSPLIT, "func(dst, y, x *float32, n int)")
	Doc(name + " writes y·" + what + " of n elements, a multiple of the vector's, to dst, which may be y or x.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	y := Load(Param("y"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := &exponent{v: v, k: rows, high: v.reg(), low: v.reg(), magic: v.reg()}
	VMOVUPS(k.high, e.high)
	VMOVUPS(k.low, e.low)
	VMOVUPS(k.magic, e.magic)
	value, a, square, rest, t, power, tail, below := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	polynomial := func(c []Mem, sum VecVirtual) {
		VMOVUPS(c[len(c)-1], sum)
		for i := len(c) - 2; i >= 0; i-- {
			VFMADD213PS(c[i], a, sum)
		}
	}
	v.over(n, []Register{dst, y, x}, func() {
		VMOVUPS(Mem{Base: x}, value)
		VANDPS(k.abs, value, a)
		VMOVUPS(k.edge, t)
		VMINPS(a, t, a) // of two operands of which one is NaN this is the first here: a
		VMULPS(a, a, square)
		VMOVAPS(a, below)
		VFMSUB213PS(square, a, below) // what the square was rounded by
		e.split(square, t, power, rest)
		VFMADD231PS(below, e.high, square)
		e.raise(square, t, power, rest)
		polynomial(k.above, tail)
		polynomial(k.below, below)
		VDIVPS(below, tail, tail)
		if slope {
			VFNMADD231PS(k.density, a, tail)
		}
		VFMADD213PS(tail, tail, rest)
		VMULPS(power, rest, tail)
		VMOVUPS(k.one, rest)
		VSUBPS(tail, rest, rest)
		if v.lanes == 16 {
			negative := K()
			VPMOVD2M(value, negative)
			VMOVAPS(tail, negative, rest)
		} else {
			VBLENDVPS(value, tail, rest, rest)
		}
		VMULPS(Mem{Base: y}, rest, rest)
		VMOVUPS(rest, Mem{Base: dst})
	})
	VZEROUPPER()
	RET()
}
