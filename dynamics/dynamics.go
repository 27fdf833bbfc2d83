// Package dynamics follows each sample through the epochs of a run. Of gives its training dynamics: how sure and how steadily right the network
// was of it (Swayamdipta et al., "Dataset Cartography", 2020). FindWrongLabels ranks the labels that may be wrong.
package dynamics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/internal/parallel"
	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

// Dynamics are how the network did on each labelled sample of a split over the epochs that can be read.
type Dynamics struct {
	Run              string   `json:"run"`
	Split            string   `json:"split"`
	Unit             string   `json:"unit,omitempty"` // what the number of an epoch counts, as in analysis.Curves
	Epochs           []int    `json:"epochs"`         // the epochs that were read, rising; missing epochs are left out
	Early            int      `json:"early"`          // the last early epoch: the one with the lowest NLL on val, or the last of all without val
	analysis.Lacking          // what could not be read
	Samples          []Sample `json:"samples"` // in the order of the run; those without a label are left out
}

// Sample holds the figures of a sample over the epochs at which its logits have a softmax. p is the probability of its label.
type Sample struct {
	ID         int64  `json:"id"`
	Label      int32  `json:"label"`
	CleanLabel *int32 `json:"clean_label"`
	analysis.TraceFigures

	place int // its place among the samples of the split

	Likely []ClassShare `json:"-"` // the likeliest classes over the early epochs, the likeliest first; the label is always among them
}

// ClassShare is a class and its mean probability.
type ClassShare struct {
	Class int32
	P     float32
}

// likelyKept is the most classes that Sample.Likely holds. It bounds the memory; most data have fewer classes.
const likelyKept = 16

// Of computes the training dynamics of every labelled sample of a split, in one pass over the logits of all epochs. Damaged epochs are left out and
// named in the result. Memory does not grow with the number of epochs: for each sample it holds some figures and at most likelyKept classes.
//
// The Analyzer keeps the result until the run has another epoch; it must not be changed.
func Of(ctx context.Context, a *analysis.Analyzer, split string) (*Dynamics, error) {
	return compute(ctx, a, split, a.Source().Manifest().HeldOut())
}

// bySplits is the key under which the Analyzer keeps dynamics: their split, and the split that decides which epochs are early.
type bySplits [2]string

// compute is Of with the split that decides which epochs are early: they end where the NLL of judge is lowest.
func compute(ctx context.Context, a *analysis.Analyzer, split, judge string) (*Dynamics, error) {
	key := bySplits{split, judge}
	if known, ok := a.Kept(key).(*Dynamics); ok && !known.Any() && slices.Equal(known.Epochs, a.Source().Epochs()) {
		return known, nil
	}
	d, err := ofJudgedBy(ctx, a, split, judge)
	if err == nil {
		a.Keep(key, d)
	}
	return d, err
}

