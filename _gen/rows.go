package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exp2Polynomial has the coefficients of 2^(r/8) for |r| <= 0.52. exp2Powers has for each i from 0 to 7 a power near 2^(i/8), which is
// 2^((i + exp2Above[i])/8). tools/oracle/exp2.py found them. Since a fraction is at most about a sixteenth, what is added to a power of the table is
// small, and so is its error of rounding. The powers have 12 bits, so that they are exact and hardly any rounding is needed to add them up. The
// method is from Gal, "Computing elementary functions", 1986.
var (
	exp2Polynomial = []float32{1, 0.08664339780807495, 0.0037535394076257944, 0.00010841503535630181, 2.3472641714761266e-06}
	exp2Powers     = []float32{1, 1.09033203125, 1.18896484375, 1.296875, 1.4140625, 1.5419921875, 1.681640625, 1.833984375}
	exp2Above      = []float32{0, -0.0018597134621813893, -0.0023515443317592144, 0.000315450772177428, -0.001232903334312141, -0.001636353088542819, -0.0010445808293297887, -0.0001492187730036676}
)

// bias is the exponent of the factor 2^bias by which the results of power are larger than what they stand for, so that they are normal numbers
// wherever that is not 0 in float32.
var bias = layout.value("biasBits")

// repeated returns read-only memory that holds the given numbers over and over, until they fill a vector of 64 bytes.
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

// rowConstants are the constants by which powers of two are computed.
type rowConstants struct {
	c             []Mem // the coefficients of the polynomial
	powers, above Mem   // exp2Powers, as raise needs them, and exp2Above
	large         Mem   // the large number of accumulator
}

func newRowConstants() (k rowConstants) {
	for i, c := range exp2Polynomial {
		k.c = append(k.c, repeatedFloats(fmt.Sprintf("exp2_c%d", i), c))
	}
	// Added to an exponent in eighths that is shifted left until its integer part is in the exponent's place, the table gives
	// the power at once: the eighths that come along are taken off before.
	var powers []uint32
	for i, v := range exp2Powers {
		powers = append(powers, math.Float32bits(v)-uint32(i)<<20+uint32(bias)<<23)
	}
	k.powers, k.above = repeated("exp2_powers", powers...), repeatedFloats("exp2_above", exp2Above...)
	k.large = repeatedFloats("large", float32(math.Ldexp(1, bias+11)))
	return k
}

// exponent is the argument of the routines below in registers: what turns a logit into a power of two. In memory it is the
// array that exponent.constants in rows32.go returns.
type exponent struct {
	v                       vector
	k                       rowConstants
	high, low, floor, magic VecVirtual
}

func loadExponent(v vector, k rowConstants, at Register) *exponent {
	r := v.registers(4)
	for i := range r {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r[i])
	}
	return &exponent{v, k, r[0], r[1], r[2], r[3]}
}

// power computes 2^((z·(high+low) − ref)/8 + bias) of the logits at src as power·(1 + rest). ref is an integer, and magic is
// 1.5·2^23 − ref: what is added to it is rounded to an integer, which is then in the lowest bits. The fraction that is left
// is three roundings of a small number away from exact. NaN gives a rest of NaN; what lies below floor is taken for floor.
func (e *exponent) power(src Mem, z, n, power, rest VecVirtual) {
	VMOVUPS(src, z)
	VMAXPS(z, e.floor, z) // of two operands of which one is NaN this is the first here: z
	e.split(z, n, power, rest)
	e.raise(z, n, power, rest)
}

// split leaves the integer in n and the fraction in z. It overwrites t and u.
func (e *exponent) split(z, n, t, u VecVirtual) {
	VMOVAPS(z, n)
	VFMADD213PS(e.magic, e.high, n)
	VSUBPS(e.magic, n, t) // the integer
	VMOVAPS(z, u)
	VFMSUB213PS(t, e.high, u)
	VFMADD132PS(e.low, u, z)
}

// raise computes a power from what split left.
func (e *exponent) raise(z, n, power, rest VecVirtual) {
	VPERMPS(e.k.above, n, power)
	VSUBPS(power, z, z)
	VMOVUPS(e.k.c[4], rest)
	for i := 3; i >= 1; i-- {
		VFMADD213PS(e.k.c[i], z, rest)
	}
	VMULPS(z, rest, rest)
	VPERMPS(e.k.powers, n, power)
	VPSLLD(Imm(20), n, n)
	VPADDD(n, power, power)
}

