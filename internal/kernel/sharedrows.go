package kernel

import "github.com/logitscope/logitscope/internal/spare"

// A call on fewer than sharedLogits logits is done by the caller alone. More are shared in parts of about partLogits.
const (
	sharedLogits = 1 << 17
	partLogits   = 1 << 15
	rowGroup     = 16 // short rows are worked on in groups of this number, so a part has a multiple of it
)

// streamedLogits is the number of logits from which on a result is written past the caches, which would not hold it, unless it overwrites z.
var streamedLogits = 1 << 22

// rows is a call on rows of logits in float32 that is cut into parts of whole rows.
type rows struct {
	parts
	each int // the rows of a part
	rowCall
}

// rowCall has the arguments of a call.
type rowCall struct {
	n, k   int                           // the shape of z
	do     func(r *rows, start, end int) // does the rows [start,end)
	dst, z []float32
	stream bool // whether dst is written past the caches
	// The temperature of Softmax, LogSoftmax, LogSumExp and RowStats, the smoothing of SmoothedCrossEntropy, or the limit of SoftCap.
	temperature float64
	// These are of CrossEntropy, whose gradient is dst. RowStats has labels too.
	nll    []float32
	labels []int32
	scale  float32
	// This is of RowStats.
	stats []Stat
	// These are of Sample, which writes the classes to labels.
	before, after, u []float64
	steps            []Step
}

var spareRows = make(chan *rows, 16)

// shareRows does a call with several threads. It returns false, and does nothing, for a call on few logits, and for one on float64.
func shareRows[T Float](do func(r *rows, start, end int), dst, z []T, k int, temperature float64, nll []T, labels []int32, scale T) bool {
	r := sharedRows(z, k)
	if r == nil {
		return false
	}
	r.do, r.dst = do, any(dst).([]float32)
	r.temperature, r.nll, r.labels, r.scale = temperature, any(nll).([]float32), labels, float32(scale)
	r.stream = len(r.dst) >= max(streamedLogits, 1) && &r.dst[0] != &r.z[0]
	r.run()
	return true
}

// sharedRows returns a call on z that is to be shared, of which the caller sets the other arguments. It returns nil for few logits, and for float64.
func sharedRows[T Float](z []T, k int) *rows {
	z32, ok := any(z).([]float32)
	if !ok || len(z) < sharedLogits {
		return nil
	}
	r := spare.Take(spareRows)
	if r == nil {
		r = new(rows)
	}
	r.z, r.k, r.n = z32, k, len(z)/k
	r.each = max(1, partLogits/k)
	if r.each > rowGroup {
		r.each -= r.each % rowGroup
	}
	return r
}

// run does the call with several threads, and lets go of its arguments.
func (r *rows) run() {
	r.start((r.n + r.each - 1) / r.each)
	share(r)
	r.rowCall = rowCall{}
	spare.Give(spareRows, r)
}

func (r *rows) work() {
	for part := range r.taken {
		r.do(r, part*r.each, min((part+1)*r.each, r.n))
	}
}

// The functions below do the rows [start,end) of a shared call.

func softmaxPart(r *rows, start, end int) {
	softmax(r.dst[start*r.k:end*r.k], r.z[start*r.k:end*r.k], r.k, r.temperature, r.stream)
}

func logSoftmaxPart(r *rows, start, end int) {
	logSoftmax(r.dst[start*r.k:end*r.k], r.z[start*r.k:end*r.k], r.k, r.temperature)
}

func logSumExpPart(r *rows, start, end int) {
	logSumExp(r.dst[start:end], r.z[start*r.k:end*r.k], r.k, r.temperature)
}

func crossEntropyPart(r *rows, start, end int) {
	var grad []float32
	if r.dst != nil {
		grad = r.dst[start*r.k : end*r.k]
	}
	crossEntropies(r.nll[start:end], grad, r.z[start*r.k:end*r.k], r.labels[start:end], r.k, r.scale, r.stream)
}

func rowStatsPart(r *rows, start, end int) {
	var labels []int32
	if r.labels != nil {
		labels = r.labels[start:end]
	}
	rowStats(r.stats[start:end], r.z[start*r.k:end*r.k], r.k, labels, r.temperature)
}
