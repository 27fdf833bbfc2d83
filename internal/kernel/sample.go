package kernel

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/spare"
)

// Step is a step of Sample. It reduces the classes that may be picked, or sets the temperature of their weights for later steps and the pick.
type Step struct {
	Do    StepKind
	Value float64 // what it is depends on Do
}

// StepKind is what a Step does.
type StepKind uint8

// The kinds of Step.
const (
	StepTemperature StepKind = iota // weigh classes by exp(z/Value)
	StepTopK                        // keep the Value largest logits
	StepTopP                        // keep the fewest largest logits whose share of the weight is at least Value
	StepMinP                        // keep the logits of at least Value times the largest one's weight
)

// topPSlack is the relative amount by which a share may be missed and still count as reached, since sums of float32 weights are no more precise.
const topPSlack = 0x1p-21

// Sample picks a class of each row of z [N,K] and writes it to classes [N], −1 for a row that has no softmax. The steps, in their order, decide
// which classes are kept. Of those one is picked with a probability in proportion to exp(z/temperature); the temperature is 1 until a step sets it.
//
// u [N] holds a number in [0,1) for each row. The pick is the first class, in rising order, at which the sum of the weights kept up to it is above
// u times the sum of all kept. Of equal logits those of lower classes are kept first, and at least one class is kept. Unless it is nil, before
// [N] gets the class's softmax(z), and after [N] the probability with which it was picked.
//
// No row is sorted. Its weights are compared and added up, about ten times where a step asks for a share. It panics on a step whose value is NaN
// or below 0, and on a temperature that is 0 or infinite.
func Sample[T Float](classes []int32, before, after, u []float64, z []T, k int, steps []Step) {
	n := rowsOf("Sample", z, k)
	checkLen("Sample", "classes", len(classes), n)
	checkLen("Sample", "u", len(u), n)
	if before != nil {
		checkLen("Sample", "before", len(before), n)
	}
	if after != nil {
		checkLen("Sample", "after", len(after), n)
	}
	for _, s := range steps {
		if !(s.Value >= 0) || s.Do == StepTemperature && !(s.Value > 0 && s.Value <= maxFloat64) || s.Do > StepMinP {
			panic(fmt.Sprintf("kernel: Sample: step %d has value %v", s.Do, s.Value))
		}
	}
	if r := sharedRows(z, k); r != nil && r.n > 1 {
		r.do, r.labels, r.before, r.after, r.u, r.steps = samplePart, classes, before, after, u, steps
		r.run()
		return
	}
	sampleRows(classes, before, after, u, z, k, steps)
}

// samplePart does Sample for the rows [start,end) of a shared call.
func samplePart(r *rows, start, end int) {
	part := func(x []float64) []float64 {
		if x == nil {
			return nil
		}
		return x[start:end]
	}
	sampleRows(r.labels[start:end], part(r.before), part(r.after), r.u[start:end], r.z[start*r.k:end*r.k], r.k, r.steps)
}

var (
	spareWeights32 = make(chan []float32, 16)
	spareWeights64 = make(chan []float64, 16)
)

// sampleRows is Sample by the caller's thread.
func sampleRows[T Float](classes []int32, before, after, u []float64, z []T, k int, steps []Step) {
	var weights []T
	switch w := any(&weights).(type) {
	case *[]float32:
		*w = spare.Take(spareWeights32)
		defer func() { spare.Give(spareWeights32, *w) }()
	case *[]float64:
		*w = spare.Take(spareWeights64)
		defer func() { spare.Give(spareWeights64, *w) }()
	}
	if cap(weights) < k {
		weights = make([]T, k)
	}
	for i := range classes {
		s := sampling[T]{row: z[i*k : (i+1)*k], weights: weights[:k]}
		p, drawn := s.sample(u[i], steps, before != nil)
		classes[i] = int32(s.class)
		if before != nil {
			before[i] = p
		}
		if after != nil {
			after[i] = drawn
		}
	}
}

// sampling is a row of which a class is picked.
type sampling[T Float] struct {
	row, weights []T     // the logits, and their weights, in proportion to exp(z/weighed)
	largest      T       // the largest logit
	temperature  float64 // the one that the steps so far have set
	weighed      float64 // the temperature of the weights, 0 while there are none
	class        int     // the pick

	// Kept are the logits above cut and, of the classes below bound, those that are equal to cut.
	cut   T
	bound int
}

