package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A tile of C [rows,columns] is held in registers while p runs from 0 to k. For each p the columns of row p of B are loaded once, and multiplied by
// the element of each row of A, which is read from memory. The strides of A are parameters, so that the same code does A and Aᵀ. Each element of
// C is one chain of fused multiply-adds in rising p, so that the result does not depend on how C is cut into tiles.

var (
	flagAccumulate = layout.value("tileAccumulates")
	flagReLU       = layout.value("tileReLU")
)

// tileRegisters are the general registers of a tile's loop.
type tileRegisters struct {
	a, row, row3, row5, row7, step, b, bStride, c, cStride, k, bias, flags Register
}

func loadTileArguments(rows int) tileRegisters {
	var r tileRegisters
	r.a = Load(Param("a"), GP64())
	r.row = Load(Param("rowStride"), GP64())
	r.step = Load(Param("stepStride"), GP64())
	r.b = Load(Param("b"), GP64())
	r.bStride = Load(Param("bStride"), GP64())
	r.c = Load(Param("c"), GP64())
	r.cStride = Load(Param("cStride"), GP64())
	r.k = Load(Param("k"), GP64())
	if rows > 3 {
		row3 := GP64()
		LEAQ(Mem{Base: r.row, Index: r.row, Scale: 2}, row3)
		r.row3 = row3
	}
	if rows > 5 {
		row5, row7 := GP64(), GP64()
		LEAQ(Mem{Base: r.row, Index: r.row, Scale: 4}, row5)
		LEAQ(Mem{Base: r.row3, Index: r.row, Scale: 4}, row7)
		r.row5, r.row7 = row5, row7
	}
	return r
}

// rowOfA returns the place of the element of A in row i at the current step.
func (r tileRegisters) rowOfA(i int) Mem {
	switch i {
	case 0:
		return Mem{Base: r.a}
	case 1, 2, 4:
		return Mem{Base: r.a, Index: r.row, Scale: uint8(i)}
	case 3:
		return Mem{Base: r.a, Index: r.row3, Scale: 1}
	case 5:
		return Mem{Base: r.a, Index: r.row5, Scale: 1}
	case 6:
		return Mem{Base: r.a, Index: r.row3, Scale: 2}
	default:
		return Mem{Base: r.a, Index: r.row7, Scale: 1}
	}
}

// loop makes a loop that runs body k times, and moves on in A and B by a step each time.
func (r tileRegisters) loop(name string, step, bStride Op, body func()) {
	TESTQ(r.k, r.k)
	JZ(LabelRef(name + "_done"))
	Label(name)
	body()
	ADDQ(step, r.a)
	ADDQ(bStride, r.b)
	DECQ(r.k)
	JNZ(LabelRef(name))
	Label(name + "_done")
}

// tile is what the two instruction sets do differently: how the columns of a row are read and written where only some of
// them are there, and how an element of A is multiplied in.
type tile struct {
	vector
	kind        string
	rows, width int
	mask        []Op // of each vector of columns
	element     VecVirtual
	acc         [][]VecVirtual // the sums, row by row
}

func (t *tile) name() string {
	return fmt.Sprintf("tile%s%sr%dx%d", t.kind, t.suffix, t.rows, t.lanes*t.width)
}

func (t *tile) load(from Mem, w int, into VecVirtual) {
	from.Disp = w * t.bytes()
	t.loadMasked(from, t.mask[w], into)
}

func (t *tile) store(from VecVirtual, w int, to Mem) {
	to.Disp = w * t.bytes()
	t.storeMasked(from, t.mask[w], to)
}

// multiply adds a·b[w] to acc[w] for an element a of A in memory.
func (t *tile) multiply(a Mem, b, acc []VecVirtual) {
	if t.lanes == 16 {
		for w := range b {
			VFMADD231PS_BCST(a, b[w], acc[w])
		}
		return
	}
	VBROADCASTSS(a, t.element)
	for w := range b {
		VFMADD231PS(b[w], t.element, acc[w])
	}
}

