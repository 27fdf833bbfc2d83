package kernel

import (
	"fmt"
	"math"

	"github.com/logitscope/logitscope/internal/spare"
)

// A Step of Sample narrows down the classes that may be picked, or sets the temperature at which later steps and the pick weigh
// them.
type Step struct {
	Do    StepKind
	Value float64
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

// topPSlack is what a share may lack and still count as reached: what sums of float32 weights are exact to.
const topPSlack = 0x1p-21

// Sample picks a class of each row of z [N,K] by weights exp(z/temperature), 1 to begin with, of what the steps in their order
// keep, and writes it to classes [N], −1 for a row that has no softmax. u [N] holds a number in [0,1) for each row: the pick is
// the first class at which the sum of the weights kept so far is above u times the whole. Equal logits are kept by rising class;
// of a row at least one is kept. before [N] and after [N], which may be nil, take the class's softmax(z) and the probability at
// which it was picked. No row is sorted: its weights are compared and added up, some ten times where a share is asked for.
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
	row, weights []T
	largest      T
	temperature  float64
	weighed      float64 // temperature of the weights; 0 for none yet
	class        int

	// What is kept: logits above cut and, of the classes below bound, those that are cut.
	cut   T
	bound int
}

// sample picks a class, and returns its softmax, where before is set, and the probability at which it was picked.
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

// weigh makes the weights ready.
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

// tail is what is above a logit in a part of a row: its weight, or its number, and what is next to the border on both sides.
type tail[T Float] struct {
	weight          float64
	least, greatest T
}

// above returns the tail above t of classes [start, end); NaN counts as above.
func (s *sampling[T]) above(start, end int, t T, byWeight bool) tail[T] {
	x, weights := s.row[start:end], s.row[start:end] // weights that are not asked for are not looked at
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

// kept is the weight, or the number, of what is kept.
func (s *sampling[T]) kept(byWeight bool) float64 {
	return s.above(0, s.bound, next(s.cut, -1), byWeight).weight + s.above(s.bound, len(s.row), s.cut, byWeight).weight
}

// shrink keeps the fewest of the largest logits kept so far whose weight, or number, reaches target.
func (s *sampling[T]) shrink(target float64, byWeight bool) {
	k := len(s.row)
	low := s.above(0, k, s.cut, byWeight)
	border, over := s.cut, low.weight
	if low.weight >= target {
		// The border lies between two logits that draw near: above the lower one the target is reached, above the higher not.
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

// between returns a number in [low, high): by the share of the way, in the middle, or in the middle of the numbers' bits, so
// that of each three steps one halves what is left.
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

// order numbers the floats in rising order.
func order(x float64) int64 {
	if i := int64(math.Float64bits(x)); i >= 0 {
		return i
	}
	return -int64(math.Float64bits(-x))
}

func fromOrder(i int64) float64 {
	if i >= 0 {
		return math.Float64frombits(uint64(i))
	}
	return -math.Float64frombits(uint64(-i))
}

// raise keeps the logits of at least share times the largest one's weight.
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

// pick finds the class at which the weights kept sum up to more than target, and returns its weight.
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
	// Rounding may leave the sum just short of the target: then the last class that has a weight.
	running = block.running
	for j := block.start; j < block.end && running <= target; j++ {
		if w := float64(s.weights[j]); w > 0 && s.row[j] > block.cut {
			s.class, weight = j, w
			running += w
		}
	}
	return weight
}

// next is the number next to x in the direction of sign.
func next[T Float](x T, sign int) T {
	to := math.Inf(sign)
	if x32, ok := any(x).(float32); ok {
		return T(math.Nextafter32(x32, float32(to)))
	}
	return T(math.Nextafter(float64(x), to))
}

func largestOf[T Float](row []T) T {
	if row32, ok := any(row).([]float32); ok {
		if m, ok := largest32(row32); ok {
			return T(m)
		}
	}
	return greatest(row)
}

// indexOf is the place of the first element that is v, −1 for none.
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
