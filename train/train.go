// Package train runs the epochs: shuffle, batches, steps, and after each epoch the logits of every split.
//
// It knows nothing of how a run is recorded. Whoever calls Run gets each epoch's logits and keeps what it wants of them.
package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

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
	splits = slices.Clone(splits)
	if err := checkSplits(head, splits); err != nil {
		return err
	}
	training := splits[0]
	inputs := training.Width
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
	batches := newBatches(training, min(config.Batch, len(training.Labels)), config.stream(streamOrder))
	began := time.Now()
	for epoch.Number = 1; epoch.Number <= config.Epochs; epoch.Number++ {
		batches.shuffle()
		for batches.next() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := net.Step(batches.batch(), optimizer); err != nil {
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
	r.logits(net, s)
	r.NLL = loss.FromLogits(nil, nil, r.Logits, head.Columns(), s.Labels)
	if head.Columns() == 1 {
		for i, z := range r.Logits {
			r.predicted[i] = 0
			if z > 0 {
				r.predicted[i] = 1
			}
		}
	} else {
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

// gathered is how many feature values of a split that picks its rows are copied together at once: 4 MiB.
const gathered = 1 << 20

// logits fills r with the network's logits on s.
func (r *SplitResult) logits(net *nn.Network[float32], s Split) {
	if s.Rows == nil {
		net.Logits(r.Logits, nn.Batch[float32]{N: s.N(), Features: s.Features})
		return
	}
	each := max(1, gathered/s.Width)
	block := make([]float32, 0, min(each, s.N())*s.Width)
	for start := 0; start < s.N(); start += each {
		end := min(start+each, s.N())
		block = block[:0]
		for i := start; i < end; i++ {
			block = s.features(block, i)
		}
		net.Logits(r.Logits[start*net.Columns():end*net.Columns()], nn.Batch[float32]{N: end - start, Features: block})
	}
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
	size     int
	rng      *rand.Rand
	order    []int
	at, step int
	rows     []int     // the samples of the current batch, a view into order
	features []float32 // [len(rows),width]
	labels   []int32   // [len(rows)]
}

func newBatches(s Split, size int, rng *rand.Rand) *batches {
	b := &batches{
		split: s, size: size, rng: rng, order: make([]int, len(s.Labels)),
		features: make([]float32, 0, size*s.Width), labels: make([]int32, 0, size),
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
		b.features = b.split.features(b.features, i)
		b.labels = append(b.labels, b.split.Labels[i])
	}
	return len(b.rows) > 0
}

func (b *batches) batch() nn.Batch[float32] {
	return nn.Batch[float32]{N: len(b.rows), Features: b.features, Targets: loss.Targets[float32]{Labels: b.labels}}
}

// diverged adds to a network's error which epoch, step and sample it was.
func (b *batches) diverged(epoch int, err error) error {
	var cause *nn.NonFiniteError
	if !errors.As(err, &cause) {
		return err
	}
	e := &DivergedError{Epoch: epoch, Step: b.step, Cause: cause}
	if cause.Row >= 0 {
		e.SampleID = b.split.id(b.rows[cause.Row])
	}
	return e
}
