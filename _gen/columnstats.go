package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// less returns a mask of the lanes in which a is less than b, for only.
func (v vector) less(a, b VecVirtual) Op {
	if v.lanes == 16 {
		k := K()
		VCMPPS(Imm(17), b, a, k)
		return k
	}
	mask := YMM()
	VCMPPS(Imm(17), b, a, mask)
	return mask
}

// bits copies a mask to a general register.
func (v vector) bits(mask Op) Register {
	r := GP32()
	if v.lanes == 16 {
		KMOVW(mask, r)
	} else {
		VMOVMSKPS(mask, r)
	}
	return r
}

// columnsStats makes a routine that finds the statistics of each row of a group that follow from comparisons, and its sums of powers.
func columnsStats(v vector, k columnConstants, c statConstants) {
	TEXT("columnsStats"+v.suffix, NOSPLIT, "func(columns *float32, k int, e *[4]float32, labels *int32) uint32")
	Doc("columnsStats" + v.suffix + " finds, of rows whose labels' logits are in shift and the next ones below those in shiftLow, +Inf both where there is no label: others and own as columnsSum does, and moment, squares, top, other, least, argmax and rank. The result has a bit for each row of which the sums are good.")
	Pragma("noescape")
	at := Load(Param("columns"), GP64())
	base, count := GP64(), GP64()
	n := Load(Param("k"), GP64())
	field := func(offset int) Mem { return Mem{Base: base, Disp: offset} }

	labels, index := v.reg(), v.reg()
	VMOVUPS(Mem{Base: Load(Param("labels"), GP64())}, labels)
	MOVQ(at, base)
	MOVQ(n, count)

	// A rank counts, in the columns up to the label's, the logits above shiftLow, which are those not below the label's logit, itself among them;
	// in the columns behind it, the logits above shift, the label's logit.
	largest, other, least, argmax, rank := v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	threshold, lowest, z, t := v.reg(), v.reg(), v.reg(), v.reg()
	VMOVUPS(c.lowest, lowest)
	VMOVUPS(lowest, other)
	VMOVUPS(lowest, largest)
	VMOVUPS(c.highest, least)
	VMOVUPS(field(columnsShiftLow), threshold)
	for _, r := range []VecVirtual{argmax, rank, index} {
		v.zero(r)
	}
	Label("compare")
	VMOVUPS(Mem{Base: at}, z)
	VMAXPS(largest, z, largest)
	VMOVUPS(c.highest, t)
	v.blend(v.less(lowest, z), z, t)
	VMINPS(least, t, least)
	VMOVUPS(c.one, t)
	above := v.less(threshold, z)
	if v.lanes == 16 {
		VPADDD(t, rank, above, rank)
	} else {
		VPSUBD(above, rank, rank)
	}
	own := v.equal(labels, index)
	VMOVUPS(field(columnsShift), t)
	v.blend(own, t, threshold)
	v.blend(own, lowest, z)
	larger := v.less(other, z)
	v.blend(larger, z, other)
	v.blend(larger, index, argmax)
	VPADDD(k.integerOne, index, index)
	ADDQ(U32(v.bytes()), at)
	DECQ(count)
	JNZ(LabelRef("compare"))
	for _, r := range []struct {
		r      VecVirtual
		offset int
	}{{other, columnsOther}, {least, columnsLeast}, {argmax, columnsArgmax}, {rank, columnsRank}} {
		VMOVUPS(r.r, field(r.offset))
	}

	// Powers are measured from an exponent above the greatest of them. Where there is no label, the greatest stands in for the label's.
	VMINPS(field(columnsShift), largest, t)
	VMOVUPS(t, field(columnsShift))
	e := loadExponent(v, k.rows, Load(Param("e"), GP64()))
	ref, size, limit := v.reg(), v.reg(), v.reg()
	VMULPS(e.high, largest, ref)
	absolute(v, ref, size, k)
	VMOVUPS(k.limit, limit)
	good := v.bits(v.less(size, limit))
	VMULPS(k.eighth, ref, ref)
	if v.lanes == 16 {
		VRNDSCALEPS(Imm(1), ref, ref)
	} else {
		VROUNDPS(Imm(1), ref, ref)
	}
	VMULPS(k.eight, ref, ref)
	VADDPS(c.headroom, ref, ref)
	VMOVUPS(ref, field(columnsRef))
	VFMADD213PS(e.magic, ref, e.floor)
	VMOVUPS(k.middle, e.magic)
	VSUBPS(ref, e.magic, e.magic)

	m := newMoments(e, c, [3]Mem{field(columnsOthers), field(columnsMoment), field(columnsSquares)})
	MOVQ(base, at)
	v.zero(index)
	m.each(n, 1, []Register{at}, func(i int) {
		m.power(Mem{Base: at, Disp: i * v.bytes()})
		if v.lanes == 16 {
			other := K()
			VPCMPD(Imm(4), labels, index, other) // not equal
			VMOVAPS_Z(m.q, other, m.q)
		} else {
			VPANDN(m.q, v.equal(labels, index).(VecVirtual), m.q)
		}
		VPADDD(k.integerOne, index, index)
		m.add(i == 0)
	})
	for _, r := range []struct{ from, to int }{{columnsOther, columnsTop}, {columnsShift, columnsOwn}} {
		m.power(field(r.from))
		v.widen(m.q, m.z, m.t)
		VMOVUPD(m.z, field(r.to))
		VMOVUPD(m.t, field(r.to+v.bytes()))
	}
	VMOVUPS(k.least, m.z)
	ANDL(v.bits(v.less(m.z, m.q)), good)
	finite, half := GP32(), GP32()
	for i := range 2 {
		VMOVUPD(field(columnsOthers+i*v.bytes()), m.z)
		if v.lanes == 16 {
			less := K()
			VCMPPD(Imm(17), k.infD, m.z, less)
			KMOVW(less, half)
		} else {
			VCMPPD(Imm(17), k.infD, m.z, m.z)
			VMOVMSKPD(m.z, half)
		}
		if i == 0 {
			MOVL(half, finite)
		} else {
			SHLL(Imm(uint64(v.lanes/2)), half)
			ORL(half, finite)
		}
	}
	ANDL(finite, good)
	Store(good, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// columnsSpread makes a routine that adds up the sums from which the variance of each row's logits is computed.
func columnsSpread(v vector, k decayConstants) {
	TEXT("columnsSpread"+v.suffix, NOSPLIT, "func(columns *float32, k int, d *float32, sums *[3][16]float64)")
	Doc("columnsSpread" + v.suffix + " writes, of each of the rows that columnsStats was called on, the sums of e, of e·d and of e·d² over all k logits: distances d from the largest and powers e by d, a decay.")
	Pragma("noescape")
	at := Load(Param("columns"), GP64())
	n := Load(Param("k"), GP64())
	p := loadDecay(v, k, Load(Param("d"), GP64()))
	to := Load(Param("sums"), GP64())
	VMOVUPS(Mem{Base: at, Disp: columnsOther}, p.ref)
	VMAXPS(Mem{Base: at, Disp: columnsShift}, p.ref, p.ref)
	var sums [3]VecVirtual
	for i := range sums {
		sums[i] = v.reg()
		v.zero(sums[i])
		VMOVUPS(sums[i], Mem{Base: to, Disp: 128 * i})
		VMOVUPS(sums[i], Mem{Base: to, Disp: 128*i + v.bytes()})
	}
	more := func(i int) {
		p.power(Mem{Base: at, Disp: i * v.bytes()})
		VADDPS(p.e, sums[0], sums[0])
		VMULPS(p.e, p.d, p.e)
		VADDPS(p.e, sums[1], sums[1])
		VFMADD231PS(p.e, p.d, sums[2])
	}
	flush := func() {
		for i, s := range sums {
			v.widen(s, p.d, p.n)
			for j, half := range []VecVirtual{p.d, p.n} {
				where := Mem{Base: to, Disp: 128*i + j*v.bytes()}
				VADDPD(where, half, half)
				VMOVUPD(half, where)
			}
			v.zero(s)
		}
	}
	v.each(n, 1, []Register{at}, 8, func() {
		for i := range 8 {
			more(i)
		}
		flush()
	}, func() { more(0) })
	flush()
	VZEROUPPER()
	RET()
}
