package train_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// crossFit returns the last epoch's out-of-fold result, its logits copied.
func crossFit(t *testing.T, c train.Config, s train.Split, folds int) (last train.SplitResult, epochs []int) {
	t.Helper()
	f, err := train.NewFolds(c, nn.Softmax(3), s, folds)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Run(t.Context(), func(e train.Epoch) error {
		epochs = append(epochs, e.Number)
		last = e.Splits[0]
		last.Logits = slices.Clone(last.Logits)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last, epochs
}

func TestCrossFitLearns(t *testing.T) {
	s := clusters("train", 90, 1)
	s.Labels[4] = loss.Ignored
	last, epochs := crossFit(t, config(), s, 5)
	if last.Name != "out of fold" || len(last.Logits) != 270 || !slices.Equal(epochs, []int{1, 2, 3, 4, 5, 6}) {
		t.Fatalf("split %s, %d logits, epochs %v", last.Name, len(last.Logits), epochs)
	}
	want := loss.FromLogits(nil, nil, last.Logits, 3, s.Labels)
	if !(math.Abs(last.NLL-want) <= 1e-6) || last.Accuracy != 1 {
		t.Errorf("NLL %v, that of the logits is %v; accuracy %v", last.NLL, want, last.Accuracy)
	}
}

// Labels that are pure chance can be learned by heart, and by no network that has not seen them.
func TestCrossFitNeverSawTheSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	s := train.Split{Name: "train", Width: 20}
	for range 120 {
		s.Labels = append(s.Labels, int32(rng.IntN(3)))
		for range 20 {
			s.Features = append(s.Features, float32(rng.NormFloat64()))
		}
	}
	c := config()
	c.Model, c.Epochs = "mlp:64", 40
	learned := 0.0
	err := train.Run(t.Context(), c, nn.Softmax(3), []train.Split{s}, func(e train.Epoch) error {
		learned = e.Splits[0].Accuracy
		return nil
	})
	last, _ := crossFit(t, c, s, 4)
	if err != nil || !(learned >= 0.99) || !(last.Accuracy <= 0.5) {
		t.Errorf("by heart %v, out of fold %v, %v", learned, last.Accuracy, err)
	}
}

// The same bits for any number of threads; texts and rows of a shared matrix are samples like others.
func TestCrossFitIsDeterministic(t *testing.T) {
	s := clusters("train", 60, 1)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want, _ := crossFit(t, config(), s, 3)
	runtime.GOMAXPROCS(4)
	shared := s
	shared.Width = 2
	shared.Rows = make([]int32, 60)
	shared.Features = append(make([]float32, 10), s.Features...)
	for i := range shared.Rows {
		shared.Rows[i] = int32(i + 5)
	}
	for _, split := range []train.Split{s, shared} {
		if got, _ := crossFit(t, config(), split, 3); !slices.Equal(got.Logits, want.Logits) || got.NLL != want.NLL {
			t.Error("the logits differ")
		}
	}
}

func TestFoldsAreBalanced(t *testing.T) {
	var labels []int32
	for class, n := range []int{50, 7, 3, 41} {
		for range n {
			labels = append(labels, int32(class))
		}
	}
	folds := train.FoldsOf(labels, 5, rand.New(rand.NewPCG(1, 0)).Shuffle)
	seen := make([]int, len(labels))
	for f, fold := range folds {
		counts := make([]int, 4)
		for _, i := range fold {
			seen[i]++
			counts[labels[i]]++
		}
		for class, n := range []int{50, 7, 3, 41} {
			if counts[class] < n/5 || counts[class] > n/5+1 {
				t.Errorf("fold %d has %d samples of class %d, which has %d", f, counts[class], class, n)
			}
		}
		if len(fold) < 20 || len(fold) > 21 || !slices.IsSorted(fold) {
			t.Errorf("fold %d: %v", f, fold)
		}
	}
	if slices.Max(seen) != 1 || slices.Min(seen) != 1 {
		t.Errorf("samples are in so many folds: %v", seen)
	}
}

// Whatever ends one network ends them all, and is told.
func TestFoldsEnd(t *testing.T) {
	run := func(ctx context.Context, s train.Split, folds int, observe func(train.Epoch) error) error {
		f, err := train.NewFolds(config(), nn.Softmax(3), s, folds)
		if err != nil {
			return err
		}
		return f.Run(ctx, observe)
	}
	never := func(train.Epoch) error { return nil }
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	count := 0
	err := run(ctx, clusters("train", 60, 1), 3, func(train.Epoch) error {
		if count++; count == 2 {
			cancel(stop)
		}
		return nil
	})
	if !errors.Is(err, stop) || count != 2 {
		t.Errorf("cancelled after epoch 2: %v after epoch %d", err, count)
	}
	full := errors.New("disk full")
	if err := run(t.Context(), clusters("train", 60, 1), 3, func(train.Epoch) error { return full }); !errors.Is(err, full) {
		t.Errorf("an observer that fails: %v", err)
	}
	wild := clusters("train", 60, 1)
	wild.Features[2*17] = float32(math.NaN())
	var diverged *train.DivergedError
	if err := run(t.Context(), wild, 3, never); !errors.As(err, &diverged) || diverged.SampleID != 1017 {
		t.Errorf("NaN in a sample: %v", err)
	}
	for _, folds := range []int{-1, 0, 1, 61} {
		if err := run(t.Context(), clusters("train", 60, 1), folds, never); err == nil || !strings.Contains(err.Error(), "folds of 60 samples") {
			t.Errorf("%d folds: %v", folds, err)
		}
	}
	bad := clusters("train", 60, 1)
	bad.Labels[3] = 7
	if err := run(t.Context(), bad, 3, never); err == nil || !strings.Contains(err.Error(), "label 7") {
		t.Errorf("a label out of range: %v", err)
	}
}

// Folds hold the logits of an epoch once, whatever their number.
func TestFoldsMemory(t *testing.T) {
	const n, classes, folds = 60_000, 200, 5
	c := config()
	c.Model, c.Epochs, c.Batch = "linear", 1, 1024
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := train.NewFolds(c, nn.Softmax(classes), clusters("train", n, 1), folds)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context(), func(train.Epoch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const epoch, block = 4 * n * classes, 16 << 20 // what a network measures at a time
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*epoch+folds*block {
		t.Errorf("%d MiB were allocated for epochs of %d", got>>20, epoch>>20)
	} else {
		t.Logf("%d MiB were allocated for epochs of %d", got>>20, epoch>>20)
	}
}

// Folds that go on from a checkpoint have the bits of folds that never stopped; one that lacks a network is refused.
func TestFoldsRestored(t *testing.T) {
	c := config()
	c.StopOn, c.Patience = "val.accuracy", 1 // of a split that the networks do not have
	s := clusters("train", 60, 1)
	want, _ := crossFit(t, c, s, 3)
	f, err := train.NewFolds(c, nn.Softmax(3), s, 3)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := f.Run(t.Context(), func(e train.Epoch) error {
		if e.Number == 2 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, file := range f.Checkpoint(f.Checkpoint(nil)) {
		files[file.Name] = file.Data
	}
	again, err := train.NewFolds(c, nn.Softmax(3), s, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(files); err != nil || again.Done() != 2 {
		t.Fatalf("%v; %d epochs done", err, again.Done())
	}
	if err := again.Run(t.Context(), func(e train.Epoch) error {
		if e.Number == 6 && (!slices.Equal(e.Splits[0].Logits, want.Logits) || e.Splits[0].NLL != want.NLL) {
			t.Error("the logits differ")
		}
		return nil
	}); err != nil || again.Done() != 6 {
		t.Fatalf("%v; %d epochs done", err, again.Done())
	}
	delete(files, "fold-3.state.json")
	if err := again.Restore(files); err == nil || !strings.Contains(err.Error(), "fold 3") {
		t.Errorf("without the third network's state: %v", err)
	}
}
