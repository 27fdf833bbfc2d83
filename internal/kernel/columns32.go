package kernel

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/logitscope/logitscope/internal/spare"
)

var spareColumns = make(chan *columns, 16)

// columnsFor returns columns for rows of k logits, or nil where rows are too long, the temperature is too extreme, or there is no vector code.
func columnsFor(k int, temperature float64) *columns {
	s, ok := newRowSum(temperature)
	if !ok || k > maxColumns {
		return nil
	}
	c := spare.Take(spareColumns)
	if c == nil {
		c = new(columns)
	}
	c.k, c.lanes = k, active.lanes
	c.exponent = [4]float32{s.e.high, s.e.low, float32(1 / (eighths * s.scale)), float32(-underflow / s.scale)}
	return c
}

// batches loads the rows of z in batches of at most most groups, and yields the first row and the number of rows of each when it is loaded.
func (c *columns) batches(z []float32, most int) func(yield func(start, rows int) bool) {
	n := len(z) / c.k
	whole := (c.k + rowLanes - 1) &^ (rowLanes - 1) // the columns that a transposition writes
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

// count returns how many groups a number of rows fills, the last perhaps in part.
func (c *columns) count(rows int) int { return (rows + c.lanes - 1) / c.lanes }

// The functions below do what those of like names do, for rows that are held as columns. They return false, and write nothing, where columnsFor
// has none.

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
		c.shift(rows, onStack(&coefficients))
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

// missing yields the rows that the vector code has not done: those whose sums are not good and, where there are labels, those that are Ignored.
func (c *columns) missing(rows int, labelled bool) func(yield func(i int) bool) {
	ignored := uint32(0)
	if labelled { // without labels, good has every row as ignored
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

// patch writes the result in c.row to the place of row i.
func (c *columns) patch(i int) {
	to := c.z[i/c.lanes*c.k*c.lanes+i%c.lanes:]
	for j, v := range c.row[:c.k] {
		to[j*c.lanes] = v
	}
}

// load transposes the rows of z into c.
func (c *columns) load(z []float32) {
	size := c.lanes * c.k
	whole := len(z) / size
	if whole > 0 {
		active.transposed(&c.z[0], &z[0], c.k, whole, false)
	}
	if z = z[whole*size:]; len(z) > 0 {
		clear(c.spare[copy(c.spare[:], z):size])
		active.transposed(&c.z[whole*size], &c.spare[0], c.k, 1, false)
	}
}

// store writes the first rows of c, as many as dst holds, to dst.
func (c *columns) store(dst []float32) {
	size := c.lanes * c.k
	whole := len(dst) / size
	if whole > 0 {
		active.transposed(&c.z[0], &dst[0], c.k, whole, true)
	}
	if dst = dst[whole*size:]; len(dst) > 0 {
		active.transposed(&c.z[whole*size], &c.spare[0], c.k, 1, true)
		copy(dst, c.spare[:])
	}
}

// sum adds up the powers of each row, and where labels is not nil leaves the label's out of the sum. Where keep is set it leaves the powers in
// the place of the logits, for scale.
func (c *columns) sum(rows int, keep bool, labels *int32) {
	z, groups, pairs := &c.z[0], c.count(rows), 0
	if active.columnsPairs != nil {
		pairs = groups &^ 1
	}
	if pairs > 0 {
		active.columnsPairs(z, c.k, 0, pairs, &c.exponent, labels, keep)
	}
	if pairs == groups {
		return
	}
	if labels != nil {
		labels = (*int32)(unsafe.Add(unsafe.Pointer(labels), 4*c.lanes*pairs))
	}
	active.columnsSum(z, c.k, pairs, groups-pairs, &c.exponent, labels, keep)
}

// log writes log(1 + others/own) of each row to its group, and in float32 to rounded.
func (c *columns) log(rows int, rounded *float32) {
	active.columnsLog(&c.z[0], rounded, c.count(rows))
}

// lse returns the log-sum-exp of row i. It is called after sum, without labels, and log.
func (c *columns) lse(i int) float64 {
	g, lane := &c.groups[i/c.lanes], i%c.lanes
	return (float64(g.ref[lane])/eighths-biasBits)*math.Ln2 + g.logs[lane]
}

// scale turns the powers that sum kept into probabilities times factor and, where there are labels, into the gradient of cross-entropy.
func (c *columns) scale(rows int, factor float64, labels *int32) {
	active.columnsScale(&c.z[0], c.k, c.count(rows), factor, labels)
}

// shift turns logits into log-probabilities. coefficients are 1/T in two floats, and extremeLow.
func (c *columns) shift(rows int, coefficients *[3]float32) {
	active.columnsShift(&c.z[0], c.k, c.count(rows), coefficients)
}
