package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vector is an instruction set and its registers. The n elements of a routine are a multiple of the lanes. The Go code that calls it does the rest.
type vector struct {
	suffix string
	lanes  int
	reg    func() VecVirtual
}

var (
	avx512 = vector{"AVX512", 16, ZMM}
	avx2   = vector{"AVX2", 8, YMM}
)

func (v vector) bytes() int { return 4 * v.lanes }

func (v vector) registers(n int) []VecVirtual {
	r := make([]VecVirtual, n)
	for i := range r {
		r[i] = v.reg()
	}
	return r
}

// zero clears a register with an instruction that both sets have.
func (v vector) zero(r VecVirtual) {
	if v.lanes == 16 {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

// over makes a loop that runs body for each vector of n elements, and moves pointers on by a vector each time.
func (v vector) over(n Register, pointers []Register, body func()) {
	Label("next")
	CMPQ(n, Imm(uint64(v.lanes)))
	JLT(LabelRef("done"))
	body()
	for _, p := range pointers {
		ADDQ(Imm(uint64(v.bytes())), p)
	}
	SUBQ(Imm(uint64(v.lanes)), n)
	JMP(LabelRef("next"))
	Label("done")
}

// adam makes a routine for a step of Adam. Each constant of the array fills a register.
func adam(v vector) {
	TEXT("adam"+v.suffix, NOSPLIT, "func(w, grad, m, v *float32, n int, constants *[9]float32)")
	Doc("adam" + v.suffix + " is Adam over n elements, a multiple of the vector's; constants are those of adamConstants in order.")
	Pragma("noescape")
	var p [4]Register
	for i, name := range []string{"w", "grad", "m", "v"} {
		p[i] = Load(Param(name), GP64())
	}
	n := Load(Param("n"), GP64())
	constants := Load(Param("constants"), GP64())
	c := v.registers(9)
	for i := range c {
		VBROADCASTSS(Mem{Base: constants, Disp: 4 * i}, c[i])
	}
	beta1, rest1, beta2, rest2, rate, inverseRoot, eps, decay, keep := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	w, g, m, s := v.reg(), v.reg(), v.reg(), v.reg()
	var r, half, least, most VecVirtual
	if v.lanes == 16 {
		r = v.reg()
		half, least, most = v.reg(), v.reg(), v.reg()
		VMOVUPS(repeatedFloats("adam_half", 0.5), half)
		VMOVUPS(repeatedFloats("adam_least", 0x1p-126), least)
		VMOVUPS(repeatedFloats("adam_most", math.MaxFloat32), most)
	}
	v.over(n, p[:], func() {
		VMOVUPS(Mem{Base: p[0]}, w)
		VMOVUPS(Mem{Base: p[1]}, g)
		VFMADD231PS(decay, w, g) // g += decay·w
		VMULPS(Mem{Base: p[2]}, beta1, m)
		VFMADD231PS(rest1, g, m)
		VMOVUPS(m, Mem{Base: p[2]})
		VMULPS(g, g, g)
		VMULPS(Mem{Base: p[3]}, beta2, s)
		VFMADD231PS(rest2, g, s)
		VMOVUPS(s, Mem{Base: p[3]})
		VMULPS(rate, m, m)
		if v.lanes == 16 {
			// The root and the quotient are the processor's approximations of 14 bits, each made better by a step of Newton's method. This takes a
			// third of the time of exact instructions, and is off by one or two units in the last place.
			VMAXPS(s, least, s) // the root of 0 is none of 1/√0, and a NaN stays
			VMINPS(s, most, s)
			VRSQRT14PS(s, r)
			VMULPS(r, s, s)    // √v, nearly
			VMULPS(half, r, r) // 1/(2√v), nearly
			VMOVAPS(half, g)
			VFNMADD231PS(s, r, g) // ½ − √v/(2√v)
			VFMADD231PS(s, g, s)  // √v·(1 + …)
			VFMADD213PS(eps, inverseRoot, s)
			VRCP14PS(s, r)
			VMULPS(r, m, g)       // the quotient, nearly
			VFNMADD231PS(s, g, m) // what is left
			VFMADD213PS(g, r, m)
		} else {
			VSQRTPS(s, s)
			VFMADD213PS(eps, inverseRoot, s) // √v·inverseRoot + ε
			VDIVPS(s, m, m)
		}
		VFMSUB213PS(m, keep, w) // keep·w − m
		VMOVUPS(w, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

// dropout makes a routine that multiplies by 0 or by the scale, as the generator of kernel.Dropout decides.
func dropout(v vector, places Mem) {
	TEXT("dropout"+v.suffix, NOSPLIT, "func(dst, x *float32, n int, constants *[8]uint32)")
	Doc("dropout" + v.suffix + " is Dropout over n elements, a multiple of the vector's; constants are those of dropout32 in order.")
	Pragma("noescape")
	p := []Register{Load(Param("dst"), GP64()), Load(Param("x"), GP64())}
	n := Load(Param("n"), GP64())
	constants := Load(Param("constants"), GP64())
	c := v.registers(6)
	for i := range c {
		VPBROADCASTD(Mem{Base: constants, Disp: 4 * i}, c[i])
	}
	at, key, first, second, threshold, scale := c[0], c[1], c[2], c[3], c[4], c[5]
	VPADDD(places, at, at)
	step, drawn, shifted := v.reg(), v.reg(), v.reg()
	VPBROADCASTD(Mem{Base: constants, Disp: 4 * (6 + v.lanes/16)}, step)
	xor := func(a, b, to Op) {
		if v.lanes == 16 {
			VPXORD(a, b, to)
		} else {
			VPXOR(a, b, to)
		}
	}
	var k OpmaskVirtual
	if v.lanes == 16 {
		k = K()
	}
	v.over(n, p, func() {
		VPSRLD(Imm(16), at, shifted)
		xor(at, shifted, drawn)
		VPMULLD(first, drawn, drawn)
		VPSRLD(Imm(15), drawn, shifted)
		xor(drawn, shifted, drawn)
		xor(drawn, key, drawn)
		VPMULLD(second, drawn, drawn)
		VPSRLD(Imm(16), drawn, drawn)
		if v.lanes == 16 {
			VPCMPD(Imm(5), threshold, drawn, k) // drawn ≥ threshold
			VMOVAPS_Z(scale, k, drawn)
		} else {
			VPCMPGTD(drawn, threshold, drawn) // threshold > drawn
			VPANDN(scale, drawn, drawn)
		}
		VMULPS(Mem{Base: p[1]}, drawn, drawn)
		VMOVUPS(drawn, Mem{Base: p[0]})
		VPADDD(step, at, at)
	})
	VZEROUPPER()
	RET()
}

// reluBackward makes a routine that keeps dy where y is not 0 and gives NaN where y is NaN. For that it adds y·0, which is 0 or NaN, to what it keeps.
func reluBackward(v vector) {
	TEXT("reluBackward"+v.suffix, NOSPLIT, "func(dx, dy, y *float32, n int)")
	Doc("reluBackward" + v.suffix + " is ReLUBackward over n elements, a multiple of the vector's.")
	Pragma("noescape")
	var p [3]Register
	for i, name := range []string{"dx", "dy", "y"} {
		p[i] = Load(Param(name), GP64())
	}
	n := Load(Param("n"), GP64())
	zero, y, g, keep := v.reg(), v.reg(), v.reg(), v.reg()
	v.zero(zero)
	var k OpmaskVirtual
	if v.lanes == 16 {
		k = K()
	}
	v.over(n, p[:], func() {
		VMOVUPS(Mem{Base: p[2]}, y)
		VMOVUPS(Mem{Base: p[1]}, g)
		if v.lanes == 16 {
			VCMPPS(Imm(4), zero, y, k) // not equal, true for NaN
			VMOVUPS_Z(g, k, g)
			VCMPPS(Imm(3), y, y, k) // unordered: y is NaN
			VMOVUPS(y, k, g)
		} else {
			VCMPPS(Imm(4), zero, y, keep)
			VANDPS(g, keep, g)
			VCMPPS(Imm(3), y, y, keep)
			VBLENDVPS(keep, y, g, g)
		}
		VMOVUPS(g, Mem{Base: p[0]})
	})
	VZEROUPPER()
	RET()
}

// addRow adds x to dst.
func addRow(v vector) {
	TEXT("addRow"+v.suffix, NOSPLIT, "func(dst, x *float32, n int)")
	Doc("addRow" + v.suffix + " adds n elements of x, a multiple of the vector's, to dst.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	sum := v.reg()
	v.over(n, []Register{dst, x}, func() {
		VMOVUPS(Mem{Base: dst}, sum)
		VADDPS(Mem{Base: x}, sum, sum)
		VMOVUPS(sum, Mem{Base: dst})
	})
	VZEROUPPER()
	RET()
}

// allFinite makes a routine that adds up x·0, which is 0 for a finite number and NaN for any other.
func allFinite(v vector) {
	TEXT("allFinite"+v.suffix, NOSPLIT, "func(x *float32, n int) uint32")
	Doc("allFinite" + v.suffix + " returns 0 where all of n elements, a multiple of the vector's, are finite.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	zero, sum := v.reg(), v.reg()
	v.zero(zero)
	v.zero(sum)
	v.over(n, []Register{x}, func() {
		VFMADD231PS(Mem{Base: x}, zero, sum)
	})
	result := GP32()
	if v.lanes == 16 {
		k := K()
		VCMPPS(Imm(3), sum, sum, k)
		KMOVW(k, result)
	} else {
		VCMPPS(Imm(3), sum, sum, sum)
		VMOVMSKPS(sum, result)
	}
	Store(result, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// sumLanes makes a routine with a sum for each lane of the widest vector, so that both instruction sets give the same bits.
func sumLanes(v vector) {
	TEXT("sumLanes"+v.suffix, NOSPLIT, "func(x *float32, n int, sums *[16]float64)")
	Doc("sumLanes" + v.suffix + " writes the sum of every sixteenth of n elements, a multiple of 16 above 0, to each of sums.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	at := Load(Param("sums"), GP64())
	wide := v.lanes / 2
	sums := v.registers(16 / wide)
	for _, sum := range sums {
		v.zero(sum)
	}
	z := v.reg()
	Label("next")
	for i, sum := range sums {
		VCVTPS2PD(Mem{Base: x, Disp: 4 * wide * i}, z)
		VADDPD(z, sum, sum)
	}
	ADDQ(Imm(64), x)
	SUBQ(Imm(16), n)
	JNZ(LabelRef("next"))
	for i, sum := range sums {
		VMOVUPD(sum, Mem{Base: at, Disp: v.bytes() * i})
	}
	VZEROUPPER()
	RET()
}

// countLabels makes a routine that takes labels for unsigned integers, so that one comparison finds any that is not in [0,k).
func countLabels(v vector) {
	TEXT("countLabels"+v.suffix, NOSPLIT, "func(labels *int32, n int, found *[32]uint32)")
	Doc("countLabels" + v.suffix + " writes, for each lane, the greatest of the labels without a sign but for Ignored, and 16 numbers on how many of those there are; n is a multiple of the vector's.")
	Pragma("noescape")
	x := Load(Param("labels"), GP64())
	n := Load(Param("n"), GP64())
	at := Load(Param("found"), GP64())
	largest, count, ignored, one, z := v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	v.zero(largest)
	v.zero(count)
	VMOVUPS(repeated("ignored"+v.suffix, 1<<32-100), ignored)
	VMOVUPS(repeated("one"+v.suffix, 1), one)
	v.over(n, []Register{x}, func() {
		VMOVUPS(Mem{Base: x}, z)
		if v.lanes == 16 {
			same, other := K(), K()
			VPCMPEQD(ignored, z, same)
			KNOTW(same, other)
			VPMAXUD(z, largest, other, largest)
			VPADDD(one, count, same, count)
		} else {
			same := v.reg()
			VPCMPEQD(ignored, z, same)
			VPSUBD(same, count, count)
			VPANDN(z, same, z)
			VPMAXUD(z, largest, largest)
		}
	})
	VMOVUPS(largest, Mem{Base: at})
	VMOVUPS(count, Mem{Base: at, Disp: 64})
	VZEROUPPER()
	RET()
}

// spin waits for a moment without doing anything that slows the other thread of a core.
func spin() {
	TEXT("spin", NOSPLIT, "func(n int)")
	Doc("spin pauses n times, n > 0.")
	n := Load(Param("n"), GP64())
	Label("again")
	PAUSE()
	DECQ(n)
	JNZ(LabelRef("again"))
	RET()
}

// relu makes a routine that takes the maximum with 0. The value is the instruction's second operand, which it returns where that is NaN.
func relu(v vector) {
	TEXT("relu"+v.suffix, NOSPLIT, "func(dst, x *float32, n int)")
	Doc("relu" + v.suffix + " is ReLU over n elements, a multiple of the vector's.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	zero, value := v.reg(), v.reg()
	v.zero(zero)
	v.over(n, []Register{dst, x}, func() {
		VMAXPS(Mem{Base: x}, zero, value)
		VMOVUPS(value, Mem{Base: dst})
	})
	VZEROUPPER()
	RET()
}
