package summary

import (
	"math"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// grid counts rows by the key of each class (see key), and by their confidence. Its cells are those numbers that have the same exponent
// and the same first bits of the fraction as float64s, so that a cell's width is proportional to the numbers in it. Keys between −2^-16
// and 0, which are log p of classes whose p is nearly 1, are counted by −log₂(−key) instead.
//
// The order of two rows in different cells is known, that of two rows in one cell is not. So the area under the ROC curve has an error of
// at most half of the pairs that share a cell, and average precision one that is bounded by the orders a cell's rows may have.
type grid struct {
	kind         Batch // without rows: the kind of the rows that are counted
	k            int
	fractionBits int              // how many bits of the fraction tell cells apart
	cells        []gridCell       // [K, keyExponents<<fractionBits], those of each class by ascending key
	confidences  []confidenceCell // [doubtExponents<<fractionBits], by ascending 1 − confidence
	n            int              // the number of rows
}

// gridCell counts the rows whose key of a class is in the cell: those that are labelled with the class, and the others.
type gridCell struct{ labelled, others int }

// confidenceCell counts the rows whose confidence is in the cell.
type confidenceCell struct {
	n, right         int
	confidence, rest float64 // the sum of the confidences, and what rounding took from it
}

// A class's cells are three ranges, each divided by powers of two: keys below −2^-16, from there to 0, and above.
const (
	minSizeExponent = -16 // of the absolute key, in the first and the last range
	sizeExponents   = 36  // up to 2^20; the last cell also counts all that is beyond
	minTailExponent = 4   // of −log₂(−key), in the middle range
	tailExponents   = 7   // up to 2^11, beyond the −log₂ of any float64
	keyExponents    = sizeExponents + tailExponents + sizeExponents

	minDoubtExponent = -54 // of 1 − confidence
	doubtExponents   = 55  // up to 1

	gridBytes       = 64 << 20 // the largest size of cells, where classes are few enough for it
	maxFractionBits = 9
	bytesOfCell     = 16
)

// maxGridClasses is the largest number of classes whose keys are counted. Of more classes the area under the ROC curve and average
// precision are not known.
const maxGridClasses = 1 << 17

// newGrid returns a grid for rows of k classes of the kind of rows, with no row counted yet.
func newGrid(rows Batch, k int) *grid {
	g := emptyGrid(rows, k)
	g.makeRoom()
	return g
}

// emptyGrid is newGrid without memory for the cells, which makeRoom allocates.
func emptyGrid(rows Batch, k int) *grid {
	fractionBits := 0
	for fractionBits < maxFractionBits && k*keyExponents*bytesOfCell<<(fractionBits+1) <= gridBytes {
		fractionBits++
	}
	return &grid{kind: rows.like(), k: k, fractionBits: fractionBits}
}

// makeRoom allocates the cells.
func (g *grid) makeRoom() {
	if g.k <= maxGridClasses {
		g.cells = make([]gridCell, g.k*g.cellsPerClass())
	}
	g.confidences = make([]confidenceCell, doubtExponents<<g.fractionBits)
}

// cellsPerClass returns the number of cells that a class has.
func (g *grid) cellsPerClass() int { return keyExponents << g.fractionBits }

// cell returns the cell of a number v above 0 in a range that begins at 2^minExponent and has so many powers of two, or the range's
// nearest cell.
func (g *grid) cell(v float64, minExponent, exponents int) int {
	cell := int(math.Float64bits(v)>>(52-g.fractionBits)) - (1023+minExponent)<<g.fractionBits
	return max(0, min(cell, exponents<<g.fractionBits-1))
}

// cellOf returns the cell of a key among those of its class.
func (g *grid) cellOf(key float64) int {
	switch {
	case key <= -0x1p-16:
		return sizeExponents<<g.fractionBits - 1 - g.cell(-key, minSizeExponent, sizeExponents)
	case key < 0:
		return sizeExponents<<g.fractionBits + g.cell(-math.Log2(-key), minTailExponent, tailExponents)
	}
	return (sizeExponents+tailExponents)<<g.fractionBits + g.cell(key, minSizeExponent, sizeExponents)
}

// add counts the labelled rows of b that have a softmax.
func (g *grid) add(b Batch) {
	keyed := keyer{t: max(b.temperature(), leastTemperature), scale: 1}
	if g.k > 2 {
		keyed.scale = 1 / keyed.t
	}
	each := g.cellsPerClass()
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
			cell := &g.confidences[g.cell(1-confidence, minDoubtExponent, doubtExponents)]
			cell.n++
			if s.Argmax == label {
				cell.right++
			}
			addTo(&cell.confidence, &cell.rest, confidence)
			g.n++
		}
	})
	g.settle()
}

// settle rounds the sums, after the last of some rows was added.
func (g *grid) settle() {
	for i := range g.confidences {
		settle(&g.confidences[i].confidence, &g.confidences[i].rest)
	}
}

// merge adds the counts of a grid for as many classes and rows of the same kind.
func (g *grid) merge(other *grid) {
	for i, c := range other.cells {
		g.cells[i].labelled += c.labelled
		g.cells[i].others += c.others
	}
	for i, c := range other.confidences {
		into := &g.confidences[i]
		into.n += c.n
		into.right += c.right
		mergeSum(&into.confidence, &into.rest, c.confidence, c.rest)
	}
	g.n += other.n
}

