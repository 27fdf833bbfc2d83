package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// SplitResult is how the network did on one split at the end of an epoch, measured without dropout.
type SplitResult struct {
	Name     string    // of the split
	Logits   []float32 // [N,Columns]; nil where Trainer.Sink was given them
	NLL      float64   // the mean NLL over the labelled samples; for a sigmoid head over all samples and columns
	Accuracy float64   // the share of the labelled samples whose class has the largest logit; for a sigmoid head that of samples whose every label is right

	extra map[string]float64 // the figure that StopOn names where it is neither of these
}

// figures are the figures that StopOn may name, each with what it is.
var figures = map[string]string{
	"nll": "mean NLL", "accuracy": "share of samples whose class has the largest logit",
	"brier": "mean Brier score", "p_true": "mean softmax of the true class", "margin": "mean margin of the true class's logit",
}

// risesWhenBetter reports whether a larger value of the figure is better.
func risesWhenBetter(figure string) bool {
	return strings.HasSuffix(figure, ".accuracy") || strings.HasSuffix(figure, ".p_true") || strings.HasSuffix(figure, ".margin")
}

// checkFigure returns what is wrong with a name for StopOn, or nil.
func checkFigure(figure string, head nn.Head, splits []Split) error {
	split, name, _ := strings.Cut(figure, ".")
	if figure == "train.loss" {
		return nil
	}
	names := make([]string, len(splits))
	for i := range splits {
		names[i] = splits[i].Name
	}
	if !slices.Contains(names, split) || figures[name] == "" {
		known := make([]string, 0, len(figures))
		for name := range figures {
			known = append(known, name)
		}
		slices.Sort(known)
		return fmt.Errorf("no figure %q to stop on: use SPLIT.FIGURE of %s and %s, or train.loss", figure, strings.Join(names, ", "), strings.Join(known, ", "))
	}
	if !head.Kind().AcrossColumns() && name != "nll" && name != "accuracy" {
		return fmt.Errorf("%s is of a softmax head: stop a %s head on %s.nll or %s.accuracy", figure, head.Kind(), split, split)
	}
	return nil
}

// Figure returns a figure of the epoch by its name, such as val.nll or train.loss. It is NaN for a figure that the epoch does not have.
func (e *Epoch) Figure(name string) float64 {
	if name == "train.loss" {
		return e.Loss
	}
	split, figure, _ := strings.Cut(name, ".")
	for i := range e.Splits {
		if r := &e.Splits[i]; r.Name == split {
			switch figure {
			case "nll":
				return r.NLL
			case "accuracy":
				return r.Accuracy
			}
			if v, ok := r.extra[figure]; ok {
				return v
			}
		}
	}
	return math.NaN()
}

// What is in memory of a split while it is measured: at most 4 MiB of features, 16 MiB of logits and the tokens of 1,024 texts.
const (
	blockFeatures = 1 << 20
	blockLogits   = 4 << 20
	blockTexts    = 1 << 10
)

// meter measures how a network does on a split, a block of samples at a time. It keeps its memory between splits.
type meter struct {
	head      nn.Head
	batches   batches          // for copying the samples of a block together
	predicted []int32          // the predictions of a block
	logits    []float32        // the logits of a block, where they go to a sink
	stats     []logit.RowStats // of a block
	rows      []int            // the samples of a block
	nll       []float32        // [N], to which the NLL of each sample of the split is written; nil where it is not wanted
}

// blockRows returns the number of samples in a block: a multiple of the number that the network takes at a time.
func blockRows(s *Split, columns int) int {
	rows := blockLogits / columns
	if s.Offsets != nil {
		rows = min(rows, blockTexts)
	}
	if s.Rows != nil && s.Width > 0 {
		rows = min(rows, blockFeatures/s.Width)
	}
	return min(max(rows&^255, 256), max(s.N(), 1))
}

