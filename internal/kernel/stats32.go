package kernel

import (
	"math"

	"github.com/logitscope/logitscope/internal/spare"
)

// newDecay returns the decay of a temperature, without ref. It is not ok where there is no vector code, and where the temperature is not in
// [0.001, 1000], for which float32 does not suffice.
func newDecay(temperature float64) (d decay, ok bool) {
	scale := eighths * math.Log2E / temperature
	d.high = float32(scale)
	d.low = float32(scale - float64(d.high))
	d.cap = float32(eighths * 125 / scale)
	return d, active.lanes > 0 && temperature >= 1e-3 && temperature <= 1e3
}

// rowCopy holds a copy of a part of a row, in the nearest cache, filled up to whole vectors. In it the label's logit is −Inf.
type rowCopy [rowBlock + rowLanes]float32

var spareCopies = make(chan *rowCopy, 16)

// rowStatsAlong is RowStats for long rows and, where variances is not nil, RowVariances. It returns false where the portable code must do it all.
func rowStatsAlong(out []Stat, variances []float64, z []float32, k int, labels []int32, temperature float64) bool {
	d, ok := newDecay(temperature)
	if !ok {
		return false
	}
	copied := spare.Take(spareCopies)
	if copied == nil {
		copied = new(rowCopy)
	}
	for i := range out {
		row, label := z[i*k:(i+1)*k], Ignored
		if labels != nil {
			label = int(labels[i])
		}
		s := statSum{decay: d, temperature: temperature, copied: copied, spread: variances != nil}
		if out[i], ok = s.stat(row, label); !ok {
			out[i] = rowStat(row, label, temperature)
		}
		if variances == nil {
			continue
		}
		if variances[i], ok = s.variance(&out[i], ok); !ok {
			variances[i] = variance(row, &out[i])
		}
	}
	spare.Give(spareCopies, copied)
	return true
}

// cancels is the largest ratio of a mean of squares to the variance that is left when the square of the mean is subtracted. For a larger ratio
// sums in float32 have too few digits left.
const cancels = 64

// variance returns the variance of the row's logits under p. r is what stat returned, and ok whether it did so from the sums. The result is not ok
// where the portable code must do it, as for many logits that are all alike below a single one.
func (s *statSum) variance(r *Stat, ok bool) (float64, bool) {
	others := s.sums[0]
	if !ok || r.Argmax < 0 || !(others > 0) {
		return 0, false
	}
	mean, square := s.sums[1]/others, s.sums[3]/others
	of := square - mean*mean
	if r.Rank == 0 {
		return of, of*cancels >= square
	}
	// The sums are without the label's logit. apart is its distance from their mean.
	apart := float64(s.ref) - r.True - mean
	own := math.Exp(-r.NLL)
	rest := -math.Expm1(-r.NLL)
	between := own * rest * apart * apart
	all := rest*of + between
	return all, all*cancels >= rest*square
}

// statSum adds up e = exp((z − ref)/T) over a row's logits but the label's, and what else RowStats needs.
type statSum struct {
	decay
	temperature float64
	spread      bool       // whether the last of the sums is needed
	sums        [4]float64 // Σ e, Σ e·d, Σ e² and Σ e·d², where d = ref − z
	compared               // of the logits that were added
	first       int        // where the part with the largest logit starts
	copied      *rowCopy
}

// stat is RowStats of a row. It returns false where the portable code must do the row.
func (s *statSum) stat(row []float32, label int) (Stat, bool) {
	inf := float32(math.Inf(1))
	s.ref, s.compared = -inf, compared{-inf, inf, 0}
	own, before := inf, inf
	if label >= 0 {
		own = row[label]
		before = math.Nextafter32(own, -inf) // of the classes below the label, those with an equal logit have a better rank
		if !(own >= -math.MaxFloat32 && own <= math.MaxFloat32) {
			return Stat{}, false
		}
	}
	for start := 0; start < len(row); start += rowBlock {
		part := row[start:min(start+rowBlock, len(row))]
		if !s.add(part, label-start, own, before, start) {
			return Stat{}, false
		}
	}
	r := Stat{Largest: float64(s.largest), Least: float64(s.least), True: math.NaN(), Margin: math.NaN()}
	sums := rowSums{others: s.sums[0], moment: s.sums[1] / s.temperature, squares: s.sums[2], top: 1, from: float64(s.ref) / s.temperature}
	if label >= 0 {
		r.True = float64(own)
		r.Margin, r.Rank = r.True-r.Largest, s.above+1
		r.Least = min(r.Least, r.True)
		sums.include(r.True / s.temperature)
	}
	if r.Rank == 1 {
		r.Argmax, r.Largest = int32(label), r.True
	} else {
		r.Argmax = int32(s.first + indexOf(row[s.first:], s.largest))
	}
	return r.with(sums, r.True/s.temperature-sums.from), true
}

// include adds the label's logit, own, which is divided by the temperature. Where it is the largest, the sums are then measured from it.
func (s *rowSums) include(own float64) {
	higher := own - s.from
	if !(higher > 0) {
		s.own = math.Exp(higher)
		return
	}
	s.own, s.from = 1, own
	if s.others > 0 {
		f := math.Exp(-higher)
		s.moment = (s.moment + higher*s.others) * f
		s.others *= f
		s.squares *= f * f
	}
}

