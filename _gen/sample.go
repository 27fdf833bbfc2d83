package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// aboveRow is a step of a search for the logit from which on the weights reach a sum.
func aboveRow(v vector, c statConstants) {
	TEXT("aboveRow"+v.suffix, NOSPLIT, "func(x, weights *float32, n int, t float32) (weight float64, count int32, least, greatest float32)")
	Doc("aboveRow" + v.suffix + " returns the sum of the weights and the number of those of n elements, a multiple of the vector's, that are not t or below it, NaN among them; the least of these and the greatest of the others.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	weights := Load(Param("weights"), GP64())
	n := Load(Param("n"), GP64())
	t, z, spare := v.reg(), v.reg(), v.reg()
	VBROADCASTSS(paramAddress("t"), t)
	sum, count, least, greatest, lowest, highest := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	wide := v.registers(2)
	VMOVUPS(c.lowest, lowest)
	VMOVUPS(c.highest, highest)
	VMOVUPS(lowest, greatest)
	VMOVUPS(highest, least)
	for _, r := range append(wide, count) {
		v.zero(r)
	}
	add := func(i int) {
		w := Mem{Base: weights, Disp: i * v.bytes()}
		VMOVUPS(Mem{Base: x, Disp: i * v.bytes()}, z)
		if v.lanes == 16 {
			k, others := K(), K()
			VCMPPS(Imm(22), t, z, k) // not ≤, true for NaN
			KNOTW(k, others)
			if i == 0 {
				VMOVUPS_Z(w, k, sum)
			} else {
				VADDPS(w, sum, k, sum)
			}
			VPADDD(c.one, count, k, count)
			VMINPS(z, least, k, least)
			VMAXPS(z, greatest, others, greatest)
			return
		}
		mask := YMM()
		VCMPPS(Imm(22), t, z, mask)
		if i == 0 {
			VANDPS(w, mask, sum)
		} else {
			VANDPS(w, mask, spare)
			VADDPS(spare, sum, sum)
		}
		VPSUBD(mask, count, count)
		VBLENDVPS(mask, z, highest, spare)
		VMINPS(least, spare, least)
		VBLENDVPS(mask, lowest, z, spare)
		VMAXPS(greatest, spare, greatest)
	}
	flush := func() {
		v.widen(sum, z, spare)
		VADDPD(z, wide[0], wide[0])
		VADDPD(spare, wide[1], wide[1])
	}
	v.each(n, v.lanes, []Register{x, weights}, 4, func() {
		for i := range 4 {
			add(i)
		}
		flush()
	}, func() {
		add(0)
		flush()
	})
	Store(v.sumWide(wide[0], wide[1]), ReturnIndex(0))
	v.storeReduced(1, count, func(a, b VecVirtual) { VPADDD(a, b, b) })
	v.storeReduced(2, least, func(a, b VecVirtual) { VMINPS(a, b, b) })
	v.storeReduced(3, greatest, func(a, b VecVirtual) { VMAXPS(a, b, b) })
	VZEROUPPER()
	RET()
}

// sumWide leaves the sum of two vectors of float64 in a 128-bit register.
func (v vector) sumWide(a, b VecVirtual) Register {
	VADDPD(b, a, a)
	v.halve(a, func(a, b VecVirtual) { VADDPD(a, b, b) })
	low, high := a.AsX(), XMM()
	VPERMILPD(Imm(1), low, high)
	VADDSD(high, low, low)
	return low
}

// storeReduced returns what combine makes of all lanes, of 32 bits.
func (v vector) storeReduced(result int, r VecVirtual, combine func(a, b VecVirtual)) {
	at, err := ReturnIndex(result).Resolve()
	if err != nil {
		panic(err)
	}
	v.reduced(r, at.Addr, combine)
}

// reduced stores what combine makes of all lanes, of 32 bits.
func (v vector) reduced(r VecVirtual, to Mem, combine func(a, b VecVirtual)) {
	VMOVSS(v.reduction(r, combine), to)
}

// reduction leaves what combine makes of all lanes, of 32 bits, in the first.
func (v vector) reduction(r VecVirtual, combine func(a, b VecVirtual)) VecVirtual {
	v.halve(r, combine)
	low, high := r.AsX().(VecVirtual), XMM()
	for _, order := range []uint64{0b01_00_11_10, 0b10_11_00_01} {
		VPERMILPS(Imm(order), low, high)
		combine(high, low)
	}
	return low
}
