package train_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logitscope/logitscope/internal/safetensors"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// everything is a configuration in which all that has a state of its own is at work.
func everything() train.Config {
	c := config()
	c.Model, c.Dropout, c.Mixup, c.EMA, c.Sampling = "mlp:24,12", 0.2, 0.3, 0.9, "balanced"
	c.Schedule = train.Schedule{Schedule: "plateau", Factor: 0.5, RatePatience: 0, Warmup: 0.1}
	c.ClipNorm, c.Optimizer, c.WeightDecay, c.LabelSmoothing = 1, "adamw", 0.01, 0.1
	c.Epochs, c.Patience = 8, 6
	return c
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// hashes runs a trainer to its end and returns the hash of each epoch's logits.
func hashes(t *testing.T, trainer *train.Trainer, after func(train.Epoch)) map[int]uint64 {
	t.Helper()
	all := map[int]uint64{}
	err := trainer.Run(t.Context(), func(e train.Epoch) error {
		sum := uint64(0)
		for _, s := range e.Splits {
			raw, err := binary.Append(nil, binary.LittleEndian, s.Logits)
			if err != nil {
				return err
			}
			sum = crc64.Update(sum, crcTable, raw)
		}
		all[e.Number] = sum
		if after != nil {
			after(e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func clone(files []train.File) map[string][]byte {
	copied := map[string][]byte{}
	for _, f := range files {
		copied[f.Name] = slices.Clone(f.Data)
	}
	return copied
}

// From the checkpoint of any epoch a new trainer gives the same bits as the one that never stopped, whatever has a state.
func TestRestoreGivesTheSameBits(t *testing.T) {
	for name, change := range map[string]func(*train.Config){
		"everything": func(*train.Config) {},
		"plain":      func(c *train.Config) { *c = config() },
		"sgd":        func(c *train.Config) { c.Optimizer, c.WeightDecay = "sgd", 0 },
		"momentum":   func(c *train.Config) { c.Optimizer, c.Momentum = "sgd", 0.9 },
		"cosine, linear": func(c *train.Config) {
			c.Schedule, c.Model, c.EMA = train.Schedule{Schedule: "cosine"}, "linear", 0
		},
		"restarts": func(c *train.Config) {
			c.Schedule, c.MinGain, c.Patience, c.Epochs = train.Schedule{Schedule: "restarts", Cycle: 1, Warmup: 0.5}, 0.001, 0, 15
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := everything()
			change(&c)
			splits := []train.Split{clusters("train", 90, 1), clusters("val", 31, 2)}
			trainer := func() *train.Trainer {
				tr, err := train.New(c, nn.Softmax(3), splits)
				if err != nil {
					t.Fatal(err)
				}
				return tr
			}
			whole := trainer()
			var kept []map[string][]byte
			var ends [][]float32
			want := hashes(t, whole, func(e train.Epoch) {
				kept = append(kept, clone(whole.Checkpoint(nil)))
				ends = append(ends, slices.Clone(e.Splits[1].Logits))
			})
			final := clone(whole.Checkpoint(nil))
			for i, files := range kept {
				again := trainer()
				if err := again.Restore(files); err != nil {
					t.Fatal(err)
				}
				if again.Done() != i+1 {
					t.Fatalf("restored after epoch %d, want %d", again.Done(), i+1)
				}
				for epoch, hash := range hashes(t, again, nil) {
					if hash != want[epoch] {
						t.Errorf("restored after epoch %d: epoch %d has other logits", i+1, epoch)
					}
				}
				for name, data := range clone(again.Checkpoint(nil)) {
					if string(data) != string(final[name]) {
						t.Errorf("restored after epoch %d: %s ends with other bytes", i+1, name)
					}
				}
				// The model file alone predicts what was recorded.
				net, head, err := train.Model(files["model.safetensors"])
				if err != nil {
					t.Fatal(err)
				}
				z := make([]float32, 31*3)
				net.Logits(z, nn.Batch[float32]{N: 31, Features: splits[1].Features})
				if head.Kind() != logit.HeadSoftmax || !slices.Equal(z, ends[i]) {
					t.Errorf("the model of epoch %d has other logits than that epoch", i+1)
				}
			}
			epoch, figure, value, err := train.BestEpoch(final)
			wantEpoch, wantFigure, wantValue := whole.Best()
			if err != nil || epoch != wantEpoch || figure != wantFigure || value != wantValue {
				t.Errorf("the checkpoint has the best epoch %d by %s %v, want %d by %s %v", epoch, figure, value, wantEpoch, wantFigure, wantValue)
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	splits := []train.Split{clusters("train", 90, 1)}
	whole, err := train.New(config(), nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	hashes(t, whole, nil)
	good := clone(whole.Checkpoint(nil))
	for name, change := range map[string]func(map[string][]byte){
		"no state":     func(f map[string][]byte) { delete(f, "state.json") },
		"no model":     func(f map[string][]byte) { delete(f, "model.safetensors") },
		"no optimiser": func(f map[string][]byte) { f["state.safetensors"] = safetensors.Append(nil, nil) },
		"other shape": func(f map[string][]byte) {
			f["model.safetensors"] = safetensors.Append(nil, nil, safetensors.Floats{Name: "dense1.weight", Shape: []int{1}, Data: []float32{1}})
		},
		"other figure": func(f map[string][]byte) {
			f["state.json"] = []byte(strings.Replace(string(f["state.json"]), "train.nll", "val.nll", 1))
		},
	} {
		files := map[string][]byte{}
		for name, data := range good {
			files[name] = data
		}
		change(files)
		again, err := train.New(config(), nn.Softmax(3), splits)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Restore(files); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	model := func(metadata map[string]string) []byte {
		return safetensors.Append(nil, metadata, safetensors.Floats{Name: "head.weight", Shape: []int{4}, Data: make([]float32, 4)})
	}
	for _, metadata := range []map[string]string{
		nil,
		{"format": "logitscope", "model": "mlp:1000000000", "head": "softmax", "classes": "2", "inputs": "2"},
		{"format": "logitscope", "model": "linear", "head": "softmax", "classes": "1000000000", "inputs": "2"},
		{"format": "logitscope", "model": "linear", "head": "softmax", "classes": "2", "inputs": "2"},
		{"format": "logitscope", "model": "linear", "head": "argmax", "classes": "2", "inputs": "2"},
	} {
		if _, _, err := train.Model(model(metadata)); err == nil {
			t.Errorf("a model of %v was built", metadata)
		}
	}
}

// Blocks of logits, one behind the other, are what an epoch has whole; nothing else is held.
func TestSink(t *testing.T) {
	splits := []train.Split{clusters("train", 900, 1), clusters("val", 31, 2)}
	var want, got [][]float32
	err := train.Run(t.Context(), config(), nn.Softmax(3), splits, func(e train.Epoch) error {
		for _, s := range e.Splits {
			want = append(want, slices.Clone(s.Logits))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := train.New(config(), nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	trainer.Sink = func(epoch, split int, logits []float32) error {
		for len(got) <= 2*(epoch-1)+split {
			got = append(got, nil)
		}
		got[2*(epoch-1)+split] = append(got[2*(epoch-1)+split], logits...)
		return nil
	}
	err = trainer.Run(t.Context(), func(e train.Epoch) error {
		if e.Splits[0].Logits != nil || !(e.Splits[0].NLL > 0) {
			t.Errorf("epoch %d holds logits, or has no NLL: %v", e.Number, e.Splits[0].NLL)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Error("the blocks hold other logits")
	}
	full := errors.New("disk full")
	trainer, err = train.New(config(), nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	trainer.Sink = func(int, int, []float32) error { return full }
	if err := trainer.Run(t.Context(), func(train.Epoch) error { return nil }); !errors.Is(err, full) {
		t.Errorf("error %v, want the sink's", err)
	}
}

// A NaN planted in a weight, a feature or a sample at a random step is seen in that step, and no checkpoint holds it.
func TestNaNReachesNoCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 20 {
		splits := []train.Split{clusters("train", 90, 1)}
		sample, epoch := rng.IntN(90), 1+rng.IntN(5)
		trainer, err := train.New(config(), nn.Softmax(3), splits)
		if err != nil {
			t.Fatal(err)
		}
		var last []train.File
		err = trainer.Run(t.Context(), func(e train.Epoch) error {
			last = trainer.Checkpoint(nil)
			if e.Number == epoch {
				splits[0].Features[2*sample+rng.IntN(2)] = float32(math.Inf(1 - 2*rng.IntN(2)))
			}
			return nil
		})
		var diverged *train.DivergedError
		if !errors.As(err, &diverged) || diverged.Epoch != epoch+1 || diverged.SampleID != int64(1000+sample) || diverged.Step < 1 {
			t.Fatalf("planted in sample %d after epoch %d: %v", 1000+sample, epoch, err)
		}
		mustBeFinite(t, last)
	}
	// A learning rate beyond all reason: the step that leaves infinite weights behind gives no checkpoint.
	for _, rate := range []float64{1e20, 1e30} {
		c := config()
		c.Optimizer, c.LearningRate, c.Model, c.Batch = "sgd", rate, "mlp:8,8", 90
		trainer, err := train.New(c, nn.Softmax(3), []train.Split{clusters("train", 90, 1)})
		if err != nil {
			t.Fatal(err)
		}
		var last []train.File
		err = trainer.Run(t.Context(), func(train.Epoch) error {
			last = trainer.Checkpoint(nil)
			return nil
		})
		var diverged *train.DivergedError
		if !errors.As(err, &diverged) || !strings.Contains(err.Error(), "learning rate of") && diverged.Epoch > 1 {
			t.Errorf("learning rate %v: %v", rate, err)
		}
		mustBeFinite(t, last)
	}
}

// kinds are small splits of every kind of sample, with a model for each.
func kinds(n int) map[string]train.Split {
	rng := rand.New(rand.NewPCG(5, 5))
	vectors, images := clusters("train", n, 1), clusters("train", n, 1)
	texts := train.Split{Name: "train", Labels: vectors.Labels, IDs: vectors.IDs, Offsets: []int32{0}, Input: nn.InputShape{Buckets: 40}}
	images.Features, images.Input = nil, nn.InputShape{Height: 8, Width: 8, Channels: 1}
	for i := range n {
		for range 64 {
			images.Features = append(images.Features, rng.Float32()+float32(images.Labels[i]))
		}
		for j := range int32(3) {
			texts.Tokens = append(texts.Tokens, 13*texts.Labels[i]+int32(rng.IntN(13)))
			texts.Weights = append(texts.Weights, 1/float32(1+j))
		}
		texts.Offsets = append(texts.Offsets, int32(len(texts.Tokens)))
	}
	return map[string]train.Split{"mlp:16,8+batchnorm+dropout=0.1": vectors, "mlp:8+bins=5+dropout=0.1": vectors, "cnn": images, "text:8": texts}
}

// A NaN planted in a weight after a random step, in every layer, is seen in the next step, which names the layer and a sample of
// it, or where the epoch ends before; one in a sample, in the step that has the sample. What is kept is the checkpoint before.
func TestPlantedNaNIsNamed(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const n, epochs = 60, 4
	all := kinds(n)
	for _, model := range slices.Sorted(maps.Keys(all)) {
		whole, c := all[model], config()
		c.Model, c.Epochs, c.LearningRate, c.Patience = model, epochs, 0.01, 0
		begin := func(s train.Split) (*train.Trainer, func() ([]train.File, *train.DivergedError)) {
			trainer, err := train.New(c, nn.Softmax(3), []train.Split{s})
			if err != nil {
				t.Fatal(err)
			}
			return trainer, func() (last []train.File, diverged *train.DivergedError) {
				err := trainer.Run(t.Context(), func(train.Epoch) error {
					last = trainer.Checkpoint(nil)
					return nil
				})
				if !errors.As(err, &diverged) {
					t.Fatalf("%s: error %v, want a DivergedError", model, err)
				}
				return last, diverged
			}
		}
		trainer, _ := begin(whole)
		each := trainer.StepsAnEpoch()
		for param := range trainer.Params() {
			trainer, run := begin(whole)
			after := 1 + rng.IntN(epochs*each-1)
			name := trainer.PlantAfter(after, param, float32(math.NaN()))
			layer, _, _ := strings.Cut(name, ".")
			epoch, step, sample := after/each+1, after%each+1, true
			if after%each == 0 {
				epoch, step, sample = epoch-1, each, false // no step of this epoch is left to meet it
			}
			last, got := run()
			if layer == "embedding" && got.Step >= step { // not before a batch has the token
				step, sample = got.Step, false
			}
			if got.Epoch != epoch || got.Step != step || got.Cause.Layer != layer || sample && !(got.SampleID >= 1000 && got.SampleID < 1000+n) {
				t.Errorf("%s: %s spoilt after step %d of %d an epoch: %v, want epoch %d, step %d", model, name, after, each, got, epoch, step)
			}
			if (last == nil) != (epoch == 1) {
				t.Errorf("%s: a checkpoint after epoch %d: %v", model, epoch-1, last != nil)
			}
			mustBeFinite(t, last)
		}
		spoilt, sample := whole, rng.IntN(n)
		spoilt.Features, spoilt.Weights = slices.Clone(whole.Features), slices.Clone(whole.Weights)
		layer := "input"
		if spoilt.Weights != nil {
			layer = "embedding"
			spoilt.Weights[spoilt.Offsets[sample]] = float32(math.NaN())
		} else {
			spoilt.Features[sample*len(spoilt.Features)/n+rng.IntN(len(spoilt.Features)/n)] = float32(math.Inf(1))
		}
		_, run := begin(spoilt)
		if _, got := run(); got.Epoch != 1 || got.SampleID != int64(1000+sample) || got.Cause.Layer != layer {
			t.Errorf("%s: sample %d spoilt: %v", model, 1000+sample, got)
		}
	}
}

func mustBeFinite(t *testing.T, files []train.File) {
	t.Helper()
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".safetensors") {
			continue
		}
		parsed, err := safetensors.Parse(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range parsed.Tensors {
			values, err := parsed.Tensors[i].Float32()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if v-v != 0 {
					t.Fatalf("%s: %s holds %v", f.Name, parsed.Tensors[i].Name, v)
				}
			}
		}
	}
}

// Whatever the disk's pace, the last epoch and the best one are written in the end, the best before any that speaks of it.
func TestSaver(t *testing.T) {
	for _, pace := range []time.Duration{0, time.Millisecond} {
		c := everything()
		c.Epochs, c.Patience = 40, 0
		trainer, err := train.New(c, nn.Softmax(3), []train.Split{clusters("train", 90, 1), clusters("val", 31, 2)})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		there := map[int]bool{}
		last := 0
		saver := train.NewSaver(func(epoch int, files []train.File, best int) error {
			time.Sleep(pace)
			mu.Lock()
			defer mu.Unlock()
			if epoch != best && !there[best] {
				t.Errorf("checkpoint %d speaks of %d, which is not there", epoch, best)
			}
			if got, _, _, err := train.BestEpoch(clone(files)); err != nil || got != best {
				t.Errorf("checkpoint %d has the best epoch %d (%v), want %d", epoch, got, err, best)
			}
			for old := range there {
				if old != best {
					delete(there, old)
				}
			}
			there[epoch], last = true, max(last, epoch)
			return nil
		})
		err = trainer.Run(t.Context(), func(train.Epoch) error { return saver.Offer(trainer) })
		if err := errors.Join(err, saver.Close()); err != nil {
			t.Fatal(err)
		}
		if best, _, _ := trainer.Best(); !there[40] || !there[best] || last != 40 {
			t.Errorf("there are %v, want 40 and %d", there, best)
		}
	}
	full := errors.New("disk full")
	saver := train.NewSaver(func(int, []train.File, int) error { return fmt.Errorf("checkpoint: %w", full) })
	trainer, err := train.New(config(), nn.Softmax(3), []train.Split{clusters("train", 90, 1)})
	if err != nil {
		t.Fatal(err)
	}
	err = trainer.Run(t.Context(), func(train.Epoch) error { return saver.Offer(trainer) })
	if err := errors.Join(err, saver.Close()); !errors.Is(err, full) {
		t.Errorf("error %v, want the disk's", err)
	}
}
