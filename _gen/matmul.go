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

// tileAVX512 is a tile of rows × 16·width; lanes whose bit in mask is 0 are neither read nor written.
func tileAVX512(rows, width int) {
	TEXT(fmt.Sprintf("tileAVX512r%dx%d", rows, 16*width), NOSPLIT, tileSignature)
	Doc(fmt.Sprintf("tileAVX512r%dx%d computes %d rows of up to %d columns of a product. Strides are in bytes.", rows, 16*width, rows, 16*width))
	Pragma("noescape")
	r := loadTileArguments(rows)
	mask := Load(Param("mask"), GP32())
	k := []OpmaskVirtual{K(), K()}[:width]
	KMOVW(mask, k[0])
	if width == 2 {
		SHRL(Imm(16), mask)
		KMOVW(mask, k[1])
	}
	acc := make([][]VecVirtual, rows)
	for i := range acc {
		for range width {
			z := ZMM()
			VPXORD(z, z, z)
			acc[i] = append(acc[i], z)
		}
	}
	b := make([]VecVirtual, width)
	for w := range b {
		b[w] = ZMM()
	}
	r.loop("step", func() {
		for w := range b {
			VMOVUPS_Z(Mem{Base: r.b, Disp: 64 * w}, k[w], b[w])
		}
		for i := range acc {
			for w := range b {
				VFMADD231PS_BCST(r.rowOfA(i), b[w], acc[i][w])
			}
		}
	})
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagAccumulate), flags)
	JZ(LabelRef("bias"))
	at := GP64()
	MOVQ(r.c, at)
	for i := range acc {
		for w := range b {
			VMOVUPS_Z(Mem{Base: at, Disp: 64 * w}, k[w], b[w])
			VADDPS(b[w], acc[i][w], acc[i][w])
		}
		if i < rows-1 {
			ADDQ(r.cStride, at)
		}
	}
	Label("bias")
	bias := Load(Param("bias"), GP64())
	TESTQ(bias, bias)
	JZ(LabelRef("relu"))
	for w := range b {
		VMOVUPS_Z(Mem{Base: bias, Disp: 64 * w}, k[w], b[w])
		for i := range acc {
			VADDPS(b[w], acc[i][w], acc[i][w])
		}
	}
	Label("relu")
	TESTQ(U32(flagReLU), flags)
	JZ(LabelRef("store"))
	zero := b[0]
	VPXORD(zero, zero, zero)
	for i := range acc {
		for w := range b {
			VMAXPS(acc[i][w], zero, acc[i][w]) // NaN where the second operand, the value, is NaN
		}
	}
	Label("store")
	for i := range acc {
		for w := range b {
			VMOVUPS(acc[i][w], k[w], Mem{Base: r.c, Disp: 64 * w})
		}
		if i < rows-1 {
			ADDQ(r.cStride, r.c)
		}
	}
	VZEROUPPER()
	RET()
}

// tileAVX2 is a tile of rows × 8·width. AVX2 has no mask registers: lanes come from a table of ones and zeros.
func tileAVX2(rows, width int) {
	TEXT(fmt.Sprintf("tileAVX2r%dx%d", rows, 8*width), NOSPLIT,
		"func(a *float32, rowStride, stepStride int, b *float32, bStride int, c *float32, cStride int, k int, bias *float32, lanes *int32, flags int)")
	Doc(fmt.Sprintf("tileAVX2r%dx%d computes %d rows of up to %d columns of a product. Strides are in bytes; lanes is a mask of −1 and 0 for each column.", rows, 8*width, rows, 8*width))
	Pragma("noescape")
	r := loadTileArguments(rows)
	lanes := Load(Param("lanes"), GP64())
	mask := make([]VecVirtual, width)
	for w := range mask {
		mask[w] = YMM()
		VMOVDQU(Mem{Base: lanes, Disp: 32 * w}, mask[w])
	}
	acc := make([][]VecVirtual, rows)
	for i := range acc {
		for range width {
			y := YMM()
			VXORPS(y, y, y)
			acc[i] = append(acc[i], y)
		}
	}
	b := make([]VecVirtual, width)
	for w := range b {
		b[w] = YMM()
	}
	a := YMM()
	r.loop("step", func() {
		for w := range b {
			VMASKMOVPS(Mem{Base: r.b, Disp: 32 * w}, mask[w], b[w])
		}
		for i := range acc {
			VBROADCASTSS(r.rowOfA(i), a)
			for w := range b {
				VFMADD231PS(b[w], a, acc[i][w])
			}
		}
	})
	flags := Load(Param("flags"), GP64())
	TESTQ(U32(flagAccumulate), flags)
	JZ(LabelRef("bias"))
	at := GP64()
	MOVQ(r.c, at)
	for i := range acc {
		for w := range b {
			VMASKMOVPS(Mem{Base: at, Disp: 32 * w}, mask[w], b[w])
			VADDPS(b[w], acc[i][w], acc[i][w])
		}
		if i < rows-1 {
			ADDQ(r.cStride, at)
		}
	}
	Label("bias")
	bias := Load(Param("bias"), GP64())
	TESTQ(bias, bias)
	JZ(LabelRef("relu"))
	for w := range b {
		VMASKMOVPS(Mem{Base: bias, Disp: 32 * w}, mask[w], b[w])
		for i := range acc {
			VADDPS(b[w], acc[i][w], acc[i][w])
		}
	}
	Label("relu")
	TESTQ(U32(flagReLU), flags)
	JZ(LabelRef("store"))
	VXORPS(a, a, a)
	for i := range acc {
		for w := range b {
			VMAXPS(acc[i][w], a, acc[i][w])
		}
	}
	Label("store")
	for i := range acc {
		for w := range b {
			VMASKMOVPS(acc[i][w], mask[w], Mem{Base: r.c, Disp: 32 * w})
		}
		if i < rows-1 {
			ADDQ(r.cStride, r.c)
		}
	}
	VZEROUPPER()
	RET()
}

// transpose8 writes the transpose of an 8×8 block: three rounds that exchange halves, quarters and eighths.
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
	pairs := make([]VecVirtual, 8) // interleaved by one
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = YMM(), YMM()
		VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	quads := make([]VecVirtual, 8) // interleaved by two
	for i := 0; i < 8; i += 4 {
		for j := range 2 {
			low, high := pairs[i+j], pairs[i+2+j]
			quads[i+2*j], quads[i+2*j+1] = YMM(), YMM()
			VSHUFPS(Imm(0x44), high, low, quads[i+2*j])
			VSHUFPS(Imm(0xEE), high, low, quads[i+2*j+1])
		}
	}
	out := YMM()
	for i := range 8 {
		selector := Imm(0x20)
		if i >= 4 {
			selector = Imm(0x31)
		}
		VPERM2F128(selector, quads[4+i%4], quads[i%4], out)
		VMOVUPS(out, Mem{Base: dst})
		if i < 7 {
			ADDQ(dstStride, dst)
		}
	}
	VZEROUPPER()
	RET()
}
