//go:build !noasm

package kernel

import (
	"math"
	"math/bits"
)

// columns holds as many short rows as a vector has lanes across: column j of them is the vector at z[j·lanes]. The vector
// code knows where the fields down to rank are: _gen/columns.go.
type columns struct {
	z               [maxColumns * rowLanes]float32 // logits, then powers, then what they become
	_               [maxColumns * rowLanes]float32 // rest: of power·(1 + rest)
	shift, shiftLow [rowLanes]float32              // of log-softmax; of RowStats the label's logit and the next one below it
	ref             [rowLanes]float32              // what powers are measured from, in eighths
	others, own     [rowLanes]float64              // sums of powers, all but the label's; the label's, or 1
	logs            [rowLanes]float64              // log(1 + others/own)

	// of RowStats
	moment, squares [rowLanes]float64 // sums over the others
	top             [rowLanes]float64 // the greatest power of the others
	other, least    [rowLanes]float32 // the largest of the other logits, the least finite one of all
	argmax, rank    [rowLanes]int32   // the class of other; the label's rank, or 0

	spare    [maxColumns * rowLanes]float32 // rows where they are fewer than lanes
	row      [maxColumns]float32            // a row that the portable code does
	label    [rowLanes]int32
	rounded  [rowLanes]float32 // logs
	lanes, k int
	exponent [4]float32 // log2(e)/T in eighths, as two floats, and what makes the floor of ref
}

// maxColumns is the largest K that is worked across rows: columns and rests fit into the nearest cache.
const maxColumns = 256

var spareColumns = make(chan *columns, 16)

// columnsFor returns columns of k logits, or nil for rows that are not worked across.
func columnsFor(k int, temperature float64) *columns {
	s, ok := newRowSum(temperature)
	if !ok || k > maxColumns {
		return nil
	}
	c := take(spareColumns)
	if c == nil {
		c = new(columns)
	}
	c.k, c.lanes = k, 8
	if active == avx512 {
		c.lanes = 16
	}
	c.exponent = [4]float32{s.e.high, s.e.low, float32(1 / (eighths * s.scale)), float32(-underflow / s.scale)}
	return c
}

// groups yields the first row and the number of rows of each group of z's.
func (c *columns) groups(z []float32) func(yield func(start, rows int) bool) {
	n := len(z) / c.k
	return func(yield func(start, rows int) bool) {
		for start := 0; start < n; start += c.lanes {
			rows := min(c.lanes, n-start)
			c.load(z[start*c.k : (start+rows)*c.k])
			if !yield(start, rows) {
				return
			}
		}
	}
}

func softmaxAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	for start, rows := range c.groups(z) {
		good, _ := c.sum(true, nil)
		c.scale(1, nil)
		for i := range missing(good, rows) {
			softmaxRow(c.row[:k], z[(start+i)*k:(start+i+1)*k], temperature)
			c.patch(i)
		}
		c.store(dst[start*k : (start+rows)*k])
	}
	give(spareColumns, c)
	return true
}

func logSoftmaxAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	high := float32(1 / temperature)
	coefficients := [3]float32{high, float32(1/temperature - float64(high)), extremeLow}
	for start, rows := range c.groups(z) {
		good, _ := c.sum(false, nil)
		c.log(&c.rounded[0])
		for i := range rows {
			lse := c.lse(i)
			c.shift[i] = float32(lse)
			c.shiftLow[i] = float32(lse - float64(c.shift[i]))
		}
		c.affine(&coefficients)
		for i := range missing(good, rows) {
			logSoftmaxRow(c.row[:k], z[(start+i)*k:(start+i+1)*k], temperature)
			c.patch(i)
		}
		c.store(dst[start*k : (start+rows)*k])
	}
	give(spareColumns, c)
	return true
}

func logSumExpAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	for start, rows := range c.groups(z) {
		good, _ := c.sum(false, nil)
		c.log(&c.rounded[0])
		for i := range rows {
			dst[start+i] = float32(c.lse(i))
		}
		for i := range missing(good, rows) {
			dst[start+i] = logSumExpRow(z[(start+i)*k:(start+i+1)*k], temperature)
		}
	}
	give(spareColumns, c)
	return true
}

