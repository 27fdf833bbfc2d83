package summary

import (
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/internal/spare"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
)

// placement works out the figures of a Ranking that keeps its rows. For each class it sorts the keys (see key) of the rows labelled with
// the class, and counts how many of the other rows have keys between them: that is all that the area under the ROC curve and average
// precision need. It reads the logits twice, some rows at a time: its owner does for addStats, and order once more. It keeps about 50 bytes a
// row, but nothing of size [N,K].
type placement struct {
	rows  Rows
	kind  Batch           // a batch without rows, of the kind of the rows
	first int             // the number of the first row
	n     int             // the number of labelled rows that have a softmax; known once order has run
	ctx   context.Context // order stops when it ends; nil for never
	t     float64         // the temperature, but at least leastTemperature
	scale float64         // 1/t; 1 for two classes, whose order is that of z₁ − z₀ at every temperature

	// Of each row [N], from addStats until order has run:
	labels      []int32
	largest     []float32 // the largest logit, of rows in Logits
	wideLargest []float64 // the same of rows in Wide
	logSum      []float64 // of logSummer.logSum; NaN for a row that takes no part
	labelKey    []float64 // the key of the row's label

	confidence []uint64     // [N], sorted by order: the bits of the largest probability, shifted left by 1; the lowest bit says whether it is right
	classes    []classOrder // [K], from order; nil before
}

// classOrder holds the sorted keys of the rows that are labelled with one class, and counts the other rows between them.
type classOrder struct {
	rows  int        // the number of rows labelled with the class
	keys  []keyCount // [D+1], ascending: the D distinct keys of those rows, and +Inf
	times []uint32   // [D], how often each of these keys occurs

	// The range of the keys, from low on, is divided into parts of width 1/scale. start[i] is the index in keys of the first key in
	// part i or above.
	start      []uint32
	low, scale float64
}

// keyCount is a key of a class's labelled rows with the counts of other rows. They lie side by side in memory because they are read and
// written together.
type keyCount struct {
	key   float64
	below uint32 // other rows whose key is below this one and above the one before
	equal uint32 // other rows with the same key
}

// newPlacement returns a placement of rows, all of which are then to be given to addStats.
func newPlacement(rows Rows) *placement {
	n, none := rows.Len(), rows.Part(0, 0)
	kind := none.like()
	r := &placement{
		rows: rows, kind: kind, first: none.First, t: max(kind.temperature(), leastTemperature), scale: 1,
		labels: make([]int32, n), logSum: make([]float64, n), labelKey: make([]float64, n), confidence: make([]uint64, n),
	}
	if kind.Classes() > 2 {
		r.scale = 1 / r.t
	}
	if kind.wide {
		r.wideLargest = make([]float64, n)
	} else {
		r.largest = make([]float32, n)
	}
	return r
}

// leastTemperature takes the place of lower temperatures, at which z/t may overflow. At far higher ones every p is already 0, 1 or that of
// a tie.
const leastTemperature = 0x1p-200

// addStats notes what order needs of a block of the placement's rows, whose statistics are known. Several goroutines may call it at once,
// with different rows.
func (r *placement) addStats(rows Batch, stats []logit.RowStats) {
	keyed := keyer{t: r.t, scale: r.scale}
	for i, label := range rows.Labels {
		row := rows.First - r.first + i
		r.labels[row], r.logSum[row] = label, math.NaN()
		if label == loss.Ignored || math.IsNaN(stats[i].LSE) {
			continue
		}
		largest, logSum, confidence := keyed.row(rows, i, &stats[i])
		if rows.Wide == nil {
			r.largest[row] = float32(largest)
		} else {
			r.wideLargest[row] = largest
		}
		r.logSum[row], r.labelKey[row] = logSum, key(rows.logit(i, int(label)), largest, r.scale, logSum)
		r.confidence[row] = math.Float64bits(confidence) << 1
		if stats[i].Argmax == label {
			r.confidence[row]++
		}
	}
}

// keyer works out what the keys of a row's classes are made of.
type keyer struct {
	t, scale float64 // the temperature, and key's scale
	narrow   logSummer[float32]
	wide     logSummer[float64]
}

// row returns the arguments largest and logSum of key for row i of a block, and the largest p. s are the row's statistics.
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
		return 0, -certainty(z, int(s.Argmax)), confidence // log p was given, and is the key
	}
	return s.Largest, k.wide.logSum(z, int(s.Argmax), 1/confidence, k.t), confidence
}

// logit returns the logit of class j of row i.
func (b *Batch) logit(i, j int) float64 {
	if b.Wide != nil {
		return b.Wide[i*b.Columns+j]
	}
	return float64(b.Logits[i*b.Columns+j])
}