// sample picks a class. It returns the class's softmax p, which is NaN unless before is set, and the probability with which it was picked.
func (s *sampling[T]) sample(u float64, steps []Step, before bool) (p, drawn float64) {
	nan := math.NaN()
	s.largest, s.temperature, s.class = largestOf(s.row), 1, -1
	s.cut = T(math.Inf(-1))
	if math.IsInf(float64(s.largest), 0) || s.largest != s.largest {
		return nan, nan
	}
	for _, step := range steps {
		switch step.Do {
		case StepTemperature:
			s.temperature = step.Value
		case StepTopK:
			if step.Value < s.kept(false) {
				s.shrink(max(1, math.Trunc(step.Value)), false)
			}
		case StepTopP:
			if step.Value < 1 {
				s.shrink(s.kept(true)*step.Value*(1-topPSlack), true)
			}
		case StepMinP:
			s.raise(step.Value)
		}
	}
	total := s.kept(true)
	if !(total > 0) {
		return nan, nan
	}
	weight := s.pick(u * total)
	drawn = weight / total
	if !before {
		return nan, drawn
	}
	if s.weighed == 1 {
		return weight / s.above(0, len(s.row), T(math.Inf(-1)), true).weight, drawn
	}
	var stat [1]Stat
	rowStats(stat[:], s.row, len(s.row), []int32{int32(s.class)}, 1)
	return math.Exp(-stat[0].NLL), drawn
}

// weigh computes the weights, unless they are those of the temperature already.
func (s *sampling[T]) weigh() {
	if s.weighed == s.temperature {
		return
	}
	s.weighed = s.temperature
	if row32, ok := any(s.row).([]float32); ok && weigh32(any(s.weights).([]float32), row32, float32(s.largest), s.temperature) {
		return
	}
	for j, v := range s.row {
		s.weights[j] = T(math.Exp(shifted(v, s.largest, s.temperature)))
	}
}

// tail is what above returns of the logits above a border.
type tail[T Float] struct {
	weight   float64 // the sum of their weights, or their number
	least    T       // the least logit above the border, +Inf where there is none
	greatest T       // the greatest logit that is not above the border, −Inf where there is none
}

// above returns the tail of the logits above t among the classes [start,end). NaN counts as above. The tail's weight is the sum of weights where
// byWeight is set, else the number of logits.
func (s *sampling[T]) above(start, end int, t T, byWeight bool) tail[T] {
	x, weights := s.row[start:end], s.row[start:end] // where weights are not asked for, the logits stand in for them
	if byWeight {
		s.weigh()
		weights = s.weights[start:end]
	}
	count := 0
	r := tail[T]{least: T(math.Inf(1)), greatest: T(math.Inf(-1))}
	done := 0
	if x32, ok := any(x).([]float32); ok {
		var weight float64
		var least, greatest float32
		weight, count, least, greatest, done = above32(x32, any(weights).([]float32), float32(t))
		r = tail[T]{weight, T(least), T(greatest)}
	}
	for j, v := range x[done:] {
		if v <= t {
			r.greatest = max(r.greatest, v)
			continue
		}
		count++
		r.weight += float64(weights[done+j])
		r.least = min(r.least, v)
	}
	if !byWeight {
		r.weight = float64(count)
	}
	return r
}

// kept returns the weight of all that is kept or, unless byWeight is set, its number.
func (s *sampling[T]) kept(byWeight bool) float64 {
	return s.above(0, s.bound, next(s.cut, -1), byWeight).weight + s.above(s.bound, len(s.row), s.cut, byWeight).weight
}

