package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A tile of C [rows, columns] is held in registers while k runs: for each p, the columns of row p of B are loaded once and
// every row of A is multiplied in from memory. A's strides are free, so that A and Aᵀ are the same code. Each element of
// C is one chain of fused multiply-adds over p in order: the result does not depend on how C is cut into tiles.
const tileSignature = "func(a *float32, rowStride, stepStride int, b *float32, bStride int, c *float32, cStride int, k int, bias *float32, mask uint32, flags int)"

const (
	flagAccumulate = 1
	flagReLU       = 2
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

// rowOfA is the element of A in row i at the current step.
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

// loop runs body k times, moving on in A and B.
func (r tileRegisters) loop(name string, body func()) {
	TESTQ(r.k, r.k)
	JZ(LabelRef(name + "_done"))
	Label(name)
	body()
	ADDQ(r.step, r.a)
	ADDQ(r.bStride, r.b)
	DECQ(r.k)
	JNZ(LabelRef(name))
	Label(name + "_done")
}

// tile is what the two instruction sets do differently: how the columns of a row are read and written where only some of
// them are there, and how an element of A is multiplied in.
type tile struct {
	vector
	rows, width int
	mask        []Op // of each vector of columns
	element     VecVirtual
}

func (t *tile) name() string { return fmt.Sprintf("tile%sr%dx%d", t.suffix, t.rows, t.lanes*t.width) }

func (t *tile) load(from Mem, w int, into VecVirtual) {
	from.Disp = w * t.bytes()
	if t.lanes == 16 {
		VMOVUPS_Z(from, t.mask[w], into)
	} else {
		VMASKMOVPS(from, t.mask[w], into)
	}
}

func (t *tile) store(from VecVirtual, w int, to Mem) {
	to.Disp = w * t.bytes()
	if t.lanes == 16 {
		VMOVUPS(from, t.mask[w], to)
	} else {
		VMASKMOVPS(from, t.mask[w], to)
	}
}

// loadMask: AVX-512 has mask registers, 16 bits for each vector; AVX2 reads −1 and 0 for each lane from a table.
func (t *tile) loadMask() {
	for w := range t.width {
		if t.lanes == 16 {
			bits, k := Load(Param("mask"), GP32()), K()
			if w > 0 {
				SHRL(Imm(uint64(16*w)), bits)
			}
			KMOVW(bits, k)
			t.mask = append(t.mask, k)
		} else {
			table, y := Load(Param("mask"), GP64()), YMM()
			VMOVDQU(Mem{Base: table, Disp: 32 * w}, y)
			t.mask = append(t.mask, y)
		}
	}
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

// multiplyTile is a tile of rows × width vectors; columns that the mask leaves out are neither read nor written.
func multiplyTile(v vector, rows, width int) {
	t := &tile{vector: v, rows: rows, width: width}
	mask := "mask uint32"
	if v.lanes == 8 {
		mask = "mask *int32"
	}
	TEXT(t.name(), NOSPLIT, "func(a *float32, rowStride, stepStride int, b *float32, bStride int, c *float32, cStride int, k int, bias *float32, "+mask+", flags int)")
	Doc(fmt.Sprintf("%s computes %d rows of up to %d columns of a product. Strides are in bytes.", t.name(), rows, v.lanes*width))
	Pragma("noescape")
	r := loadTileArguments(rows)
	t.loadMask()
	acc := make([][]VecVirtual, rows)
	for i := range acc {
		acc[i] = v.registers(width)
		for _, register := range acc[i] {
			v.zero(register)
		}
	}
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagAccumulate), flags)
	JZ(LabelRef("start"))
	at := GP64()
	MOVQ(r.c, at)
	for i := range acc {
		for w, register := range acc[i] {
			t.load(Mem{Base: at}, w, register)
		}
		if i < rows-1 {
			ADDQ(r.cStride, at)
		}
	}
	Label("start")
	b := v.registers(width)
	if v.lanes == 8 {
		t.element = v.reg()
	}
	r.loop("step", func() {
		for w := range b {
			t.load(Mem{Base: r.b}, w, b[w])
		}
		for i := range acc {
			t.multiply(r.rowOfA(i), b, acc[i])
		}
	})
	bias := Load(Param("bias"), GP64())
	TESTQ(bias, bias)
	JZ(LabelRef("relu"))
	for w := range b {
		t.load(Mem{Base: bias}, w, b[w])
		for i := range acc {
			VADDPS(b[w], acc[i][w], acc[i][w])
		}
	}
	Label("relu")
	flags = Load(Param("flags"), GP64())
	TESTQ(U32(flagReLU), flags)
	JZ(LabelRef("store"))
	zero := b[0]
	v.zero(zero)
	for i := range acc {
		for w := range b {
			VMAXPS(acc[i][w], zero, acc[i][w]) // the second operand, the value, where that is NaN
		}
	}
	Label("store")
	for i := range acc {
		for w := range b {
			t.store(acc[i][w], w, Mem{Base: r.c})
		}
		if i < rows-1 {
			ADDQ(r.cStride, r.c)
		}
	}
	VZEROUPPER()
	RET()
}

// transpose8 writes the transpose of an 8×8 block.
func transpose8() {
	TEXT("transpose8AVX2", NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride int)")
	Doc("transpose8AVX2 writes the transpose of an 8×8 block of src to dst. Strides are in bytes.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	rows := make([]VecVirtual, 8)
	for i := range rows {
		rows[i] = YMM()
		VMOVUPS(Mem{Base: src}, rows[i])
		if i < 7 {
			ADDQ(srcStride, src)
		}
	}
	for i, column := range transpose(rows) {
		VMOVUPS(column, Mem{Base: dst})
		if i < 7 {
			ADDQ(dstStride, dst)
		}
	}
	VZEROUPPER()
	RET()
}

// copyStrip copies a strip of 8 columns.
func copyStrip() {
	TEXT("copyStrip8AVX2", NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride int, rows int)")
	Doc("copyStrip8AVX2 copies 8 columns of at least one row of src to dst. Strides are in bytes.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	rows := Load(Param("rows"), GP64())
	row := YMM()
	Label("row")
	VMOVUPS(Mem{Base: src}, row)
	VMOVUPS(row, Mem{Base: dst})
	ADDQ(srcStride, src)
	ADDQ(dstStride, dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
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
