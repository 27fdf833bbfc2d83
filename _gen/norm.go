package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sumRows adds rows to a sum that stays in a register, one vector of columns after another.
func sumRows(v vector) {
	TEXT("sumRows"+v.suffix, NOSPLIT, "func(dst, x *float32, rows, channels int, lanes *int32)")
	Doc("sumRows" + v.suffix + " adds the rows of x [rows,channels], at least one, to dst; lanes is that of path_amd64.go.")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	x := Load(Param("x"), GP64())
	stride := Load(Param("channels"), GP64())
	SHLQ(Imm(2), stride)
	sum, value := v.reg(), v.reg()
	v.channels(func(l lanesOf, name string) {
		rows := Load(Param("rows"), GP64())
		at := GP64()
		LEAQ(l.address(x), at)
		l.load(l.address(dst), sum)
		Label(name + "_row")
		l.load(Mem{Base: at}, value)
		VADDPS(value, sum, sum)
		ADDQ(stride, at)
		DECQ(rows)
		JNZ(LabelRef(name + "_row"))
		l.store(sum, l.address(dst))
	})
	VZEROUPPER()
	RET()
}

// columnBlocks runs body for each vector of columns, a multiple of the vector's; at is where it lies in a row, in bytes.
func (v vector) columnBlocks(body func(at GPVirtual)) {
	at, left := GP64(), Load(Param("columns"), GP64())
	XORQ(at, at)
	Label("columns")
	body(at)
	ADDQ(Imm(uint64(v.bytes())), at)
	SUBQ(Imm(uint64(v.lanes)), left)
	JNZ(LabelRef("columns"))
	VZEROUPPER()
	RET()
}

// columnMoments are sums of columns in float64: of u − shiftU, and of its product with v − shiftV.
func columnMoments(v vector) {
	TEXT("columnMoments"+v.suffix, NOSPLIT, "func(first, second *float64, u, v, shiftU, shiftV *float32, rows, columns, stride int)")
	Doc("columnMoments" + v.suffix + " is Moments of at least one row and of columns that are a multiple of the vector's; stride is in bytes.")
	Pragma("noescape")
	sums, products := v.registers(2), v.registers(2)
	shiftU, shiftV, x, y := v.reg(), v.reg(), v.reg(), v.reg()
	wideX, wideY := v.registers(2), v.registers(2)
	v.columnBlocks(func(at GPVirtual) {
		column := func(name string) Mem { return Mem{Base: Load(Param(name), GP64()), Index: at, Scale: 1} }
		VMOVUPS(column("shiftU"), shiftU)
		VMOVUPS(column("shiftV"), shiftV)
		for i := range sums {
			v.zero(sums[i])
			v.zero(products[i])
		}
		u, other, rows := GP64(), GP64(), Load(Param("rows"), GP64())
		stride := Load(Param("stride"), GP64())
		LEAQ(column("u"), u)
		LEAQ(column("v"), other)
		Label("row")
		VMOVUPS(Mem{Base: u}, x)
		VSUBPS(shiftU, x, x)
		VMOVUPS(Mem{Base: other}, y)
		VSUBPS(shiftV, y, y)
		v.widen(x, wideX[0], wideX[1])
		v.widen(y, wideY[0], wideY[1])
		for i := range sums {
			VADDPD(wideX[i], sums[i], sums[i])
			VFMADD231PD(wideX[i], wideY[i], products[i])
		}
		ADDQ(stride, u)
		ADDQ(stride, other)
		DECQ(rows)
		JNZ(LabelRef("row"))
		for j, name := range []string{"first", "second"} {
			to := Load(Param(name), GP64())
			for i, total := range [][]VecVirtual{sums, products}[j] {
				place := Mem{Base: to, Index: at, Scale: 2, Disp: i * v.bytes()}
				VADDPD(place, total, total)
				VMOVUPD(total, place)
			}
		}
	})
}

// blend is what both normalisations and their gradients end with.
func blend(v vector) {
	TEXT("blend"+v.suffix, NOSPLIT, "func(dst, u, v, a, b, shift, c *float32, rows, columns, stride int)")
	Doc("blend" + v.suffix + " is Blend of at least one row and of columns that are a multiple of the vector's; stride is in bytes.")
	Pragma("noescape")
	a, b, shift, c, x, y := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
	v.columnBlocks(func(at GPVirtual) {
		column := func(name string) Mem { return Mem{Base: Load(Param(name), GP64()), Index: at, Scale: 1} }
		for i, name := range []string{"a", "b", "shift", "c"} {
			VMOVUPS(column(name), []VecVirtual{a, b, shift, c}[i])
		}
		dst, u, other, rows := GP64(), GP64(), GP64(), Load(Param("rows"), GP64())
		stride := Load(Param("stride"), GP64())
		LEAQ(column("dst"), dst)
		LEAQ(column("u"), u)
		LEAQ(column("v"), other)
		Label("row")
		VMOVUPS(Mem{Base: other}, y)
		VSUBPS(shift, y, y)
		VFMADD213PS(c, b, y)
		VMOVUPS(Mem{Base: u}, x)
		VFMADD231PS(x, a, y)
		VMOVUPS(y, Mem{Base: dst})
		ADDQ(stride, dst)
		ADDQ(stride, u)
		ADDQ(stride, other)
		DECQ(rows)
		JNZ(LabelRef("row"))
	})
}