// add adds a part x of a row, which begins at start, except for the label's logit, at place label of x. Of the classes below the label those with
// a logit above before count for its rank, of those above it those with a logit above own. It returns false where the portable code must do
// the row.
func (s *statSum) add(x []float32, label int, own, before float32, start int) bool {
	n, to := len(x), s.copied[:]
	found := compared{float32(math.Inf(-1)), s.least, s.above}
	if label >= 0 && label < n {
		copyRow(to, x[:label], before, &found)
		copyRow(to[label+1:], x[label+1:], own, &found)
		to[label] = float32(math.Inf(-1))
	} else if label >= n {
		copyRow(to, x, before, &found)
	} else {
		copyRow(to, x, own, &found)
	}
	whole := to[:(n+rowLanes-1)&^(rowLanes-1)]
	copy(whole[n:], nothing[:])
	if !(found.largest <= math.MaxFloat32) {
		return false
	}
	s.least, s.above = found.least, found.above
	if found.largest > s.largest {
		if s.first = start; s.sums[0] > 0 {
			s.raise(found.largest)
		}
		s.largest = found.largest
	}
	s.ref = s.largest
	d := s.decay
	if d.ref < -math.MaxFloat32 {
		d.ref = 0 // the part holds nothing but −Inf and NaN, and the sum shows whether there is NaN
	}
	sums := powerSums(whole, &d, x, s.spread)
	if s.largest < -math.MaxFloat32 {
		return sums[0] == sums[0]
	}
	for i, sum := range sums {
		s.sums[i] += sum
	}
	return true
}

// raise turns the sums, which are measured from s.ref, into those measured from a higher logit ref.
func (s *statSum) raise(ref float32) {
	higher := float64(ref) - float64(s.ref)
	f := math.Exp(-higher / s.temperature)
	s.sums[3] = (s.sums[3] + higher*(2*s.sums[1]+higher*s.sums[0])) * f
	s.sums[1] = (s.sums[1] + higher*s.sums[0]) * f
	s.sums[0] *= f
	s.sums[2] *= f * f
}

// copyRow copies x to dst, and adds to found what comparing x finds.
func copyRow(dst, x []float32, threshold float32, found *compared) {
	if len(x) > 0 {
		active.copyRow(&dst[0], &x[0], len(x), threshold, &onStack(found).largest)
	}
}

// powerSums returns the sums of statSum over x, the last of them only where spread is set. next is what the cache is asked for meanwhile.
func powerSums(x []float32, d *decay, next []float32, spread bool) (sums [4]float64) {
	if !spread {
		active.powerSums(&x[0], len(x), &onStack(d).ref, (*[3]float64)(onStack(&sums)[:]), &next[0])
		return sums
	}
	var lanes [4][8]float64
	active.powerSpread(&x[0], len(x), &onStack(d).ref, onStack(&lanes), &next[0])
	for i := range lanes {
		l := &lanes[i]
		sums[i] = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
	}
	return sums
}

// rowStatsAcross is RowStats for short rows, held as columns, and, where variances is not nil, RowVariances. It returns false where columnsFor has
// none.
func rowStatsAcross(out []Stat, variances []float64, z []float32, k int, labels []int32, temperature float64) bool {
	c := columnsFor(k, temperature)
	if c == nil {
		return false
	}
	inf := float32(math.Inf(1))
	g := &c.groups[0]
	d, _ := newDecay(temperature)
	var spread [3][rowLanes]float64
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
		if variances != nil {
			active.columnsSpread(&c.z[0], c.k, &onStack(&d).ref, onStack(&spread))
		}
		for i := range rows {
			if good>>i&1 != 0 {
				out[start+i] = c.stat(i, temperature)
			} else {
				out[start+i] = rowStat(z[(start+i)*k:(start+i+1)*k], int(c.label[i]), temperature)
			}
			if variances != nil {
				mean, square := spread[1][i]/spread[0][i], spread[2][i]/spread[0][i]
				of := square - mean*mean
				if !(good>>i&1 != 0 && of*cancels >= square) {
					of = variance(z[(start+i)*k:(start+i+1)*k], &out[start+i])
				}
				variances[start+i] = of
			}
		}
	}
	spare.Give(spareColumns, c)
	return true
}

// stats computes the fields from which stat makes statistics. It returns a bit for each row, which is 1 where its sums are good.
func (c *columns) stats() uint32 {
	return active.columnsStats(&c.z[0], c.k, &c.exponent, &c.label[0])
}

// stat returns the statistics of row i, after stats and log.
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
		return r.with(sums, math.NaN())
	}
	sums.own = g.own[i] / bias
	r.True = float64(g.shift[i])
	r.Margin = r.True - r.Largest
	if r.Rank == 1 {
		r.Largest, r.Argmax, sums.top = r.True, c.label[i], sums.own
	}
	return r.withNLL(sums, g.logs[i]+r.True/temperature-sums.from, g.logs[i])
}
