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
	headroom        Mem // in eighths: how far above the greatest exponent ref stays, so that the sum of squares fits into float32
	lanes           Mem // 0, 1, 2 and so on
	unit            Mem // what squares start from, so that no product of small powers is a subnormal result
}

func newStatConstants(rows rowConstants) statConstants {
	var powers, lanes []uint32
	for i := range 16 {
		lanes = append(lanes, uint32(i))
	}
	for i := range 8 {
		powers = append(powers, math.Float32bits(float32(math.Exp2(float64(i)/8)))-uint32(i)<<20+uint32(bias)<<23)
	}
	return statConstants{
		rows, repeated("stat_powers", powers...), repeatedFloats("stat_middle", 0x1.8p23),
		repeatedFloats("lowest", float32(math.Inf(-1))), repeatedFloats("highest", float32(math.Inf(1))),
		repeated("oneAbove", 1), repeatedFloats("headroom", 24), repeated("lanes", lanes...),
		repeatedFloats("unit", 1),
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
	wide [3]Mem // where the sums of float64 are, in the lower and the upper half of the lanes
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

func paramAddress(name string) Mem {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return at.Addr
}
