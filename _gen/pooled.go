package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// poolTile is a convolution's tile whose rows are squares of 2×2 pixels, four rows each: of those the largest of each channel is
// written, and the corner of the window that it was computed from. It does one tile after another.
func poolTile(v vector, rows, width int) {
	t := newTile(v, rows, width, "Pool")
	TEXT(t.name(), NOSPLIT, "func(y *float32, from *int32, stride int, x *float32, corners, values *int32, k int, b *float32, bias *float32, "+v.maskParam("mask")+", flags int, tiles int)")
	Doc(fmt.Sprintf("%s computes tiles of %d squares of up to %d columns of a convolution with max-pooling: row i at step s is x[corners[i]+values[s]], B [k,%d]. The stride, from square to square, is in bytes.", t.name(), rows/4, v.lanes*width, 2*v.lanes))
	Pragma("noescape")
	argument := func(name string) Mem {
		a, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		return a.Addr
	}
	t.acc = make([][]VecVirtual, rows)
	for i := range t.acc {
		t.acc[i] = t.registers(width)
	}
	columns, element := v.registers(width), v.reg()
	Label("tile")
	for _, row := range t.acc {
		for _, register := range row {
			t.zero(register)
		}
	}
	x, corners := Load(Param("x"), GP64()), Load(Param("corners"), GP64())
	row := make([]Register, rows)
	for i := range row {
		at := GP64()
		MOVLQSX(Mem{Base: corners, Disp: 4 * i}, at)
		LEAQ(Mem{Base: x, Index: at, Scale: 4}, at)
		row[i] = at
	}
	steps, k, b, step := Load(Param("values"), GP64()), Load(Param("k"), GP64()), Load(Param("b"), GP64()), GP64()
	Label("step")
	MOVLQSX(Mem{Base: steps}, step)
	for w := range columns {
		VMOVUPS(Mem{Base: b, Disp: w * v.bytes()}, columns[w])
	}
	for i := range row {
		VBROADCASTSS(Mem{Base: row[i], Index: step, Scale: 4}, element)
		for w := range columns {
			VFMADD231PS(columns[w], element, t.acc[i][w])
		}
	}
	ADDQ(Imm(4), steps)
	ADDQ(U32(2*v.bytes()), b)
	DECQ(k)
	JNZ(LabelRef("step"))

	t.mask = t.loadMask("mask", width)
	bias := Load(Param("bias"), GP64())
	for w := range columns {
		t.load(Mem{Base: bias}, w, columns[w])
		for i := range t.acc {
			VADDPS(columns[w], t.acc[i][w], t.acc[i][w])
		}
	}
	y, from, stride := Load(Param("y"), GP64()), Load(Param("from"), GP64()), Load(Param("stride"), GP64())
	corner := Load(Param("corners"), GP64())
	where := element
	for square := 0; square < rows; square += 4 {
		for w := range columns {
			best := t.acc[square][w]
			VPBROADCASTD(Mem{Base: corner, Disp: 4 * square}, where)
			for i := square + 1; i < square+4; i++ {
				v.larger(best, where, t.acc[i][w], Mem{Base: corner, Disp: 4 * i}, columns[w])
			}
			t.store(where, w, Mem{Base: from})
		}
		ADDQ(stride, from)
	}
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagReLU), flags)
	JZ(LabelRef("store"))
	zero := columns[0]
	t.zero(zero)
	for square := 0; square < rows; square += 4 {
		for _, best := range t.acc[square] {
			VMAXPS(best, zero, best) // the second operand, the value, where that is NaN
		}
	}
	Label("store")
	for square := 0; square < rows; square += 4 {
		for w, best := range t.acc[square] {
			t.store(best, w, Mem{Base: y})
		}
		ADDQ(stride, y)
	}
	MOVQ(y, argument("y"))
	MOVQ(from, argument("from"))
	ADDQ(Imm(uint64(4*rows)), argument("corners"))
	DECQ(argument("tiles"))
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// larger takes value for best, and the number at place for where, if that is larger or the first NaN; t is for its use.
func (v vector) larger(best, where, value VecVirtual, place Mem, t VecVirtual) {
	if v.lanes == 16 {
		known, larger := K(), K()
		VCMPPS(Imm(7), best, best, known)          // ordered: best is not NaN
		VCMPPS(Imm(6), best, value, known, larger) // not less or equal, true for NaN
		VMOVAPS(value, larger, best)
		VPBROADCASTD(place, larger, where)
		return
	}
	known := v.reg()
	VCMPPS(Imm(7), best, best, known)
	VCMPPS(Imm(6), best, value, t)
	VANDPS(known, t, t)
	VBLENDVPS(t, value, best, best)
	VPBROADCASTD(place, known)
	VBLENDVPS(t, known, where, where)
}

