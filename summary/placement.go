package summary

import (
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// placement orders the rows of a batch by their classes' log-odds, for what a Ranking says. It keeps a few numbers a row, none a class,
// in float64, about 50 bytes, and reads the logits twice.
type placement struct {
	rows  Batch
	n     int             // labelled rows that have a softmax
	ctx   context.Context // where it ends, no more is placed; nil for never
	t     float64         // the temperature, but not so near 0 that z/t overflows: long before, every p is 0, 1 or that of a tie
	scale float64         // 1/t; 1 for two classes, whose order is that of z₁ − z₀ at every temperature

	// Of each row, until they are placed; logSum is NaN where it takes no part.
	largest     []float32
	wide        []float64 // the largest of wide rows
	logSum, own []float64

	confidence []uint64 // [N], rising: bits of the largest probability, and whether it is right in the lowest
	classes    []ranks  // [K]
}

// ranks holds the keys of the rows that are labelled with one class, and counts the other rows between them.
type ranks struct {
	rows  int       // rows labelled with the class
	keys  []ownRank // [D+1], ascending: their distinct keys, and +Inf
	times []uint32  // [D], how often each key occurs

	// start[i] is the first of own in part i of their range, of parts of equal width.
	start      []uint32
	low, scale float64
}

// ownRank is a key of the class's own. What is read and what is counted of it lie side by side in memory.
type ownRank struct {
	key   float64
	below uint32 // others with less, and more than the one before
	equal uint32 // others with just this
}

// newPlacement returns a placement that the rows of b are to be added to.
func newPlacement(b Batch) *placement {
	n := len(b.Labels)
	r := &placement{rows: b, t: max(b.temperature(), leastTemperature), scale: 1, logSum: make([]float64, n), own: make([]float64, n), confidence: make([]uint64, n)}
	if b.Classes() > 2 {
		r.scale = 1 / r.t
	}
	if b.Wide != nil {
		r.wide = make([]float64, n)
	} else {
		r.largest = make([]float32, n)
	}
	return r
}

// leastTemperature is far below that of which every p is 0, 1 or that of a tie.
const leastTemperature = 0x1p-200

// addStats takes in a block of the placement's rows, whose statistics are known. Adding others from other goroutines is well.
func (r *placement) addStats(rows Batch, stats []logit.RowStats) {
	keyed := keyer{t: r.t, scale: r.scale}
	for i, label := range rows.Labels {
		at := rows.First - r.rows.First + i
		r.logSum[at] = math.NaN()
		if label == loss.Ignored || math.IsNaN(stats[i].LSE) {
			continue
		}
		largest, logSum, confidence := keyed.row(rows, i, &stats[i])
		if rows.Wide == nil {
			r.largest[at] = float32(largest)
		} else {
			r.wide[at] = largest
		}
		r.logSum[at], r.own[at] = logSum, key(rows.logit(i, int(label)), largest, r.scale, logSum)
		r.confidence[at] = math.Float64bits(confidence) << 1
		if stats[i].Argmax == label {
			r.confidence[at]++
		}
	}
}

// keyer finds what the keys of a row's classes are made of.
type keyer struct {
	t, scale float64
	narrow   ranker[float32]
	wide     ranker[float64]
}

// row returns what key takes of row i of a block, and the largest p.
func (k *keyer) row(rows Batch, i int, s *logit.RowStats) (largest, logSum, confidence float64) {
	if rows.Wide == nil {
		z, top := rows.row(i), float32(s.Largest)
		sum := kernel.ExpSum(z, top, k.t)
		return s.Largest, k.narrow.logSum(z, int(s.Argmax), sum, k.t), 1 / sum
	}
	z := rows.wideOf(i)
	if confidence = s.PMax; !rows.asGiven() {
		confidence = 1 / kernel.ExpSum(z, s.Largest, k.t)
	}
	if rows.asGiven() && len(z) > 2 {
		return 0, -certainty(z, int(s.Argmax)), confidence // log p is the key
	}
	return s.Largest, k.wide.logSum(z, int(s.Argmax), 1/confidence, k.t), confidence
}

// logit is that of class j of row i.
func (b *Batch) logit(i, j int) float64 {
	if b.Wide != nil {
		return b.Wide[i*b.Columns+j]
	}
	return float64(b.Logits[i*b.Columns+j])
}

// order orders the rows, once all are added, and finds where between the rows of each class the others lie: it reads the logits
// once more. curves and adaptiveECE are of what is placed.
func (r *placement) order() {
	k := r.rows.Classes()
	r.classes = make([]ranks, k)
	confidence := r.confidence[:0]
	for i, label := range r.rows.Labels {
		if !math.IsNaN(r.logSum[i]) {
			r.classes[label].rows++
			confidence = append(confidence, r.confidence[i])
		}
	}
	r.confidence, r.n = confidence, len(confidence)
	own := make([][]float64, k)
	all, first := make([]float64, r.n), 0
	for j, c := range r.classes {
		own[j] = all[first:first]
		first += c.rows
	}
	for i, label := range r.rows.Labels {
		if !math.IsNaN(r.logSum[i]) {
			own[label] = append(own[label], r.own[i])
		}
	}
	r.own = nil
	parallel.Each(k+1, func(j int) {
		if r.ended() {
			return
		}
		if j == 0 {
			sortKeys(r.confidence)
		} else {
			r.classes[j-1].order(own[j-1])
		}
	})
	// A goroutine has its classes to itself: what is counted needs no lock, and stays in the caches where they are few enough.
	parts := min(max(leastParts, rankBytes*r.n/cachedRanks), k)
	parallel.Each(parts, func(i int) {
		if !r.ended() {
			r.place(i*k/parts, (i+1)*k/parts)
		}
	})
	r.largest, r.logSum = nil, nil
}

// ended reports whether nobody waits for the figures any more.
func (r *placement) ended() bool { return r.ctx != nil && r.ctx.Err() != nil }

// The classes are placed in parts.
const (
	leastParts  = 8       // whatever the processors
	rankBytes   = 24      // of ranks, for each of the class's own
	cachedRanks = 1 << 18 // bytes that stay in the second cache
)

// order sorts what the class has and makes it distinct.
func (c *ranks) order(own []float64) {
	if len(own) == 0 {
		return
	}
	sortNumbers(own)
	c.low, c.times = own[0], make([]uint32, 0, len(own))
	distinct := own[:0]
	for _, v := range own {
		if d := len(distinct); d == 0 || v != distinct[d-1] {
			distinct, c.times = append(distinct, v), append(c.times, 0)
		}
		c.times[len(c.times)-1]++
	}
	c.keys = make([]ownRank, len(distinct)+1)
	c.keys[len(distinct)].key = math.Inf(1)
	c.start = make([]uint32, partsEach*len(distinct)+1)
	if width := distinct[len(distinct)-1] - c.low; width > 0 {
		c.scale = float64(len(c.start)-1) / width
	}
	part := 0
	for i, v := range distinct {
		c.keys[i].key = v
		for end := c.part(v); part <= end; part++ {
			c.start[part] = uint32(i)
		}
	}
	for ; part < len(c.start); part++ {
		c.start[part] = uint32(len(distinct))
	}
}

// sortNumbers sorts numbers: where there are many, by their bits.
func sortNumbers(v []float64) {
	if len(v) < 1<<10 {
		slices.Sort(v)
		return
	}
	// As whole numbers the bits of numbers below 0 fall where those rise, and lie above those of the others.
	const sign = 1 << 63
	keys := make([]uint64, len(v))
	for i, x := range v {
		if keys[i] = math.Float64bits(x) ^ sign; keys[i] < sign {
			keys[i] = ^keys[i] ^ sign
		}
	}
	sortKeys(keys)
	for i, key := range keys {
		if key < sign {
			key = ^key ^ sign
		}
		v[i] = math.Float64frombits(key ^ sign)
	}
}

// partsEach is how many parts the range has a distinct key: few parts have more than one.
const partsEach = 2

// part is where in their range v lies, the first part for what is below.
func (c *ranks) part(v float64) int {
	part := int(min((v-c.low)*c.scale, float64(len(c.start)-2)))
	return part &^ (part >> 63) // unlike a branch, never mispredicted
}

// place counts the rows' keys of the classes from low to high that they are not labelled with.
func (r *placement) place(low, high int) {
	if high == low+1 && len(r.classes[low].keys) > manyOwn {
		r.placeMany(low)
		return
	}
	if r.wide != nil {
		for class := low; class < high; class++ {
			r.each(class, r.classes[class].count)
		}
		return
	}
	t, classes := r.t, r.classes[low:high]
	// What is below all of a class's own is not counted: a row's logits are compared with those that would be as low as the
	// lowest, less what float32 does not tell.
	const slack = 1e-6
	lowest, at := make([]float32, len(classes)), make([]int32, len(classes)+kernel.MorePlaces)
	for j, c := range classes {
		switch {
		case c.rows == 0:
			lowest[j] = float32(math.Inf(1))
		case t > 0x1p100: // beyond float32
			lowest[j] = float32(math.Inf(-1))
		default:
			lowest[j] = float32(c.low * t * (1 + slack))
		}
	}
	r.rows.blocks(func(rows Batch) {
		if r.ended() {
			return
		}
		for i, label := range rows.Labels {
			row := rows.First - r.rows.First + i
			largest, logSum := r.largest[row], r.logSum[row]
			if logSum != logSum {
				continue
			}
			z := rows.row(i)[low:high]
			if logSum <= 0 {
				for j := range classes {
					if c := &classes[j]; c.rows > 0 && low+j != int(label) {
						c.count(key(float64(z[j]), float64(largest), r.scale, logSum))
					}
				}
				continue
			}
			offset := float64(largest) + logSum*t - (math.Abs(float64(largest))+logSum*t)*slack
			for _, j := range at[:kernel.Above(at, z, lowest, float32(min(offset, math.MaxFloat32)))] {
				if low+int(j) != int(label) {
					v := (float64(z[j])-float64(largest))*r.scale - logSum // key, where logSum is above 0
					if v < -beyond {
						v = -beyond
					}
					classes[j].count(v)
				}
			}
		}
	})
}

// each calls count with the keys of a class that reach the lowest of its own, of the rows that are not labelled with it.
func (r *placement) each(class int, count func(key float64)) {
	c := &r.classes[class]
	if c.rows == 0 {
		return
	}
	if r.wide == nil {
		r.rows.blocks(func(rows Batch) {
			if r.ended() {
				return
			}
			first := rows.First - r.rows.First
			for i, label := range rows.Labels {
				v := key(float64(rows.Logits[i*rows.Columns+class]), float64(r.largest[first+i]), r.scale, r.logSum[first+i])
				if v >= c.low && int(label) != class {
					count(v)
				}
			}
		})
		return
	}
	columns := r.rows.Columns
	for i, label := range r.rows.Labels {
		if i%(1<<14) == 0 && r.ended() {
			return
		}
		z := 0.0
		if columns > 1 || class == 1 {
			z = r.rows.Wide[i*columns+class%columns]
		}
		if v := key(z, r.wide[i], r.scale, r.logSum[i]); v >= c.low && int(label) != class {
			count(v)
		}
	}
}

const (
	manyOwn   = 1 << 13 // so many of a class's own that they are not in the caches
	placedOne = 1 << 16 // rows that are placed at a time then
)

// placeMany is place of one class that has many of its own. The others are divided by the part of the range they lie in, so that
// what is looked up lies together.
func (r *placement) placeMany(class int) {
	c := &r.classes[class]
	const groups = 1 << 10
	shift := max(0, bits.Len(uint(len(c.start)-1))-bits.Len(uint(groups-1)))
	values, divided := make([]float64, 0, placedOne), make([]float64, placedOne)
	flush := func() {
		var at [groups + 1]int
		for _, v := range values {
			at[c.part(v)>>shift+1]++
		}
		for i := 1; i < len(at); i++ {
			at[i] += at[i-1]
		}
		for _, v := range values {
			group := c.part(v) >> shift
			divided[at[group]] = v
			at[group]++
		}
		for _, v := range divided[:len(values)] {
			c.count(v)
		}
		values = values[:0]
	}
	r.each(class, func(v float64) {
		if values = append(values, v); len(values) == placedOne {
			flush()
		}
	})
	flush()
}

// count takes in another's key.
func (c *ranks) count(v float64) {
	// The first of own that is at least v is among those of v's part, or the first behind them.
	part := c.part(v)
	at, n := c.start[part], c.start[part+1]-c.start[part]
	for n > 1 {
		half := n / 2
		if c.keys[at+half-1].key < v {
			at += half
		}
		n -= half
	}
	less := uint32(0)
	if c.keys[at].key < v {
		less = 1
	}
	if next := &c.keys[at+less]; next.key == v {
		next.equal++
	} else {
		next.below++
	}
}

// figures are the area under the ROC curve and the average precision of a class of a ranking of n rows; not ok where it has no row, or every one. A tie
// of a row of the class with another counts half in the area; average precision is Σ (R_i − R_{i−1})·P_i over the distinct
// probabilities, without interpolation.
func (c *ranks) figures(n int) (auc, ap float64, ok bool) {
	if c.rows == 0 || c.rows == n {
		return 0, 0, false
	}
	positives, negatives, over := 0.0, 0.0, 0.0
	others, all := float64(n-c.rows), float64(c.rows)
	for d := len(c.times) - 1; d >= 0; d-- {
		times, equal := float64(c.times[d]), float64(c.keys[d].equal)
		negatives += float64(c.keys[d+1].below)
		over += times * (others - negatives - equal/2)
		negatives += equal
		positives += times
		ap += times / all * positives / (positives + negatives)
	}
	return over / (all * others), ap, true
}

// curves returns the area under the ROC curve and the average precision, each class against the rest and averaged over the
// classes that have samples and do not have all, and how many those are; NaN where there is none. T. Fawcett, "An introduction
// to ROC analysis", Pattern Recognition Letters 27, 2006.
func (r *placement) curves() (auc, ap float64, classes int) {
	for j := range r.classes {
		if a, p, ok := r.classes[j].figures(r.n); ok {
			auc += a
			ap += p
			classes++
		}
	}
	return auc / float64(classes), ap / float64(classes), classes
}

// adaptiveECE is the ECE over bins that hold equally many rows, in order of confidence: bin i of B holds the ranks from iN/B to
// (i+1)N/B, rounded down. Rows of one confidence that a boundary divides have each their average accuracy, so that no order of
// theirs matters. K. Nguyen, B. O'Connor, "Posterior calibration and exploratory analysis for natural language processing
// models", EMNLP 2015. NaN for no row.
func (r *placement) adaptiveECE(bins int) float64 {
	slack := 0.0
	if r.rows.Normal {
		slack = max(r.rows.Slack, rounding)
	}
	gap, gaps := 0.0, 0.0
	bin, end := 0, r.n/bins // the bin that is filled, and where it ends
	for start, next := 0, 0; start < r.n; start = next {
		confidence, right := math.Float64frombits(r.confidence[start]>>1), 0.0
		for next = start; next < r.n && math.Float64frombits(r.confidence[next]>>1) <= confidence+slack; next++ {
			right += float64(r.confidence[next] & 1)
		}
		each := confidence - right/float64(next-start)
		for at := start; at < next; {
			for ; at == end; bin++ {
				gaps += math.Abs(gap)
				gap = 0
				end = (bin + 2) * r.n / bins
			}
			part := min(next, end) - at
			gap += each * float64(part)
			at += part
		}
	}
	return (gaps + math.Abs(gap)) / float64(r.n)
}
