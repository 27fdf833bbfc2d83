//go:build !noasm

package kernel

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/logitscope/logitscope/internal/spare"
)

// columns holds short rows across, in groups of as many as a vector has lanes: column j of group g is the vector at
// z[(g·k + j)·lanes]. The vector code knows where the fields down to rank are: _gen/columns.go.
type columns struct {
	z      [maxColumns * rowLanes]float32 // logits, then powers, then what they become
	_      [maxColumns * rowLanes]float32 // rest: of power·(1 + rest)
	groups [maxGroups]group

	// of RowStats, for one group
	moment, squares [rowLanes]float64 // sums over the others
	top             [rowLanes]float64 // the greatest power of the others
	other, least    [rowLanes]float32 // the largest of the other logits, the least finite one of all
	argmax, rank    [rowLanes]int32   // the class of other; the label's rank, or 0

	spare    [maxColumns * rowLanes]float32 // rows where they are fewer than lanes
	row      [maxColumns]float32            // a row that the portable code does
	label    [maxGroups * rowLanes]int32
	rounded  [maxGroups * rowLanes]float32 // logs
	lanes, k int
	exponent [4]float32 // log2(e)/T in eighths, as two floats, and what makes the floor of ref
}

// group is what is known of a group's rows.
type group struct {
	shift, shiftLow [rowLanes]float32 // of log-softmax; of RowStats the label's logit and the next one below it
	ref             [rowLanes]float32 // what powers are measured from, in eighths
	others, own     [rowLanes]float64 // sums of powers, all but the label's; the label's, or 1
	logs            [rowLanes]float64 // log(1 + others/own)
	good            uint32            // a bit for each row of which the sums are good and, from bit 16 on, for each that is Ignored
	_               [15]uint32
}

// maxColumns is the largest K that is worked across rows: columns and rests fit into the nearest cache.
const maxColumns = 256

// maxGroups are taken at once, so that the steps of one overlap those of others; _gen/columns.go has it too.
const maxGroups = 16

var spareColumns = make(chan *columns, 16)

// columnsFor returns columns of k logits, or nil for rows that are not worked across.
func columnsFor(k int, temperature float64) *columns {
	s, ok := newRowSum(temperature)
	if !ok || k > maxColumns {
		return nil
	}
	c := spare.Take(spareColumns)
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

// batches yields the first row and the number of rows of each batch of z's, up to most groups.
func (c *columns) batches(z []float32, most int) func(yield func(start, rows int) bool) {
	n := len(z) / c.k
	whole := (c.k + rowLanes - 1) &^ (rowLanes - 1) // columns that are written
	most = max(1, min(most, maxColumns/whole)) * c.lanes
	return func(yield func(start, rows int) bool) {
		for start := 0; start < n; start += most {
			rows := min(most, n-start)
			c.load(z[start*c.k : (start+rows)*c.k])
			if !yield(start, rows) {
				return
			}
		}
	}
}

// count is how many groups so many rows are.
func (c *columns) count(rows int) int { return (rows + c.lanes - 1) / c.lanes }

func softmaxAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	for start, rows := range c.batches(z, maxGroups) {
		c.sum(rows, true, nil)
		c.scale(rows, 1, nil)
		for i := range c.missing(rows, false) {
			softmaxRow(c.row[:k], z[(start+i)*k:(start+i+1)*k], temperature)
			c.patch(i)
		}
		c.store(dst[start*k : (start+rows)*k])
	}
	spare.Give(spareColumns, c)
	return true
}

func logSoftmaxAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	high := float32(1 / temperature)
	coefficients := [3]float32{high, float32(1/temperature - float64(high)), extremeLow}
	for start, rows := range c.batches(z, maxGroups) {
		c.sum(rows, false, nil)
		c.log(rows, &c.rounded[0])
		for i := range rows {
			lse := c.lse(i)
			g, lane := &c.groups[i/c.lanes], i%c.lanes
			g.shift[lane] = float32(lse)
			g.shiftLow[lane] = float32(lse - float64(g.shift[lane]))
		}
		c.affine(rows, &coefficients)
		for i := range c.missing(rows, false) {
			logSoftmaxRow(c.row[:k], z[(start+i)*k:(start+i+1)*k], temperature)
			c.patch(i)
		}
		c.store(dst[start*k : (start+rows)*k])
	}
	spare.Give(spareColumns, c)
	return true
}

func logSumExpAcross(dst, z []float32, k int, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	for start, rows := range c.batches(z, maxGroups) {
		c.sum(rows, false, nil)
		c.log(rows, &c.rounded[0])
		for i := range rows {
			dst[start+i] = float32(c.lse(i))
		}
		for i := range c.missing(rows, false) {
			dst[start+i] = logSumExpRow(z[(start+i)*k:(start+i+1)*k], temperature)
		}
	}
	spare.Give(spareColumns, c)
	return true
}