// multiplyTile makes a routine for a tile of some rows and a width of some vectors. Columns that the mask leaves out are neither read nor written.
func multiplyTile(v vector, rows, width int) {
	t := newTile(v, rows, width, "")
	TEXT(t.name(), NOSPLIT, "func(a *float32, rowStride, stepStride int, b *float32, bStride int, c *float32, cStride int, k int, bias *float32, "+v.maskParam("mask")+", flags int)")
	Doc(fmt.Sprintf("%s computes %d rows of up to %d columns of a product. Strides are in bytes.", t.name(), rows, v.lanes*width))
	Pragma("noescape")
	r := loadTileArguments(rows)
	t.start(r)
	b := v.registers(width)
	if v.lanes == 8 {
		t.element = v.reg()
	}
	r.loop("step", r.step, r.bStride, func() {
		for w := range b {
			t.load(Mem{Base: r.b}, w, b[w])
		}
		for i := range t.acc {
			t.multiply(r.rowOfA(i), b, t.acc[i])
		}
	})
	t.finish(r, b)
}

// packedTile makes a routine like multiplyTile's for copies of A and B, in which the elements of a step lie behind those of the step before. All rows
// of A and all columns of B are there. The tile is as large as registers allow, so that each element that is read is used as often as can be.
func packedTile(v vector, rows, width int) {
	t := newTile(v, rows, width, "Packed")
	TEXT(t.name(), NOSPLIT, "func(a, b, c, ahead *float32, cStride int, k int, bias *float32, "+v.maskParam("mask")+", flags int)")
	Doc(fmt.Sprintf("%s computes %d rows of up to %d columns of a product from A [k,%d] and B [k,%d]. The stride is in bytes. It asks the second cache for 64 bytes a step from ahead on, which need not be there.", t.name(), rows, v.lanes*width, rows, v.lanes*width))
	Pragma("noescape")
	var r tileRegisters
	r.a = Load(Param("a"), GP64())
	r.b = Load(Param("b"), GP64())
	r.c = Load(Param("c"), GP64())
	r.cStride = Load(Param("cStride"), GP64())
	r.k = Load(Param("k"), GP64())
	t.start(r)
	ahead := Load(Param("ahead"), GP64())
	b := v.registers(width)
	t.element = v.reg()
	r.loop("step", U32(4*rows), U32(width*v.bytes()), func() {
		for w := range b {
			VMOVUPS(Mem{Base: r.b, Disp: w * v.bytes()}, b[w])
		}
		PREFETCHT1(Mem{Base: ahead})
		ADDQ(Imm(64), ahead)
		for i := range t.acc {
			VBROADCASTSS(Mem{Base: r.a, Disp: 4 * i}, t.element)
			for w := range b {
				VFMADD231PS(b[w], t.element, t.acc[i][w])
			}
		}
	})
	t.finish(r, b)
}

func newTile(v vector, rows, width int, kind string) *tile {
	return &tile{vector: v, kind: kind, rows: rows, width: width}
}

// start sets the sums to 0 or to what C holds.
func (t *tile) start(r tileRegisters) {
	t.mask = t.loadMask("mask", t.width)
	t.acc = make([][]VecVirtual, t.rows)
	for i := range t.acc {
		t.acc[i] = t.registers(t.width)
		for _, register := range t.acc[i] {
			t.zero(register)
		}
	}
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagAccumulate), flags)
	JZ(LabelRef("start"))
	at := GP64()
	MOVQ(r.c, at)
	for i := range t.acc {
		for w, register := range t.acc[i] {
			t.load(Mem{Base: at}, w, register)
		}
		if i < t.rows-1 {
			ADDQ(r.cStride, at)
		}
	}
	Label("start")
}

