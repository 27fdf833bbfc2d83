// Package train runs the epochs: shuffle, batches, steps, and after each epoch the logits of every split.
//
// It knows nothing of how a run is recorded. Whoever calls Run gets each epoch's logits and keeps what it wants of them.
package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// Split is a named part of the data, held in memory.
type Split struct {
	Name     string
	Features []float32 // [N,D]
	Labels   []int32   // [N]: classes, or 0 and 1 for a binary head
	IDs      []int64   // [N], for messages; nil counts from 0
}

// Epoch is what Run hands out after each epoch. The slices are Run's own: they hold until the observer returns.
type Epoch struct {
	Number  int // from 1
	Splits  []SplitResult
	Elapsed time.Duration // since training began
}

// SplitResult is how the network did on one split at the end of an epoch, without dropout.
type SplitResult struct {
	Name     string
	Logits   []float32 // [N,Columns]
	NLL      float64   // mean over the labelled samples
	Accuracy float64   // share of them whose class has the largest logit

	predicted []int32
}

// Run trains until config.Epochs are done, observe fails or ctx ends; then it returns ctx's cause at the next step. The
// first split is trained on, the others are only measured. The same config, splits and binary give the same bits whatever
// the number of threads.
//
// A value that is not finite stops training in its step, before any weight changes, with a *DivergedError.
func Run(ctx context.Context, config Config, head nn.Head, splits []Split, observe func(Epoch) error) error {
	if err := checkSplits(head, splits); err != nil {
		return err
	}
	training := splits[0]
	inputs := len(training.Features) / len(training.Labels)
	net, optimizer, err := config.build(inputs, head)
	if err != nil {
		return err
	}
	epoch := Epoch{Splits: make([]SplitResult, len(splits))}
	for i, s := range splits {
		epoch.Splits[i] = SplitResult{
			Name: s.Name, Logits: make([]float32, len(s.Labels)*head.Columns()), predicted: make([]int32, len(s.Labels)),
		}
	}
	batches := newBatches(training, inputs, min(config.Batch, len(training.Labels)), config.stream(streamOrder))
	began := time.Now()
	for epoch.Number = 1; epoch.Number <= config.Epochs; epoch.Number++ {
		batches.shuffle()
		for batches.next() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := net.Step(batches.features, batches.labels, optimizer); err != nil {
				return batches.diverged(epoch.Number, err)
			}
		}
		for i, s := range splits {
			epoch.Splits[i].measure(net, head, s)
		}
		epoch.Elapsed = time.Since(began)
		if err := observe(epoch); err != nil {
			return err
		}
	}
	return nil
}

// measure fills r with the network's logits on s and with their mean NLL and accuracy.
func (r *SplitResult) measure(net *nn.Network[float32], head nn.Head, s Split) {
	net.Logits(r.Logits, s.Features)
	if head.Columns() == 1 {
		r.NLL = loss.BinaryCrossEntropy(nil, nil, r.Logits, s.Labels)
		for i, z := range r.Logits {
			r.predicted[i] = 0
			if z > 0 {
				r.predicted[i] = 1
			}
		}
	} else {
		r.NLL = loss.CrossEntropy(nil, nil, r.Logits, head.Columns(), s.Labels)
		logit.Argmax(r.predicted, r.Logits, head.Columns())
	}
	right, counted := 0, 0
	for i, label := range s.Labels {
		if label == loss.Ignored {
			continue
		}
		counted++
		if r.predicted[i] == label {
			right++
		}
	}
	r.Accuracy = float64(right) / float64(counted)
}

// DivergedError says where training met a value that is not finite.
type DivergedError struct {
	Epoch, Step int // both from 1
	SampleID    int64
	Cause       *nn.NonFiniteError
}

func (e *DivergedError) Error() string {
	sample := ""
	if e.Cause.Row >= 0 {
		sample = fmt.Sprintf(", sample %d", e.SampleID)
	}
	advice := "lower the learning rate"
	if e.Cause.Layer == "input" {
		advice = "check the data"
	}
	return fmt.Sprintf("training diverged at epoch %d, step %d: NaN or infinity in %s %s%s; no weight was changed by this step; %s",
		e.Epoch, e.Step, e.Cause.Layer, e.Cause.Quantity, sample, advice)
}

func (e *DivergedError) Unwrap() error { return e.Cause }

// batches walks a split in a new order every epoch, copying each batch's rows together.
type batches struct {
	split    Split
	width    int
	size     int
	rng      *rand.Rand
	order    []int
	at, step int
	rows     []int     // the samples of the current batch, a view into order
	features []float32 // [len(rows),width]
	labels   []int32   // [len(rows)]
}

func newBatches(s Split, width, size int, rng *rand.Rand) *batches {
	b := &batches{
		split: s, width: width, size: size, rng: rng, order: make([]int, len(s.Labels)),
		features: make([]float32, 0, size*width), labels: make([]int32, 0, size),
	}
	for i := range b.order {
		b.order[i] = i
	}
	return b
}

func (b *batches) shuffle() {
	b.rng.Shuffle(len(b.order), func(i, j int) { b.order[i], b.order[j] = b.order[j], b.order[i] })
	b.at, b.step = 0, 0
}

// next gathers the next batch, the last one of an epoch with what is left, and reports whether there was one.
func (b *batches) next() bool {
	b.rows = b.order[b.at:min(b.at+b.size, len(b.order))]
	b.at += len(b.rows)
	b.step++
	b.features, b.labels = b.features[:0], b.labels[:0]
	for _, i := range b.rows {
		b.features = append(b.features, b.split.Features[i*b.width:(i+1)*b.width]...)
		b.labels = append(b.labels, b.split.Labels[i])
	}
	return len(b.rows) > 0
}

// diverged adds to a network's error which epoch, step and sample it was.
func (b *batches) diverged(epoch int, err error) error {
	var cause *nn.NonFiniteError
	if !errors.As(err, &cause) {
		return err
	}
	e := &DivergedError{Epoch: epoch, Step: b.step, Cause: cause}
	if cause.Row >= 0 {
		e.SampleID = int64(b.rows[cause.Row])
		if b.split.IDs != nil {
			e.SampleID = b.split.IDs[b.rows[cause.Row]]
		}
	}
	return e
}

func checkSplits(head nn.Head, splits []Split) error {
	if len(splits) == 0 || len(splits[0].Labels) == 0 {
		return errors.New("there is no training sample")
	}
	width := len(splits[0].Features) / len(splits[0].Labels)
	for _, s := range splits {
		if width < 1 || len(s.Features) != len(s.Labels)*width {
			return fmt.Errorf("split %s has %d feature values for %d samples, want %d each",
				s.Name, len(s.Features), len(s.Labels), width)
		}
		if s.IDs != nil && len(s.IDs) != len(s.Labels) {
			return fmt.Errorf("split %s has %d ids for %d samples", s.Name, len(s.IDs), len(s.Labels))
		}
		for i, label := range s.Labels {
			if label != loss.Ignored && (label < 0 || int(label) >= head.Classes()) {
				return fmt.Errorf("split %s: label %d of sample %d is not in [0, %d)", s.Name, label, i, head.Classes())
			}
		}
	}
	return nil
}
