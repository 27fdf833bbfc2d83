package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// 2^(r/8) for |r| <= 0.52 and 2^(i/8) as a sum of two, by tools/oracle/exp2.py. A fraction of at most a sixteenth keeps the
// rounding of what is added to the table's value far below the result's own.
var (
	exp2Polynomial = []float32{1, 0.08664339780807495, 0.0037535394076257944, 0.00010841503535630181, 2.3472641714761266e-06}
	exp2High       = []float32{1, 1.0905077457427979, 1.1892070770263672, 1.2968395948410034, 1.4142135381698608, 1.5422108173370361, 1.6817928552627563, 1.8340080976486206}
	exp2Low        = []float32{0, -1.3077539939843064e-08, 3.797635272917432e-08, -4.018999533172973e-08, 2.4203234971764687e-08, 8.070904833346049e-09, -2.4755326677450284e-08, -1.1239277952768134e-08}
)

// repeated returns numbers over and over until they fill a vector, in read-only memory.
func repeated(name string, bits ...uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(bits[i%len(bits)]))
	}
	return m
}

func repeatedFloats(name string, values ...float32) Mem {
	var bits []uint32
	for _, v := range values {
		bits = append(bits, math.Float32bits(v))
	}
	return repeated(name, bits...)
}

// rowConstants are those of powers of two.
type rowConstants struct {
	c                       []Mem // of the polynomial
	high, low, eighth, bias Mem
}

func newRowConstants() (k rowConstants) {
	for i, c := range exp2Polynomial {
		k.c = append(k.c, repeatedFloats(fmt.Sprintf("exp2_c%d", i), c))
	}
	k.high, k.low = repeatedFloats("exp2_high", exp2High...), repeatedFloats("exp2_low", exp2Low...)
	k.eighth = repeatedFloats("eighth", 0.125)
	k.bias = repeated("exponentBias", 127)
	return k
}

// exponent is the argument of the routines below in registers: what turns a logit into a power of two. In memory it is the
// array that exponent.constants in rows32_amd64.go returns.
type exponent struct {
	v                                       vector
	k                                       rowConstants
	high, low, floor, ref, shift, shiftRest VecVirtual
}

func loadExponent(v vector, k rowConstants) *exponent {
	at := Load(Param("e"), GP64())
	r := v.registers(6)
	for i := range r {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r[i])
	}
	return &exponent{v, k, r[0], r[1], r[2], r[3], r[4], r[5]}
}

// power computes 2^(z·(high+low) − shift − shiftRest − ref) of the logits at src, all in eighths; the shifts only where
// shifted is set. The exponent is split into an integer n of eighths and a fraction r of at most 0.52 either way, two
// roundings of a small number away from exact. The result is high + rest, which come apart. NaN stays NaN; what lies below
// floor gives 0. The registers z, n and t are lost.
func (e *exponent) power(src Mem, z, n, t, high, rest VecVirtual, shifted bool) {
	VMOVUPS(src, z)
	VMAXPS(z, e.floor, z) // of two operands of which one is NaN this is the first here: z
	if shifted {
		VMOVAPS(z, n)
		VFMSUB213PS(e.shift, e.high, n)
	} else {
		VMULPS(z, e.high, n)
	}
	if e.v.lanes == 16 {
		VRNDSCALEPS(Imm(8), n, n)
	} else {
		VROUNDPS(Imm(8), n, n)
	}
	VMOVAPS(z, rest)
	if shifted {
		VADDPS(e.shift, n, t) // exact: shift has few bits
		VFMSUB213PS(t, e.high, rest)
		VFMSUB213PS(e.shiftRest, e.low, z)
		VADDPS(rest, z, z)
	} else {
		VFMSUB213PS(n, e.high, rest)
		VFMADD132PS(e.low, rest, z)
	}
	VSUBPS(e.ref, n, n)
	VCVTPS2DQ(n, t)
	VMOVUPS(e.k.c[4], rest)
	for i := 3; i >= 1; i-- {
		VFMADD213PS(e.k.c[i], z, rest)
	}
	VMULPS(z, rest, rest) // 2^(r/8) − 1
	VPERMPS(e.k.high, t, high)
	VPERMPS(e.k.low, t, z)
	VFMADD213PS(z, high, rest)
	if e.v.lanes == 16 {
		VMULPS(e.k.eighth, n, n)
		return
	}
	VPSRAD(Imm(3), t, n)
}

