//go:build !noasm

package kernel

import "math"

// headroom is how many powers of two the greatest power stays below what all are measured from, so that the sum of their squares
// fits into float32.
const headroom = 3

// rowPass is what rowStats reads and fills in; its offsets are in _gen/rowstats.go.
type rowPass struct {
	exponent
	before, own float32 // what is counted is above them, before the label and after it
	sums        [3]float64

	largest, least float32
	above          int32
}

// statSum is a rowSum, with what RowStats wants besides.
type statSum struct {
	rowSum
	moment  float64 // Σ t·2^(t/8) of eighths t, which are negative
	squares float64 // Σ 2^(2t/8)

	largest, least float32 // of what was added
	first          int     // where the search for largest starts
	above          int     // logits above the label's, and those before it that are as large

	pass rowPass
}

// stat32 is RowStats of a row, false where the portable code must do it.
func stat32(row []float32, label int, temperature float64) (Stat, bool) {
	inf := float32(math.Inf(1))
	s := statSum{largest: -inf, least: inf}
	var ok bool
	if s.rowSum, ok = newRowSum(temperature); !ok {
		return Stat{}, false
	}
	s.headroom = headroom
	s.pass.before, s.pass.own = inf, inf
	if label >= 0 {
		s.pass.own = row[label]
		s.pass.before = math.Nextafter32(s.pass.own, -inf) // so that as large a logit counts
		if !(s.pass.own >= -math.MaxFloat32) {
			return Stat{}, false
		}
	}
	for start, end := 0, 0; start < len(row); start = end {
		end = min(start+rowBlock, len(row))
		if !s.add(row[start:end], label-start, start) {
			return Stat{}, false
		}
	}
	return s.stat(row, label, temperature), true
}

// add adds a part of a row, which is from start on, but for the logit at the place of label.
func (s *statSum) add(x []float32, label, start int) bool {
	largest, whole := float32(math.Inf(-1)), len(x)&^(rowLanes-1)
	if whole > 0 {
		largest = maxRow(&x[0], whole)
	}
	for _, v := range x[whole:] {
		if v > largest {
			largest = v
		}
	}
	if !s.raise(largest) && !math.IsInf(float64(largest), -1) {
		return false
	}
	if s.ref < -exponents {
		return masked(x)
	}
	s.pass.exponent = s.e
	rowStats32(&x[0], len(x), label, &s.pass.high)
	if s.least = min(s.least, s.pass.least); s.pass.largest > s.largest {
		s.largest, s.first = s.pass.largest, start
	}
	s.above += int(s.pass.above)
	s.sum += s.pass.sums[0] / bias
	s.moment += s.pass.sums[1] / bias
	s.squares += s.pass.sums[2] / bias / bias
	return true
}

// raise is that of rowSum.
func (s *statSum) raise(x float32) bool {
	before := s.ref
	if !s.rowSum.raise(x) {
		return false
	}
	if lower := before - s.ref; lower < 0 && s.sum > 0 {
		s.moment = math.Ldexp(s.moment, int(lower)) + eighths*lower*s.sum
		s.squares = math.Ldexp(s.squares, 2*int(lower))
	}
	return true
}

// stat puts together what was found.
func (s *statSum) stat(row []float32, label int, temperature float64) Stat {
	r := Stat{Largest: float64(s.largest), Least: float64(s.least), True: math.NaN(), Margin: math.NaN()}
	sums := rowSums{others: s.sum, moment: -s.moment * math.Ln2 / eighths, squares: s.squares, from: s.ref * math.Ln2}
	if label >= 0 {
		v := row[label]
		r.True, r.Margin, r.Rank = float64(v), float64(v)-float64(s.largest), int32(s.above)+1
		r.Least = min(r.Least, r.True)
		sums.own = s.power(r.True)
	}
	if sums.top = sums.own; r.Rank == 1 {
		r.Argmax, r.Largest = int32(label), r.True
	} else {
		r.Argmax = int32(s.first + indexOf(row[s.first:], s.largest))
		sums.top = s.power(r.Largest)
	}
	return r.with(sums, temperature)
}

// power is what a logit adds to the sum.
func (s *rowSum) power(z float64) float64 { return math.Exp((z*s.scale - s.ref) * math.Ln2) }

func rowStats32(x *float32, n, label int, pass *float32) {
	if active == avx512 {
		rowStatsAVX512(x, n, label, pass)
	} else {
		rowStatsAVX2(x, n, label, pass)
	}
}

func findRow(x *float32, n int, value float32) int {
	if active == avx512 {
		return findRowAVX512(x, n, value)
	}
	return findRowAVX2(x, n, value)
}

// rowStatsAcross is RowStats of short rows.
func rowStatsAcross(out []Stat, z []float32, k int, labels []int32, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	inf := float32(math.Inf(1))
	g := &c.groups[0]
	for start, rows := range c.batches(z, 1) {
		for i := range c.lanes {
			c.label[i], g.shift[i], g.shiftLow[i] = Ignored, inf, inf
			if i < rows && labels != nil && labels[start+i] >= 0 {
				c.label[i] = labels[start+i]
				g.shift[i] = z[(start+i)*k+int(c.label[i])]
				g.shiftLow[i] = math.Nextafter32(g.shift[i], -inf)
			}
		}
		good := c.stats()
		c.log(rows, &c.rounded[0])
		for i := range rows {
			if good>>i&1 != 0 {
				out[start+i] = c.stat(i, temperature)
			} else {
				out[start+i] = rowStat(z[(start+i)*k:(start+i+1)*k], int(c.label[i]), temperature)
			}
		}
	}
	give(spareColumns, c)
	return true
}

// stats finds what stat puts together, and returns a bit for each row for which that went well.
func (c *columns) stats() uint32 {
	if active == avx512 {
		return columnsStatsAVX512(&c.z[0], c.k, &c.exponent, &c.label[0])
	}
	return columnsStatsAVX2(&c.z[0], c.k, &c.exponent, &c.label[0])
}

// stat is the Stat of row i.
func (c *columns) stat(i int, temperature float64) Stat {
	g := &c.groups[0]
	r := Stat{
		Largest: float64(c.other[i]), Least: float64(c.least[i]), True: math.NaN(), Margin: math.NaN(), Argmax: c.argmax[i], Rank: c.rank[i],
	}
	sums := rowSums{
		others: g.others[i] / bias, top: c.top[i] / bias, moment: c.moment[i] * (-math.Ln2 / eighths / bias),
		squares: c.squares[i] / bias / bias, from: float64(g.ref[i]) * (math.Ln2 / eighths),
	}
	if c.label[i] < 0 {
		return r.with(sums, temperature)
	}
	sums.own = g.own[i] / bias
	r.True = float64(g.shift[i])
	r.Margin = r.True - r.Largest
	if r.Rank == 1 {
		r.Largest, r.Argmax, sums.top = r.True, c.label[i], sums.own
	}
	return r.withNLL(sums, g.logs[i]+r.True/temperature-sums.from, g.logs[i])
}
