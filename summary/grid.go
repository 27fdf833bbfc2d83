package summary

import (
	"math"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// grid counts rows by the keys of their classes, and by their confidence, in cells whose width is a fraction of the value: a power of two
// and the first bits behind it, as a float64 is written. Keys just below 0, which of more than two classes are log p of those that are nearly
// sure, are counted by −log₂(−key) in the same way.
//
// Of what is in different cells the order is known; within a cell it is not. So the area under the ROC curve is known but for half of
// the pairs that share a cell, and precision but for the order of a cell's rows.
type grid struct {
	rows  Batch // none; of what kind they are
	k     int
	bits  int        // of the fraction
	cells []gridCell // [K, keyExponents<<bits], of each class by rising key
	sure  []sureCell // [sureExponents<<bits], by rising 1 − confidence
	n     int        // rows
}

// gridCell counts the rows whose key of a class is in the cell: those that are labelled with it, and the others.
type gridCell struct{ labelled, others int }

// sureCell counts rows by their confidence.
type sureCell struct {
	n, right         int
	confidence, rest float64 // sum, and what rounding took from it
}

// The cells of a key, by powers of two: below −2^-16, from there to 0, and above.
const (
	leastSize     = -16
	sizeExponents = 36 // up to 2^20, and all beyond
	leastTail     = 4
	tailExponents = 7 // up to 2^11, and no float64 is so near 0
	keyExponents  = sizeExponents + tailExponents + sizeExponents

	leastDoubt    = -54
	sureExponents = 55 // up to 1

	gridBytes   = 64 << 20 // of cells, where classes are few enough
	mostBits    = 9
	bytesOfCell = 16
)

// maxGridClasses are the most whose keys are counted: beyond, the area and average precision are not known.
const maxGridClasses = 1 << 17

func newGrid(rows Batch, k int) *grid {
	g := emptyGrid(rows, k)
	g.makeRoom()
	return g
}

// emptyGrid is a grid without room for its cells.
func emptyGrid(rows Batch, k int) *grid {
	bits := 0
	for bits < mostBits && k*keyExponents*bytesOfCell<<(bits+1) <= gridBytes {
		bits++
	}
	return &grid{rows: rows.like(), k: k, bits: bits}
}

func (g *grid) makeRoom() {
	if g.k <= maxGridClasses {
		g.cells = make([]gridCell, g.k*g.each())
	}
	g.sure = make([]sureCell, sureExponents<<g.bits)
}

// each is how many cells a class has.
func (g *grid) each() int { return keyExponents << g.bits }

// cell is that of a number above 0 among those of so many powers of two from the least on, or the nearest.
func (g *grid) cell(v float64, least, exponents int) int {
	cell := int(math.Float64bits(v)>>(52-g.bits)) - (1023+least)<<g.bits
	return max(0, min(cell, exponents<<g.bits-1))
}

// cellOf returns the cell of a key.
func (g *grid) cellOf(v float64) int {
	switch {
	case v <= -0x1p-16:
		return sizeExponents<<g.bits - 1 - g.cell(-v, leastSize, sizeExponents)
	case v < 0:
		return sizeExponents<<g.bits + g.cell(-math.Log2(-v), leastTail, tailExponents)
	}
	return (sizeExponents+tailExponents)<<g.bits + g.cell(v, leastSize, sizeExponents)
}

func (g *grid) add(b Batch) {
	keyed := keyer{t: max(b.temperature(), leastTemperature), scale: 1}
	if g.k > 2 {
		keyed.scale = 1 / keyed.t
	}
	each := g.each()
	b.Stats(func(rows Batch, stats []logit.RowStats) {
		for i, label := range rows.Labels {
			s := &stats[i]
			if label == loss.Ignored || s.LSE != s.LSE {
				continue
			}
			largest, logSum, confidence := keyed.row(rows, i, s)
			for j := range len(g.cells) / each {
				cell := &g.cells[j*each+g.cellOf(key(rows.logit(i, j), largest, keyed.scale, logSum))]
				if j == int(label) {
					cell.labelled++
				} else {
					cell.others++
				}
			}
			confidence = min(confidence, 1)
			sure := &g.sure[g.cell(1-confidence, leastDoubt, sureExponents)]
			sure.n++
			if s.Argmax == label {
				sure.right++
			}
			addTo(&sure.confidence, &sure.rest, confidence)
			g.n++
		}
	})
	g.settle()
}

func (g *grid) settle() {
	for i := range g.sure {
		settle(&g.sure[i].confidence, &g.sure[i].rest)
	}
}

// merge takes in what a grid of the same rows and classes has counted.
func (g *grid) merge(other *grid) {
	for i, c := range other.cells {
		g.cells[i].labelled += c.labelled
		g.cells[i].others += c.others
	}
	for i, c := range other.sure {
		s := &g.sure[i]
		s.n += c.n
		s.right += c.right
		mergeSum(&s.confidence, &s.rest, c.confidence, c.rest)
	}
	g.n += other.n
}

func (g *grid) figures(bins int) Ranks {
	nan := Estimate{math.NaN(), math.NaN()}
	r := Ranks{AdaptiveECE: g.adaptiveECE(bins)}
	each := g.each()
	for j := range len(g.cells) / each {
		if auc, ap, ok := curvesOf(g.cells[j*each:(j+1)*each], g.n); ok {
			r.AUC = Estimate{r.AUC.Value + auc.Value, r.AUC.Bound + auc.Bound}
			r.AP = Estimate{r.AP.Value + ap.Value, r.AP.Bound + ap.Bound}
			r.Classes++
		}
	}
	if r.Classes == 0 {
		r.AUC, r.AP = nan, nan
		return r
	}
	n := float64(r.Classes)
	r.AUC, r.AP = Estimate{r.AUC.Value / n, r.AUC.Bound / n}, Estimate{r.AP.Value / n, r.AP.Bound / n}
	return r
}

// curvesOf are the figures of a class from its cells, n being all rows. A cell is taken for a tie in the area, from which no order of
// its rows is further than half of its pairs. Average precision is the middle between what it would be were all others of each cell
// below its own, and above them.
func curvesOf(cells []gridCell, n int) (auc, ap Estimate, ok bool) {
	all := 0
	for _, c := range cells {
		all += c.labelled
	}
	if all == 0 || all == n {
		return auc, ap, false
	}
	rows, rest := float64(all), float64(n-all)
	positives, negatives, over, shared, most, least := 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
	for i := len(cells) - 1; i >= 0; i-- {
		own, others := float64(cells[i].labelled), float64(cells[i].others)
		if own > 0 {
			over += own * (rest - negatives - others/2)
			shared += own * others / 2
			most += own * (positives + own) / (positives + own + negatives)
			// Σ (P+i)/(P+i+M) for i = 1 … own, M being the others down to the end of this cell.
			if m := negatives + others; m > 0 {
				c := positives + m
				least += max(0, own-m*math.Log((c+own)/c))
			} else {
				least += own
			}
		}
		positives += own
		negatives += others
	}
	auc = Estimate{over / (rows * rest), shared / (rows * rest)}
	ap = Estimate{(most + least) / 2 / rows, (most - least) / 2 / rows}
	return auc, ap, true
}

// adaptiveECE takes the rows of a cell for rows of one confidence. Where a boundary of bins divides a cell of n rows into a and n−a, the
// gap of either bin is off by as much as its share of the cell's rows may be unlike their mean: by min(a, n−a) times the range of
// confidence less right in the cell.
func (g *grid) adaptiveECE(bins int) Estimate {
	if g.rows.Normal && g.rows.Slack > 0 || g.n == 0 {
		return Estimate{math.NaN(), math.NaN()} // rounding makes ties of what cells keep apart
	}
	gap, gaps, bound := 0.0, 0.0, 0.0
	bin, end, at := 0, g.n/bins, 0
	for i := len(g.sure) - 1; i >= 0; i-- {
		cell := &g.sure[i]
		if cell.n == 0 {
			continue
		}
		next := at + cell.n
		each := (cell.confidence + cell.rest - float64(cell.right)) / float64(cell.n)
		start, span := at, 1.0
		if cell.right == 0 || cell.right == cell.n {
			span = 0
		}
		span += g.width(i)
		for at < next {
			for ; at == end; bin++ {
				gaps += math.Abs(gap)
				gap = 0
				bound += 2 * span * float64(min(at-start, next-at))
				end = (bin + 2) * g.n / bins
			}
			part := min(next, end) - at
			gap += each * float64(part)
			at += part
		}
	}
	n := float64(g.n)
	return Estimate{(gaps + math.Abs(gap)) / n, bound / n}
}

// width is how far confidences of a cell may be apart.
func (g *grid) width(cell int) float64 {
	edge := func(i int) float64 { return math.Float64frombits(uint64(i+(1023+leastDoubt)<<g.bits) << (52 - g.bits)) }
	if cell == 0 {
		return edge(1)
	}
	return edge(cell+1) - edge(cell)
}

// gridEntry is a cell that is not empty, and how far behind the one before it.
type gridEntry struct {
	gap, n, part     int
	confidence, rest float64
}

// code writes the cells that are not empty. What is read takes room as a grid once it is known to be one.
func (g *grid) code(c *coder) {
	c.int(&g.n)
	var cells, sure []gridEntry
	if !c.reading {
		last := -1
		for i, cell := range g.cells {
			if cell != (gridCell{}) {
				cells, last = append(cells, gridEntry{gap: i - last, n: cell.labelled, part: cell.others}), i
			}
		}
		last = -1
		for i, cell := range g.sure {
			if cell.n > 0 {
				sure, last = append(sure, gridEntry{i - last, cell.n, cell.right, cell.confidence, cell.rest}), i
			}
		}
	}
	slice(c, &cells, 3, func(e *gridEntry) {
		c.int(&e.gap)
		c.int(&e.n)
		c.int(&e.part)
	})
	slice(c, &sure, 19, func(e *gridEntry) {
		c.int(&e.gap)
		c.int(&e.n)
		c.int(&e.part)
		c.sum(&e.confidence, &e.rest)
		if c.reading && (e.part > e.n || e.n == 0 || !(e.confidence >= 0 && e.confidence <= float64(e.n)*(1+1e-9))) {
			c.damaged("a cell of %d rows, %d right, of confidence %v", e.n, e.part, e.confidence)
		}
	})
	if !c.reading || c.err != nil {
		return
	}
	each := g.each()
	classes := g.k
	if g.k > maxGridClasses {
		classes = 0
	}
	counted, own, at := make([]int, min(classes, len(cells))), 0, -1
	for _, e := range cells {
		if at += e.gap; e.gap == 0 || e.gap > classes*each || at >= classes*each || at/each >= len(counted) || e.n+e.part == 0 {
			c.damaged("a cell of a ranking, %d behind the last", e.gap)
			return
		}
		counted[at/each] += e.n + e.part
		own += e.n
	}
	rows := 0
	for _, n := range counted {
		if n != g.n {
			c.damaged("%d rows of a class, want %d", n, g.n)
			return
		}
	}
	at = -1
	for _, e := range sure {
		if at += e.gap; e.gap == 0 || e.gap > sureExponents<<g.bits || at >= sureExponents<<g.bits {
			c.damaged("a cell of confidence, %d behind the last", e.gap)
			return
		}
		rows += e.n
	}
	if rows != g.n || classes > 0 && (own != g.n || g.n > 0 && len(counted) != classes) {
		c.damaged("%d rows, of which %d are labelled and %d of a confidence", g.n, own, rows)
		return
	}
	g.makeRoom()
	at = -1
	for _, e := range cells {
		at += e.gap
		g.cells[at] = gridCell{e.n, e.part}
	}
	at = -1
	for _, e := range sure {
		at += e.gap
		g.sure[at] = sureCell{e.n, e.part, e.confidence, e.rest}
	}
}
