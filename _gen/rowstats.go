package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The offsets of the fields of rowPass in stats32_amd64.go.
const (
	passBefore  = 16
	passOwn     = passBefore + 4
	passSums    = passOwn + 4
	passLargest = passSums + 3*8
	passLeast   = passLargest + 4
	passAbove   = passLeast + 4
)

// rowStats reads a part of a row once: sums of powers and what needs comparisons, side by side, so that neither waits for the
// other's results.
func rowStats(v vector, c statConstants) {
	TEXT("rowStats"+v.suffix, NOSPLIT, "func(x *float32, n, label int, pass *float32)")
	Doc("rowStats" + v.suffix + " reads n elements but for the one at the place of label, which may be none of theirs, and fills in the results of a rowPass: the sums of q = 2^(t/8 + bias), of q·t and of q², t = x·(high+low) − ref, ref being at least 16 above the greatest of the x·(high+low); the largest and the least finite x, NaN passed over; and how many are above before, up to the place of label, or above own after it.")
	Pragma("noescape")
	local := AllocLocal(6 * v.bytes())
	x := Load(Param("x"), GP64())
	left := Load(Param("n"), GP64())
	label := Load(Param("label"), GP64())
	pass := Load(Param("pass"), GP64())
	at := func(offset int) Mem { return Mem{Base: pass, Disp: offset} }
	e := loadExponent(v, c.rows, pass)
	m := newMoments(e, c, [3]Mem{local, local.Offset(2 * v.bytes()), local.Offset(4 * v.bytes())})
	largest, least, above, threshold := v.reg(), v.reg(), v.reg(), v.reg()
	VMOVUPS(c.lowest, largest)
	VMOVUPS(c.highest, least)
	v.zero(above)
	m.hold()
	m.clear()
	n := GP64()
	// look does what there is to do with the logits in z.
	look := func() {
		VMAXPS(largest, m.z, largest)
		if v.lanes == 16 {
			k := K()
			VCMPPS(Imm(30), c.lowest, m.z, k) // z > −Inf
			VMINPS(least, m.z, k, least)
			VCMPPS(Imm(17), m.z, threshold, k) // threshold < z
			VPADDD(c.one, above, k, above)
		} else {
			VCMPPS(Imm(26), c.lowest, m.z, m.n) // not z > −Inf
			VBLENDVPS(m.n, c.highest, m.z, m.n)
			VMINPS(least, m.n, least)
			VCMPPS(Imm(17), m.z, threshold, m.n)
			VPSUBD(m.n, above, above)
		}
		m.powerOfZ()
		m.add(false)
	}
	more := func(i int) {
		VMOVUPS(Mem{Base: x, Disp: i * v.bytes()}, m.z)
		look()
	}

	// Whole vectors up to the one with the label, or to the end.
	Label("segment")
	MOVQ(left, n)
	ANDQ(I32(-v.lanes), n)
	CMPQ(label, n)
	JCC(LabelRef("whole")) // no less, as numbers without a sign
	MOVQ(label, n)
	ANDQ(I32(-v.lanes), n)
	Label("whole")
	SUBQ(n, left)
	VBROADCASTSS(at(passBefore), threshold)
	TESTQ(label, label)
	JNS(LabelRef("before"))
	VBROADCASTSS(at(passOwn), threshold)
	Label("before")
	SUBQ(n, label)
	const together = 8
	Label("many")
	SUBQ(Imm(uint64(together*v.lanes)), n)
	JLT(LabelRef("few"))
	for i := range together {
		more(i)
	}
	m.flush()
	m.clear()
	ADDQ(U32(together*v.bytes()), x)
	JMP(LabelRef("many"))
	Label("few")
	ADDQ(Imm(uint64(together*v.lanes)), n)
	JZ(LabelRef("odd"))
	Label("one")
	more(0)
	ADDQ(Imm(uint64(v.bytes())), x)
	SUBQ(Imm(uint64(v.lanes)), n)
	JNZ(LabelRef("one"))

	// A vector that has the label, or is not whole.
	Label("odd")
	CMPQ(left, Imm(0))
	JLE(LabelRef("end"))
	if v.lanes == 16 {
		lane, number := v.reg(), v.reg()
		valid, other := K(), K()
		VMOVUPS(c.lanes, lane)
		VPBROADCASTD(left.(GPVirtual).As32(), number)
		VPCMPD(Imm(1), number, lane, valid) // lane < left
		VPBROADCASTD(label.(GPVirtual).As32(), number)
		VPCMPD(Imm(4), number, lane, other)
		KANDW(other, valid, valid)
		VMOVUPS(c.lowest, m.z)
		VMOVUPS(Mem{Base: x}, valid, m.z)
		VPCMPD(Imm(1), number, lane, other) // before the label
		VBROADCASTSS(at(passOwn), threshold)
		VBROADCASTSS(at(passBefore), other, threshold)
	} else {
		VMOVD(left.(GPVirtual).As32(), m.z.AsX())
		VPBROADCASTD(m.z.AsX(), m.z)
		VPCMPGTD(c.lanes, m.z, m.n) // left > lane
		VMOVD(label.(GPVirtual).As32(), m.z.AsX())
		VPBROADCASTD(m.z.AsX(), m.z)
		VPCMPEQD(c.lanes, m.z, m.q)
		VPANDN(m.n, m.q, m.n)
		VPCMPGTD(c.lanes, m.z, m.q) // label > lane
		VMASKMOVPS(Mem{Base: x}, m.n, m.t)
		VMOVUPS(c.lowest, m.z)
		VBLENDVPS(m.n, m.t, m.z, m.z)
		VBROADCASTSS(at(passOwn), threshold)
		VBROADCASTSS(at(passBefore), m.t)
		VBLENDVPS(m.q, m.t, threshold, threshold)
	}
	look()
	ADDQ(U32(v.bytes()), x)
	SUBQ(Imm(uint64(v.lanes)), label)
	SUBQ(Imm(uint64(v.lanes)), left)
	JG(LabelRef("segment"))
	Label("end")
	m.flush()
	for i := range m.wide {
		VMOVSD(m.total(i), at(passSums+8*i))
	}
	v.reduced(largest, at(passLargest), func(a, b VecVirtual) { VMAXPS(a, b, b) })
	v.reduced(least, at(passLeast), func(a, b VecVirtual) { VMINPS(a, b, b) })
	v.reduced(above, at(passAbove), func(a, b VecVirtual) { VPADDD(a, b, b) })
	VZEROUPPER()
	RET()
}