// each makes two loops: one that runs many for several vectors at a time, and one that runs one for each vector that is left. For each vector n falls
// by size, and pointers move on by a vector.
func (v vector) each(n Register, size int, pointers []Register, vectors int, many, one func()) {
	step := func(label, next string, vectors int, body func()) {
		Label(label)
		CMPQ(n, Imm(uint64(vectors*size)))
		JLT(LabelRef(next))
		body()
		for _, p := range pointers {
			ADDQ(U32(vectors*v.bytes()), p)
		}
		SUBQ(Imm(uint64(vectors*size)), n)
		JMP(LabelRef(label))
	}
	step("many", "one", vectors, many)
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

// maxRow makes a routine that returns the largest of n elements. Where an element is NaN the instruction returns its other operand, which is the
// largest so far.
func maxRow(v vector) {
	TEXT("maxRow"+v.suffix, NOSPLIT, "func(x *float32, n int) float32")
	Doc("maxRow" + v.suffix + " returns the largest of n elements, a multiple of the vector's; NaN are passed over.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	m := v.registers(4)
	lowest := repeatedFloats("lowest"+v.suffix, float32(math.Inf(-1)))
	for i := range m {
		VMOVUPS(lowest, m[i])
	}
	z := v.reg()
	more := func(i int) {
		VMOVUPS(Mem{Base: x, Disp: i * v.bytes()}, z)
		VMAXPS(m[i], z, m[i])
	}
	v.each(n, v.lanes, []Register{x}, 4, func() {
		for i := range m {
			more(i)
		}
	}, func() { more(0) })
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

// accumulator adds up powers with almost no rounding. Each power is added to a number so large that the sum keeps only multiples of 2^-12, which
// it keeps exactly. What is left of the power is small, and is added to the rests. The rests of four vectors are added up in float32, and
// then in float64. So the sum is more precise than a sum of terms that were rounded to float32. The large number is from Rump, Ogita and Oishi,
// "Accurate floating-point summation", 2008, section 3.
type accumulator struct {
	v                   vector
	large               Mem
	powers, rests, z, t VecVirtual
	sums                []VecVirtual // of float64
}

func newAccumulator(v vector, k rowConstants) *accumulator {
	a := &accumulator{v, k.large, v.reg(), v.reg(), v.reg(), v.reg(), v.registers(2)}
	v.zero(a.sums[0])
	v.zero(a.sums[1])
	VMOVUPS(a.large, a.powers)
	return a
}

// add adds power·(1 + rest). first says that there are no rests yet.
func (a *accumulator) add(power, rest VecVirtual, first bool) {
	VADDPS(power, a.powers, a.t)
	VSUBPS(a.powers, a.t, a.z)
	VMOVAPS(a.t, a.powers)
	if first {
		VSUBPS(a.z, power, a.rests)
	} else {
		VSUBPS(a.z, power, a.z)
		VADDPS(a.z, a.rests, a.rests)
	}
	VFMADD231PS(power, rest, a.rests)
}

// flush adds the rests to the sums.
func (a *accumulator) flush() { a.widenAdd(a.rests) }

func (a *accumulator) widenAdd(r VecVirtual) {
	a.v.widen(r, a.z, a.t)
	VADDPD(a.z, a.sums[0], a.sums[0])
	VADDPD(a.t, a.sums[1], a.sums[1])
}

// finish adds all that was kept apart to the sums, which are those of the lower and of the upper half of the lanes.
func (a *accumulator) finish() {
	VSUBPS(a.large, a.powers, a.powers)
	a.widenAdd(a.powers)
}

// rowBlock is how many elements of a row are worked on at a time.
var rowBlock = layout.value("rowBlock")

// prefetch asks the cache for the vector that is a block behind vector i of x, so that memory is read while there is much to compute.
func (v vector) prefetch(x Register, i int) {
	for line := 0; line < v.bytes(); line += 64 {
		if at := i*v.bytes() + line; at%64 == 0 {
			PREFETCHT0(Mem{Base: x, Disp: 4*rowBlock + at})
		}
	}
}

// expSum makes a routine that adds up powers.
func expSum(v vector, k rowConstants) {
	TEXT("expSum"+v.suffix, NOSPLIT, "func(x *float32, n int, e *[4]float32) float64")
	Doc("expSum" + v.suffix + " returns the sum of 2^((x·(high+low) − ref)/8 + bias) over n elements, a multiple of the vector's and at most 4096, where ref is no more than 8 below the greatest of the x·(high+low).")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := loadExponent(v, k, Load(Param("e"), GP64()))
	a := newAccumulator(v, k)
	power, rest := v.reg(), v.reg()
	add := func(i int) {
		v.prefetch(x, i)
		e.power(Mem{Base: x, Disp: i * v.bytes()}, a.z, a.t, power, rest)
		a.add(power, rest, i == 0)
	}
	v.each(n, v.lanes, []Register{x}, 4, func() {
		for i := range 4 {
			add(i)
		}
		a.flush()
	}, func() {
		add(0)
		a.flush()
	})
	a.finish()
	Store(v.sumWide(a.sums[0], a.sums[1]), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// widen turns a into two vectors of float64.
func (v vector) widen(a, low, high VecVirtual) {
	if v.lanes == 16 {
		VEXTRACTF64X4(Imm(1), a, high.AsY())
		VCVTPS2PD(a.AsY(), low)
		VCVTPS2PD(high.AsY(), high)
	} else {
		VEXTRACTF128(Imm(1), a, high.AsX())
		VCVTPS2PD(a.AsX(), low)
		VCVTPS2PD(high.AsX(), high)
	}
}

// expRow makes a routine that writes powers. Where stream is set it writes past the caches, since memory that a result overwrites need not be
// read into them first.
func expRow(v vector, k rowConstants, stream bool) {
	name, where := "expRow"+v.suffix, "which may be x"
	if stream {
		name, where = "expRowStream"+v.suffix, "which starts at a multiple of the vector's bytes; it goes past the caches"
	}
	TEXT(name, NOSPLIT, "func(dst, x *float32, n int, e *[4]float32, factor *[2]float32)")
	Doc(name + " writes 2^((x·(high+low) − ref)/8 + bias)·factor of n elements, a multiple of the vector's, to dst, " + where + ".")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := loadExponent(v, k, Load(Param("e"), GP64()))
	at := Load(Param("factor"), GP64())
	factor, factorLow := v.reg(), v.reg()
	VBROADCASTSS(Mem{Base: at}, factor)
	VBROADCASTSS(Mem{Base: at, Disp: 4}, factorLow)
	z, t, power, rest := v.reg(), v.reg(), v.reg(), v.reg()
	v.over(n, []Register{dst, x}, func() {
		e.power(Mem{Base: x}, z, t, power, rest)
		timesFactor(power, rest, factor, factorLow)
		if stream {
			VMOVNTPS(rest, Mem{Base: dst})
		} else {
			VMOVUPS(rest, Mem{Base: dst})
		}
	})
	if stream {
		SFENCE()
	}
	VZEROUPPER()
	RET()
}

// timesFactor leaves power·(1 + rest)·(factor + factorLow) in rest, with an error of little more than one rounding.
func timesFactor(power, rest, factor, factorLow VecVirtual) {
	VFMADD213PS(factorLow, factor, rest)
	VMULPS(power, rest, rest)
	VFMADD231PS(factor, power, rest)
}

// affine computes min(x·a − b, 0). a and b are sums of two floats each, of which the lower holds the digits that the higher cannot.
type affine struct {
	high, low, floor, shift, shiftLow VecVirtual
	z, rest, zero                     VecVirtual
}

func (v vector) affine() affine {
	r := v.registers(8)
	v.zero(r[7])
	return affine{r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]}
}

func (a affine) apply(dst, src Mem) {
	VMOVUPS(src, a.z)
	VMAXPS(a.z, a.floor, a.rest) // so that −Inf is not multiplied by 0
	VFMSUB213PS(a.shiftLow, a.low, a.rest)
	VFMSUB213PS(a.shift, a.high, a.z)
	VADDPS(a.rest, a.z, a.z)
	VMINPS(a.z, a.zero, a.z) // NaN stays
	VMOVUPS(a.z, dst)
}

// affineRow makes a routine that turns logits into log-probabilities.
func affineRow(v vector) {
	TEXT("affineRow"+v.suffix, NOSPLIT, "func(dst, x *float32, n int, coefficients *[5]float32)")
	Doc("affineRow" + v.suffix + " writes x·(high+low) − (shift+shiftLow), or 0 if that is less, of n elements, a multiple of the vector's, to dst, which may be x.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	at := Load(Param("coefficients"), GP64())
	a := v.affine()
	for i, r := range []VecVirtual{a.high, a.low, a.floor, a.shift, a.shiftLow} {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r)
	}
	v.over(n, []Register{dst, x}, func() { a.apply(Mem{Base: dst}, Mem{Base: x}) })
	VZEROUPPER()
	RET()
}