// scale leaves x·2^n in x, for each x; n is as power leaves it, and lost, as is t. Results below the smallest normal number
// come out right.
func (e *exponent) scale(n, t VecVirtual, x ...VecVirtual) {
	if e.v.lanes == 16 {
		for _, x := range x {
			VSCALEFPS(n, x, x) // takes the floor of n
		}
		return
	}
	// 2^n in two factors, neither of which is below the smallest normal number.
	VPSRAD(Imm(1), n, t)
	VPSUBD(t, n, n)
	VPADDD(e.k.bias, n, n)
	VPADDD(e.k.bias, t, t)
	VPSLLD(Imm(23), n, n)
	VPSLLD(Imm(23), t, t)
	for _, x := range x {
		VMULPS(n, x, x)
		VMULPS(t, x, x)
	}
}

// each runs four for every four vectors of n elements, then one for every vector that is left.
func (v vector) each(n Register, pointers []Register, four, one func()) {
	step := func(label, next string, vectors int, body func()) {
		Label(label)
		CMPQ(n, Imm(uint64(vectors*v.lanes)))
		JLT(LabelRef(next))
		body()
		for _, p := range pointers {
			ADDQ(U32(vectors*v.bytes()), p)
		}
		SUBQ(Imm(uint64(vectors*v.lanes)), n)
		JMP(LabelRef(label))
	}
	step("four", "one", 4, four)
	step("one", "done", 1, one)
	Label("done")
}

// halve combines the upper half of a vector with its lower half, down to one 128-bit register.
func (v vector) halve(r VecVirtual, combine func(a, b VecVirtual)) {
	if v.lanes == 16 {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), r, upper)
		combine(upper, r.AsY().(VecVirtual))
	}
	upper := XMM()
	VEXTRACTF128(Imm(1), r.AsY(), upper)
	combine(upper, r.AsX().(VecVirtual))
}

