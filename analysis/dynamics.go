package analysis

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Dynamics are how the network did on each labelled sample of a split over the epochs that can be read.
type Dynamics struct {
	Run     string           `json:"run"`
	Split   string           `json:"split"`
	Epochs  []int            `json:"epochs"`  // that were read, rising; what is missing between them is passed over
	Early   int              `json:"early"`   // the last early epoch: that of the lowest NLL on val, the last of all without val
	Damaged []string         `json:"damaged"` // the files that could not be read
	Samples []SampleDynamics `json:"samples"` // in the order of the run; those without a label are left out
}

// SampleDynamics are a sample's figures over the epochs at which its logits have a softmax, p being that of its label.
type SampleDynamics struct {
	ID         int64  `json:"id"`
	Label      int32  `json:"label"`
	CleanLabel *int32 `json:"clean_label"`
	TraceFigures

	row    int
	likely []classShare // the likeliest classes over the early epochs, the likeliest first, its label's among them
}

// TraceFigures are the figures of training dynamics. Epochs follow each other as they were recorded.
type TraceFigures struct {
	Confidence  Number `json:"confidence"`  // mean p (Swayamdipta et al. 2020, Dataset Cartography)
	Variability Number `json:"variability"` // standard deviation of p, over all n (ibid.)
	Correctness Number `json:"correctness"` // share of the epochs at which the label has the largest logit (ibid.)
	Forgotten   int    `json:"forgotten"`   // how often it was right at one epoch and wrong at the next (Toneva et al. 2019)
	Learned     int    `json:"learned"`     // the epoch from which on it is right, -1 where it is wrong at the last
	AUM         Number `json:"aum"`         // area under the margin: mean of z_label − max of the others (Pleiss et al. 2020)
	EL2N        Number `json:"el2n"`        // mean of ‖p − y‖₂ over the early epochs (Paul et al. 2021)
	Undefined   int    `json:"undefined"`   // epochs at which it has no softmax
}

// classShare is a class and its mean probability.
type classShare struct {
	class int32
	p     float32
}

// likelyKept is how many classes of a sample are kept: all of them for most data, a bounded number for any.
const likelyKept = 16

// trace follows one sample from epoch to epoch, in rising order.
type trace struct {
	n, early, right, forgotten, undefined int32
	learned                               int32 // -1 while it is wrong
	p, pp, margin, el2n                   float64
}

// glance is what one epoch says of a sample.
type glance struct {
	p, margin, el2n float64
	argmax          int32
}

func (t *trace) add(epoch int, g glance, label int32, early bool) {
	right := g.argmax == label
	switch was := t.n > 0 && t.learned >= 0; {
	case right && !was:
		t.learned = int32(epoch)
	case !right:
		if was {
			t.forgotten++
		}
		t.learned = -1
	}
	if right {
		t.right++
	}
	t.n++
	t.p += g.p
	t.pp += g.p * g.p
	t.margin += g.margin
	if early {
		t.early++
		t.el2n += g.el2n
	}
}

func (t *trace) figures() TraceFigures {
	n := float64(t.n)
	mean := t.p / n
	f := TraceFigures{
		Confidence: Number(mean), Variability: Number(math.Sqrt(max(t.pp/n-mean*mean, 0))), Correctness: Number(float64(t.right) / n),
		Forgotten: int(t.forgotten), Learned: int(t.learned), AUM: Number(t.margin / n), EL2N: Number(t.el2n / float64(t.early)),
		Undefined: int(t.undefined),
	}
	if t.n == 0 {
		f.Learned = -1
	}
	return f
}

// glanceAt is what a row's statistics say of a sample, but for its EL2N; ok is false where there is no softmax.
func glanceAt(r *kernel.Stat) (g glance, ok bool) {
	return glance{p: math.Exp(-r.NLL), margin: r.Margin, argmax: r.Argmax}, !math.IsNaN(r.LSE)
}

// el2n is ‖p − y‖₂ for p [K], y being 1 for the label.
func el2n(p []float32, label int32) float64 {
	squares := float32(0)
	for j, v := range p {
		if int32(j) != label {
			squares += v * v
		}
	}
	own := 1 - float64(p[label])
	return math.Sqrt(own*own + float64(squares))
}

// Dynamics follows every labelled sample of a split through the epochs, in one pass over their logits. Epochs that are
// damaged are named and passed over. The memory it takes is that of some figures and at most 16 classes a sample,
// whatever the number of epochs and classes.
func (a *Analyzer) Dynamics(split string) (*Dynamics, error) { return a.dynamics(split, "val") }

