package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// windowTile is a tile of a product whose A [rows,k] is never written down: its element in row i at step s is
// x[rows[i]+steps[s]]. Pixels as rows and the places of a window as steps are a convolution; the contrary is the gradient of its
// weights.
func windowTile(v vector, rows, width int) {
	t := newTile(v, rows, width, "Windows")
	TEXT(t.name(), NOSPLIT, "func(x *float32, rows, steps *int32, k int, b *float32, bStride int, c *float32, cStride int, bias *float32, "+v.maskParam("mask")+", flags int)")
	Doc(fmt.Sprintf("%s computes %d rows of up to %d columns of a product whose A [rows,k] is x[rows[i]+steps[s]]. Strides are in bytes.", t.name(), rows, v.lanes*width))
	Pragma("noescape")
	t.start(tileRegisters{c: Load(Param("c"), GP64()), cStride: Load(Param("cStride"), GP64())})
	x := Load(Param("x"), GP64())
	table := Load(Param("rows"), GP64())
	row := make([]Register, rows)
	for i := range row {
		at := GP64()
		MOVLQSX(Mem{Base: table, Disp: 4 * i}, at)
		LEAQ(Mem{Base: x, Index: at, Scale: 4}, at)
		row[i] = at
	}
	steps := Load(Param("steps"), GP64())
	k := Load(Param("k"), GP64())
	b := Load(Param("b"), GP64())
	bStride := Load(Param("bStride"), GP64())
	step, columns := GP64(), v.registers(width)
	t.element = v.reg()
	Label("step")
	MOVLQSX(Mem{Base: steps}, step)
	for w := range columns {
		t.load(Mem{Base: b}, w, columns[w])
	}
	for i := range row {
		VBROADCASTSS(Mem{Base: row[i], Index: step, Scale: 4}, t.element)
		for w := range columns {
			VFMADD231PS(columns[w], t.element, t.acc[i][w])
		}
	}
	ADDQ(Imm(4), steps)
	ADDQ(bStride, b)
	DECQ(k)
	JNZ(LabelRef("step"))
	t.finish(tileRegisters{c: Load(Param("c"), GP64()), cStride: Load(Param("cStride"), GP64())}, columns)
}

// lanesOf is a pixel's channels, a vector at a time: at is where the vector lies within them, in bytes, and mask names the lanes
// that are there; nil means all.
type lanesOf struct {
	vector
	at   GPVirtual
	mask Op
}

func (l lanesOf) address(base Register) Mem { return Mem{Base: base, Index: l.at, Scale: 1} }

func (l lanesOf) load(from Mem, to VecVirtual) {
	if l.mask == nil {
		VMOVUPS(from, to)
	} else {
		l.loadMasked(from, l.mask, to)
	}
}

func (l lanesOf) store(from VecVirtual, to Mem) {
	if l.mask == nil {
		VMOVUPS(from, to)
	} else {
		l.storeMasked(from, l.mask, to)
	}
}

// channels runs body for each vector of a number of channels; the last may have fewer lanes. name makes body's labels.
func (v vector) channels(body func(l lanesOf, name string)) {
	l := lanesOf{vector: v, at: GP64()}
	left := Load(Param("channels"), GP64())
	XORQ(l.at, l.at)
	Label("whole")
	CMPQ(left, Imm(uint64(v.lanes)))
	JLT(LabelRef("part"))
	body(l, "whole")
	ADDQ(Imm(uint64(v.bytes())), l.at)
	SUBQ(Imm(uint64(v.lanes)), left)
	JMP(LabelRef("whole"))
	Label("part")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	if v.lanes == 16 {
		bits, k := GP32(), K()
		MOVL(U32(0xFFFF), bits)
		BZHIL(left.(GPVirtual).As32(), bits, bits)
		KMOVW(bits, k)
		l.mask = k
	} else {
		table, y := Load(Param("lanes"), GP64()), YMM()
		SHLQ(Imm(2), left)
		SUBQ(left, table)
		VMOVDQU(Mem{Base: table, Disp: 64}, y)
		l.mask = y
	}
	body(l, "part")
	Label("done")
}