// order sorts the rows, after addStats was called with all of them, and counts the other rows between those of each class, for which it
// reads the logits once more. curves and adaptiveECE may be called after it.
func (r *placement) order() {
	k := r.kind.Classes()
	r.classes = make([]classOrder, k)
	confidence := r.confidence[:0]
	for i, label := range r.labels {
		if !math.IsNaN(r.logSum[i]) {
			r.classes[label].rows++
			confidence = append(confidence, r.confidence[i])
		}
	}
	r.confidence, r.n = confidence, len(confidence)
	keys := make([][]float64, k) // of the rows labelled with each class
	all, first := make([]float64, r.n), 0
	for j, c := range r.classes {
		keys[j] = all[first:first]
		first += c.rows
	}
	for i, label := range r.labels {
		if !math.IsNaN(r.logSum[i]) {
			keys[label] = append(keys[label], r.labelKey[i])
		}
	}
	r.labelKey = nil
	parallel.Each(k+1, func(j int) {
		if r.ended() {
			return
		}
		if j == 0 {
			sortKeys(r.confidence)
		} else {
			r.classes[j-1].order(keys[j-1])
		}
	})
	// Each goroutine counts for classes of its own, so that counting needs no lock, and so few that their counts stay in the cache.
	parts := min(max(leastParts, rankBytes*r.n/cachedRanks), k)
	n := r.rows.Len()
	each := n
	if _, inMemory := r.rows.(Batch); !inMemory {
		each = max(1, logitsAtOnce/r.kind.Columns)
	}
	for first := 0; first < n && !r.ended(); first += each {
		rows := r.rows.Part(first, min(each, n-first))
		parallel.Each(parts, func(i int) {
			if !r.ended() {
				r.place(rows, i*k/parts, (i+1)*k/parts)
			}
		})
	}
	r.labels, r.largest, r.logSum = nil, nil, nil
}

// ended reports whether the context has ended.
func (r *placement) ended() bool { return r.ctx != nil && r.ctx.Err() != nil }

// The classes are divided into parts, each of which one goroutine counts for.
const (
	leastParts  = 8       // the smallest number of parts, whatever the number of processors
	rankBytes   = 24      // the size of a classOrder, for each row labelled with the class
	cachedRanks = 1 << 18 // so many bytes stay in the second-level cache

	// logitsAtOnce is how many logits are read at a time where the rows are not in memory: 4 MiB of float32.
	logitsAtOnce = 1 << 20
)

