package train_test

import (
	"context"
	"errors"
	"hash/crc64"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

func config() train.Config {
	return train.Config{
		Model: "mlp:16", Activation: "relu", Init: "uniform", Epochs: 6, Batch: 8, Optimizer: "adam", LearningRate: 0.02, Seed: 7,
	}
}

// clusters is a split of n samples around three points of the plane, 40 apart: anything that learns learns them.
func clusters(name string, n int, seed uint64) train.Split {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := train.Split{Name: name}
	for i := range n {
		label := i % 3
		s.Labels = append(s.Labels, int32(label))
		angle := float64(label) * 2 * math.Pi / 3
		s.Features = append(s.Features,
			float32(4*math.Cos(angle)+0.3*rng.NormFloat64()), float32(4*math.Sin(angle)+0.3*rng.NormFloat64()))
		s.IDs = append(s.IDs, int64(1000+i))
	}
	return s
}

func TestRunLearns(t *testing.T) {
	for _, change := range []struct {
		name string
		edit func(*train.Config)
	}{
		{"adam", func(*train.Config) {}},
		{"adamw, gelu, dropout", func(c *train.Config) {
			c.Optimizer, c.WeightDecay, c.Activation, c.Dropout, c.Init = "adamw", 0.01, "gelu", 0.1, "he"
		}},
		{"sgd with momentum", func(c *train.Config) { c.Optimizer, c.LearningRate, c.Momentum = "sgd", 0.05, 0.9 }},
		{"linear", func(c *train.Config) { c.Model = "linear" }},
		{"batch above the split", func(c *train.Config) { c.Batch, c.LearningRate, c.Epochs = 1<<40, 0.1, 20 }},
	} {
		t.Run(change.name, func(t *testing.T) {
			c := config()
			change.edit(&c)
			var epochs []int
			var last train.Epoch
			splits := []train.Split{clusters("train", 90, 1), clusters("val", 30, 2)}
			err := train.Run(t.Context(), c, nn.Softmax(3), splits, func(e train.Epoch) error {
				epochs = append(epochs, e.Number)
				last = e
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(epochs) != c.Epochs || epochs[0] != 1 || epochs[len(epochs)-1] != c.Epochs {
				t.Errorf("observed epochs %v, want 1 to %d", epochs, c.Epochs)
			}
			for i, s := range last.Splits {
				if s.Name != splits[i].Name || len(s.Logits) != 3*len(splits[i].Labels) {
					t.Errorf("split %d is %s with %d logits", i, s.Name, len(s.Logits))
				}
				if !(s.Accuracy == 1 && s.NLL < 0.2) {
					t.Errorf("%s: accuracy %v, NLL %v on clusters that lie apart", s.Name, s.Accuracy, s.NLL)
				}
			}
		})
	}
}

func TestBinaryHead(t *testing.T) {
	s := train.Split{Name: "train"}
	for i := range 40 {
		s.Features = append(s.Features, float32(i)-19.5)
		s.Labels = append(s.Labels, int32(i/20))
	}
	c := config()
	c.Epochs = 30
	var last train.SplitResult
	err := train.Run(t.Context(), c, nn.Binary(), []train.Split{s}, func(e train.Epoch) error {
		last = e.Splits[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(last.Logits) != 40 || !(last.Accuracy >= 0.95) {
		t.Errorf("%d logits, accuracy %v", len(last.Logits), last.Accuracy)
	}
}

// The hash of every logit of every epoch, for 1, 2, 4 and 8 threads.
func TestSameSeedSameBits(t *testing.T) {
	hash := func(procs int, seed uint64) uint64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		c := config()
		c.Seed, c.Model, c.Dropout = seed, "mlp:200,64", 0.1
		table, sum := crc64.MakeTable(crc64.ECMA), uint64(0)
		splits := []train.Split{clusters("train", 90, 1), clusters("val", 31, 2)}
		err := train.Run(t.Context(), c, nn.Softmax(3), splits, func(e train.Epoch) error {
			for _, s := range e.Splits {
				raw := unsafe.Slice((*byte)(unsafe.Pointer(&s.Logits[0])), 4*len(s.Logits))
				sum = crc64.Update(sum, table, raw)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	want := hash(1, 7)
	for _, procs := range []int{2, 4, 8} {
		if got := hash(procs, 7); got != want {
			t.Errorf("GOMAXPROCS=%d gives hash %x, 1 gives %x", procs, got, want)
		}
	}
	if hash(1, 8) == want {
		t.Error("another seed gives the same logits")
	}
}

// Splits that pick their rows from one matrix train to the same bits as splits that hold them.
func TestRowsOfSharedMatrix(t *testing.T) {
	own := []train.Split{clusters("train", 90, 1), clusters("val", 31, 2)}
	shared := make([]train.Split, len(own))
	var matrix []float32
	rng := rand.New(rand.NewPCG(3, 0))
	for i, s := range own {
		first := len(matrix) / 2
		matrix = append(matrix, s.Features...)
		shared[i] = train.Split{Name: s.Name, Width: 2, Labels: s.Labels, IDs: s.IDs}
		for row := range s.Labels {
			shared[i].Rows = append(shared[i].Rows, int32(first+row))
		}
	}
	rows := len(matrix) / 2
	place := rng.Perm(rows) // of each row in the shared matrix
	mixed := make([]float32, len(matrix))
	for row, at := range place {
		copy(mixed[2*at:], matrix[2*row:2*row+2])
	}
	for i := range shared {
		for j, row := range shared[i].Rows {
			shared[i].Rows[j] = int32(place[row])
		}
		shared[i].Features = mixed
	}
	var logits [2][]float32
	for i, splits := range [][]train.Split{own, shared} {
		err := train.Run(t.Context(), config(), nn.Softmax(3), splits, func(e train.Epoch) error {
			for _, s := range e.Splits {
				logits[i] = append(logits[i], s.Logits...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(logits[0], logits[1]) {
		t.Error("other logits from the shared matrix")
	}
}

// A NaN planted in a random sample is met in the step that holds it, and named; the epochs before went to the observer.
func TestNaNIsNamed(t *testing.T) {
	s := clusters("train", 90, 1)
	const planted = 41
	err := train.Run(t.Context(), config(), nn.Softmax(3), []train.Split{s}, func(e train.Epoch) error {
		if e.Number == 3 {
			s.Features[2*planted] = float32(math.NaN())
		}
		if e.Number > 3 {
			t.Errorf("epoch %d was handed out with a NaN in the data", e.Number)
		}
		return nil
	})
	var diverged *train.DivergedError
	if !errors.As(err, &diverged) {
		t.Fatalf("error %v, want a DivergedError", err)
	}
	if diverged.Epoch != 4 || diverged.SampleID != 1000+planted || diverged.Cause.Layer != "input" {
		t.Errorf("found %v, want epoch 4, sample %d, input", diverged, 1000+planted)
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "sample 1041") {
		t.Errorf("the message is %q", err)
	}
}

func TestRunStops(t *testing.T) {
	splits := []train.Split{clusters("train", 90, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := train.Run(ctx, config(), nn.Softmax(3), splits, func(train.Epoch) error {
		if seen++; seen == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen != 2 {
		t.Errorf("error %v after %d epochs, want Canceled after 2", err, seen)
	}
	full := errors.New("disk full")
	if err := train.Run(t.Context(), config(), nn.Softmax(3), splits, func(train.Epoch) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v, want the observer's", err)
	}
}

func TestRunRefuses(t *testing.T) {
	good := clusters("train", 9, 1)
	for _, c := range []struct {
		name   string
		config func(*train.Config)
		splits []train.Split
		want   string
	}{
		{"no split", nil, nil, "no training sample"},
		{"ragged", nil, []train.Split{{Name: "train", Features: make([]float32, 5), Labels: make([]int32, 2)}}, "want 2 each"},
		{"rows", nil, []train.Split{{Name: "train", Width: 2, Features: make([]float32, 4), Rows: []int32{0, 2}, Labels: make([]int32, 2)}}, "sample 1 is row 2 of 2"},
		{"rows without width", nil, []train.Split{{Name: "train", Features: make([]float32, 4), Rows: []int32{0, 1}, Labels: make([]int32, 2)}}, "want 0 each"},
		{"targets", nil, []train.Split{{Name: "train", Features: make([]float32, 4), Labels: make([]int32, 2), Soft: make([]float32, 5)}}, "5 targets for 2 samples"},
		{"ids", nil, []train.Split{{Name: "train", Features: make([]float32, 4), Labels: make([]int32, 2), IDs: []int64{1}}}, "1 ids for 2"},
		{"label", nil, []train.Split{{Name: "train", Features: make([]float32, 2), Labels: []int32{0, 3}}}, "label 3 of sample 1"},
		{"epochs", func(c *train.Config) { c.Epochs = 0 }, nil, "0 epochs"},
		{"batch", func(c *train.Config) { c.Batch = -1 }, nil, "batch of -1"},
		{"lr", func(c *train.Config) { c.LearningRate = math.NaN() }, nil, "learning rate NaN"},
		{"infinite lr", func(c *train.Config) { c.LearningRate = math.Inf(1) }, nil, "learning rate +Inf"},
		{"optimizer", func(c *train.Config) { c.Optimizer = "lion" }, nil, `unknown optimizer "lion": use`},
		{"activation", func(c *train.Config) { c.Activation = "tanh" }, nil, `unknown activation "tanh": use`},
		{"init", func(c *train.Config) { c.Init = "zeros" }, nil, `unknown initialisation "zeros": use`},
		{"dropout", func(c *train.Config) { c.Dropout = 1 }, nil, "dropout 1"},
		{"momentum of adam", func(c *train.Config) { c.Momentum = 0.9 }, nil, "belongs to the optimizer sgd"},
		{"hidden", func(c *train.Config) { c.Model = "mlp:8,0" }, nil, `"0" is no number of units`},
		{"model", func(c *train.Config) { c.Model = "rnn" }, nil, `model "rnn": unknown kind "rnn"; use linear`},
		{"sampling", func(c *train.Config) { c.Sampling = "sorted" }, nil, `unknown sampling "sorted": use`},
		{"mixup", func(c *train.Config) { c.Mixup = -1 }, nil, "mixup -1"},
		{"clip", func(c *train.Config) { c.ClipNorm = math.NaN() }, nil, "clip norm NaN"},
		{"ema", func(c *train.Config) { c.EMA = 1 }, nil, "moving average 1"},
		{"schedule", func(c *train.Config) { c.Schedule.Schedule = "poly" }, nil, `unknown schedule "poly": use`},
		{"warm-up", func(c *train.Config) { c.Warmup = 1 }, nil, "warm-up 1"},
		{"step", func(c *train.Config) { c.Schedule = train.Schedule{Schedule: "step", Factor: 0.5} }, nil, "every 0 epochs"},
		{"plateau", func(c *train.Config) { c.Schedule = train.Schedule{Schedule: "plateau", Factor: 1} }, nil, "factor 1"},
		{"lowest rate", func(c *train.Config) { c.Min = 1 }, nil, "lowest learning rate 1"},
		{"patience", func(c *train.Config) { c.Patience = -1 }, nil, "patience of -1"},
		{"stop on", func(c *train.Config) { c.StopOn = "val.nll" }, nil, `no figure "val.nll"`},
		{"loss", func(c *train.Config) { c.Loss = "mse" }, nil, `unknown loss "mse"`},
		{"loss of another head", func(c *train.Config) { c.Loss = "binary-cross-entropy" }, nil, "use cross-entropy"},
		{"kl without a teacher", func(c *train.Config) { c.Loss = "kl" }, nil, "needs a teacher"},
		{"class weights", func(c *train.Config) { c.ClassWeights = "1,2" }, nil, "or 3 numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, splits := config(), c.splits
			if c.config != nil {
				c.config(&conf)
				splits = []train.Split{good}
			}
			err := train.Run(t.Context(), conf, nn.Softmax(3), splits, func(train.Epoch) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
