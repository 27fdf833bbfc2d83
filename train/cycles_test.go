package train_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// noisy is clusters with a share of its labels drawn anew: its NLL has a floor.
func noisy(name string, n int, seed uint64, share float64) train.Split {
	s := clusters(name, n, seed)
	rng := rand.New(rand.NewPCG(seed, 9))
	for i := range s.Labels {
		if rng.Float64() < share {
			s.Labels[i] = int32(rng.IntN(3))
		}
	}
	return s
}

func restarting() train.Config {
	c := config()
	c.Schedule = train.Schedule{Schedule: "restarts", Cycle: 1}
	c.Epochs, c.MinGain, c.LearningRate = 63, 0.01, 0.005
	return c
}

// Training ends with the cycle after which validation gains too little, and what a cycle says of itself is so: its gain is that of the
// mean NLL, its error that of the differences sample by sample, computed here from the logits.
func TestCyclesEndWhereNothingIsGained(t *testing.T) {
	val := noisy("val", 200, 2, 0.3)
	var before []float64
	var ends []int
	last := train.Epoch{}
	err := train.Run(t.Context(), restarting(), nn.Softmax(3), []train.Split{noisy("train", 300, 1, 0.3), val}, func(e train.Epoch) error {
		last = e
		if e.Cycle == nil {
			return nil
		}
		ends = append(ends, e.Number)
		now := make([]float64, val.N())
		for i, label := range val.Labels {
			z := e.Splits[1].Logits[3*i : 3*i+3]
			sum := 0.0
			for _, v := range z {
				sum += math.Exp(float64(v))
			}
			now[i] = math.Log(sum) - float64(z[label])
		}
		if before == nil {
			if !math.IsNaN(e.Cycle.Gain) || !e.Cycle.Worth {
				t.Errorf("the first cycle says %+v", e.Cycle)
			}
		} else {
			n, mean, squares := float64(len(now)), 0.0, 0.0
			for i := range now {
				mean += (before[i] - now[i]) / n
			}
			for i := range now {
				squares += (before[i] - now[i] - mean) * (before[i] - now[i] - mean)
			}
			if want := math.Sqrt(squares / (n - 1) / n); !(math.Abs(e.Cycle.Gain-mean) <= 1e-5) || !(math.Abs(e.Cycle.Error-want) <= 1e-5) {
				t.Errorf("epoch %d: gain %v ± %v, want %v ± %v", e.Number, e.Cycle.Gain, e.Cycle.Error, mean, want)
			}
			if gains := e.Cycle.Gain > e.Cycle.Error; e.Cycle.Worth && !gains {
				t.Errorf("epoch %d: %+v is worth another", e.Number, e.Cycle)
			}
		}
		before = now
		if e.Stop == e.Cycle.Worth {
			t.Errorf("epoch %d: stop %v after %+v", e.Number, e.Stop, e.Cycle)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range ends {
		if end != 1<<(i+1)-1 {
			t.Errorf("cycles end with the epochs %v, want 1, 3, 7, …", ends)
		}
	}
	if !last.Stop || last.Number >= 63 || last.Ahead != last.Number || len(ends) < 2 {
		t.Errorf("training ended with epoch %d, stop %v, ahead %d, after cycles that end with %v", last.Number, last.Stop, last.Ahead, ends)
	}
}

// Without a least gain, or a validation split to have it on, all epochs are trained.
func TestCyclesWithoutALeastGain(t *testing.T) {
	for _, c := range []struct {
		gain   float64
		splits []train.Split
	}{{0, []train.Split{clusters("train", 90, 1), clusters("val", 30, 2)}}, {0.5, []train.Split{clusters("train", 90, 1), clusters("test", 30, 2)}}} {
		config := restarting()
		config.MinGain, config.Epochs = c.gain, 9
		n := 0
		if err := train.Run(t.Context(), config, nn.Softmax(3), c.splits, func(e train.Epoch) error { n++; return nil }); err != nil || n != 9 {
			t.Errorf("least gain %v: %d epochs of 9, %v", c.gain, n, err)
		}
	}
}

// A race gives the same on one processor as on many, and its winner is the one whose own training reaches the lowest NLL.
func TestRace(t *testing.T) {
	splits := []train.Split{noisy("train", 120, 1, 0.4), noisy("val", 200, 2, 0.4)}
	configs := []train.Config{restarting(), restarting(), restarting()}
	configs[0].LearningRate = 1e-6 // learns nothing
	configs[2].LearningRate = 1e30 // diverges
	race := func() ([]train.Entrant, int) {
		entrants, winner, err := train.Race(t.Context(), configs, nn.Softmax(3), splits, nil)
		if err != nil {
			t.Fatal(err)
		}
		return entrants, winner
	}
	entrants, winner := race()
	if winner != 1 || entrants[2].Out == "" || len(entrants[2].NLL) != 0 || entrants[0].Out == "" {
		t.Errorf("entrant %d won of %+v", winner, entrants)
	}
	// What the winner reached is what it reaches when it is trained alone.
	var alone []float64
	if err := train.Run(t.Context(), configs[1], nn.Softmax(3), splits, func(e train.Epoch) error {
		if e.Cycle != nil {
			alone = append(alone, e.Cycle.NLL)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := len(entrants[1].NLL); n == 0 || !slices.Equal(alone[:n], entrants[1].NLL) {
		t.Errorf("in the race %v, alone %v", entrants[1].NLL, alone)
	}
	before := runtime.GOMAXPROCS(1)
	again, other := race()
	runtime.GOMAXPROCS(before)
	for i := range entrants {
		if other != winner || !slices.Equal(again[i].NLL, entrants[i].NLL) || again[i].Out != entrants[i].Out {
			t.Errorf("on one processor %+v, on %d %+v", again[i], before, entrants[i])
		}
	}
	var settings *train.SettingsError
	if _, _, err := train.Race(t.Context(), configs, nn.Softmax(3), splits[:1], nil); !errors.As(err, &settings) {
		t.Errorf("%v: a race without validation rows is run", err)
	}
	if _, _, err := train.Race(t.Context(), configs[2:], nn.Softmax(3), splits, nil); err == nil || errors.As(err, &settings) {
		t.Errorf("%v: a race is won by a network that diverged", err)
	}
}

// Beyond one that is behind nothing of its model is trained, and another model is: after the first cycle it is held against none.
func TestRaceEndsBeyondOneThatIsBehind(t *testing.T) {
	splits := []train.Split{noisy("train", 120, 1, 0), noisy("val", 200, 2, 0)}
	good := restarting()
	bad := good
	bad.LearningRate = 1e-6 // learns nothing
	other := bad
	other.Model = "mlp:8+bins=4"
	entrants, winner, err := train.Race(t.Context(), []train.Config{good, bad, good, bad, other}, nn.Softmax(3), splits, nil)
	if err != nil || winner != 0 {
		t.Fatalf("entrant %d won, %v", winner, err)
	}
	for i, want := range []string{1: "behind", 2: "beyond one that is behind", 3: "beyond one that is behind"} {
		if e := entrants[i]; i > 0 && e.Out != want || (len(e.NLL) == 0) != (i >= 2) {
			t.Errorf("entrant %d: %q after cycles of %v, want %q", i, e.Out, e.NLL, want)
		}
	}
	if e := entrants[4]; len(e.NLL) < 2 && e.Out == "behind" {
		t.Errorf("another model was out after %v: %q", e.NLL, e.Out)
	}
}

// What training stops on may be of a split that a race does not measure: the race is as without it. What is no figure is told before any step.
func TestRaceStopsOnValidation(t *testing.T) {
	splits := []train.Split{noisy("train", 120, 1, 0.4), noisy("val", 200, 2, 0.4), noisy("test", 50, 3, 0.4)}
	race := func(stopOn string) ([]train.Entrant, error) {
		c := restarting()
		if c.StopOn = stopOn; stopOn != "" {
			c.Patience = 1
		}
		entrants, _, err := train.Race(t.Context(), []train.Config{c, c}, nn.Softmax(3), splits, nil)
		return entrants, err
	}
	want, err := race("")
	if err != nil {
		t.Fatal(err)
	}
	for _, stopOn := range []string{"test.nll", "test.accuracy", "train.nll", "train.p_true"} {
		if got, err := race(stopOn); err != nil || !slices.Equal(got[0].NLL, want[0].NLL) || got[0].Out != want[0].Out || got[0].Config.StopOn != stopOn {
			t.Errorf("on %s: %+v, %v, want %+v", stopOn, got, err, want)
		}
	}
	for _, wrong := range []string{"test.loss", "dev.nll", "nll"} {
		var settings *train.SettingsError
		if _, err := race(wrong); !errors.As(err, &settings) || !strings.Contains(err.Error(), "of train, val, test and") {
			t.Errorf("on %s: %v", wrong, err)
		}
	}
}

// Whoever follows the winner of a race has the bits of training: every epoch's logits, loss and rate, and the checkpoints, those within what the
// race knew and after it. Another configuration has nothing to follow.
func TestFollow(t *testing.T) {
	splits := []train.Split{noisy("train", 120, 1, 0.4), noisy("val", 200, 2, 0.4), noisy("test", 50, 3, 0.4)}
	config := restarting()
	config.Model, config.Dropout, config.EMA = "mlp:8", 0.2, 0.9
	rival := config
	rival.LearningRate = 1e-6
	entrants, winner, err := train.Race(t.Context(), []train.Config{config, rival}, nn.Softmax(3), splits, nil)
	if err != nil || winner != 0 || entrants[0].Trained() < 3 || entrants[1].Trained() != 0 {
		t.Fatalf("entrant %d won, %d and %d epochs are kept, %v", winner, entrants[0].Trained(), entrants[1].Trained(), err)
	}
	type epoch struct {
		result train.Epoch
		files  []train.File
	}
	run := func(follow bool) (all []epoch) {
		trainer, err := train.New(config, nn.Softmax(3), splits)
		if err != nil {
			t.Fatal(err)
		}
		if follow {
			trainer.Follow(&entrants[0])
			if trainer.Ahead() != entrants[0].Trained() {
				t.Fatalf("%d epochs are ahead of %d", trainer.Ahead(), entrants[0].Trained())
			}
		}
		if err := trainer.Run(t.Context(), func(e train.Epoch) error {
			e.Elapsed = 0
			e.Splits = slices.Clone(e.Splits)
			for i := range e.Splits {
				e.Splits[i].Logits = slices.Clone(e.Splits[i].Logits)
			}
			all = append(all, epoch{e, trainer.Checkpoint(nil)})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	trained, followed := run(false), run(true)
	if len(trained) != len(followed) || len(trained) <= entrants[0].Trained() {
		t.Fatalf("%d epochs of training, %d of following", len(trained), len(followed))
	}
	for i := range trained {
		a, b := trained[i], followed[i]
		if math.IsNaN(a.result.Cycle.GainOrZero()) && math.IsNaN(b.result.Cycle.GainOrZero()) {
			a.result.Cycle, b.result.Cycle = nil, nil // of the first cycle: NaN is not equal to itself
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("epoch %d: trained %+v, followed %+v", i+1, a.result, b.result)
		}
	}
	other, err := train.New(rival, nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	if other.Follow(&entrants[0]); other.Ahead() != 0 {
		t.Error("another configuration follows the winner's epochs")
	}
}