// finish adds the bias, applies the ReLU and stores the tile. b has as many registers as a row has vectors, which it overwrites.
func (t *tile) finish(r tileRegisters, b []VecVirtual) {
	t.mask = t.loadMask("mask", t.width) // the mask is loaded again, since AVX2 has no register left for it during the loop
	bias := Load(Param("bias"), GP64())
	TESTQ(bias, bias)
	JZ(LabelRef("relu"))
	for w := range b {
		t.load(Mem{Base: bias}, w, b[w])
		for i := range t.acc {
			VADDPS(b[w], t.acc[i][w], t.acc[i][w])
		}
	}
	Label("relu")
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagReLU), flags)
	JZ(LabelRef("store"))
	zero := b[0]
	t.zero(zero)
	for i := range t.acc {
		for w := range b {
			VMAXPS(t.acc[i][w], zero, t.acc[i][w]) // the second operand, the value, where that is NaN
		}
	}
	Label("store")
	for i := range t.acc {
		for w := range b {
			t.store(t.acc[i][w], w, Mem{Base: r.c})
		}
		if i < t.rows-1 {
			ADDQ(r.cStride, r.c)
		}
	}
	VZEROUPPER()
	RET()
}

// maskParam is the parameter that says which lanes are meant: AVX-512 has mask registers, 16 bits for each vector; AVX2
// reads −1 and 0 for each lane from a table.
func (v vector) maskParam(name string) string {
	if v.lanes == 8 {
		return name + " *int32"
	}
	return name + " uint32"
}

// loadMask loads the mask of each vector of columns.
func (v vector) loadMask(name string, width int) (masks []Op) {
	for w := range width {
		if v.lanes == 16 {
			bits, k := Load(Param(name), GP32()), K()
			if w > 0 {
				SHRL(Imm(uint64(16*w)), bits)
			}
			KMOVW(bits, k)
			masks = append(masks, k)
		} else {
			table, y := Load(Param(name), GP64()), YMM()
			VMOVDQU(Mem{Base: table, Disp: 32 * w}, y)
			masks = append(masks, y)
		}
	}
	return masks
}

func (v vector) loadMasked(from Mem, mask Op, into VecVirtual) {
	if v.lanes == 16 {
		VMOVUPS_Z(from, mask, into)
	} else {
		VMASKMOVPS(from, mask, into)
	}
}

func (v vector) storeMasked(from VecVirtual, mask Op, to Mem) {
	if v.lanes == 16 {
		VMOVUPS(from, mask, to)
	} else {
		VMASKMOVPS(from, mask, to)
	}
}

// copySteps makes a routine that copies the elements of a tile's steps where those of one step lie together.
func copySteps(v vector) {
	name := "copySteps" + v.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride, steps int, "+v.maskParam("load")+", "+v.maskParam("store")+")")
	Doc(fmt.Sprintf("%s copies those of %d elements that load names, and 0 for those that store names alone, for at least one step. Strides are in bytes.", name, 2*v.lanes))
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	steps := Load(Param("steps"), GP64())
	load, store := v.loadMask("load", 2), v.loadMask("store", 2)
	x := v.registers(2)
	Label("step")
	for w := range x {
		v.loadMasked(Mem{Base: src, Disp: w * v.bytes()}, load[w], x[w])
	}
	for w := range x {
		v.storeMasked(x[w], store[w], Mem{Base: dst, Disp: w * v.bytes()})
	}
	ADDQ(srcStride, src)
	ADDQ(dstStride, dst)
	DECQ(steps)
	JNZ(LabelRef("step"))
	VZEROUPPER()
	RET()
}

