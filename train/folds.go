package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
)

// streamFolds is the random stream of which sample is in which fold, and of each fold's seed.
const streamFolds = 50

// Folds are networks in training, one for each fold of a split, which is trained on all other folds.
type Folds struct {
	trainers []*Trainer
	rows     [][]int   // the samples of each fold
	labelled []float64 // the number of samples of each fold that have a label
	columns  int
	result   SplitResult // of the whole split, each sample's logits being those of its fold's network
}

// NewFolds divides a split into folds, each class in proportion, and builds a network for each, as New does. config and split decide every
// bit. Where config.StopOn is a figure of another split, which these networks do not have, they are trained for all epochs. It returns an
// error for a number of folds that is below 2 or above the number of samples, and those of New.
func NewFolds(config Config, head nn.Head, split Split, folds int) (*Folds, error) {
	if folds < 2 || folds > split.N() {
		return nil, fmt.Errorf("%d folds of %d samples: give 2 or more, and no more than there are samples", folds, split.N())
	}
	whole := []Split{split}
	if err := checkSplits(head, whole); err != nil {
		return nil, err
	}
	split = whole[0]
	if name, _, _ := strings.Cut(config.StopOn, "."); name != split.Name {
		config.StopOn, config.Patience = "", 0
	}
	rng := rand.New(config.source(streamFolds))
	f := &Folds{columns: head.Columns(), rows: foldsOf(split.Labels, folds, rng.Shuffle), labelled: make([]float64, folds)}
	f.result = SplitResult{Name: "out of fold", Logits: make([]float32, split.N()*f.columns)}
	for fold, rows := range f.rows {
		config.Seed = rng.Uint64()
		in := make([]bool, split.N())
		for _, i := range rows {
			in[i] = true
			if split.Labels[i] != loss.Ignored {
				f.labelled[fold]++
			}
		}
		var rest []int
		for i := range split.N() {
			if !in[i] {
				rest = append(rest, i)
			}
		}
		t, err := New(config, head, []Split{split.take(rest, head), split.take(rows, head)})
		if err != nil {
			return nil, err
		}
		t.Sink = f.place(fold)
		f.trainers = append(f.trainers, t)
	}
	return f, nil
}

// place returns a Sink that copies the logits of a fold's own samples to their rows of the result, so that the split's logits are in memory
// once, whatever the number of folds.
func (f *Folds) place(fold int) func(epoch, split int, logits []float32) error {
	next := 0 // index in the fold of the next sample
	return func(_, split int, logits []float32) error {
		if split != 1 {
			return nil
		}
		for len(logits) > 0 {
			row := f.rows[fold][next]
			copy(f.result.Logits[row*f.columns:(row+1)*f.columns], logits)
			logits = logits[f.columns:]
			next = (next + 1) % len(f.rows[fold])
		}
		return nil
	}
}

// Run trains the networks side by side. After each epoch it calls observe with an Epoch of one split, in which each sample has the logits
// of the one network that was not trained on it. All networks stop when one of them does. Run ends and fails as Trainer.Run does.
func (f *Folds) Run(ctx context.Context, observe func(Epoch) error) error {
	began := time.Now()
	for !slices.ContainsFunc(f.trainers, (*Trainer).Finished) {
		ctx, cancel := context.WithCancelCause(ctx)
		epochs := make([]*Epoch, len(f.trainers))
		var wg sync.WaitGroup
		for i, t := range f.trainers {
			wg.Go(func() {
				var err error
				if epochs[i], err = t.runEpoch(ctx); err != nil {
					cancel(err) // which the others then end with
				}
			})
		}
		wg.Wait()
		err := context.Cause(ctx)
		cancel(nil)
		if err != nil {
			return err
		}
		if err := observe(f.epoch(epochs, time.Since(began))); err != nil {
			return err
		}
	}
	return nil
}

// epoch returns the epoch of the whole split from those of the networks.
func (f *Folds) epoch(epochs []*Epoch, elapsed time.Duration) Epoch {
	held := make([]SplitResult, len(epochs))
	for fold := range f.rows {
		held[fold] = epochs[fold].Splits[1]
	}
	f.result.average(held, f.labelled)
	stop := slices.ContainsFunc(epochs, func(e *Epoch) bool { return e.Stop })
	return Epoch{Number: epochs[0].Number, Splits: []SplitResult{f.result}, Stop: stop, Ahead: epochs[0].Ahead, Elapsed: elapsed}
}

// Done returns the last epoch that is done, 0 before the first.
func (f *Folds) Done() int { return f.trainers[0].Done() }

// Best implements Trainee. It returns 0: there is no figure by which an epoch of all networks is the best.
func (f *Folds) Best() (epoch int, figure string, value float64) { return 0, "", 0 }

// Checkpoint returns the files of all networks' checkpoints, as Trainer.Checkpoint does for one.
func (f *Folds) Checkpoint(spare []File) []File {
	each := len(spare) / len(f.trainers)
	var files []File
	for i, t := range f.trainers {
		for _, file := range t.Checkpoint(spare[i*each : (i+1)*each]) {
			files = append(files, File{foldPrefix(i) + file.Name, file.Data})
		}
	}
	return files
}

// Restore sets the networks to the state of a checkpoint, as Trainer.Restore does for one.
func (f *Folds) Restore(files map[string][]byte) error {
	for i, t := range f.trainers {
		ofFold := map[string][]byte{}
		for name, data := range files {
			if rest, ok := strings.CutPrefix(name, foldPrefix(i)); ok {
				ofFold[rest] = data
			}
		}
		if err := t.Restore(ofFold); err != nil {
			return fmt.Errorf("fold %d: %w", i+1, err)
		}
	}
	return nil
}

// foldPrefix returns what the names of the files of fold i's network begin with.
func foldPrefix(i int) string { return fmt.Sprintf("fold-%d.", i+1) }

// average sets the figures of r to the weighted means of those of its parts.
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

// foldsOf deals the samples out to folds, those of one label after those of another, so that each fold has its share of each label to
// within one sample. It returns the samples of each fold in ascending order.
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

// take returns some samples of s as a split, which shares the features and texts of s.
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
