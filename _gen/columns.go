package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Short rows are worked across: as many rows as a vector has lanes lie in memory as columns, one vector a class. The
// offsets are those of the fields of columns in columns32_amd64.go.
const (
	columnsRest = 16384 + 16384*iota
	columnsShift
	columnsShiftLow = columnsShift + 64
	columnsRef      = columnsShiftLow + 64
	columnsOthers   = columnsRef + 64
	columnsOwn      = columnsOthers + 128
	columnsLogs     = columnsOwn + 128
	columnsMoment   = columnsLogs + 128
	columnsSquares  = columnsMoment + 128
	columnsTop      = columnsSquares + 128
	columnsOther    = columnsTop + 128
	columnsLeast    = columnsOther + 64
	columnsArgmax   = columnsLeast + 64
	columnsRank     = columnsArgmax + 64
)

type columnConstants struct {
	rows                           rowConstants
	one, eighth, eight, middle     Mem // of float32
	sign, limit, least, integerOne Mem
	none                           Mem // labels of −1
	oneD, infD, half, exponent, e  Mem // of float64
	ln2                            Mem
	log                            []Mem
}

// repeatedWide is repeated for 64-bit numbers.
func repeatedWide(name string, v Constant) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(8*i, v)
	}
	return m
}

func newColumnConstants(rows rowConstants) (k columnConstants) {
	k.rows = rows
	k.one, k.eighth, k.eight = repeatedFloats("one", 1), repeatedFloats("eighth", 0.125), repeatedFloats("eight", 8)
	k.middle = repeatedFloats("middle", 0x1.8p23)
	k.sign = repeated("sign", 1<<31)
	k.limit = repeatedFloats("exponentLimit", 8<<14)
	k.least = repeatedFloats("leastOwn", 0x1p-184*(1<<bias))
	k.none = repeated("noLabels", 1<<32-1)
	k.integerOne = repeated("integerOne", 1)
	k.oneD, k.infD = repeatedWide("oneD", F64(1)), repeatedWide("infD", U64(0x7FF<<52))
	k.half = repeatedWide("halfExponent", U64(1<<51))
	k.exponent, k.e = repeatedWide("integerBits", U64(0x433<<52)), repeatedWide("integerD", F64(1<<52))
	k.ln2 = repeatedWide("ln2", F64(0.693147180559945309417232121458176568))
	for i := range 7 {
		k.log = append(k.log, repeatedWide(fmt.Sprintf("log_c%d", i), F64(2/float64(2*i+3))))
	}
	return k
}

// rowMask reads the lanes of a row's last block of columns; all of them before that.
type rowMask struct {
	v    vector
	mask Op
}

func (m rowMask) load(from Mem, to VecVirtual) {
	if m.v.lanes == 16 {
		VMOVUPS_Z(from, m.mask, to)
	} else {
		VMASKMOVPS(from, m.mask, to)
	}
}

func (m rowMask) store(from VecVirtual, to Mem) {
	if m.v.lanes == 16 {
		VMOVUPS(from, m.mask, to)
	} else {
		VMASKMOVPS(from, m.mask, to)
	}
}

