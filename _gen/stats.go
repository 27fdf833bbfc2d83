package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// statConstants are those of statistics.
type statConstants struct {
	rows            rowConstants
	powers          Mem // rounded, not those of 12 bits
	middle          Mem // 1.5·2^23
	lowest, highest Mem // what a largest and a least start from
	one             Mem // integers
	headroom        Mem // in eighths; stats32_amd64.go has it too
	unit            Mem // what squares start from, so that no product of small powers is a subnormal result
}

func newStatConstants(rows rowConstants) statConstants {
	var powers []uint32
	for i := range 8 {
		powers = append(powers, math.Float32bits(float32(math.Exp2(float64(i)/8)))-uint32(i)<<20+bias<<23)
	}
	return statConstants{
		rows, repeated("stat_powers", powers...), repeatedFloats("stat_middle", 0x1.8p23),
		repeatedFloats("lowest", float32(math.Inf(-1))), repeatedFloats("highest", float32(math.Inf(1))),
		repeated("oneAbove", 1), repeatedFloats("headroom", 24), repeatedFloats("unit", 1),
	}
}

// moments adds up powers q = 2^(t/8 + bias), q·t and q², a number of them in float32, then in float64. Statistics do not need
// all that the sums of softmax do: the powers are rounded three times.
type moments struct {
	*exponent
	c    statConstants
	z, n VecVirtual // free between two additions
	q, t VecVirtual
	sums [3]VecVirtual
	wide [3]Mem // where the sums of float64 are
}

func newMoments(e *exponent, c statConstants, wide [3]Mem) *moments {
	r := e.v.registers(7)
	m := &moments{e, c, r[0], r[1], r[2], r[3], [3]VecVirtual(r[4:]), wide}
	e.v.zero(m.z)
	for _, to := range wide {
		VMOVUPS(m.z, to)
		VMOVUPS(m.z, to.Offset(e.v.bytes()))
	}
	return m
}

// power computes q and t of the logits at src.
func (m *moments) power(src Mem) {
	VMOVUPS(src, m.z)
	VMAXPS(m.z, m.floor, m.z) // NaN stays
	VMOVAPS(m.z, m.n)
	VFMADD213PS(m.magic, m.high, m.n)
	VSUBPS(m.magic, m.n, m.t) // the integer
	VMOVAPS(m.z, m.q)
	VFMSUB213PS(m.t, m.high, m.q)
	VFMADD132PS(m.low, m.q, m.z) // the fraction
	VSUBPS(m.c.middle, m.n, m.t)
	VADDPS(m.z, m.t, m.t)
	VMOVUPS(m.c.rows.c[4], m.q)
	for i := 3; i >= 1; i-- {
		VFMADD213PS(m.c.rows.c[i], m.z, m.q)
	}
	VMULPS(m.z, m.q, m.q)
	VPERMPS(m.c.powers, m.n, m.z)
	VPSLLD(Imm(20), m.n, m.n)
	VPADDD(m.n, m.z, m.z)
	VFMADD213PS(m.z, m.z, m.q)
}

// add adds q and t.
func (m *moments) add(first bool) {
	if first {
		VMOVAPS(m.q, m.sums[0])
		VMULPS(m.q, m.t, m.sums[1])
		VMOVUPS(m.c.unit, m.sums[2])
	} else {
		VADDPS(m.q, m.sums[0], m.sums[0])
		VFMADD231PS(m.q, m.t, m.sums[1])
	}
	VFMADD231PS(m.q, m.q, m.sums[2])
}

// flush adds what was added to the sums of float64.
func (m *moments) flush() {
	for i, to := range m.wide {
		m.v.widen(m.sums[i], m.z, m.t)
		for j, half := range []VecVirtual{m.z, m.t} {
			at := to.Offset(j * m.v.bytes())
			VADDPD(at, half, half)
			VMOVUPD(half, at)
		}
	}
}

// each adds what add does for the vectors of n elements, eight at a time.
func (m *moments) each(n Register, size int, pointers []Register, add func(i int)) {
	m.v.each(n, size, pointers, 8, func() {
		for i := range 8 {
			add(i)
		}
		m.flush()
	}, func() {
		add(0)
		m.flush()
	})
}

