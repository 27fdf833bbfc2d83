package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// bagSum makes a routine that adds up rows of a table, each times its weight, one vector of columns at a time.
func bagSum(v vector) {
	TEXT("bagSum"+v.suffix, NOSPLIT, "func(sum, table *float32, tokens *int32, weights *float32, n, width int)")
	Doc("bagSum" + v.suffix + " writes to sum [width], a multiple of the vector's, the n rows of table that tokens name, each times its weight.")
	Pragma("noescape")
	sum := Load(Param("sum"), GP64())
	acc := v.reg()
	v.overRows(func() { v.zero(acc) }, func(row Mem, weight VecVirtual) {
		VFMADD231PS(row, weight, acc)
	}, func(offset Register) { VMOVUPS(acc, Mem{Base: sum, Index: offset, Scale: 1}) })
}

// bagAdd makes a routine that adds a row to rows of a table, each time times a weight.
func bagAdd(v vector) {
	TEXT("bagAdd"+v.suffix, NOSPLIT, "func(grad, table *float32, tokens *int32, weights *float32, n, width int)")
	Doc("bagAdd" + v.suffix + " adds grad [width], a multiple of the vector's, times each weight to the n rows of table that tokens name.")
	Pragma("noescape")
	grad := Load(Param("grad"), GP64())
	g, sum := v.reg(), v.reg()
	at := GP64()
	MOVQ(grad, at)
	v.overRows(func() {
		VMOVUPS(Mem{Base: at}, g)
		ADDQ(Imm(uint64(v.bytes())), at)
	}, func(row Mem, weight VecVirtual) {
		VMOVUPS(row, sum)
		VFMADD231PS(g, weight, sum)
		VMOVUPS(sum, row)
	}, func(Register) {})
}

// overRows makes a loop over the vectors of columns. For each it runs begin, then each for every row, with the row's weight in all lanes, and then
// end, with the offset of the columns in bytes.
func (v vector) overRows(begin func(), each func(row Mem, weight VecVirtual), end func(offset Register)) {
	table := Load(Param("table"), GP64())
	tokens := Load(Param("tokens"), GP64())
	weights := Load(Param("weights"), GP64())
	n := Load(Param("n"), GP64())
	bytes := Load(Param("width"), GP64())
	SHLQ(Imm(2), bytes)
	offset, i, row := GP64(), GP64(), GP64()
	weight := v.reg()
	XORQ(offset, offset)
	Label("columns")
	CMPQ(offset, bytes)
	JGE(LabelRef("done"))
	begin()
	XORQ(i, i)
	Label("row")
	CMPQ(i, n)
	JGE(LabelRef("end"))
	MOVLQSX(Mem{Base: tokens, Index: i, Scale: 4}, row)
	IMULQ(bytes, row)
	ADDQ(offset, row)
	VBROADCASTSS(Mem{Base: weights, Index: i, Scale: 4}, weight)
	each(Mem{Base: table, Index: row, Scale: 1}, weight)
	INCQ(i)
	JMP(LabelRef("row"))
	Label("end")
	end(offset)
	ADDQ(Imm(uint64(v.bytes())), offset)
	JMP(LabelRef("columns"))
	Label("done")
	VZEROUPPER()
	RET()
}