// measure sets r to how the network does on s. It gives each block of logits to sink, or where that is nil keeps them in r.Logits. extra is
// the name of a further figure to compute, or "".
func (m *meter) measure(ctx context.Context, r *SplitResult, net *nn.Network[float32], s *Split, extra string, sink func(logits []float32) error) error {
	columns := m.head.Columns()
	each := blockRows(s, columns)
	if sink != nil {
		r.Logits = nil
		m.logits = slices.Grow(m.logits[:0], each*columns)
	} else if r.Logits == nil {
		r.Logits = make([]float32, s.N()*columns)
	}
	m.predicted = slices.Grow(m.predicted[:0], each)
	nll, right, counted, extras := 0.0, 0, 0, 0.0
	for start := 0; start < s.N(); start += each {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		end := min(start+each, s.N())
		z := m.logits[:0]
		if sink == nil {
			z = r.Logits[start*columns : end*columns]
		} else {
			z = z[:(end-start)*columns]
		}
		net.Logits(z, m.block(s, start, end))
		sum, n := m.score(z, s, start, end, &right)
		nll += sum
		counted += n
		if extra != "" && n > 0 {
			extras += m.extra(extra, z, s.Labels[start:end])
		}
		if sink != nil {
			if err := sink(z); err != nil {
				return err
			}
		}
	}
	r.NLL, r.Accuracy = nll/float64(counted), float64(right)/float64(counted)
	if extra != "" {
		r.extra = map[string]float64{extra: extras / float64(counted)}
	}
	return nil
}

// block returns the samples [start,end) of s, without copying them where they lie side by side.
func (m *meter) block(s *Split, start, end int) nn.Batch[float32] {
	if s.Rows == nil && s.Offsets == nil {
		return nn.Batch[float32]{N: end - start, Features: s.Features[start*s.Width : end*s.Width]}
	}
	if s.Rows == nil {
		return nn.Batch[float32]{N: end - start, Tokens: s.Tokens, Weights: s.Weights, Offsets: s.Offsets[start : end+1]}
	}
	m.rows = m.rows[:0]
	for i := start; i < end; i++ {
		m.rows = append(m.rows, i)
	}
	m.batches.split = *s
	m.batches.gather(s, m.rows)
	return m.batches.batch()
}

// score returns the sum of the NLL of the samples [start,end), whose logits are z, and how many of them count, and adds to right how many
// are right.
func (m *meter) score(z []float32, s *Split, start, end int, right *int) (nll float64, counted int) {
	var each []float32
	if m.nll != nil {
		each = m.nll[start:end]
	}
	columns, labels := m.head.Columns(), s.Labels[start:end]
	if m.head.Kind().MultiLabel() {
		soft := s.Soft[start*columns : end*columns]
		for i := range labels {
			all := true
			for c := range columns {
				all = all && (z[i*columns+c] > 0) == (soft[i*columns+c] > 0.5)
			}
			if all {
				*right++
			}
		}
		mean := loss.BinaryCrossEntropy[float32]{}.Loss(each, nil, z, columns, loss.Targets[float32]{Soft: soft})
		return mean * float64(len(labels)), len(labels)
	}
	predicted := m.predicted[:len(labels)]
	if columns == 1 {
		for i, v := range z {
			predicted[i] = 0
			if v > 0 {
				predicted[i] = 1
			}
		}
	} else {
		shared(len(labels), columns, func(from, to int) { logit.Argmax(predicted[from:to], z[from*columns:to*columns], columns) })
	}
	for i, label := range labels {
		if label == loss.Ignored {
			continue
		}
		counted++
		if predicted[i] == label {
			*right++
		}
	}
	if counted == 0 {
		return 0, 0
	}
	return loss.FromLogits(each, nil, z, columns, labels) * float64(counted), counted
}

// extra returns the sum of a figure over the labelled samples of a block.
func (m *meter) extra(figure string, z []float32, labels []int32) float64 {
	m.stats = slices.Grow(m.stats[:0], len(labels))[:len(labels)]
	logit.Stats(m.stats, z, m.head.Columns(), labels, 1)
	sum := 0.0
	for i, label := range labels {
		if label == loss.Ignored {
			continue
		}
		s := &m.stats[i]
		p := math.Exp(-s.NLL)
		switch figure {
		case "p_true":
			sum += p
		case "brier":
			sum += 1 - 2*p + s.SumSquares
		case "margin":
			sum += s.Margin
		}
	}
	return sum
}
