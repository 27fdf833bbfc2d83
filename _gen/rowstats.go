package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// decayConstants are those of decay.
type decayConstants struct {
	c      []Mem // of the polynomial in what is left of the exponent, its odd powers negated
	powers Mem   // of eighths, less what the shifted integer adds
	magic  Mem   // 1.5·2^23
	tiny   Mem   // what squares start from, so that none is a subnormal result
}

func newDecayConstants() (k decayConstants) {
	for i, c := range exp2Polynomial {
		if i%2 == 1 {
			c = -c
		}
		k.c = append(k.c, repeatedFloats([]string{"decay_c0", "decay_c1", "decay_c2", "decay_c3", "decay_c4"}[i], c))
	}
	var powers []uint32
	for i := range 8 {
		powers = append(powers, math.Float32bits(float32(math.Exp2(float64(i)/8)))-uint32(i)<<20)
	}
	k.powers, k.magic, k.tiny = repeated("decay_powers", powers...), repeatedFloats("decay_magic", 0x1.8p23), repeatedFloats("decay_tiny", 0x1p-60)
	return k
}

// decay is exp((z − ref)/T) of logits z that are at most ref, as 2^(−d·(high+low)/8) of the distance d = ref − z, or cap if that is
// less, so that every power is a normal number. In memory it is decay of layout.go.
type decay struct {
	v                   vector
	k                   decayConstants
	ref, cap, high, low VecVirtual
	magic               VecVirtual
	d, n, e             VecVirtual
}

func loadDecay(v vector, k decayConstants, at Register) *decay {
	r := v.registers(8)
	for i := range 4 {
		VBROADCASTSS(Mem{Base: at, Disp: 4 * i}, r[i])
	}
	VMOVUPS(k.magic, r[4])
	return &decay{v, k, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]}
}

// power leaves the distance of the logits at src in d and their powers in e. NaN stays.
func (p *decay) power(src Mem) {
	rest := p.v.reg()
	VSUBPS(src, p.ref, p.d)
	VMINPS(p.d, p.cap, p.d)
	VMOVAPS(p.magic, p.n)
	VFNMADD231PS(p.high, p.d, p.n)
	VSUBPS(p.magic, p.n, rest)     // the integer
	VFMADD231PS(p.high, p.d, rest) // less the exponent
	VFMADD231PS(p.low, p.d, rest)
	VMOVUPS(p.k.c[4], p.e)
	for i := 3; i >= 1; i-- {
		VFMADD213PS(p.k.c[i], rest, p.e)
	}
	VMULPS(rest, p.e, p.e)
	VPERMPS(p.k.powers, p.n, rest)
	VPSLLD(Imm(20), p.n, p.n)
	VPADDD(p.n, rest, rest)
	VFMADD213PS(rest, rest, p.e)
}