// order sorts the keys of the rows labelled with the class, which it overwrites, and prepares c for count.
func (c *classOrder) order(keys []float64) {
	if len(keys) == 0 {
		return
	}
	sortNumbers(keys)
	c.low, c.times = keys[0], make([]uint32, 0, len(keys))
	distinct := keys[:0]
	for _, v := range keys {
		if d := len(distinct); d == 0 || v != distinct[d-1] {
			distinct, c.times = append(distinct, v), append(c.times, 0)
		}
		c.times[len(c.times)-1]++
	}
	c.keys = make([]keyCount, len(distinct)+1)
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

// sortNumbers sorts numbers in ascending order. Where there are many, it sorts their bits.
func sortNumbers(v []float64) {
	if len(v) < 1<<10 {
		slices.Sort(v)
		return
	}
	// Read as whole numbers, the bits of negative numbers lie above those of positive ones, and descend where the numbers ascend.
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

// partsEach is the number of parts of the range for each distinct key, so many that few parts have more than one key.
const partsEach = 2

// part returns the part of the range of keys that v lies in: the first for all that is below, the last for all that is above.
func (c *classOrder) part(v float64) int {
	part := int(min((v-c.low)*c.scale, float64(len(c.start)-2)))
	return part &^ (part >> 63) // max(part, 0) without a branch, which would often be mispredicted
}

// place counts the keys of the classes [low, high), each of the rows that are not labelled with the class.
func (r *placement) place(rows Batch, low, high int) {
	if high == low+1 && len(r.classes[low].keys) > manyKeys {
		r.placeMany(rows, low)
		return
	}
	if r.wideLargest != nil {
		for class := low; class < high; class++ {
			r.otherKeys(rows, class, r.classes[class].count)
		}
		return
	}
	t, classes := r.t, r.classes[low:high]
	// A key below all keys of the class's labelled rows changes no figure and is not counted. Most are: vector code finds the classes of
	// a row whose logit reaches the one that the lowest key stands for, less what float32 cannot tell.
	const slack = 1e-6
	lowest, reached := make([]float32, len(classes)), make([]int32, len(classes)+kernel.MorePlaces)
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
	rows.blocks(func(rows Batch) {
		if r.ended() {
			return
		}
		for i, label := range rows.Labels {
			row := rows.First - r.first + i
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
			for _, j := range reached[:kernel.Above(reached, z, lowest, float32(min(offset, math.MaxFloat32)))] {
				if low+int(j) != int(label) {
					v := (float64(z[j])-float64(largest))*r.scale - logSum // what key returns where logSum is above 0
					if v < -beyond {
						v = -beyond
					}
					classes[j].count(v)
				}
			}
		}
	})
}

// otherKeys calls count with the keys of a class in those of some rows that are not labelled with it, leaving out those that are below all keys of
// the rows that are.
func (r *placement) otherKeys(rows Batch, class int, count func(key float64)) {
	c := &r.classes[class]
	if c.rows == 0 {
		return
	}
	if r.wideLargest == nil {
		rows.blocks(func(rows Batch) {
			if r.ended() {
				return
			}
			first := rows.First - r.first
			for i, label := range rows.Labels {
				v := key(float64(rows.Logits[i*rows.Columns+class]), float64(r.largest[first+i]), r.scale, r.logSum[first+i])
				if v >= c.low && int(label) != class {
					count(v)
				}
			}
		})
		return
	}
	columns, first := rows.Columns, rows.First-r.first
	for i, label := range rows.Labels {
		if i%(1<<14) == 0 && r.ended() {
			return
		}
		z := 0.0
		if columns > 1 || class == 1 {
			z = rows.Wide[i*columns+class%columns]
		}
		if v := key(z, r.wideLargest[first+i], r.scale, r.logSum[first+i]); v >= c.low && int(label) != class {
			count(v)
		}
	}
}

const (
	manyKeys   = 1 << 13 // a class with more distinct keys than this is counted by placeMany
	keysAtOnce = 1 << 16 // the number of keys that placeMany counts at a time
)

var spareKeys = make(chan *[]float64, 16) // rooms of placeMany

// placeMany is place for one class with so many keys that they do not fit into the caches. The other rows' keys are first grouped by the
// part of the range that they lie in, so that keys that are looked up one after the other lie together in memory.
func (r *placement) placeMany(rows Batch, class int) {
	c := &r.classes[class]
	const groups = 1 << 10
	shift := max(0, bits.Len(uint(len(c.start)-1))-bits.Len(uint(groups-1)))
	room := take(spareKeys, 2*keysAtOnce)
	defer spare.Give(spareKeys, room)
	values, grouped := (*room)[:0:keysAtOnce], (*room)[keysAtOnce:2*keysAtOnce]
	flush := func() {
		var next [groups + 1]int // where the next value of each group goes
		for _, v := range values {
			next[c.part(v)>>shift+1]++
		}
		for i := 1; i < len(next); i++ {
			next[i] += next[i-1]
		}
		for _, v := range values {
			group := c.part(v) >> shift
			grouped[next[group]] = v
			next[group]++
		}
		for _, v := range grouped[:len(values)] {
			c.count(v)
		}
		values = values[:0]
	}
	r.otherKeys(rows, class, func(v float64) {
		if values = append(values, v); len(values) == keysAtOnce {
			flush()
		}
	})
	flush()
}

// count counts v, the key of a row that is not labelled with the class.
func (c *classOrder) count(v float64) {
	// The first key that is at least v is among those of v's part, or the next behind them: a binary search finds it.
	part := c.part(v)
	first, n := c.start[part], c.start[part+1]-c.start[part]
	for n > 1 {
		half := n / 2
		if c.keys[first+half-1].key < v {
			first += half
		}
		n -= half
	}
	less := uint32(0)
	if c.keys[first].key < v {
		less = 1
	}
	if next := &c.keys[first+less]; next.key == v {
		next.equal++
	} else {
		next.below++
	}
}

// figures returns the area under the ROC curve and the average precision of the class, n being the number of all rows. ok is false where no
// row or every row is labelled with the class. In the area, a tie of a labelled row with another counts half. Average precision is
// Σ (R_i − R_{i−1})·P_i over the distinct probabilities, R being recall and P precision, without interpolation.
func (c *classOrder) figures(n int) (auc, ap float64, ok bool) {
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

// curves returns AUC, AP and Classes of Ranks, which say what they are.
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

// adaptiveECE returns the ECE over bins that hold equally many rows, in order of confidence: bin i of B holds the rows from rank iN/B to
// (i+1)N/B, both rounded down. Where a boundary divides rows of the same confidence, each of them counts with their average accuracy, so
// that their order does not matter. It is NaN where there is no row. Ranks.AdaptiveECE names the source.
func (r *placement) adaptiveECE(bins int) float64 {
	slack := 0.0
	if r.kind.Normal {
		slack = max(r.kind.Slack, rounding)
	}
	gap, gaps := 0.0, 0.0
	bin, end := 0, r.n/bins // the bin that is being filled, and the row at which it ends
	for start, next := 0, 0; start < r.n; start = next {
		confidence, right := math.Float64frombits(r.confidence[start]>>1), 0.0
		for next = start; next < r.n && math.Float64frombits(r.confidence[next]>>1) <= confidence+slack; next++ {
			right += float64(r.confidence[next] & 1)
		}
		each := confidence - right/float64(next-start)
		for row := start; row < next; {
			for ; row == end; bin++ {
				gaps += math.Abs(gap)
				gap = 0
				end = (bin + 2) * r.n / bins
			}
			part := min(next, end) - row
			gap += each * float64(part)
			row += part
		}
	}
	return (gaps + math.Abs(gap)) / float64(r.n)
}