// dynamics is Dynamics; the early epochs end where the NLL of the split judge is lowest.
func (a *Analyzer) dynamics(split, judge string) (*Dynamics, error) {
	key := [2]string{split, judge}
	a.mu.Lock()
	known := a.dynamic[key]
	a.mu.Unlock()
	if known != nil && len(known.Damaged) == 0 && slices.Equal(known.Epochs, a.run.Epochs()) {
		return known, nil
	}
	d, err := a.follow(split, judge)
	if err == nil {
		a.mu.Lock()
		a.dynamic[key] = d
		a.mu.Unlock()
	}
	return d, err
}

// follow is dynamics where it is not known yet.
func (a *Analyzer) follow(split, judge string) (*Dynamics, error) {
	samples, err := a.samplesOf(split)
	if err != nil {
		return nil, err
	}
	if a.run.Manifest().Head == record.HeadSigmoid {
		return nil, fmt.Errorf("%s has several labels a sample: training dynamics are those of one", a.run.Manifest().Name)
	}
	files := a.openEpochs(split)
	defer files.close()
	m := a.run.Manifest()
	d := &Dynamics{Run: m.Name, Split: split, Epochs: files.epochs, Damaged: files.damaged, Samples: []SampleDynamics{}}
	d.Early = a.early(files.epochs, judge)
	for i, label := range samples.Labels {
		if label != record.Ignored {
			d.Samples = append(d.Samples, SampleDynamics{ID: samples.IDs[i], Label: label, CleanLabel: cleanLabel(samples, i), row: i})
		}
	}
	k := max(m.Columns, 2)
	kept := min(k, likelyKept)
	likely := make([]classShare, len(d.Samples)*kept)
	for i := range d.Samples {
		d.Samples[i].likely = likely[i*kept : (i+1)*kept : (i+1)*kept]
	}
	// Blocks that fit a processor's second cache. Each is one thread's, and each sample's sums are taken in the order of the
	// epochs: the result is the same for any number of threads.
	size := max(1, (1<<15)/k)
	var next atomic.Int64
	workers := make([]error, min(runtime.GOMAXPROCS(0), (len(d.Samples)+size-1)/size))
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			b := newBlock(size, k)
			for workers[i] == nil {
				start := int(next.Add(1)-1) * size
				if start >= len(d.Samples) {
					return
				}
				workers[i] = b.follow(d.Samples[start:min(start+size, len(d.Samples))], m.Columns, files, d.Early)
			}
		})
	}
	wait.Wait()
	for _, err := range workers {
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// block holds the logits of some samples at one epoch, and what is summed over the epochs.
type block struct {
	k      int
	z, p   []float32 // [rows,K]
	labels []int32
	stats  []kernel.Stat
	mean   []float32 // [rows,K]: the sum of p over the early epochs
	traces []trace
}

func newBlock(rows, k int) *block {
	return &block{
		k: k, z: make([]float32, rows*k), p: make([]float32, rows*k), mean: make([]float32, rows*k), traces: make([]trace, rows),
		labels: make([]int32, rows), stats: make([]kernel.Stat, rows),
	}
}

// follow fills the figures of samples from the epochs in files.
func (b *block) follow(samples []SampleDynamics, columns int, files *epochFiles, early int) error {
	z, p, mean := b.z[:len(samples)*b.k], b.p[:len(samples)*b.k], b.mean[:len(samples)*b.k]
	labels, stats := b.labels[:len(samples)], b.stats[:len(samples)]
	for i := range samples {
		labels[i] = samples[i].Label
	}
	clear(mean)
	clear(b.traces)
	for e, epoch := range files.epochs {
		err := guarded(epoch, files.split, func() {
			for i := range samples {
				copyRow(z[i*b.k:(i+1)*b.k], files.logits[e].Values, columns, samples[i].row)
			}
		})
		if err != nil {
			return err
		}
		kernel.RowStats(stats, z, b.k, labels, 1)
		if epoch <= early {
			logit.Softmax(p, z, b.k)
		}
		for i := range samples {
			g, ok := glanceAt(&stats[i])
			if !ok {
				b.traces[i].undefined++
				continue
			}
			if epoch <= early {
				row, sum := p[i*b.k:(i+1)*b.k], mean[i*b.k:(i+1)*b.k]
				g.el2n = el2n(row, labels[i])
				for j, v := range row {
					sum[j] += v
				}
			}
			b.traces[i].add(epoch, g, labels[i], epoch <= early)
		}
	}
	for i := range samples {
		samples[i].TraceFigures = b.traces[i].figures()
		samples[i].likely = likeliest(samples[i].likely, mean[i*b.k:(i+1)*b.k], samples[i].Label, b.traces[i].early)
	}
	return nil
}

// copyRow copies row i of logits [N,columns] to dst [K], a binary head's single logit as the two it stands for.
func copyRow(dst, logits []float32, columns, i int) {
	if columns == 1 {
		dst[0], dst[1] = 0, logits[i]
		return
	}
	copy(dst, logits[i*columns:(i+1)*columns])
}

// likeliest fills dst with the classes of the largest of sums [K] divided by n, in falling order, the lower class first on a
// tie; label takes the last place if it is not among them. It returns none where n is 0.
func likeliest(dst []classShare, sums []float32, label, n int32) []classShare {
	if n == 0 {
		return nil
	}
	used := 0
	for class, sum := range sums {
		at := used
		for at > 0 && dst[at-1].p < sum {
			at--
		}
		if at == len(dst) {
			continue
		}
		used = min(used+1, len(dst))
		copy(dst[at+1:used], dst[at:])
		dst[at] = classShare{int32(class), sum}
	}
	if !slices.ContainsFunc(dst, func(c classShare) bool { return c.class == label }) {
		dst[len(dst)-1] = classShare{label, sums[label]}
	}
	for i := range dst {
		dst[i].p /= float32(n)
	}
	return dst
}

// early returns which of the epochs has the lowest NLL on the split judge; the last of them where there is none.
func (a *Analyzer) early(epochs []int, judge string) int {
	if len(epochs) == 0 {
		return 0
	}
	best, lowest := epochs[len(epochs)-1], math.Inf(1)
	samples, err := a.samplesOf(judge)
	if err != nil {
		return best
	}
	means := make([]float64, len(epochs))
	parallel.Each(len(epochs), func(i int) {
		key := splitEpoch{judge, epochs[i]}
		a.mu.Lock()
		known, ok := a.means[key]
		a.mu.Unlock()
		if ok {
			means[i] = known
			return
		}
		if a.read(epochs[i], judge, func(logits []float32) {
			means[i] = meanNLL(logits, a.run.Manifest().Columns, samples.Labels)
		}) != nil {
			means[i] = math.NaN()
			return
		}
		a.mu.Lock()
		a.means[key] = means[i]
		a.mu.Unlock()
	})
	for i, mean := range means {
		if mean < lowest {
			best, lowest = epochs[i], mean
		}
	}
	return best
}

// meanNLL is the mean NLL of the labelled rows of logits [N,columns] that have a softmax, NaN where there is none.
func meanNLL(logits []float32, columns int, labels []int32) float64 {
	k := max(columns, 2)
	size := max(1, (1<<15)/k)
	z, lse := make([]float32, size*k), make([]float32, size)
	total, n := 0.0, 0
	for start := 0; start < len(labels); start += size {
		rows := min(size, len(labels)-start)
		for i := range rows {
			copyRow(z[i*k:(i+1)*k], logits, columns, start+i)
		}
		logit.LogSumExp(lse[:rows], z[:rows*k], k)
		for i, label := range labels[start : start+rows] {
			if label == record.Ignored || lse[i] != lse[i] {
				continue
			}
			total += float64(lse[i]) - float64(z[i*k+int(label)])
			n++
		}
	}
	return total / float64(n)
}

// epochFiles are the logits of a split at every epoch that can be read.
type epochFiles struct {
	split   string
	epochs  []int
	logits  []*record.Logits
	damaged []string
}

func (a *Analyzer) openEpochs(split string) *epochFiles {
	epochs := a.run.Epochs()
	opened, errs := make([]*record.Logits, len(epochs)), make([]error, len(epochs))
	parallel.Each(len(epochs), func(i int) { opened[i], errs[i] = a.run.Logits(epochs[i], split) })
	files := &epochFiles{split: split, epochs: []int{}, damaged: []string{}}
	for i, epoch := range epochs {
		if errs[i] != nil {
			files.damaged = append(files.damaged, errs[i].Error())
			continue
		}
		files.epochs, files.logits = append(files.epochs, epoch), append(files.logits, opened[i])
	}
	return files
}

func (f *epochFiles) close() {
	for _, l := range f.logits {
		l.Close()
	}
}