// shrink reduces what is kept to the fewest of the largest logits whose weight or, unless byWeight is set, whose number reaches target.
func (s *sampling[T]) shrink(target float64, byWeight bool) {
	k := len(s.row)
	low := s.above(0, k, s.cut, byWeight)
	border, over := s.cut, low.weight
	if low.weight >= target {
		// The border is searched between two logits. What is above the lower one reaches the target, and what is above the higher one does not.
		high, overHigh := s.largest, 0.0
		for i := 0; low.least < high; i++ {
			t := between(low.least, high, (low.weight-target)/(low.weight-overHigh), i)
			if tail := s.above(0, k, t, byWeight); tail.weight >= target {
				low = tail
			} else {
				high, overHigh = tail.greatest, tail.weight
			}
		}
		border, over, s.bound = high, overHigh, k
	} else if low.weight != low.weight {
		return // a row that has no softmax
	}
	s.cut = border
	at := indexOf(s.row, border)
	each := 1.0
	if byWeight {
		each = float64(s.weights[at])
	}
	for need := max(1, math.Ceil((target-over)/each)); need > 1; need-- {
		further := indexOf(s.row[at+1:s.bound], border)
		if further < 0 {
			break
		}
		at += 1 + further
	}
	s.bound = at + 1
}

// between returns a number in [low,high) for a step of the search. By turns it is where the share says, in the middle, and in the middle of all
// floats between them, so that one step in three halves the number of floats that are left.
func between[T Float](low, high T, share float64, step int) T {
	l, h := float64(low), float64(high)
	t := low
	switch step % 3 {
	case 0:
		t = T(l + share*(h-l))
	case 1:
		t = T(l/2 + h/2)
	case 2:
		t = T(fromOrder(order(l)/2 + order(h)/2))
	}
	if !(t >= low && t < high) {
		return low
	}
	return t
}

// order returns the number of a float in the rising order of all floats, 0 for 0.
func order(x float64) int64 {
	if i := int64(math.Float64bits(x)); i >= 0 {
		return i
	}
	return -int64(math.Float64bits(-x))
}

// fromOrder returns the float with a number of order.
func fromOrder(i int64) float64 {
	if i >= 0 {
		return math.Float64frombits(uint64(i))
	}
	return -math.Float64frombits(uint64(-i))
}

// raise reduces what is kept to the logits whose weight is at least share times that of the largest.
func (s *sampling[T]) raise(share float64) {
	limit := float64(s.largest) + s.temperature*math.Log(share)
	cut := T(limit)
	if float64(cut) >= limit {
		cut = next(cut, -1)
	}
	if !(cut < s.largest) {
		s.cut, s.bound = s.largest, indexOf(s.row, s.largest)+1
	} else if cut >= s.cut {
		s.cut, s.bound = cut, 0
	}
}

// pick sets class to the first at which the sum of the weights kept is above target, and returns its weight.
func (s *sampling[T]) pick(target float64) (weight float64) {
	var block struct {
		start, end int
		cut        T
		running    float64
	}
	running := 0.0
	for start, end := 0, 0; start < len(s.row) && running <= target; start = end {
		end = min(start+rowBlock, len(s.row))
		cut := s.cut
		if start < s.bound {
			end, cut = min(end, s.bound), next(cut, -1)
		}
		if w := s.above(start, end, cut, true).weight; w > 0 {
			block.start, block.end, block.cut, block.running = start, end, cut, running
			running += w
		}
	}
	// Rounding may leave the sum just short of the target. Then the last class that has a weight is picked.
	running = block.running
	for j := block.start; j < block.end && running <= target; j++ {
		if w := float64(s.weights[j]); w > 0 && s.row[j] > block.cut {
			s.class, weight = j, w
			running += w
		}
	}
	return weight
}

// next returns the float next to x, above it where sign is 1 and below it where sign is −1.
func next[T Float](x T, sign int) T {
	to := math.Inf(sign)
	if x32, ok := any(x).(float32); ok {
		return T(math.Nextafter32(x32, float32(to)))
	}
	return T(math.Nextafter(float64(x), to))
}

// largestOf returns the largest element of a row that is not NaN, or perhaps NaN where the first one is.
func largestOf[T Float](row []T) T {
	if row32, ok := any(row).([]float32); ok {
		if m, ok := largest32(row32); ok {
			return T(m)
		}
	}
	return greatest(row)
}

// indexOf returns the place of the first element that is v, or −1 where there is none.
func indexOf[T Float](row []T, v T) int {
	done := 0
	if row32, ok := any(row).([]float32); ok {
		if done, ok = find32(row32, float32(v)); ok {
			return done
		}
	}
	for j, x := range row[done:] {
		if x == v {
			return done + j
		}
	}
	return -1
}