// transposeSteps makes a routine that copies the elements of a tile's steps where those of one step lie a stride apart, a square block at a time.
func transposeSteps(v vector) {
	name := "transposeSteps" + v.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride, rows, steps int, "+v.maskParam("store")+", lanes *int32)")
	Doc(fmt.Sprintf("%s writes steps elements of each of up to %d rows, at least one, as columns; in the place of rows that are not there, where store names it, stands the last. Strides are in bytes; lanes is that of path_amd64.go.", name, v.lanes))
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	count := Load(Param("rows"), GP64())
	steps := Load(Param("steps"), GP64())
	lanes := Load(Param("lanes"), GP64())
	store := v.loadMask("store", 1)[0]
	var load Op = v.reg()
	if v.lanes == 16 {
		load = K()
	}
	rows := v.registers(v.lanes)
	Label("block")
	// As many of a row's elements as there are steps left.
	left, at, next := GP64(), GP64(), GP64()
	MOVQ(U32(uint64(v.lanes)), left)
	CMPQ(steps, left)
	CMOVQLT(steps, left)
	if v.lanes == 16 {
		bits := GP32()
		MOVL(U32(0xFFFF), bits)
		BZHIL(left.As32(), bits, bits)
		KMOVW(bits, load)
	} else {
		MOVQ(lanes, at)
		SHLQ(Imm(2), left)
		SUBQ(left, at)
		VMOVDQU(Mem{Base: at, Disp: 64}, load)
	}
	MOVQ(src, at)
	for i := range rows {
		v.loadMasked(Mem{Base: at}, load, rows[i])
		if i < v.lanes-1 {
			LEAQ(Mem{Base: at, Index: srcStride, Scale: 1}, next)
			CMPQ(count, Imm(uint64(i+1)))
			CMOVQGT(next, at)
		}
	}
	for _, column := range transpose(rows) {
		v.storeMasked(column, store, Mem{Base: dst})
		DECQ(steps)
		JZ(LabelRef("done"))
		ADDQ(dstStride, dst)
	}
	ADDQ(U32(uint64(v.bytes())), src)
	JMP(LabelRef("block"))
	Label("done")
	VZEROUPPER()
	RET()
}

// transpose returns the columns of as many rows as a vector has lanes: two rounds within each four of them, then one or two
// of whole fours.
func transpose(rows []VecVirtual) []VecVirtual {
	lanes := len(rows)
	reg := avx2.reg
	if lanes == 16 {
		reg = avx512.reg
	}
	pairs := make([]VecVirtual, lanes) // interleaved by one
	for i := 0; i < lanes; i += 2 {
		pairs[i], pairs[i+1] = reg(), reg()
		VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	fours := make([]VecVirtual, lanes) // of four rows: fours[4·g+c] holds, at each multiple of four lanes l, column l+c
	for i := 0; i < lanes; i += 4 {
		for j := range 2 {
			low, high := pairs[i+j], pairs[i+2+j]
			fours[i+2*j], fours[i+2*j+1] = reg(), reg()
			VSHUFPS(Imm(0x44), high, low, fours[i+2*j])
			VSHUFPS(Imm(0xEE), high, low, fours[i+2*j+1])
		}
	}
	columns := make([]VecVirtual, lanes)
	for c := range 4 {
		if lanes == 8 {
			for l, selector := range []uint64{0x20, 0x31} {
				columns[4*l+c] = reg()
				VPERM2F128(Imm(selector), fours[4+c], fours[c], columns[4*l+c])
			}
			continue
		}
		even, odd := make([]VecVirtual, 2), make([]VecVirtual, 2) // fours of lanes, of rows 0–7 and 8–15
		for g := range 2 {
			even[g], odd[g] = reg(), reg()
			VSHUFF32X4(Imm(0x88), fours[8*g+4+c], fours[8*g+c], even[g])
			VSHUFF32X4(Imm(0xDD), fours[8*g+4+c], fours[8*g+c], odd[g])
		}
		for l, from := range [][]VecVirtual{even, odd, even, odd} {
			columns[4*l+c] = reg()
			VSHUFF32X4(Imm([]uint64{0x88, 0xDD}[l/2]), from[1], from[0], columns[4*l+c])
		}
	}
	return columns
}