// copyRow copies a part of a row and finds what comparisons give.
func copyRow(v vector, c statConstants) {
	TEXT("copyRow"+v.suffix, NOSPLIT, "func(dst, x *float32, n int, threshold float32, found *float32)")
	Doc("copyRow" + v.suffix + " copies n elements and adds what they are to found, a compared: the largest and the least finite, NaN passed over, and how many are above the threshold. Up to the end of a vector, what it writes behind them is −Inf.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	threshold := v.reg()
	VBROADCASTSS(paramAddress("threshold"), threshold)
	found := Load(Param("found"), GP64())
	const chains = 2 // so that no comparison waits for the one before
	lowest, highest, one := v.reg(), v.reg(), v.reg()
	VMOVUPS(c.lowest, lowest)
	VMOVUPS(c.highest, highest)
	VMOVUPS(c.one, one)
	var largest, least, above [chains]VecVirtual
	for i := range chains {
		largest[i], least[i], above[i] = v.reg(), v.reg(), v.reg()
		VMOVAPS(lowest, largest[i])
		VMOVAPS(highest, least[i])
		v.zero(above[i])
	}
	z, mask := v.reg(), v.reg()
	look := func(i int, to Mem) {
		VMOVUPS(z, to)
		VMAXPS(largest[i], z, largest[i])
		if v.lanes == 16 {
			k := K()
			VCMPPS(Imm(30), lowest, z, k) // z > −Inf
			VMINPS(least[i], z, k, least[i])
			VCMPPS(Imm(17), z, threshold, k) // threshold < z
			VPADDD(one, above[i], k, above[i])
		} else {
			VCMPPS(Imm(17), z, threshold, mask)
			VPSUBD(mask, above[i], above[i])
			VCMPPS(Imm(26), lowest, z, mask) // not z > −Inf
			VBLENDVPS(mask, highest, z, z)
			VMINPS(least[i], z, least[i])
		}
	}
	v.each(n, v.lanes, []Register{x, dst}, 4, func() {
		for i := range 4 {
			VMOVUPS(Mem{Base: x, Disp: i * v.bytes()}, z)
			look(i%chains, Mem{Base: dst, Disp: i * v.bytes()})
		}
	}, func() {
		VMOVUPS(Mem{Base: x}, z)
		look(0, Mem{Base: dst})
	})
	TESTQ(n, n)
	JZ(LabelRef("end"))
	if v.lanes == 16 {
		number, valid := v.reg(), K()
		VPBROADCASTD(n.(GPVirtual).As32(), number)
		VPCMPD(Imm(14), c.lanes, number, valid) // left > lane
		VMOVAPS(lowest, z)
		VMOVUPS(Mem{Base: x}, valid, z)
	} else {
		VMOVD(n.(GPVirtual).As32(), mask.AsX())
		VPBROADCASTD(mask.AsX(), mask)
		VPCMPGTD(c.lanes, mask, mask) // left > lane
		VMASKMOVPS(Mem{Base: x}, mask, z)
		VBLENDVPS(mask, z, lowest, z)
	}
	look(0, Mem{Base: dst})
	Label("end")
	VMAXPS(largest[1], largest[0], largest[0])
	VMINPS(least[1], least[0], least[0])
	VPADDD(above[1], above[0], above[0])
	for i, r := range []struct {
		r       VecVirtual
		combine func(a, b VecVirtual)
	}{
		{largest[0], func(a, b VecVirtual) { VMAXPS(a, b, b) }},
		{least[0], func(a, b VecVirtual) { VMINPS(a, b, b) }},
		{above[0], func(a, b VecVirtual) { VPADDD(a, b, b) }},
	} {
		low, so := v.reduction(r.r, r.combine), XMM()
		VMOVSS(Mem{Base: found, Disp: 4 * i}, so)
		r.combine(so, low)
		VMOVSS(low, Mem{Base: found, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

// powerSums adds up what statistics need of powers.
func powerSums(v vector, k decayConstants) {
	TEXT("powerSums"+v.suffix, NOSPLIT, "func(x *float32, n int, d *float32, sums *[3]float64, next *float32)")
	Doc("powerSums" + v.suffix + " returns the sums of e, of e·d and of e² over n elements, a multiple of 16: of their distances and powers by d, a decay. Meanwhile it asks for the n elements after as many at next, which memory takes that long to bring.")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	p := loadDecay(v, k, Load(Param("d"), GP64()))
	ahead := Load(Param("next"), GP64())
	LEAQ(Mem{Base: ahead, Index: n, Scale: 4}, ahead)
	var sums, wide [3]VecVirtual
	for i := range sums {
		sums[i], wide[i] = v.reg(), v.reg()
		v.zero(wide[i])
	}
	clear := func() {
		v.zero(sums[0])
		v.zero(sums[1])
		VMOVUPS(k.tiny, sums[2])
	}
	flush := func() {
		for i, s := range sums {
			v.widen(s, p.d, p.n)
			VADDPD(p.d, wide[i], wide[i])
			VADDPD(p.n, wide[i], wide[i])
		}
		clear()
	}
	more := func(i int) {
		if at := i * v.bytes(); at%64 == 0 {
			PREFETCHT0(Mem{Base: ahead, Disp: at})
		}
		p.power(Mem{Base: x, Disp: i * v.bytes()})
		VADDPS(p.e, sums[0], sums[0])
		VFMADD231PS(p.e, p.d, sums[1])
		VFMADD231PS(p.e, p.e, sums[2])
	}
	clear()
	v.each(n, v.lanes, []Register{x, ahead}, 8, func() { // more of them in float32 would lose what is beside a 1
		for i := range 8 {
			more(i)
		}
		flush()
	}, func() { more(0) })
	flush()
	to := Load(Param("sums"), GP64())
	for i, w := range wide {
		VMOVAPD(w, p.d) // sumWide needs one of the lower sixteen
		v.zero(p.n)
		VMOVSD(v.sumWide(p.d, p.n), Mem{Base: to, Disp: 8 * i})
	}
	VZEROUPPER()
	RET()
}

// powerSpread adds up what statistics and the variance of the logits need of powers.
func powerSpread(v vector, k decayConstants) {
	TEXT("powerSpread"+v.suffix, NOSPLIT, "func(x *float32, n int, d *float32, sums *[4][8]float64, next *float32)")
	Doc("powerSpread" + v.suffix + " adds to sums, in lanes whose sum is meant, what powerSums returns and, as the fourth, the sum of e·d².")
	Pragma("noescape")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	p := loadDecay(v, k, Load(Param("d"), GP64()))
	to := Load(Param("sums"), GP64())
	ahead := Load(Param("next"), GP64())
	LEAQ(Mem{Base: ahead, Index: n, Scale: 4}, ahead)
	var sums [4]VecVirtual
	for i := range sums {
		sums[i] = v.reg()
	}
	clear := func() {
		for i, s := range sums {
			if i != 2 {
				v.zero(s)
			}
		}
		VMOVUPS(k.tiny, sums[2])
	}
	flush := func() {
		for i, s := range sums {
			at := Mem{Base: to, Disp: 64 * i}
			v.widen(s, p.d, p.n)
			VADDPD(p.d, p.n, p.d)
			VADDPD(at, p.d, p.d)
			VMOVUPD(p.d, at)
		}
		clear()
	}
	more := func(i int) {
		if at := i * v.bytes(); at%64 == 0 {
			PREFETCHT0(Mem{Base: ahead, Disp: at})
		}
		p.power(Mem{Base: x, Disp: i * v.bytes()})
		VADDPS(p.e, sums[0], sums[0])
		VFMADD231PS(p.e, p.e, sums[2])
		VMULPS(p.e, p.d, p.e)
		VADDPS(p.e, sums[1], sums[1])
		VFMADD231PS(p.e, p.d, sums[3])
	}
	clear()
	v.each(n, v.lanes, []Register{x, ahead}, 8, func() { // no more of them in float32, as in powerSums
		for i := range 8 {
			more(i)
		}
		flush()
	}, func() { more(0) })
	flush()
	VZEROUPPER()
	RET()
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