func crossEntropyAcross(nll, grad, z []float32, labels []int32, k int, scale float32) bool {
	c := columnsFor(k, 1)
	if c == nil {
		return false
	}
	for start, rows := range c.groups(z) {
		label, rounded := &c.label[0], &c.rounded[0]
		if rows == c.lanes {
			label, rounded = &labels[start], &nll[start]
		} else {
			copy(c.label[:], labels[start:])
		}
		good, ignored := c.sum(grad != nil, label)
		c.log(rounded)
		if rows < c.lanes {
			copy(nll[start:], c.rounded[:rows])
		}
		var row []float32
		if grad != nil {
			c.scale(float64(scale), label)
			row = c.row[:k]
		}
		for i := range missing(good&^ignored, rows) {
			if ignored>>i&1 != 0 {
				nll[start+i] = 0
				clear(row)
			} else {
				nll[start+i] = crossEntropy(row, z[(start+i)*k:(start+i+1)*k], int(labels[start+i]), scale)
			}
			if grad != nil {
				c.patch(i)
			}
		}
		if grad != nil {
			c.store(grad[start*k : (start+rows)*k])
		}
	}
	give(spareColumns, c)
	return true
}

// missing yields the rows whose bit is not set: those that the portable code must do.
func missing(good uint32, rows int) func(yield func(i int) bool) {
	return func(yield func(i int) bool) {
		for left := ^good & (1<<rows - 1); left != 0; left &= left - 1 {
			if !yield(bits.TrailingZeros32(left)) {
				return
			}
		}
	}
}

// patch puts row in the place of row i.
func (c *columns) patch(i int) {
	for j, v := range c.row[:c.k] {
		c.z[j*c.lanes+i] = v
	}
}

// load takes up to lanes rows.
func (c *columns) load(z []float32) {
	if len(z) < c.lanes*c.k {
		clear(c.spare[copy(c.spare[:], z) : c.lanes*c.k])
		z = c.spare[:c.lanes*c.k]
	}
	if active == avx512 {
		rowsToColumnsAVX512(&c.z[0], &z[0], c.k, 1<<(c.k%16)-1)
	} else {
		rowsToColumnsAVX2(&c.z[0], &z[0], c.k, &lanes[16-c.k%8])
	}
}

// store writes as many rows as dst holds.
func (c *columns) store(dst []float32) {
	to := dst
	if len(dst) < c.lanes*c.k {
		to = c.spare[:]
	}
	if active == avx512 {
		columnsToRowsAVX512(&c.z[0], &to[0], c.k, 1<<(c.k%16)-1)
	} else {
		columnsToRowsAVX2(&c.z[0], &to[0], c.k, &lanes[16-c.k%8])
	}
	if len(dst) < c.lanes*c.k {
		copy(dst, to)
	}
}

// sum adds up each row's powers, but for those of the labels where there are any, and keeps them where keep is set. It
// returns a bit for each row for which that went well, and one for each that is Ignored.
func (c *columns) sum(keep bool, labels *int32) (good, ignored uint32) {
	var bits uint32
	switch {
	case active == avx512 && keep:
		bits = columnsPowersAVX512(&c.z[0], c.k, &c.exponent, labels)
	case active == avx512:
		bits = columnsSumAVX512(&c.z[0], c.k, &c.exponent, labels)
	case keep:
		bits = columnsPowersAVX2(&c.z[0], c.k, &c.exponent, labels)
	default:
		bits = columnsSumAVX2(&c.z[0], c.k, &c.exponent, labels)
	}
	return bits & 0xFFFF, bits >> 16
}

// log takes logs of the sums, to be had in float32 too.
func (c *columns) log(rounded *float32) {
	if active == avx512 {
		columnsLogAVX512(&c.z[0], rounded)
	} else {
		columnsLogAVX2(&c.z[0], rounded)
	}
}

// lse is the log-sum-exp of row i, of sums without labels, after log.
func (c *columns) lse(i int) float64 {
	return (float64(c.ref[i])/eighths-biasBits)*math.Ln2 + c.logs[i]
}

// scale turns powers that were kept into probabilities times factor or, for the labels, a gradient.
func (c *columns) scale(factor float64, labels *int32) {
	if active == avx512 {
		columnsScaleAVX512(&c.z[0], c.k, factor, labels)
	} else {
		columnsScaleAVX2(&c.z[0], c.k, factor, labels)
	}
}

// affine turns logits into log-probabilities.
func (c *columns) affine(coefficients *[3]float32) {
	if active == avx512 {
		columnsAffineAVX512(&c.z[0], c.k, coefficients)
	} else {
		columnsAffineAVX2(&c.z[0], c.k, coefficients)
	}
}