// pixels runs body for each vector of channels of a row of windows, side by side, with corners at corner, and of a row of pixels
// of each of what goes with them.
func (v vector) pixels(corner Register, with []Register, body func(l lanesOf, name string)) {
	Label("pixel")
	v.channels(body)
	bytes := Load(Param("pixel"), GP64())
	for _, p := range with {
		ADDQ(bytes, p)
	}
	IMULQ(Load(Param("size"), GP64()), bytes)
	ADDQ(bytes, corner)
	count, err := Param("pixels").Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(count.Addr)
	JNZ(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// window runs body for each place of a window whose corner is at; place is its number in every lane.
func (l lanesOf) window(name string, at GPVirtual, place VecVirtual, one Mem, body func(at Mem)) {
	size := Load(Param("size"), GP64())
	line := Load(Param("line"), GP64())
	pixel := Load(Param("pixel"), GP64())
	down, across, next := GP64(), GP64(), GP64()
	l.zero(place)
	MOVQ(size, down)
	Label(name + "_down")
	MOVQ(at, next)
	MOVQ(size, across)
	Label(name + "_across")
	body(Mem{Base: next})
	VPADDD(one, place, place)
	ADDQ(pixel, next)
	DECQ(across)
	JNZ(LabelRef(name + "_across"))
	ADDQ(line, at)
	DECQ(down)
	JNZ(LabelRef(name + "_down"))
}

// poolRow is a row of pixels of max-pooling: the largest of each channel and its place. What is found first stays unless another
// is larger or the first NaN.
func poolRow(v vector, one Mem) {
	TEXT("poolRow"+v.suffix, NOSPLIT, "func(y *float32, which *int32, x *float32, pixels, channels, size, line, pixel int, lanes *int32)")
	Doc("poolRow" + v.suffix + " writes for each of a row of windows, side by side, the largest of each channel of x and its place; line and pixel are the bytes from one to the next; lanes is that of path_amd64.go.")
	Pragma("noescape")
	y := Load(Param("y"), GP64())
	which := Load(Param("which"), GP64())
	x := Load(Param("x"), GP64())
	best, where, value, place := v.reg(), v.reg(), v.reg(), v.reg()
	v.pixels(x, []Register{y, which}, func(l lanesOf, name string) {
		at := GP64()
		LEAQ(l.address(x), at)
		l.load(Mem{Base: at}, best)
		v.zero(where)
		l.window(name, at, place, one, func(from Mem) {
			l.load(from, value)
			if v.lanes == 16 {
				known, larger := K(), K()
				VCMPPS(Imm(7), best, best, known)          // ordered: best is not NaN
				VCMPPS(Imm(6), best, value, known, larger) // not less or equal, true for NaN
				VMOVAPS(value, larger, best)
				VMOVDQA32(place, larger, where)
				return
			}
			known, larger := YMM(), YMM()
			VCMPPS(Imm(7), best, best, known)
			VCMPPS(Imm(6), best, value, larger)
			VANDPS(known, larger, larger)
			VBLENDVPS(larger, value, best, best)
			VBLENDVPS(larger, place, where, where)
		})
		l.store(best, l.address(y))
		l.store(where, l.address(which))
	})
}

// poolRowBackward writes to each place of a window the gradient where the place's value was the largest, else 0.
func poolRowBackward(v vector, one Mem) {
	TEXT("poolRowBackward"+v.suffix, NOSPLIT, "func(dx, dy *float32, which *int32, pixels, channels, size, line, pixel int, lanes *int32)")
	Doc("poolRowBackward" + v.suffix + " writes to each place of a row of windows of dx each channel of dy where which names the place, else 0; the rest is as in poolRow" + v.suffix + ".")
	Pragma("noescape")
	dx := Load(Param("dx"), GP64())
	dy := Load(Param("dy"), GP64())
	which := Load(Param("which"), GP64())
	grad, where, value, place := v.reg(), v.reg(), v.reg(), v.reg()
	v.pixels(dx, []Register{dy, which}, func(l lanesOf, name string) {
		l.load(l.address(dy), grad)
		l.load(l.address(which), where)
		at := GP64()
		LEAQ(l.address(dx), at)
		l.window(name, at, place, one, func(to Mem) {
			if v.lanes == 16 {
				k := K()
				VPCMPEQD(place, where, k)
				VMOVUPS_Z(grad, k, value)
			} else {
				VPCMPEQD(place, where, value)
				VANDPS(grad, value, value)
			}
			l.store(value, to)
		})
	})
}