func crossEntropyAcross(nll, grad, z []float32, labels []int32, k int, scale float32) bool {
	c := columnsFor(k, 1)
	if c == nil {
		return false
	}
	for start, rows := range c.batches(z, maxGroups) {
		label, rounded := &c.label[0], &c.rounded[0]
		if rows%c.lanes == 0 {
			label, rounded = &labels[start], &nll[start]
		} else {
			copy(c.label[:], labels[start:start+rows])
		}
		c.sum(rows, grad != nil, label)
		c.log(rows, rounded)
		if rows%c.lanes != 0 {
			copy(nll[start:], c.rounded[:rows])
		}
		var row []float32
		if grad != nil {
			c.scale(rows, float64(scale), label)
			row = c.row[:k]
		}
		for i := range c.missing(rows, true) {
			if labels[start+i] == Ignored {
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
	spare.Give(spareColumns, c)
	return true
}

// missing yields the rows whose sums are not good, and those that are Ignored where there are labels: those that are not done by
// vector code.
func (c *columns) missing(rows int, labelled bool) func(yield func(i int) bool) {
	ignored := uint32(0)
	if labelled { // without, good calls every row that
		ignored = ^ignored
	}
	return func(yield func(i int) bool) {
		for start := 0; start < rows; start += c.lanes {
			good := c.groups[start/c.lanes].good
			for left := (^good | good>>16&ignored) & (1<<min(c.lanes, rows-start) - 1); left != 0; left &= left - 1 {
				if !yield(start + bits.TrailingZeros32(left)) {
					return
				}
			}
		}
	}
}

// patch puts row in the place of row i.
func (c *columns) patch(i int) {
	to := c.z[i/c.lanes*c.k*c.lanes+i%c.lanes:]
	for j, v := range c.row[:c.k] {
		to[j*c.lanes] = v
	}
}

// load takes rows.
func (c *columns) load(z []float32) {
	size := c.lanes * c.k
	whole := len(z) / size
	if whole > 0 {
		c.transposed(&c.z[0], &z[0], whole, false)
	}
	if z = z[whole*size:]; len(z) > 0 {
		clear(c.spare[copy(c.spare[:], z):size])
		c.transposed(&c.z[whole*size], &c.spare[0], 1, false)
	}
}

// store writes as many rows as dst holds.
func (c *columns) store(dst []float32) {
	size := c.lanes * c.k
	whole := len(dst) / size
	if whole > 0 {
		c.transposed(&c.z[0], &dst[0], whole, true)
	}
	if dst = dst[whole*size:]; len(dst) > 0 {
		c.transposed(&c.z[whole*size], &c.spare[0], 1, true)
		copy(dst, c.spare[:])
	}
}

// transposed copies groups of rows to columns or back.
func (c *columns) transposed(z, rows *float32, groups int, back bool) {
	switch {
	case active == avx512 && back:
		columnsToRowsAVX512(z, rows, c.k, groups, 1<<(c.k%16)-1)
	case active == avx512:
		rowsToColumnsAVX512(z, rows, c.k, groups, 1<<(c.k%16)-1)
	case back:
		columnsToRowsAVX2(z, rows, c.k, groups, &lanes[16-c.k%8])
	default:
		rowsToColumnsAVX2(z, rows, c.k, groups, &lanes[16-c.k%8])
	}
}

// sum adds up each row's powers, but for those of the labels where there are any, and keeps them where keep is set.
func (c *columns) sum(rows int, keep bool, labels *int32) {
	z, k, e, first, groups := &c.z[0], c.k, &c.exponent, 0, c.count(rows)
	if pairs := groups &^ 1; active == avx512 && pairs > 0 {
		if keep {
			columnsPowersPairsAVX512(z, k, first, pairs, e, labels)
		} else {
			columnsSumPairsAVX512(z, k, first, pairs, e, labels)
		}
		first, groups = pairs, groups-pairs
		if groups == 0 {
			return
		}
		if labels != nil {
			labels = (*int32)(unsafe.Add(unsafe.Pointer(labels), 4*c.lanes*first))
		}
	}
	switch {
	case active == avx512 && keep:
		columnsPowersAVX512(z, k, first, groups, e, labels)
	case active == avx512:
		columnsSumAVX512(z, k, first, groups, e, labels)
	case keep:
		columnsPowersAVX2(z, k, first, groups, e, labels)
	default:
		columnsSumAVX2(z, k, first, groups, e, labels)
	}
}

// log takes logs of the sums, to be had in float32 too.
func (c *columns) log(rows int, rounded *float32) {
	if active == avx512 {
		columnsLogAVX512(&c.z[0], rounded, c.count(rows))
	} else {
		columnsLogAVX2(&c.z[0], rounded, c.count(rows))
	}
}

// lse is the log-sum-exp of row i, of sums without labels, after log.
func (c *columns) lse(i int) float64 {
	g, lane := &c.groups[i/c.lanes], i%c.lanes
	return (float64(g.ref[lane])/eighths-biasBits)*math.Ln2 + g.logs[lane]
}

// scale turns powers that were kept into probabilities times factor or, for the labels, a gradient.
func (c *columns) scale(rows int, factor float64, labels *int32) {
	if active == avx512 {
		columnsScaleAVX512(&c.z[0], c.k, c.count(rows), factor, labels)
	} else {
		columnsScaleAVX2(&c.z[0], c.k, c.count(rows), factor, labels)
	}
}

// affine turns logits into log-probabilities.
func (c *columns) affine(rows int, coefficients *[3]float32) {
	if active == avx512 {
		columnsAffineAVX512(&c.z[0], c.k, c.count(rows), coefficients)
	} else {
		columnsAffineAVX2(&c.z[0], c.k, c.count(rows), coefficients)
	}
}