// ofJudgedBy computes the dynamics that compute returns, without looking whether they are kept.
func ofJudgedBy(ctx context.Context, a *analysis.Analyzer, split, judge string) (*Dynamics, error) {
	samples, err := a.Samples(split)
	if err != nil {
		return nil, err
	}
	if m := a.Source().Manifest(); !m.Follows(split) {
		return nil, analysis.NotFound(words.Unit(m.Unit).In("the samples of %s are others at every epoch of %s: none can be followed over the epochs"), split, m.Name)
	}
	if a.Source().Manifest().Head.MultiLabel() {
		return nil, analysis.NotFound("%s has several labels a sample: training dynamics are those of one", a.Source().Manifest().Name)
	}
	files, err := openEpochs(ctx, a, split)
	if err != nil {
		return nil, err
	}
	defer files.close()
	m := a.Source().Manifest()
	d := &Dynamics{Run: m.Name, Split: split, Unit: m.Unit, Epochs: files.epochs, Lacking: files.lacks, Samples: []Sample{}}
	if d.Early, err = a.Early(ctx, files.epochs, judge, &d.Lacking); err != nil {
		return nil, err
	}
	for i, label := range samples.Labels {
		if label != record.Ignored {
			d.Samples = append(d.Samples, Sample{ID: samples.IDs[i], Label: label, CleanLabel: analysis.CleanLabel(samples, i), place: i})
		}
	}
	k := max(m.Columns, 2)
	kept := min(k, likelyKept)
	likely := make([]ClassShare, len(d.Samples)*kept)
	for i := range d.Samples {
		d.Samples[i].Likely = likely[i*kept : (i+1)*kept : (i+1)*kept]
	}
	// A block of samples fits into a processor's second-level cache. One thread computes it, and adds up each sample's figures in the order of the
	// epochs, so that the result is the same for any number of threads.
	size := max(1, (1<<15)/k)
	var next atomic.Int64
	err = parallel.Until(ctx, min(runtime.GOMAXPROCS(0), (len(d.Samples)+size-1)/size), func(int) error {
		b := newBlock(size, k)
		for {
			start := int(next.Add(1)-1) * size
			if start >= len(d.Samples) {
				return nil
			}
			if err := b.follow(ctx, d.Samples[start:min(start+size, len(d.Samples))], m.Columns, files, d.Early); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// block holds the logits of some samples at one epoch, and their sums over the epochs.
type block struct {
	k      int
	z, p   []float32 // [rows,K]
	labels []int32
	stats  []logit.RowStats
	mean   []float32 // [rows,K]: the sum of p over the early epochs
	there  []bool    // whether the epoch has a labelled row of the sample
	traces []analysis.Trace
}

func newBlock(rows, k int) *block {
	return &block{
		k: k, z: make([]float32, rows*k), p: make([]float32, rows*k), mean: make([]float32, rows*k), traces: make([]analysis.Trace, rows),
		labels: make([]int32, rows), there: make([]bool, rows), stats: make([]logit.RowStats, rows),
	}
}

// follow computes the figures of samples from the epochs in files.
func (b *block) follow(ctx context.Context, samples []Sample, columns int, files *epochFiles, early int) error {
	z, p, mean := b.z[:len(samples)*b.k], b.p[:len(samples)*b.k], b.mean[:len(samples)*b.k]
	labels, stats := b.labels[:len(samples)], b.stats[:len(samples)]
	for i := range samples {
		labels[i] = samples[i].Label
	}
	clear(mean)
	clear(b.traces)
	for e, epoch := range files.epochs {
		if err := ctx.Err(); err != nil {
			return err
		}
		there := b.there[:len(samples)]
		err := analysis.Guard(fmt.Sprintf("epoch %d, split %s", epoch, files.split), func() error {
			files.rows[e].copy(z, there, samples, b.k)
			return nil
		})
		if err != nil {
			return err
		}
		logit.Stats(stats, z, b.k, labels, 1)
		if epoch <= early {
			logit.Softmax(p, z, b.k)
		}
		for i := range samples {
			if !there[i] {
				continue
			}
			el2n := 0.0
			if epoch <= early && !math.IsNaN(stats[i].LSE) {
				row, sum := p[i*b.k:(i+1)*b.k], mean[i*b.k:(i+1)*b.k]
				el2n = analysis.EL2N(row, labels[i])
				for j, v := range row {
					sum[j] += v
				}
			}
			b.traces[i].Add(epoch, &stats[i], labels[i], el2n, epoch <= early)
		}
	}
	for i := range samples {
		samples[i].TraceFigures = b.traces[i].Figures()
		samples[i].Likely = likeliest(samples[i].Likely, mean[i*b.k:(i+1)*b.k], samples[i].Label, b.traces[i].Early())
	}
	return nil
}

// likeliest fills dst with the classes of the largest of sums [K] divided by n, in falling order, the lower class first on a
// tie; label takes the last place if it is not among them. It returns none where n is 0.
func likeliest(dst []ClassShare, sums []float32, label int32, n int) []ClassShare {
	if n == 0 {
		return nil
	}
	used := 0
	for class, sum := range sums {
		at := used
		for at > 0 && dst[at-1].P < sum {
			at--
		}
		if at == len(dst) {
			continue
		}
		used = min(used+1, len(dst))
		copy(dst[at+1:used], dst[at:])
		dst[at] = ClassShare{int32(class), sum}
	}
	if !slices.ContainsFunc(dst, func(c ClassShare) bool { return c.Class == label }) {
		dst[len(dst)-1] = ClassShare{label, sums[label]}
	}
	for i := range dst {
		dst[i].P /= float32(n)
	}
	return dst
}

// epochFiles holds the open rows of a split at every epoch that can be read.
type epochFiles struct {
	split  string
	epochs []int
	rows   []*epochRows
	lacks  analysis.Lacking
}

// epochRows holds the rows of one epoch, which are found by their samples.
type epochRows struct {
	*analysis.Split
	places []int32 // [samples]: the row of each, -1 where it has none; nil where row i is of sample i
}

func openEpochs(ctx context.Context, a *analysis.Analyzer, split string) (*epochFiles, error) {
	epochs := a.Source().Epochs()
	opened, errs := make([]*epochRows, len(epochs)), make([]error, len(epochs))
	stopped := parallel.Until(ctx, len(epochs), func(i int) error {
		var s *analysis.Split
		if s, errs[i] = a.Open(ctx, epochs[i], split); errs[i] == nil {
			opened[i] = &epochRows{s, placesOf(s)}
		}
		var notKept *record.NotKeptError
		if errors.As(errs[i], &notKept) {
			return notKept
		}
		return ctx.Err()
	})
	files := &epochFiles{split: split, epochs: []int{}, lacks: a.Lost()}
	for i, epoch := range epochs {
		if errs[i] != nil {
			files.lacks.AddDamage(errs[i])
		} else if opened[i] != nil {
			files.epochs, files.rows = append(files.epochs, epoch), append(files.rows, opened[i])
		}
	}
	if stopped != nil {
		files.close()
		return nil, stopped
	}
	return files, nil
}

// placesOf returns the row of each sample, nil where row i is of sample i.
func placesOf(s *analysis.Split) []int32 {
	inOrder := s.Len() == len(s.Samples.IDs)
	for i := 0; inOrder && i < s.Len(); i++ {
		inOrder = s.Sample(i) == i
	}
	if inOrder {
		return nil
	}
	places := make([]int32, len(s.Samples.IDs))
	for i := range places {
		places[i] = -1
	}
	for i := range s.Len() {
		places[s.Sample(i)] = int32(i)
	}
	return places
}

func (r *epochRows) row(sample int) int {
	if r.places == nil {
		return sample
	}
	return int(r.places[sample])
}

// copy copies the rows of samples to dst [n,K] and says which of them are there. Rows that follow one another are read at once.
func (r *epochRows) copy(dst []float32, there []bool, samples []Sample, k int) {
	for i := 0; i < len(samples); {
		first := r.row(samples[i].place)
		if there[i] = first >= 0; !there[i] {
			i++
			continue
		}
		n := 1
		for i+n < len(samples) && r.row(samples[i+n].place) == first+n {
			n++
		}
		rows := r.Batch(first, n)
		for j := range n {
			analysis.CopyRow(dst[(i+j)*k:(i+j+1)*k], rows.Logits, rows.Columns, j)
			there[i+j] = rows.Labels[j] != record.Ignored
		}
		i += n
	}
}

func (f *epochFiles) close() {
	for _, r := range f.rows {
		r.Close()
	}
}