// transposeRows copies rows to columns or back, a square block at a time. What it writes beyond the last column is
// whatever the rows' last block has there.
func transposeRows(v vector, back bool) {
	name, doc := "rowsToColumns"+v.suffix, "copies a vector's lanes of rows of k elements at x to columns"
	if back {
		name, doc = "columnsToRows"+v.suffix, "copies columns to a vector's lanes of rows of k elements at x"
	}
	last := "last uint32"
	if v.lanes == 8 {
		last = "last *int32"
	}
	TEXT(name, NOSPLIT, "func(columns, x *float32, k int, "+last+")")
	Doc(name + " " + doc + "; last is the mask of the last block's elements.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	x := Load(Param("x"), GP64())
	k := Load(Param("k"), GP64())
	stride, at := GP64(), GP64()
	MOVQ(k, stride)
	SHLQ(Imm(2), stride)
	m := rowMask{v: v}
	loadMask := func() {
		if v.lanes == 16 {
			KMOVW(Load(Param("last"), GP32()), m.mask.(OpmaskVirtual))
		} else {
			VMOVDQU(Mem{Base: Load(Param("last"), GP64())}, m.mask.(VecVirtual))
		}
	}
	if v.lanes == 16 {
		r := K()
		KXNORW(r, r, r)
		m.mask = r
	} else {
		r := YMM()
		VPCMPEQD(r, r, r)
		m.mask = r
	}
	Label("block")
	CMPQ(k, Imm(uint64(v.lanes)))
	JGE(LabelRef("whole"))
	TESTQ(k, k)
	JLE(LabelRef("done"))
	loadMask()
	Label("whole")
	MOVQ(x, at)
	rows := v.registers(v.lanes)
	for i := range rows {
		if back {
			VMOVUPS(Mem{Base: c, Disp: i * v.bytes()}, rows[i])
			continue
		}
		m.load(Mem{Base: at}, rows[i])
		if i < v.lanes-1 {
			ADDQ(stride, at)
		}
	}
	for i, column := range transpose(rows) {
		if !back {
			VMOVUPS(column, Mem{Base: c, Disp: i * v.bytes()})
			continue
		}
		m.store(column, Mem{Base: at})
		if i < v.lanes-1 {
			ADDQ(stride, at)
		}
	}
	ADDQ(U32(v.lanes*v.bytes()), c)
	ADDQ(U32(v.bytes()), x)
	SUBQ(Imm(uint64(v.lanes)), k)
	JMP(LabelRef("block"))
	Label("done")
	VZEROUPPER()
	RET()
}

// equal returns a mask of the lanes of two integer vectors that are equal, for only.
func (v vector) equal(a, b VecVirtual) Op {
	if v.lanes == 16 {
		k := K()
		VPCMPEQD(a, b, k)
		return k
	}
	mask := YMM()
	VPCMPEQD(a, b, mask)
	return mask
}

// blend copies the lanes of src that mask has to dst.
func (v vector) blend(mask Op, src, dst VecVirtual) {
	if v.lanes == 16 {
		VMOVAPS(src, mask, dst)
	} else {
		VBLENDVPS(mask, src, dst, dst)
	}
}

// columnsSum adds up the powers of each row. The true class stays apart, so that neither a small loss nor a small gradient
// is a difference of numbers near 1.
func columnsSum(v vector, k columnConstants, keep bool) {
	name, doc := "columnsSum"+v.suffix, ""
	if keep {
		name, doc = "columnsPowers"+v.suffix, " The logits' place and rest are left with the powers, power·(1 + rest)."
	}
	TEXT(name, NOSPLIT, "func(columns *float32, k int, e *[4]float32, labels *int32) uint32")
	Doc(name + " sums up the powers of the columns' logits: others is the sum but for the label's class, own that class's power, both in units of 2^(ref/8 − bias); where labels is nil own is 1." + doc + " The result has a bit for each row of which the sums are good and, from bit 16 on, one for each negative label.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	at, count := GP64(), GP64()

	// Without labels their register holds −1: the class of no column.
	labels, index, ownLogit := v.reg(), v.reg(), v.reg()
	labelsAt := Load(Param("labels"), GP64())
	TESTQ(labelsAt, labelsAt)
	JNZ(LabelRef("labelled"))
	LEAQ(k.none, labelsAt)
	Label("labelled")
	VMOVUPS(Mem{Base: labelsAt}, labels)

	m := v.reg()
	VMOVUPS(Mem{Base: c}, m)
	VMOVAPS(m, ownLogit) // of a label that is none of the classes
	v.zero(index)
	MOVQ(c, at)
	MOVQ(n, count)
	Label("greatest")
	z := v.reg()
	VMOVUPS(Mem{Base: at}, z)
	VMAXPS(z, m, m)
	v.blend(v.equal(labels, index), z, ownLogit)
	VPADDD(k.integerOne, index, index)
	ADDQ(U32(v.bytes()), at)
	DECQ(count)
	JNZ(LabelRef("greatest"))

	// What the greatest exponent is decides what all are measured from.
	e := loadExponent(v, k.rows, Load(Param("e"), GP64()))
	ref, bad := v.reg(), v.reg()
	var badLanes OpmaskVirtual
	VMULPS(e.high, m, ref)
	absolute(v, ref, bad, k)
	if v.lanes == 16 {
		badLanes = K()
		VCMPPS(Imm(6), k.limit, bad, badLanes) // not ≤, true for NaN
	} else {
		VCMPPS(Imm(6), k.limit, bad, bad)
	}
	VMULPS(k.eighth, ref, ref)
	if v.lanes == 16 {
		VRNDSCALEPS(Imm(1), ref, ref)
	} else {
		VROUNDPS(Imm(1), ref, ref)
	}
	VMULPS(k.eight, ref, ref)
	VMOVUPS(ref, Mem{Base: c, Disp: columnsRef})
	slope, shift := e.floor, e.magic
	VFMADD213PS(shift, ref, slope) // floor
	VMOVUPS(k.middle, e.magic)
	VSUBPS(ref, e.magic, e.magic)

	v.zero(index)
	a := newAccumulator(v, k.rows)
	power, rest := v.reg(), v.reg()
	add := func(i int) {
		src := Mem{Base: at, Disp: i * v.bytes()}
		e.power(src, a.z, a.t, power, rest)
		if keep {
			VMOVUPS(power, src)
			VMOVUPS(rest, Mem{Base: at, Disp: columnsRest + i*v.bytes()})
		}
		if v.lanes == 16 {
			other := K()
			VPCMPD(Imm(4), labels, index, other) // not equal
			VMOVAPS_Z(power, other, power)
		} else {
			VPANDN(power, v.equal(labels, index).(VecVirtual), power)
		}
		VPADDD(k.integerOne, index, index)
		a.add(power, rest, i == 0)
	}
	MOVQ(c, at)
	v.each(n, 1, []Register{at}, 4, func() {
		for i := range 4 {
			add(i)
		}
		a.flush()
	}, func() {
		add(0)
		a.flush()
	})
	if v.lanes == 16 {
		VPTERNLOGD(Imm(0xFF), a.powers, a.powers, badLanes, a.powers) // NaN
	} else {
		VORPS(bad, a.powers, a.powers)
	}
	a.finish()
	good, half := GP32(), GP32()
	for i, sum := range a.sums {
		VMOVUPD(sum, Mem{Base: c, Disp: columnsOthers + i*v.bytes()})
		if v.lanes == 16 {
			finite := K()
			VCMPPD(Imm(17), k.infD, sum, finite) // less
			KMOVW(finite, half)
		} else {
			VCMPPD(Imm(17), k.infD, sum, sum)
			VMOVMSKPD(sum, half)
		}
		if i == 0 {
			MOVL(half, good)
		} else {
			SHLL(Imm(uint64(v.lanes/2)), half)
			ORL(half, good)
		}
	}
	if v.lanes == 16 {
		negative := K()
		VPMOVD2M(labels, negative)
		KMOVW(negative, half)
	} else {
		VMOVMSKPS(labels, half)
	}
	SHLL(Imm(16), half)
	ORL(half, good)
	labelsAt = Load(Param("labels"), GP64())
	TESTQ(labelsAt, labelsAt)
	JNZ(LabelRef("own"))
	VMOVUPD(k.oneD, a.z)
	for i := range 2 {
		VMOVUPD(a.z, Mem{Base: c, Disp: columnsOwn + i*v.bytes()})
	}
	Store(good, ReturnIndex(0))
	VZEROUPPER()
	RET()

	Label("own")
	VMOVUPS(ownLogit, Mem{Base: c, Disp: columnsShift})
	e.power(Mem{Base: c, Disp: columnsShift}, a.z, a.t, power, rest)
	VMULPS(power, rest, rest)
	v.widen(power, a.sums[0], a.sums[1])
	v.widen(rest, a.z, a.t)
	VADDPD(a.z, a.sums[0], a.sums[0])
	VADDPD(a.t, a.sums[1], a.sums[1])
	for i, own := range a.sums {
		VMOVUPD(own, Mem{Base: c, Disp: columnsOwn + i*v.bytes()})
	}
	if v.lanes == 16 {
		enough := K()
		VCMPPS(Imm(29), k.least, power, enough) // not less
		KMOVW(enough, half)
	} else {
		VCMPPS(Imm(29), k.least, power, power)
		VMOVMSKPS(power, half)
	}
	ORL(U32(0xFFFF0000), half)
	ANDL(half, good)
	Store(good, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// absolute writes |x| to dst.
func absolute(v vector, x, dst VecVirtual, k columnConstants) {
	VMOVUPS(k.sign, dst)
	if v.lanes == 16 {
		VPANDND(x, dst, dst)
	} else {
		VPANDN(x, dst, dst)
	}
}

// columnsLog is log(p/own) of p = others + own in float64, to 1e-11: k·ln 2 + log m for p = 2^k·m·own, m near 1, whose logarithm
// is 2·artanh((m−1)/(m+1)), so that one division does. The difference of the bits of p and own is near that of their logarithms:
// m lies between 2^-0.59 and 2^0.59. Where k is 0, p − own is others, before p was rounded.
func columnsLog(v vector, k columnConstants) {
	TEXT("columnsLog"+v.suffix, NOSPLIT, "func(columns, rounded *float32)")
	Doc("columnsLog" + v.suffix + " writes log(1 + others/own) of each row to logs and, in float32, to rounded.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	others, own, p, exponent, s, t, sums := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.registers(2)
	for i, sum := range sums {
		VMOVUPD(Mem{Base: c, Disp: columnsOthers + i*v.bytes()}, others)
		VMOVUPD(Mem{Base: c, Disp: columnsOwn + i*v.bytes()}, own)
		VADDPD(own, others, p)
		VPSUBQ(own, p, exponent)
		VPADDQ(k.half, exponent, exponent)
		VPSRLQ(Imm(52), exponent, exponent)
		VPSLLQ(Imm(52), exponent, t)
		VPSUBQ(t, p, p) // m·own
		VSUBPD(own, p, s)
		v.zero(t)
		if v.lanes == 16 {
			zero := K()
			VPCMPEQQ(t, exponent, zero)
			VMOVAPD(others, zero, s)
			VPORQ(k.exponent, exponent, exponent)
		} else {
			VPCMPEQQ(t, exponent, t)
			VBLENDVPD(t, others, s, s)
			VPOR(k.exponent, exponent, exponent)
		}
		VSUBPD(k.e, exponent, exponent) // the integer as a float
		VADDPD(own, p, p)
		VDIVPD(p, s, s)
		VMULPD(s, s, t)
		last := len(k.log) - 1
		VMOVUPD(k.log[last], sum)
		for j := last - 1; j >= 0; j-- {
			VFMADD213PD(k.log[j], t, sum)
		}
		VMULPD(t, sum, sum)
		VFMADD213PD(s, s, sum)
		VADDPD(s, sum, sum)
		VFMADD231PD(k.ln2, exponent, sum)
		VMOVUPD(sum, Mem{Base: c, Disp: columnsLogs + i*v.bytes()})
	}
	v.narrow(sums[0], sums[1], p)
	VMOVUPS(p, Mem{Base: Load(Param("rounded"), GP64())})
	VZEROUPPER()
	RET()
}

// narrow rounds two vectors of float64 to one of float32.
func (v vector) narrow(low, high, dst VecVirtual) {
	if v.lanes == 16 {
		a, b := YMM(), YMM()
		VCVTPD2PS(low, a)
		VCVTPD2PS(high, b)
		VINSERTF64X4(Imm(1), b, a.AsZ(), dst)
	} else {
		a, b := XMM(), XMM()
		VCVTPD2PSY(low, a)
		VCVTPD2PSY(high, b)
		VINSERTF128(Imm(1), b, a.AsY(), dst)
	}
}

// columnsScale turns powers into probabilities or gradients.
func columnsScale(v vector, k columnConstants) {
	TEXT("columnsScale"+v.suffix, NOSPLIT, "func(columns *float32, k int, scale float64, labels *int32)")
	Doc("columnsScale" + v.suffix + " turns what columnsPowers left into power·scale/(others + own), and that of the label's class into −others·scale/(others + own).")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	scale := v.reg()
	at, err := Param("scale").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSD(at.Addr, scale)
	factors, others := v.registers(2), v.registers(2)
	for i := range factors {
		VMOVUPD(Mem{Base: c, Disp: columnsOthers + i*v.bytes()}, others[i])
		VADDPD(Mem{Base: c, Disp: columnsOwn + i*v.bytes()}, others[i], factors[i])
		VDIVPD(factors[i], scale, factors[i])
		VMULPD(factors[i], others[i], others[i])
	}
	own, factor, factorLow := v.reg(), v.reg(), v.reg()
	v.narrow(others[0], others[1], own)
	if v.lanes == 16 {
		VPXORD(k.sign, own, own)
	} else {
		VXORPS(k.sign, own, own)
	}
	v.narrow(factors[0], factors[1], factor)
	v.widen(factor, others[0], others[1])
	for i := range factors {
		VSUBPD(others[i], factors[i], factors[i])
	}
	v.narrow(factors[0], factors[1], factorLow)
	labels, index, power, rest := v.reg(), v.reg(), v.reg(), v.reg()
	labelsAt := Load(Param("labels"), GP64())
	TESTQ(labelsAt, labelsAt)
	JNZ(LabelRef("labelled"))
	LEAQ(k.none, labelsAt)
	Label("labelled")
	VMOVUPS(Mem{Base: labelsAt}, labels)
	v.zero(index)
	Label("column")
	VMOVUPS(Mem{Base: c}, power)
	VMOVUPS(Mem{Base: c, Disp: columnsRest}, rest)
	timesFactor(power, rest, factor, factorLow)
	v.blend(v.equal(labels, index), own, rest)
	VPADDD(k.integerOne, index, index)
	VMOVUPS(rest, Mem{Base: c})
	ADDQ(U32(v.bytes()), c)
	DECQ(n)
	JNZ(LabelRef("column"))
	VZEROUPPER()
	RET()
}

// columnsAffine is affineRow with a shift for each row.
func columnsAffine(v vector) {
	TEXT("columnsAffine"+v.suffix, NOSPLIT, "func(columns *float32, k int, coefficients *[3]float32)")
	Doc("columnsAffine" + v.suffix + " turns logits into x·(high+low) − (shift+shiftLow), or 0 if that is less.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	at := Load(Param("coefficients"), GP64())
	a := v.affine()
	for i, r := range []VecVirtual{a.high, a.low, a.floor} {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r)
	}
	VMOVUPS(Mem{Base: c, Disp: columnsShift}, a.shift)
	VMOVUPS(Mem{Base: c, Disp: columnsShiftLow}, a.shiftLow)
	Label("column")
	a.apply(Mem{Base: c}, Mem{Base: c})
	ADDQ(U32(v.bytes()), c)
	DECQ(n)
	JNZ(LabelRef("column"))
	VZEROUPPER()
	RET()
}
