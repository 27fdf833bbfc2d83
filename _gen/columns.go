package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Short rows are worked across: as many rows as a vector has lanes, a group, lie in memory as columns, one vector a class, and
// group behind group. The offsets of a group's fields are those of the first.
var (
	columnsRest     = layout.offset("columns", "rest")
	columnsGroup    = layout.size("group") // from one group's fields to the next
	columnsGroups   = layout.offset("columns", "groups")
	columnsShift    = columnsGroups + layout.offset("group", "shift")
	columnsShiftLow = columnsGroups + layout.offset("group", "shiftLow")
	columnsRef      = columnsGroups + layout.offset("group", "ref")
	columnsOthers   = columnsGroups + layout.offset("group", "others")
	columnsOwn      = columnsGroups + layout.offset("group", "own")
	columnsLogs     = columnsGroups + layout.offset("group", "logs")
	columnsGood     = columnsGroups + layout.offset("group", "good")
	columnsMoment   = layout.offset("columns", "moment")
	columnsSquares  = layout.offset("columns", "squares")
	columnsTop      = layout.offset("columns", "top")
	columnsOther    = layout.offset("columns", "other")
	columnsLeast    = layout.offset("columns", "least")
	columnsArgmax   = layout.offset("columns", "argmax")
	columnsRank     = layout.offset("columns", "rank")
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

// integerOne is the place of a first element, and the step from one to the next.
func integerOne() Mem { return repeated("integerOne", 1) }

func newColumnConstants(rows rowConstants) (k columnConstants) {
	k.rows = rows
	k.one, k.eighth, k.eight = repeatedFloats("one", 1), repeatedFloats("eighth", 0.125), repeatedFloats("eight", 8)
	k.middle = repeatedFloats("middle", 0x1.8p23)
	k.sign = repeated("sign", 1<<31)
	k.limit = repeatedFloats("exponentLimit", 8<<14)
	k.least = repeatedFloats("leastOwn", float32(math.Ldexp(1, bias-184)))
	k.none = repeated("noLabels", 1<<32-1)
	k.integerOne = integerOne()
	k.oneD, k.infD = repeatedWide("oneD", F64(1)), repeatedWide("infD", U64(0x7FF<<52))
	k.half = repeatedWide("halfExponent", U64(1<<51))
	k.exponent, k.e = repeatedWide("integerBits", U64(0x433<<52)), repeatedWide("integerD", F64(1<<52))
	k.ln2 = repeatedWide("ln2", F64(0.693147180559945309417232121458176568))
	for i := range 7 {
		k.log = append(k.log, repeatedWide(fmt.Sprintf("log_c%d", i), F64(2/float64(2*i+3))))
	}
	return k
}

// orNone lets labels that are nil be −1, the class of no column, and returns by how many bytes they move on from group to group.
func (k columnConstants) orNone(v vector, labels Register) Register {
	none, step, zero := GP64(), GP64(), GP64()
	LEAQ(k.none, none)
	MOVQ(U32(v.bytes()), step)
	XORQ(zero, zero)
	TESTQ(labels, labels)
	CMOVQEQ(none, labels)
	CMOVQEQ(zero, step)
	return step
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

// transposeRows copies groups of rows to columns or back, a square block at a time. What it writes beyond the last column is
// whatever the rows' last block has there: the next group is written after it.
func transposeRows(v vector, back bool) {
	name, doc := "rowsToColumns"+v.suffix, "copies groups of a vector's lanes of rows of k elements at x to columns"
	if back {
		name, doc = "columnsToRows"+v.suffix, "copies columns to groups of a vector's lanes of rows of k elements at x"
	}
	last := "last uint32"
	if v.lanes == 8 {
		last = "last *int32"
	}
	TEXT(name, NOSPLIT, "func(columns, x *float32, k, groups int, "+last+")")
	Doc(name + " " + doc + "; last is the mask of the last block's elements.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	x := Load(Param("x"), GP64())
	k := Load(Param("k"), GP64())
	groups := Load(Param("groups"), GP64())
	stride, left, from, to, at := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(k, stride)
	SHLQ(Imm(2), stride)
	m := rowMask{v: v, mask: YMM()}
	if v.lanes == 16 {
		m.mask = K()
	}
	Label("group")
	MOVQ(k, left)
	MOVQ(x, from)
	MOVQ(c, to)
	if mask := m.mask; v.lanes == 16 {
		KXNORW(mask, mask, mask)
	} else {
		VPCMPEQD(mask, mask, mask)
	}
	Label("block")
	CMPQ(left, Imm(uint64(v.lanes)))
	JGE(LabelRef("whole"))
	TESTQ(left, left)
	JLE(LabelRef("done"))
	if v.lanes == 16 {
		KMOVW(Load(Param("last"), GP32()), m.mask)
	} else {
		VMOVDQU(Mem{Base: Load(Param("last"), GP64())}, m.mask)
	}
	Label("whole")
	MOVQ(from, at)
	rows := v.registers(v.lanes)
	for i := range rows {
		if back {
			VMOVUPS(Mem{Base: to, Disp: i * v.bytes()}, rows[i])
			continue
		}
		m.load(Mem{Base: at}, rows[i])
		if i < v.lanes-1 {
			ADDQ(stride, at)
		}
	}
	for i, column := range transpose(rows) {
		if !back {
			VMOVUPS(column, Mem{Base: to, Disp: i * v.bytes()})
			continue
		}
		m.store(column, Mem{Base: at})
		if i < v.lanes-1 {
			ADDQ(stride, at)
		}
	}
	ADDQ(U32(v.lanes*v.bytes()), to)
	ADDQ(U32(v.bytes()), from)
	SUBQ(Imm(uint64(v.lanes)), left)
	JMP(LabelRef("block"))
	Label("done")
	v.nextGroup(c, k)
	for range v.lanes {
		ADDQ(stride, x)
	}
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// nextGroup moves a pointer into columns on by those of a group.
func (v vector) nextGroup(at, k Register) {
	step := GP64()
	MOVQ(k, step)
	SHLQ(Imm(uint64(map[int]int{8: 5, 16: 6}[v.lanes])), step)
	ADDQ(step, at)
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
// is a difference of numbers near 1. One step of a row waits for the one before it: so many groups are worked on at once as
// registers allow.
func columnsSum(v vector, k columnConstants, keep bool, atOnce int) {
	name, doc := "columnsSum", ""
	if keep {
		name, doc = "columnsPowers", " The logits' place and rest are left with the powers, power·(1 + rest)."
	}
	if atOnce > 1 {
		name += "Pairs"
	}
	name += v.suffix
	TEXT(name, NOSPLIT, "func(columns *float32, k, first, groups int, e *[4]float32, labels *int32)")
	Doc(fmt.Sprintf("%s sums up the powers of the logits of groups, a multiple of %d, from first on: others is the sum but for the label's class, own that class's power, both in units of 2^(ref/8 − bias); where labels, those of the group first, is nil own is 1.%s good has a bit for each row of which the sums are good and, from bit 16 on, one for each negative label.", name, atOnce, doc))
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	first := Load(Param("first"), GP64())
	groups := Load(Param("groups"), GP64())
	labelsAt := Load(Param("labels"), GP64())
	z, at, count, next := GP64(), GP64(), GP64(), GP64()
	MOVQ(n, next)
	SHLQ(Imm(uint64(map[int]int{8: 5, 16: 6}[v.lanes])), next) // from one group's columns to the next's
	MOVQ(next, z)
	IMULQ(first, z)
	ADDQ(c, z)
	IMUL3Q(U32(columnsGroup), first, first)
	ADDQ(first, c)

	labelled := k.orNone(v, labelsAt)
	Label("group")
	streams := make([]columnsStream, atOnce)
	for i := range streams {
		streams[i] = columnsStream{labels: v.reg(), own: v.reg(), m: v.reg(), index: i, next: next}
	}
	index, one := v.reg(), v.reg()
	for i := range streams {
		s := &streams[i]
		from := Mem{Base: labelsAt}
		if i > 0 {
			from.Index, from.Scale = labelled, 1
		}
		VMOVUPS(from, s.labels)
		VMOVUPS(s.column(z, 0), s.m)
		VMOVAPS(s.m, s.own) // of a label that is none of the classes
	}
	v.zero(index)
	VMOVUPS(k.integerOne, one)
	MOVQ(z, at)
	MOVQ(n, count)
	Label("greatest")
	for i := range streams {
		s := &streams[i]
		x := v.reg()
		VMOVUPS(s.column(at, 0), x)
		VMAXPS(x, s.m, s.m)
		v.blend(v.equal(s.labels, index), x, s.own)
	}
	VPADDD(one, index, index)
	ADDQ(U32(v.bytes()), at)
	DECQ(count)
	JNZ(LabelRef("greatest"))

	// What the greatest exponent is decides what all are measured from.
	e := loadExponent(v, k.rows, Load(Param("e"), GP64()))
	for i := range streams {
		s := &streams[i]
		VMOVUPS(s.own, s.field(c, columnsShift))
		ref := s.m
		s.bad = v.reg()
		VMULPS(e.high, s.m, ref)
		absolute(v, ref, s.bad, k)
		if v.lanes == 16 {
			s.badLanes = K()
			VCMPPS(Imm(6), k.limit, s.bad, s.badLanes) // not ≤, true for NaN
		} else {
			VCMPPS(Imm(6), k.limit, s.bad, s.bad)
		}
		VMULPS(k.eighth, ref, ref)
		if v.lanes == 16 {
			VRNDSCALEPS(Imm(1), ref, ref)
		} else {
			VROUNDPS(Imm(1), ref, ref)
		}
		VMULPS(k.eight, ref, ref)
		VMOVUPS(ref, s.field(c, columnsRef))
		s.e = *e
		if i < atOnce-1 {
			s.e.floor, s.e.magic = v.reg(), v.reg()
			VMOVAPS(e.floor, s.e.floor)
		}
		VFMADD213PS(e.magic, ref, s.e.floor)
		VMOVUPS(k.middle, s.e.magic)
		VSUBPS(ref, s.e.magic, s.e.magic)
	}

	v.zero(index)
	for i := range streams {
		s := &streams[i]
		s.accumulator = newAccumulator(v, k.rows)
		s.power, s.rest = v.reg(), v.reg()
	}
	add := func(column int) {
		for i := range streams {
			s := &streams[i]
			src := s.column(at, column*v.bytes())
			s.e.power(src, s.z, s.t, s.power, s.rest)
			if keep {
				VMOVUPS(s.power, src)
				VMOVUPS(s.rest, s.column(at, columnsRest+column*v.bytes()))
			}
			if v.lanes == 16 {
				other := K()
				VPCMPD(Imm(4), s.labels, index, other) // not equal
				VMOVAPS_Z(s.power, other, s.power)
			} else {
				VPANDN(s.power, v.equal(s.labels, index).(VecVirtual), s.power)
			}
			s.add(s.power, s.rest, column == 0)
		}
		VPADDD(k.integerOne, index, index)
	}
	flush := func() {
		for i := range streams {
			streams[i].flush()
		}
	}
	MOVQ(z, at)
	MOVQ(n, count)
	v.each(count, 1, []Register{at}, 4, func() {
		for i := range 4 {
			add(i)
		}
		flush()
	}, func() {
		add(0)
		flush()
	})
	good, half := make([]GPVirtual, atOnce), GP32()
	for i := range streams {
		s := &streams[i]
		if v.lanes == 16 {
			VPTERNLOGD(Imm(0xFF), s.powers, s.powers, s.badLanes, s.powers) // NaN
		} else {
			VORPS(s.bad, s.powers, s.powers)
		}
		s.finish()
		good[i] = GP32()
		for j, sum := range s.sums {
			VMOVUPD(sum, s.field(c, columnsOthers+j*v.bytes()))
			if v.lanes == 16 {
				finite := K()
				VCMPPD(Imm(17), k.infD, sum, finite) // less
				KMOVW(finite, half)
			} else {
				VCMPPD(Imm(17), k.infD, sum, sum)
				VMOVMSKPD(sum, half)
			}
			if j == 0 {
				MOVL(half, good[i])
			} else {
				SHLL(Imm(uint64(v.lanes/2)), half)
				ORL(half, good[i])
			}
		}
		if v.lanes == 16 {
			negative := K()
			VPMOVD2M(s.labels, negative)
			KMOVW(negative, half)
		} else {
			VMOVMSKPS(s.labels, half)
		}
		SHLL(Imm(16), half)
		ORL(half, good[i])
	}
	TESTQ(labelled, labelled)
	JNZ(LabelRef("own"))
	for i := range streams {
		s := &streams[i]
		VMOVUPD(k.oneD, s.z)
		for j := range 2 {
			VMOVUPD(s.z, s.field(c, columnsOwn+j*v.bytes()))
		}
	}
	JMP(LabelRef("next"))

	Label("own")
	for i := range streams {
		s := &streams[i]
		s.e.power(s.field(c, columnsShift), s.z, s.t, s.power, s.rest)
		VMULPS(s.power, s.rest, s.rest)
		v.widen(s.power, s.sums[0], s.sums[1])
		v.widen(s.rest, s.z, s.t)
		VADDPD(s.z, s.sums[0], s.sums[0])
		VADDPD(s.t, s.sums[1], s.sums[1])
		for j, own := range s.sums {
			VMOVUPD(own, s.field(c, columnsOwn+j*v.bytes()))
		}
		if v.lanes == 16 {
			enough := K()
			VCMPPS(Imm(29), k.least, s.power, enough) // not less
			KMOVW(enough, half)
		} else {
			VCMPPS(Imm(29), k.least, s.power, s.power)
			VMOVMSKPS(s.power, half)
		}
		ORL(U32(0xFFFF0000), half)
		ANDL(half, good[i])
	}
	Label("next")
	for i := range streams {
		MOVL(good[i], streams[i].field(c, columnsGood))
		ADDQ(next, z)
		ADDQ(labelled, labelsAt)
	}
	ADDQ(U32(atOnce*columnsGroup), c)
	SUBQ(Imm(uint64(atOnce)), groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// columnsStream is one of the groups that columnsSum works on at once.
type columnsStream struct {
	*accumulator
	e                   exponent
	labels, own, m, bad VecVirtual
	power, rest         VecVirtual
	badLanes            OpmaskVirtual
	index               int
	next                Register
}

// column is what lies so many bytes behind a place in the first group's columns, in this group's.
func (s *columnsStream) column(at Register, disp int) Mem {
	if s.index == 0 {
		return Mem{Base: at, Disp: disp}
	}
	return Mem{Base: at, Index: s.next, Scale: 1, Disp: disp}
}

func (s *columnsStream) field(c Register, offset int) Mem {
	return Mem{Base: c, Disp: offset + s.index*columnsGroup}
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
	TEXT("columnsLog"+v.suffix, NOSPLIT, "func(columns, rounded *float32, groups int)")
	Doc("columnsLog" + v.suffix + " writes log(1 + others/own) of each row of groups to logs and, in float32, to rounded.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	to := Load(Param("rounded"), GP64())
	groups := Load(Param("groups"), GP64())
	Label("group")
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
	VMOVUPS(p, Mem{Base: to})
	ADDQ(U32(columnsGroup), c)
	ADDQ(U32(v.bytes()), to)
	DECQ(groups)
	JNZ(LabelRef("group"))
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
	TEXT("columnsScale"+v.suffix, NOSPLIT, "func(columns *float32, k, groups int, scale float64, labels *int32)")
	Doc("columnsScale" + v.suffix + " turns what columnsPowers left of groups into power·scale/(others + own), and that of the label's class into −others·scale/(others + own).")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	groups := Load(Param("groups"), GP64())
	labelsAt := Load(Param("labels"), GP64())
	z, count := GP64(), GP64()
	MOVQ(c, z)
	labelled := k.orNone(v, labelsAt)
	Label("group")
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
	VMOVUPS(Mem{Base: labelsAt}, labels)
	v.zero(index)
	MOVQ(n, count)
	Label("column")
	VMOVUPS(Mem{Base: z}, power)
	VMOVUPS(Mem{Base: z, Disp: columnsRest}, rest)
	timesFactor(power, rest, factor, factorLow)
	v.blend(v.equal(labels, index), own, rest)
	VPADDD(k.integerOne, index, index)
	VMOVUPS(rest, Mem{Base: z})
	ADDQ(U32(v.bytes()), z)
	DECQ(count)
	JNZ(LabelRef("column"))
	ADDQ(labelled, labelsAt)
	ADDQ(U32(columnsGroup), c)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// columnsAffine is affineRow with a shift for each row.
func columnsAffine(v vector) {
	TEXT("columnsAffine"+v.suffix, NOSPLIT, "func(columns *float32, k, groups int, coefficients *[3]float32)")
	Doc("columnsAffine" + v.suffix + " turns logits of groups into x·(high+low) − (shift+shiftLow), or 0 if that is less.")
	Pragma("noescape")
	c := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	at := Load(Param("coefficients"), GP64())
	a := v.affine()
	for i, r := range []VecVirtual{a.high, a.low, a.floor} {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r)
	}
	groups := Load(Param("groups"), GP64())
	z, count := GP64(), GP64()
	MOVQ(c, z)
	Label("group")
	VMOVUPS(Mem{Base: c, Disp: columnsShift}, a.shift)
	VMOVUPS(Mem{Base: c, Disp: columnsShiftLow}, a.shiftLow)
	MOVQ(n, count)
	Label("column")
	a.apply(Mem{Base: z}, Mem{Base: z})
	ADDQ(U32(v.bytes()), z)
	DECQ(count)
	JNZ(LabelRef("column"))
	ADDQ(U32(columnsGroup), c)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