// expMoments is expSum with moments.
func expMoments(v vector, c statConstants) {
	TEXT("expMoments"+v.suffix, NOSPLIT, "func(sums *[3]float64, x *float32, n int, e *[4]float32, of *float32)")
	Doc("expMoments" + v.suffix + " writes the sums of q = 2^(t/8 + bias), of q·t and of q², t = x·(high+low) − ref, over n elements, a multiple of the vector's; ref is at least 16 above the greatest of the x·(high+low). What comes a block after of is asked for.")
	Pragma("noescape")
	local := AllocLocal(6 * v.bytes())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	of := Load(Param("of"), GP64())
	e := loadExponent(v, c.rows, Load(Param("e"), GP64()))
	m := newMoments(e, c, [3]Mem{local, local.Offset(2 * v.bytes()), local.Offset(4 * v.bytes())})
	m.each(n, v.lanes, []Register{x, of}, func(i int) {
		v.prefetch(of, i)
		m.power(Mem{Base: x, Disp: i * v.bytes()})
		m.add(i == 0)
	})
	to := Load(Param("sums"), GP64())
	for i, wide := range m.wide {
		VMOVUPD(wide, m.z)
		VMOVUPD(wide.Offset(v.bytes()), m.t)
		VMOVSD(v.sumWide(m.z, m.t), Mem{Base: to, Disp: 8 * i})
	}
	VZEROUPPER()
	RET()
}

// orderRow finds what needs comparisons alone.
func orderRow(v vector, c statConstants) {
	TEXT("orderRow"+v.suffix, NOSPLIT, "func(x *float32, n int, value float32) (largest, least float32, above, notBelow int32)")
	Doc("orderRow" + v.suffix + " returns the largest and the least finite of n elements, a multiple of the vector's, and how many are above value and not below it; NaN are passed over.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	value, z, mask := v.reg(), v.reg(), v.reg()
	VBROADCASTSS(paramAddress("value"), value)
	largest, least, above, notBelow := v.registers(2), v.registers(2), v.reg(), v.reg()
	for i := range 2 {
		VMOVUPS(c.lowest, largest[i])
		VMOVUPS(c.highest, least[i])
	}
	lowest := v.reg()
	VMOVUPS(c.lowest, lowest)
	highest := v.reg()
	VMOVUPS(c.highest, highest)
	v.zero(above)
	v.zero(notBelow)
	count := func(comparison uint64, number VecVirtual) {
		if v.lanes == 16 {
			k := K()
			VCMPPS(Imm(comparison), z, value, k)
			VPADDD(c.one, number, k, number)
		} else {
			VCMPPS(Imm(comparison), z, value, mask)
			VPSUBD(mask, number, number)
		}
	}
	more := func(i int) {
		VMOVUPS(Mem{Base: x, Disp: i * v.bytes()}, z)
		VMAXPS(largest[i%2], z, largest[i%2])
		if v.lanes == 16 {
			k := K()
			VCMPPS(Imm(17), z, lowest, k) // −Inf < z
			VMINPS(least[i%2], z, k, least[i%2])
		} else {
			VCMPPS(Imm(17), z, lowest, mask)
			VBLENDVPS(mask, z, highest, mask)
			VMINPS(least[i%2], mask, least[i%2])
		}
		count(17, above)    // value < z
		count(18, notBelow) // value ≤ z
	}
	v.each(n, v.lanes, []Register{x}, 4, func() {
		for i := range 4 {
			more(i)
		}
	}, func() { more(0) })
	VMAXPS(largest[1], largest[0], largest[0])
	VMINPS(least[1], least[0], least[0])
	v.storeReduced(0, largest[0], func(a, b VecVirtual) { VMAXPS(a, b, b) })
	v.storeReduced(1, least[0], func(a, b VecVirtual) { VMINPS(a, b, b) })
	v.storeReduced(2, above, func(a, b VecVirtual) { VPADDD(a, b, b) })
	v.storeReduced(3, notBelow, func(a, b VecVirtual) { VPADDD(a, b, b) })
	VZEROUPPER()
	RET()
}

func paramAddress(name string) Mem {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return at.Addr
}

// findRow looks for a value.
func findRow(v vector) {
	TEXT("findRow"+v.suffix, NOSPLIT, "func(x *float32, n int, value float32) int")
	Doc("findRow" + v.suffix + " returns the place of the first of n elements, a multiple of the vector's, that is value, or n.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	value, equal := v.reg(), v.reg()
	VBROADCASTSS(paramAddress("value"), value)
	found, bits := GP64(), GP32()
	XORQ(found, found)
	Label("next")
	CMPQ(found, n)
	JGE(LabelRef("done"))
	if v.lanes == 16 {
		k := K()
		VCMPPS(Imm(0), Mem{Base: x, Index: found, Scale: 4}, value, k)
		KMOVW(k, bits)
	} else {
		VCMPPS(Imm(0), Mem{Base: x, Index: found, Scale: 4}, value, equal)
		VMOVMSKPS(equal, bits)
	}
	TESTL(bits, bits)
	JNZ(LabelRef("here"))
	ADDQ(Imm(uint64(v.lanes)), found)
	JMP(LabelRef("next"))
	Label("here")
	BSFL(bits, bits)
	ADDQ(bits.As64(), found)
	Label("done")
	Store(found, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
