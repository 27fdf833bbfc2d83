package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// addPowers adds a row's powers to sums of columns.
func addPowers(v vector, k decayConstants) {
	TEXT("addPowers"+v.suffix, NOSPLIT, "func(sums *float64, x *float32, n int, d *float32, factor float32)")
	Doc("addPowers" + v.suffix + " adds factor times the power by d, a decay, of each of n elements, a multiple of the vector's, to its sum.")
	Pragma("noescape")
	sums := Load(Param("sums"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	p := loadDecay(v, k, Load(Param("d"), GP64()))
	factor := v.reg()
	VBROADCASTSS(paramAddress("factor"), factor)
	v.over(n, []Register{x, sums, sums}, func() {
		p.power(Mem{Base: x})
		VMULPS(factor, p.e, p.e)
		v.widen(p.e, p.d, p.n)
		for i, half := range []VecVirtual{p.d, p.n} {
			at := Mem{Base: sums, Disp: i * v.bytes()}
			VADDPD(at, half, half)
			VMOVUPD(half, at)
		}
	})
	VZEROUPPER()
	RET()
}

// aboveEach looks for what is not below its threshold.
func aboveEach(v vector, c statConstants) {
	TEXT("aboveEach"+v.suffix, NOSPLIT, "func(at *int32, x, thresholds *float32, n int, offset float32) int")
	Doc("aboveEach" + v.suffix + " writes the places of those of n elements, a multiple of the vector's, that are their thresholds plus offset or more to at, up to a vector more than that, and returns their number.")
	Pragma("noescape")
	first := Load(Param("at"), GP64())
	x := Load(Param("x"), GP64())
	thresholds := Load(Param("thresholds"), GP64())
	n := Load(Param("n"), GP64())
	offset, t, places := v.reg(), v.reg(), v.reg()
	VBROADCASTSS(paramAddress("offset"), offset)
	at, bits := GP64(), GP32()
	MOVQ(first, at)
	place := GP64()
	XORQ(place, place)
	if v.lanes == 16 {
		VMOVUPS(c.lanes, places)
	}
	Label("next")
	CMPQ(place, n)
	JGE(LabelRef("done"))
	VADDPS(Mem{Base: thresholds, Index: place, Scale: 4}, offset, t)
	if v.lanes == 16 {
		k := K()
		VCMPPS(Imm(2), Mem{Base: x, Index: place, Scale: 4}, t, k) // t ≤ x
		KMOVW(k, bits)
		TESTL(bits, bits)
		JZ(LabelRef("none"))
		number := v.reg()
		VPBROADCASTD(place.As32(), number)
		VPADDD(places, number, number)
		VPCOMPRESSD_Z(number, k, number)
		VMOVUPS(number, Mem{Base: at})
		POPCNTL(bits, bits)
		LEAQ(Mem{Base: at, Index: bits.As64(), Scale: 4}, at)
	} else {
		VCMPPS(Imm(2), Mem{Base: x, Index: place, Scale: 4}, t, t)
		VMOVMSKPS(t, bits)
		one := GP32()
		Label("bit")
		TESTL(bits, bits)
		JZ(LabelRef("none"))
		BSFL(bits, one)
		ADDL(place.As32(), one)
		MOVL(one, Mem{Base: at})
		ADDQ(Imm(4), at)
		LEAL(Mem{Base: bits.As64(), Disp: -1}, one)
		ANDL(one, bits)
		JMP(LabelRef("bit"))
	}
	Label("none")
	ADDQ(Imm(uint64(v.lanes)), place)
	JMP(LabelRef("next"))
	Label("done")
	SUBQ(first, at)
	SHRQ(Imm(2), at)
	Store(at, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// repeatedDoubles returns a number over and over until it fills a vector, in read-only memory.
func repeatedDoubles(name string, value float64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(8*i, U64(math.Float64bits(value)))
	}
	return m
}

// exactConstants are those of exactSum.
type exactConstants struct {
	c                   []Mem // of 2^x, times unit: Taylor's, whose rest for |x| ≤ 1/2 is 2·10^-16
	magic, floor, whole Mem   // 1.5·2^52; the exponent below which a term is 0; 2^52, which is also the unit's inverse
}

func newExactConstants() (k exactConstants) {
	c := 0x1p52
	for i := range 13 {
		k.c = append(k.c, repeatedDoubles(fmt.Sprintf("exact_c%d", i), c))
		c *= math.Ln2 / float64(i+1)
	}
	k.magic, k.floor, k.whole = repeatedDoubles("exact_magic", 0x1.8p52), repeatedDoubles("exact_floor", -100), repeatedDoubles("exact_whole", 0x1p52)
	return k
}

// exactSum adds powers of float64 as integers.
func exactSum(v vector, k exactConstants) {
	TEXT("exactSum"+v.suffix, NOSPLIT, "func(x *float32, n int, e *[2]float64) uint64")
	Doc("exactSum" + v.suffix + " returns the sum of 2^((x − e[0])·e[1])·2^52, each rounded to an integer, over n elements, a multiple of 8 and at most 1024, of which none is above e[0].")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := Load(Param("e"), GP64())
	r := v.registers(8)
	largest, scale, magic, whole, sum, y, t, power := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	VBROADCASTSD(Mem{Base: e}, largest)
	VBROADCASTSD(Mem{Base: e, Disp: 8}, scale)
	VMOVUPD(k.magic, magic)
	VMOVUPD(k.whole, whole)
	v.zero(sum)
	count := GP64()
	MOVQ(n, count)
	Label("next")
	VCVTPS2PD(Mem{Base: x}, y)
	VSUBPD(largest, y, y)
	VMULPD(scale, y, y)
	VMAXPD(k.floor, y, y)
	VADDPD(magic, y, t) // the integer is in the lowest bits
	VSUBPD(magic, t, power)
	VSUBPD(power, y, y)
	VMOVUPD(k.c[12], power)
	for i := 11; i >= 0; i-- {
		VFMADD213PD(k.c[i], y, power)
	}
	VPSLLQ(Imm(52), t, t)
	VPADDQ(t, power, power)
	VADDPD(whole, power, power) // rounded to an integer, which is in the lowest bits: those of 2^52 come off at the end
	VPADDQ(power, sum, sum)
	ADDQ(Imm(uint64(v.bytes()/2)), x)
	SUBQ(Imm(uint64(v.lanes/2)), n)
	JNZ(LabelRef("next"))
	v.halve(sum, func(a, b VecVirtual) { VPADDQ(a, b, b) })
	low, high := sum.AsX(), XMM()
	VPSRLDQ(Imm(8), low, high)
	VPADDQ(high, low, low)
	total, bits := GP64(), GP64()
	VMOVQ(low, total)
	MOVQ(U64(math.Float64bits(0x1p52)), bits)
	IMULQ(count, bits)
	SUBQ(bits, total)
	Store(total, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