// pooledGradient is what poolTile's gradients have in common. Each value of dy has one window, of three lines, where it came from:
// from says where in x. Of a number of vectors of each line, for each channel, either the sum of dy·x over all windows is added to
// that channel's lines of the weights' gradient, or dy·w is added to x.
func pooledGradient(v vector, vectors int, back bool) {
	name, what := fmt.Sprintf("poolWeights%sx%d", v.suffix, vectors), "adds for each channel the sum of dy·x over all squares to its lines of w"
	if back {
		name, what = fmt.Sprintf("poolBack%sx%d", v.suffix, vectors), "adds for each channel and square dy·w to x"
	}
	TEXT(name, NOSPLIT, "func(w, x, dy *float32, from *int32, squares, stride, channels int, xLine, wLine int, "+v.maskParam("mask")+")")
	Doc(fmt.Sprintf("%s %s, x from the place in from on; of three lines the first %d elements, or where that is one vector those of the mask. The stride, from square to square, and that of lines are in bytes.", name, what, vectors*v.lanes))
	Pragma("noescape")
	w, dyStart, fromStart := Load(Param("w"), GP64()), Load(Param("dy"), GP64()), Load(Param("from"), GP64())
	x := Load(Param("x"), GP64())
	xLine, wLine := Load(Param("xLine"), GP64()), Load(Param("wLine"), GP64())
	left, stride := Load(Param("channels"), GP64()), Load(Param("stride"), GP64())
	t := tile{vector: v}
	if vectors == 1 {
		t.mask = t.loadMask("mask", 1)
	}
	load := func(from Mem, to VecVirtual) {
		if vectors == 1 {
			v.loadMasked(from, t.mask[0], to)
		} else {
			VMOVUPS(from, to)
		}
	}
	store := func(from VecVirtual, to Mem) {
		if vectors == 1 {
			v.storeMasked(from, t.mask[0], to)
		} else {
			VMOVUPS(from, to)
		}
	}
	lines := func(base, line Register, body func(i int, at Mem)) {
		for l, at := range []Mem{{Base: base}, {Base: base, Index: line, Scale: 1}, {Base: base, Index: line, Scale: 2}} {
			for j := range vectors {
				at.Disp = j * v.bytes()
				body(l*vectors+j, at)
			}
		}
	}
	own, value, g := v.registers(3*vectors), v.reg(), v.reg()
	dy, from, squares, at := GP64(), GP64(), GP64(), GP64()
	Label("channel")
	lines(w, wLine, func(i int, at Mem) { load(at, own[i]) })
	MOVQ(dyStart, dy)
	MOVQ(fromStart, from)
	Load(Param("squares"), squares)
	Label("square")
	MOVLQSX(Mem{Base: from}, at)
	VBROADCASTSS(Mem{Base: dy}, g)
	LEAQ(Mem{Base: x, Index: at, Scale: 4}, at)
	lines(at, xLine, func(i int, at Mem) {
		switch {
		case back:
			load(at, value)
			VFMADD231PS(own[i], g, value)
			store(value, at)
		case vectors == 1:
			load(at, value)
			VFMADD231PS(value, g, own[i])
		default:
			VFMADD231PS(at, g, own[i])
		}
	})
	ADDQ(stride, from)
	ADDQ(stride, dy)
	DECQ(squares)
	JNZ(LabelRef("square"))
	if !back {
		lines(w, wLine, func(i int, at Mem) { store(own[i], at) })
	}
	LEAQ(Mem{Base: wLine, Index: wLine, Scale: 2}, at) // a channel's three lines
	ADDQ(at, w)
	ADDQ(Imm(4), dyStart)
	ADDQ(Imm(4), fromStart)
	DECQ(left)
	JNZ(LabelRef("channel"))
	VZEROUPPER()
	RET()
}
