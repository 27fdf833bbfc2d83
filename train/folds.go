package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// streamFolds is drawn for which sample is in which fold, and for each fold's seed.
const streamFolds = 50

// CrossFit cuts a split into folds, each class in proportion, and trains a network for each fold on all the others, as Run
// does. They train in step: after each epoch observe is handed, as the split's result, the logits that each sample has from
// the one network that never saw it. config and split decide every bit. Training ends for all of them when it ends for one.
func CrossFit(ctx context.Context, config Config, head nn.Head, split Split, folds int, observe func(Epoch) error) error {
	if folds < 2 || folds > split.N() {
		return fmt.Errorf("%d folds of %d samples: give 2 or more, and no more than there are samples", folds, split.N())
	}
	whole := []Split{split}
	if err := checkSplits(head, whole); err != nil {
		return err
	}
	split = whole[0]
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rng := rand.New(config.source(streamFolds))
	columns := head.Columns()
	result := SplitResult{Name: split.Name, Logits: make([]float32, split.N()*columns)}
	held := make([]SplitResult, folds)  // the last epoch's of each fold
	labelled := make([]float64, folds)  // samples that have a label
	reached := make(chan chan struct{}) // a fold at the end of an epoch, and how to tell it to go on
	ended := make(chan error)
	for fold, rows := range foldsOf(split.Labels, folds, rng.Shuffle) {
		config := config
		config.Seed = rng.Uint64()
		in := make([]bool, split.N())
		for _, i := range rows {
			in[i] = true
			if split.Labels[i] != loss.Ignored {
				labelled[fold]++
			}
		}
		var rest []int
		for i := range split.N() {
			if !in[i] {
				rest = append(rest, i)
			}
		}
		splits := []Split{split.take(rest, head), split.take(rows, head)}
		goOn := make(chan struct{})
		go func() {
			ended <- Run(ctx, config, head, splits, func(e Epoch) error {
				held[fold] = e.Splits[1]
				for i, row := range rows {
					copy(result.Logits[row*columns:(row+1)*columns], held[fold].Logits[i*columns:(i+1)*columns])
				}
				select {
				case reached <- goOn:
					<-goOn
				case <-ctx.Done():
				}
				return nil
			})
		}()
	}
	began := time.Now()
	waiting := make([]chan struct{}, 0, folds)
	release := func() {
		for _, goOn := range waiting {
			goOn <- struct{}{}
		}
		waiting = waiting[:0]
	}
	err := func() error {
		for number := 1; ; number++ {
			for len(waiting) < folds {
				select {
				case goOn := <-reached:
					waiting = append(waiting, goOn)
				case err := <-ended:
					folds--
					return err
				}
			}
			result.average(held, labelled)
			if err := observe(Epoch{Number: number, Splits: []SplitResult{result}, Elapsed: time.Since(began)}); err != nil {
				return err
			}
			release()
		}
	}()
	cancel()
	release()
	for ; folds > 0; folds-- {
		<-ended
	}
	return err
}

// average takes the mean figures of r from those of its parts.
func (r *SplitResult) average(parts []SplitResult, weights []float64) {
	total := 0.0
	r.NLL, r.Accuracy = 0, 0
	for i, w := range weights {
		if w > 0 {
			total += w
			r.NLL += w * parts[i].NLL
			r.Accuracy += w * parts[i].Accuracy
		}
	}
	r.NLL /= total
	r.Accuracy /= total
}

// foldsOf deals the samples out to folds, those of each label in turn, so that each fold has its share of each label to
// within one sample; the order within is rising.
func foldsOf(labels []int32, folds int, shuffle func(n int, swap func(i, j int))) [][]int {
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	// One label is dealt out after the other, each going on where the one before ended: the folds are of one size.
	byLabel := map[int32][]int{}
	var known []int32
	for _, i := range order {
		if byLabel[labels[i]] == nil {
			known = append(known, labels[i])
		}
		byLabel[labels[i]] = append(byLabel[labels[i]], i)
	}
	fold := make([]int, len(labels))
	next := 0
	for _, label := range known {
		for _, i := range byLabel[label] {
			fold[i] = next % folds
			next++
		}
	}
	dealt := make([][]int, folds)
	for i, f := range fold {
		dealt[f] = append(dealt[f], i)
	}
	return dealt
}

// take returns some samples of s as a split; features and texts stay where they are.
func (s *Split) take(samples []int, head nn.Head) Split {
	part := *s
	part.Rows, part.Labels, part.Soft, part.IDs = nil, nil, nil, nil
	for _, i := range samples {
		part.Rows = append(part.Rows, int32(s.row(i)))
		part.Labels = append(part.Labels, s.Labels[i])
		part.IDs = append(part.IDs, s.id(i))
		if s.Soft != nil {
			part.Soft = append(part.Soft, s.Soft[i*head.Columns():(i+1)*head.Columns()]...)
		}
	}
	return part
}