// maxRow returns the largest of n elements.
func maxRow(v vector) {
	TEXT("maxRow"+v.suffix, NOSPLIT, "func(x *float32, n int) float32")
	Doc("maxRow" + v.suffix + " returns the largest of n elements, a multiple of the vector's and not 0. NaN may or may not be seen.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	m := v.registers(4)
	for i := range m {
		VMOVUPS(Mem{Base: x}, m[i])
	}
	v.each(n, []Register{x}, func() {
		for i := range m {
			VMAXPS(Mem{Base: x, Disp: i * v.bytes()}, m[i], m[i])
		}
	}, func() {
		VMAXPS(Mem{Base: x}, m[0], m[0])
	})
	VMAXPS(m[1], m[0], m[0])
	VMAXPS(m[3], m[2], m[2])
	VMAXPS(m[2], m[0], m[0])
	v.halve(m[0], func(a, b VecVirtual) { VMAXPS(a, b, b) })
	low, high := m[0].AsX(), XMM()
	VPERMILPS(Imm(0b01_00_11_10), low, high)
	VMAXPS(high, low, low)
	VPERMILPS(Imm(0b10_11_00_01), low, high)
	VMAXPS(high, low, low)
	Store(low, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// expSum adds up powers in float64, but for what is added to the table's values: that is small, and four vectors of it are
// added up in float32. So the sum is better than its terms rounded to float32 would be.
func expSum(v vector, k rowConstants) {
	TEXT("expSum"+v.suffix, NOSPLIT, "func(x *float32, n int, e *[6]float32) float64")
	Doc("expSum" + v.suffix + " returns the sum of 2^((x·(high+low) − ref)/8) over n elements, a multiple of the vector's.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := loadExponent(v, k)
	sums := v.registers(2)
	v.zero(sums[0])
	v.zero(sums[1])
	z, m, high, rest, t, u := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	power := func(i int) {
		e.power(Mem{Base: x, Disp: i * v.bytes()}, z, m, t, high, rest, false)
		e.scale(m, t, high, rest)
	}
	// widen adds a to the sums.
	widen := func(a VecVirtual) {
		if v.lanes == 16 {
			half := YMM()
			VEXTRACTF64X4(Imm(1), a, half)
			VCVTPS2PD(a.AsY(), t)
			VCVTPS2PD(half, u)
		} else {
			half := XMM()
			VEXTRACTF128(Imm(1), a, half)
			VCVTPS2PD(a.AsX(), t)
			VCVTPS2PD(half, u)
		}
		VADDPD(t, sums[0], sums[0])
		VADDPD(u, sums[1], sums[1])
	}
	v.each(n, []Register{x}, func() {
		rests := v.reg()
		power(0)
		VMOVAPS(rest, rests)
		widen(high)
		for i := 1; i < 4; i++ {
			power(i)
			VADDPS(rest, rests, rests)
			widen(high)
		}
		widen(rests)
	}, func() {
		power(0)
		widen(high)
		widen(rest)
	})
	VADDPD(sums[1], sums[0], sums[0])
	v.halve(sums[0], func(a, b VecVirtual) { VADDPD(a, b, b) })
	low, high := sums[0].AsX(), XMM()
	VPERMILPD(Imm(1), low, high)
	VADDSD(high, low, low)
	Store(low, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// expRow writes powers.
func expRow(v vector, k rowConstants) {
	TEXT("expRow"+v.suffix, NOSPLIT, "func(dst, x *float32, n int, e *[6]float32)")
	Doc("expRow" + v.suffix + " writes 2^((x·(high+low) − shift − shiftRest − ref)/8) of n elements, a multiple of the vector's, to dst, which may be x.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := loadExponent(v, k)
	z, m, t, high, rest := v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	v.over(n, []Register{dst, x}, func() {
		e.power(Mem{Base: x}, z, m, t, high, rest, true)
		VADDPS(high, rest, rest)
		e.scale(m, t, rest)
		VMOVUPS(rest, Mem{Base: dst})
	})
	VZEROUPPER()
	RET()
}

// affineRow writes x·a − b, but nothing above 0, for a and b of two floats each, the lower one for what the higher cannot
// hold.
func affineRow(v vector) {
	TEXT("affineRow"+v.suffix, NOSPLIT, "func(dst, x *float32, n int, c *[5]float32)")
	Doc("affineRow" + v.suffix + " writes x·(high+low) − (shiftHigh+shiftLow), or 0 if that is less, of n elements, a multiple of the vector's, to dst, which may be x.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	at := Load(Param("c"), GP64())
	c := v.registers(5)
	for i := range c {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, c[i])
	}
	high, low, shiftHigh, shiftLow, floor := c[0], c[1], c[2], c[3], c[4]
	z, rest, zero := v.reg(), v.reg(), v.reg()
	v.zero(zero)
	v.over(n, []Register{dst, x}, func() {
		VMOVUPS(Mem{Base: x}, z)
		VMAXPS(z, floor, rest) // so that −Inf is not multiplied by 0
		VFMSUB213PS(shiftLow, low, rest)
		VFMSUB213PS(shiftHigh, high, z)
		VADDPS(rest, z, z)
		VMINPS(z, zero, z) // NaN stays
		VMOVUPS(z, Mem{Base: dst})
	})
	VZEROUPPER()
	RET()
}