// figures is Ranking.Figures, worked out from the counts.
func (g *grid) figures(bins int) Ranks {
	nan := Estimate{math.NaN(), math.NaN()}
	r := Ranks{AdaptiveECE: g.adaptiveECE(bins)}
	each := g.cellsPerClass()
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

// curvesOf returns the area under the ROC curve and the average precision of a class from its cells, n being the number of all rows. ok is
// false where no row or every row is labelled with the class. For the area, the rows of a cell count as ties, from which no order of them
// is further than half of their pairs. Average precision is the middle between its values if, in every cell, the others were all below the
// labelled rows, and if they were all above.
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
		labelled, others := float64(cells[i].labelled), float64(cells[i].others)
		if labelled > 0 {
			over += labelled * (rest - negatives - others/2)
			shared += labelled * others / 2
			most += labelled * (positives + labelled) / (positives + labelled + negatives)
			// A lower bound on Σ (P+i)/(P+i+M) for i = 1 … labelled, where P is positives, and M the others in this cell and above.
			if m := negatives + others; m > 0 {
				c := positives + m
				least += max(0, labelled-m*math.Log((c+labelled)/c))
			} else {
				least += labelled
			}
		}
		positives += labelled
		negatives += others
	}
	auc = Estimate{over / (rows * rest), shared / (rows * rest)}
	ap = Estimate{(most + least) / 2 / rows, (most - least) / 2 / rows}
	return auc, ap, true
}

// adaptiveECE returns the ECE over bins that hold equally many rows; placement.adaptiveECE defines the bins. The rows of a cell count as
// rows of one confidence. Where a boundary of bins divides a cell of n rows into a and n−a, the gap of each bin is wrong by at most
// min(a, n−a) times the range that confidence − right has in the cell, since either bin may have got the cell's extreme rows.
func (g *grid) adaptiveECE(bins int) Estimate {
	if g.kind.Normal && g.kind.Slack > 0 || g.n == 0 {
		return Estimate{math.NaN(), math.NaN()} // confidences within Slack are ties, though they may be in different cells
	}
	gap, gaps, bound := 0.0, 0.0, 0.0
	bin, end, row := 0, g.n/bins, 0 // the bin that is being filled, the row at which it ends, and the rows that are in bins
	for i := len(g.confidences) - 1; i >= 0; i-- {
		cell := &g.confidences[i]
		if cell.n == 0 {
			continue
		}
		next := row + cell.n
		each := (cell.confidence + cell.rest - float64(cell.right)) / float64(cell.n)
		start, span := row, 1.0
		if cell.right == 0 || cell.right == cell.n {
			span = 0
		}
		span += g.width(i)
		for row < next {
			for ; row == end; bin++ {
				gaps += math.Abs(gap)
				gap = 0
				bound += 2 * span * float64(min(row-start, next-row))
				end = (bin + 2) * g.n / bins
			}
			part := min(next, end) - row
			gap += each * float64(part)
			row += part
		}
	}
	n := float64(g.n)
	return Estimate{(gaps + math.Abs(gap)) / n, bound / n}
}

// width returns how far apart two confidences in a cell may be.
func (g *grid) width(cell int) float64 {
	edge := func(i int) float64 {
		return math.Float64frombits(uint64(i+(1023+minDoubtExponent)<<g.fractionBits) << (52 - g.fractionBits))
	}
	if cell == 0 {
		return edge(1)
	}
	return edge(cell+1) - edge(cell)
}

// gridEntry is a cell that is not empty, as it is written.
type gridEntry struct {
	gap              int     // the cell's index less that of the entry before, which is −1 for the first
	n, part          int     // labelled and others of a gridCell, n and right of a confidenceCell
	confidence, rest float64 // of a confidenceCell
}

// code writes or reads the cells that are not empty. When reading, it allocates the grid only after everything was found to be valid.
func (g *grid) code(c *coder) {
	c.int(&g.n)
	var cells, confidences []gridEntry
	if !c.reading {
		last := -1
		for i, cell := range g.cells {
			if cell != (gridCell{}) {
				cells, last = append(cells, gridEntry{gap: i - last, n: cell.labelled, part: cell.others}), i
			}
		}
		last = -1
		for i, cell := range g.confidences {
			if cell.n > 0 {
				confidences, last = append(confidences, gridEntry{i - last, cell.n, cell.right, cell.confidence, cell.rest}), i
			}
		}
	}
	slice(c, &cells, 3, func(e *gridEntry) {
		c.int(&e.gap)
		c.int(&e.n)
		c.int(&e.part)
	})
	slice(c, &confidences, 19, func(e *gridEntry) {
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
	each := g.cellsPerClass()
	classes := g.k
	if g.k > maxGridClasses {
		classes = 0
	}
	counted, labelled, at := make([]int, min(classes, len(cells))), 0, -1
	for _, e := range cells {
		if at += e.gap; e.gap == 0 || e.gap > classes*each || at >= classes*each || at/each >= len(counted) || e.n+e.part == 0 {
			c.damaged("a cell of a ranking, %d behind the last", e.gap)
			return
		}
		counted[at/each] += e.n + e.part
		labelled += e.n
	}
	rows := 0
	for _, n := range counted {
		if n != g.n {
			c.damaged("%d rows of a class, want %d", n, g.n)
			return
		}
	}
	at = -1
	for _, e := range confidences {
		if at += e.gap; e.gap == 0 || e.gap > doubtExponents<<g.fractionBits || at >= doubtExponents<<g.fractionBits {
			c.damaged("a cell of confidence, %d behind the last", e.gap)
			return
		}
		rows += e.n
	}
	if rows != g.n || classes > 0 && (labelled != g.n || g.n > 0 && len(counted) != classes) {
		c.damaged("%d rows, of which %d are labelled and %d of a confidence", g.n, labelled, rows)
		return
	}
	g.makeRoom()
	at = -1
	for _, e := range cells {
		at += e.gap
		g.cells[at] = gridCell{e.n, e.part}
	}
	at = -1
	for _, e := range confidences {
		at += e.gap
		g.confidences[at] = confidenceCell{e.n, e.part, e.confidence, e.rest}
	}
}
