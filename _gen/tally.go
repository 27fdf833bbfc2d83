package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// addPowers adds a row's powers to sums of columns.
func addPowers(v vector, k decayConstants, grain Mem) {
	TEXT("addPowers"+v.suffix, NOSPLIT, "func(sums *float64, x *float32, n int, d *float32, factor float32)")
	Doc("addPowers" + v.suffix + " adds factor times the power by d, a decay, of each of n elements, a multiple of the vector's, to its sum, rounded to a multiple of 2^-40.")
	Pragma("noescape")
	sums := Load(Param("sums"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	p := loadDecay(v, k, Load(Param("d"), GP64()))
	factor := v.reg()
	VBROADCASTSS(paramAddress("factor"), factor)
	rounds := v.reg()
	VMOVUPD(grain, rounds)
	v.over(n, []Register{x, sums, sums}, func() {
		p.power(Mem{Base: x})
		VMULPS(factor, p.e, p.e)
		v.widen(p.e, p.d, p.n)
		for i, half := range []VecVirtual{p.d, p.n} {
			at := Mem{Base: sums, Disp: i * v.bytes()}
			VADDPD(rounds, half, half)
			VSUBPD(rounds, half, half)
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
	offset, t := v.reg(), v.reg()
	VBROADCASTSS(paramAddress("offset"), offset)
	v.places(c, first, n, func(place Register) Op {
		VADDPS(Mem{Base: thresholds, Index: place, Scale: 4}, offset, t)
		mask := v.mask()
		VCMPPS(Imm(2), Mem{Base: x, Index: place, Scale: 4}, t, mask) // t ≤ x
		return mask
	})
	Store(first, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// mask is a register for what a comparison gives.
func (v vector) mask() Op {
	if v.lanes == 16 {
		return K()
	}
	return v.reg()
}

// places writes to at, of int32, the places of n elements of which test sets the lane's bit, and leaves their number in at. test is
// run for the vector at each place.
func (v vector) places(c statConstants, at, n Register, test func(place Register) Op) {
	first, bits, place, places := GP64(), GP32(), GP64(), v.reg()
	MOVQ(at, first)
	XORQ(place, place)
	if v.lanes == 16 {
		VMOVUPS(c.lanes, places)
	}
	Label("next")
	CMPQ(place, n)
	JGE(LabelRef("done"))
	mask := test(place)
	MOVL(v.bits(mask), bits)
	TESTL(bits, bits)
	JZ(LabelRef("none"))
	if v.lanes == 16 {
		number := v.reg()
		VPBROADCASTD(place.As32(), number)
		VPADDD(places, number, number)
		VPCOMPRESSD_Z(number, mask, number)
		VMOVUPS(number, Mem{Base: at})
		POPCNTL(bits, bits)
		LEAQ(Mem{Base: at, Index: bits.As64(), Scale: 4}, at)
	} else {
		one := GP32()
		Label("bit")
		BSFL(bits, one)
		ADDL(place.As32(), one)
		MOVL(one, Mem{Base: at})
		ADDQ(Imm(4), at)
		LEAL(Mem{Base: bits.As64(), Disp: -1}, one)
		ANDL(one, bits)
		JNZ(LabelRef("bit"))
	}
	Label("none")
	ADDQ(Imm(uint64(v.lanes)), place)
	JMP(LabelRef("next"))
	Label("done")
	SUBQ(first, at)
	SHRQ(Imm(2), at)
}

// indexBins finds the bins of values.
func indexBins(v vector, c statConstants) {
	TEXT("indexBins"+v.suffix, NOSPLIT, "func(dst *uint8, near *int32, x *float32, n int, e *float32) int")
	Doc("indexBins" + v.suffix + " writes the integer part of x·scale + offset, but 0.5 at least and last at most, of n elements, a multiple of the vector's, to dst, and the places of those that are less than near from a whole number to near, up to a vector more than that, and returns their number; e points to scale, offset, last and near.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	first := Load(Param("near"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	e := Load(Param("e"), GP64())
	r := v.registers(8)
	scale, offset, last, near, half, absolute, t, whole := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	for i, to := range r[:4] {
		VBROADCASTSS(Mem{Base: e, Disp: 4 * i}, to)
	}
	VMOVUPS(repeatedFloats("bins_half"+v.suffix, 0.5), half)
	VMOVUPS(repeated("bins_absolute"+v.suffix, math.MaxInt32), absolute)
	v.places(c, first, n, func(place Register) Op {
		VMOVAPS(scale, t)
		VFMADD132PS(Mem{Base: x, Index: place, Scale: 4}, offset, t)
		VMAXPS(half, t, t)
		VMINPS(last, t, t)
		mask := v.mask()
		if v.lanes == 16 {
			VRNDSCALEPS(Imm(0), t, whole)
			VSUBPS(whole, t, whole)
			VPANDD(absolute, whole, whole)
			VCVTTPS2DQ(t, t)
			VPMOVDB(t, Mem{Base: dst, Index: place, Scale: 1})
		} else {
			VROUNDPS(Imm(0), t, whole)
			VSUBPS(whole, t, whole)
			VANDPS(absolute, whole, whole)
			VCVTTPS2DQ(t, t)
			low, high := t.AsX(), XMM()
			VEXTRACTI128(Imm(1), t, high)
			VPACKUSDW(high, low, low)
			VPACKUSWB(low, low, low)
			VMOVQ(low, Mem{Base: dst, Index: place, Scale: 1})
		}
		VCMPPS(Imm(17), near, whole, mask) // whole < near
		return mask
	})
	Store(first, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// countBins counts indices a bit at a time: 512 of them are six vectors of bits, each place is a product of these or their
// complements, and the bits of a product are counted at once.
func countBins(v vector) {
	TEXT("countBins"+v.suffix, NOSPLIT, "func(counts *uint64, indices *uint8, n int)")
	Doc("countBins" + v.suffix + " adds how many of n indices, a multiple of 512, each below 64, are 0, 1 and so on to counts [64,8], in eight parts.")
	Pragma("noescape")
	counts := Load(Param("counts"), GP64())
	indices := Load(Param("indices"), GP64())
	n := Load(Param("n"), GP64())
	const planes, vectors = 6, 8
	local := AllocLocal(planes * 64)
	Label("next")
	z, bit := ZMM(), v.registers(planes)
	for p := range bit {
		VPBROADCASTB(byteConstant(p), bit[p])
	}
	for i := range vectors {
		VMOVDQU64(Mem{Base: indices, Disp: 64 * i}, z)
		for p := range bit {
			k := K()
			VPTESTMB(bit[p], z, k)
			KMOVQ(k, local.Offset(64*p+8*i))
		}
	}
	var plane [planes]VecVirtual
	for p := range plane {
		plane[p] = bit[p]
		VMOVDQU64(local.Offset(64*p), plane[p])
	}
	// The products of the three lower planes stay in registers.
	lower := v.registers(8)
	product := func(planes []VecVirtual, place int, to VecVirtual) {
		VMOVDQA64(planes[0], to)
		VPTERNLOGQ(U8(1<<(place&1<<2|place&2|place>>2)), planes[2], planes[1], to)
	}
	for i, to := range lower {
		product(plane[:3], i, to)
	}
	upper, leaf := v.reg(), v.reg()
	for i := range 8 {
		product(plane[3:], i, upper)
		for j, low := range lower {
			VPANDQ(low, upper, leaf)
			VPOPCNTQ(leaf, leaf)
			at := Mem{Base: counts, Disp: 64 * (8*i + j)}
			VPADDQ(at, leaf, leaf)
			VMOVDQU64(leaf, at)
		}
	}
	ADDQ(U32(64*vectors), indices)
	SUBQ(U32(64*vectors), n)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

func byteConstant(bit int) Mem {
	m := GLOBL(fmt.Sprintf("bins_bit%d", bit), RODATA|NOPTR)
	DATA(0, U8(1<<bit))
	return m
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
