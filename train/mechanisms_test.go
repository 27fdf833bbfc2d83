package train_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/nn"
	"github.com/logitscope/logitscope/train"
)

// golden is what tools/oracle/schedules.py has from PyTorch.
type golden struct {
	Base      float64
	Steps     int
	PerEpoch  int `json:"per_epoch"`
	Schedules []struct {
		train.Schedule
		Rates []float64
	}
	Plateaus []struct {
		Figure      string
		Values      []float64
		Factor, Min float64
		Patience    int
		Rates       []float64
	}
	Clips []struct {
		Limit          float64
		Grads, Clipped []float32
	}
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	raw, err := os.ReadFile("testdata/schedules.json")
	if err == nil {
		err = json.Unmarshal(raw, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSchedulesAgainstPyTorch(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Schedules {
		for step, want := range c.Rates {
			got := c.Rate(g.Base, step, g.Steps, g.PerEpoch, 1)
			if !(math.Abs(got-want) <= 1e-12) {
				t.Errorf("%s, warm-up %v: step %d has the rate %v, PyTorch %v", c.Schedule.Schedule, c.Warmup, step, got, want)
			}
		}
	}
	for _, c := range g.Plateaus {
		s := train.Schedule{Schedule: "plateau", Factor: c.Factor, RatePatience: c.Patience, Min: c.Min}
		for i, factor := range train.Plateaus(s, c.Figure, c.Values) {
			if got := s.Rate(g.Base, i, len(c.Values), 1, factor); !(math.Abs(got-c.Rates[i]) <= 1e-12) {
				t.Errorf("plateau of %s: epoch %d has the rate %v, PyTorch %v", c.Figure, i+1, got, c.Rates[i])
			}
		}
	}
	for _, c := range g.Clips {
		got := slices.Clone(c.Grads)
		train.ClipNorm(got, c.Limit)
		for i, want := range c.Clipped {
			if !(math.Abs(float64(got[i]-want)) <= 1e-6*(1+math.Abs(float64(want)))) {
				t.Errorf("clipped to %v: gradient %d is %v, PyTorch %v", c.Limit, i, got[i], want)
				break
			}
		}
	}
}

// The learning rate that an epoch tells of is the one its last step took.
func TestScheduleMovesTheRate(t *testing.T) {
	c := config()
	c.Schedule = train.Schedule{Schedule: "cosine", Warmup: 0.5}
	var rates []float64
	err := train.Run(t.Context(), c, nn.Softmax(3), []train.Split{clusters("train", 90, 1)}, func(e train.Epoch) error {
		rates = append(rates, e.LearningRate)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !(rates[0] < rates[1] && rates[1] < rates[2] && rates[2] == c.LearningRate && rates[4] > rates[5] && rates[5] < 0.01*c.LearningRate) {
		t.Errorf("rates %v, want them to rise to %v in the middle and fall", rates, c.LearningRate)
	}
}

// Patience ends training so many epochs after the best, and Best says which that was.
func TestEarlyStopping(t *testing.T) {
	c := config()
	c.Epochs, c.Patience, c.LearningRate = 200, 3, 0.05
	val := clusters("val", 30, 2)
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range val.Labels {
		val.Labels[i] = int32(rng.IntN(3)) // nothing to learn: the more certain, the worse
	}
	for _, figure := range []string{"", "val.nll", "val.brier", "val.accuracy", "val.p_true", "val.margin", "train.loss", "train.nll"} {
		c.StopOn = figure
		trainer, err := train.New(c, nn.Softmax(3), []train.Split{clusters("train", 90, 1), val})
		if err != nil {
			t.Fatal(err)
		}
		best, at, stopped := math.NaN(), 0, false
		err = trainer.Run(t.Context(), func(e train.Epoch) error {
			name := figure
			if name == "" {
				name = "val.nll"
			}
			v := e.Figure(name)
			if math.IsNaN(v) || stopped {
				t.Errorf("%s: epoch %d has %v, after a stop: %v", name, e.Number, v, stopped)
			}
			rises := name == "val.accuracy" || name == "val.p_true" || name == "val.margin"
			if isBest := at == 0 || v != best && (v > best) == rises; isBest != e.Best {
				t.Errorf("%s: epoch %d with %v after %v says best: %v", name, e.Number, v, best, e.Best)
			} else if isBest {
				best, at = v, e.Number
			}
			stopped = e.Stop
			if want := e.Number-at >= 3; e.Stop != want {
				t.Errorf("%s: epoch %d, the best %d: stop %v", name, e.Number, at, e.Stop)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		epoch, _, value := trainer.Best()
		if epoch != at || value != best || !trainer.Finished() {
			t.Errorf("%s: best %d with %v, want %d with %v", figure, epoch, value, at, best)
		}
		if strings.HasPrefix(figure, "val.nll") && (!stopped || trainer.Done() != at+3) {
			t.Errorf("%s: %d epochs, the best %d", figure, trainer.Done(), at)
		}
	}
}

// The figures other than NLL and accuracy, computed from the logits by their definitions.
func TestFiguresAreThoseOfTheLogits(t *testing.T) {
	splits := []train.Split{clusters("train", 90, 1), clusters("val", 31, 2)}
	splits[1].Labels[3] = loss.Ignored
	for _, figure := range []string{"brier", "p_true", "margin"} {
		c := config()
		c.Epochs, c.StopOn = 1, "val."+figure
		err := train.Run(t.Context(), c, nn.Softmax(3), splits, func(e train.Epoch) error {
			sum, n := 0.0, 0.0
			for i, label := range splits[1].Labels {
				if label == loss.Ignored {
					continue
				}
				z := e.Splits[1].Logits[3*i : 3*i+3]
				total, other := 0.0, math.Inf(-1)
				for j, v := range z {
					total += math.Exp(float64(v))
					if int32(j) != label {
						other = max(other, float64(v))
					}
				}
				n++
				for j, v := range z {
					p := math.Exp(float64(v)) / total
					switch {
					case figure == "brier" && int32(j) == label:
						sum += (1 - p) * (1 - p)
					case figure == "brier":
						sum += p * p
					case int32(j) == label && figure == "p_true":
						sum += p
					case int32(j) == label:
						sum += float64(v) - other
					}
				}
			}
			if got := e.Figure("val." + figure); !(math.Abs(got-sum/n) <= 1e-5*(1+math.Abs(got))) {
				t.Errorf("%s is %v, want %v", figure, got, sum/n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The average follows the weights: equal after the first step, between the extremes afterwards, and it is what is measured.
func TestEMA(t *testing.T) {
	c := config()
	c.EMA, c.Batch = 0.5, 90
	splits := []train.Split{clusters("train", 90, 1)}
	trainer, err := train.New(c, nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	c.EMA = 0
	plain, err := train.New(c, nn.Softmax(3), splits)
	if err != nil {
		t.Fatal(err)
	}
	var want []float64 // one step an epoch: a ← d·a + (1−d)·w, d = min(0.5, (1+t)/(10+t))
	step := 0
	var plainLogits [][]float32
	err = plain.Run(t.Context(), func(e train.Epoch) error {
		params, _ := plain.Weights()
		step++
		d := min(0.5, float64(1+step)/float64(10+step))
		for i, w := range params {
			if step == 1 {
				want = append(want, float64(w))
			} else {
				want[i] = d*want[i] + (1-d)*float64(w)
			}
		}
		plainLogits = append(plainLogits, slices.Clone(e.Splits[0].Logits))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = trainer.Run(t.Context(), func(e train.Epoch) error {
		if same := slices.Equal(e.Splits[0].Logits, plainLogits[e.Number-1]); same != (e.Number == 1) {
			t.Errorf("epoch %d is measured by the average: %v", e.Number, !same)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	params, average := trainer.Weights()
	if plainParams, _ := plain.Weights(); !slices.Equal(params, plainParams) {
		t.Error("the average changes what is learned")
	}
	for i, v := range average {
		if !(math.Abs(float64(v)-want[i]) <= 1e-5) {
			t.Fatalf("average %d is %v, want %v", i, v, want[i])
		}
	}
}

// A mixed batch lies on the lines between its samples: features and targets by the same share, which is Beta distributed.
func TestMixup(t *testing.T) {
	c := config()
	c.Mixup, c.Batch = 0.4, 30
	s := clusters("train", 90, 1)
	for i := range s.Labels { // features that tell the sample: x = (i, its class)
		s.Features[2*i], s.Features[2*i+1] = float32(i), float32(s.Labels[i])
	}
	s.Labels[5] = loss.Ignored
	trainer, err := train.New(c, nn.Softmax(3), []train.Split{s})
	if err != nil {
		t.Fatal(err)
	}
	labels, features, soft := trainer.Batches()
	mixed := 0
	for b := range labels {
		for i, label := range labels[b] {
			x, q := features[b][2*i:2*i+2], soft[b][3*i:3*i+3]
			if label == loss.Ignored {
				if x[0] != 5 {
					t.Errorf("the sample without a label was mixed: %v", x)
				}
				continue
			}
			sum, mean := q[0]+q[1]+q[2], q[1]+2*q[2]
			if !(math.Abs(float64(sum-1)) <= 1e-5) || !(math.Abs(float64(mean-x[1])) <= 1e-4) {
				t.Errorf("features %v and targets %v are not mixed by one share", x, q)
			}
			if x[0] != float32(math.Round(float64(x[0]))) {
				mixed++
			}
		}
	}
	if mixed < 30 {
		t.Errorf("only %d samples were mixed", mixed)
	}
	// Mean ½ and variance 1/(4(2α+1)) of Beta(α,α).
	rng := rand.New(rand.NewPCG(1, 1))
	for _, alpha := range []float64{0.2, 1, 4} {
		const n = 20000
		sum, squares := 0.0, 0.0
		for range n {
			v := train.Beta(alpha, rng)
			sum += v
			squares += (v - 0.5) * (v - 0.5)
		}
		variance := 1 / (4 * (2*alpha + 1))
		if !(math.Abs(sum/n-0.5) <= 4*math.Sqrt(variance/n)) || !(math.Abs(squares/n-variance) <= 0.05*variance) {
			t.Errorf("Beta(%v): mean %v, variance %v, want 0.5 and %v", alpha, sum/n, squares/n, variance)
		}
	}
	c.Mixup = 0.4
	c.Loss = "hinge"
	if _, err := train.New(c, nn.Softmax(3), []train.Split{s}); err == nil || !strings.Contains(err.Error(), "use cross-entropy") {
		t.Errorf("hinge with mixed targets: %v", err)
	}
}

// Balanced sampling: as many of each class as of any other, to within one; no sample twice before all of its class.
func TestBalancedSampling(t *testing.T) {
	c := config()
	c.Sampling, c.Batch = "balanced", 1000
	s := train.Split{Name: "train"}
	for i := range 100 {
		label := int32(0)
		switch {
		case i >= 95:
			label = 2
		case i >= 70:
			label = 1
		}
		s.Labels = append(s.Labels, label)
		s.Features = append(s.Features, float32(i))
	}
	s.Labels[0] = loss.Ignored
	trainer, err := train.New(c, nn.Softmax(4), []train.Split{s}) // the fourth class has no sample
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		labels, features, _ := trainer.Batches()
		perClass, perSample := make([]int, 4), make([]int, 100)
		for i, label := range labels[0] {
			perClass[label]++
			perSample[int(features[0][i])]++
		}
		if slices.Min(perClass[:3]) < 33 || slices.Max(perClass[:3]) > 34 || perClass[3] != 0 || len(labels[0]) != 100 {
			t.Errorf("classes come %v times", perClass)
		}
		for i, times := range perSample {
			switch {
			case i == 0 && times != 0, i > 0 && i < 70 && times > 1, i >= 70 && i < 95 && (times < 1 || times > 2), i >= 95 && (times < 6 || times > 7):
				t.Errorf("sample %d comes %d times", i, times)
			}
		}
	}
	if got, want := train.BalancedClasses(&s, 4), []float64{99.0 / (3 * 69), 99.0 / (3 * 25), 99.0 / (3 * 5), 0}; !slices.Equal(got, want) {
		t.Errorf("balanced weights %v, scikit-learn's are %v", got, want)
	}
	multi := train.Split{Labels: make([]int32, 4), Soft: []float32{1, 0, 0, 0, 0, 0, 0, 0}}
	if got, want := train.BalancedPositives(&multi, 2), []float64{3, 1}; !slices.Equal(got, want) {
		t.Errorf("balanced positive weights %v, want %v", got, want)
	}
}

// Several labels a sample: each column learns a question of its own.
func TestSigmoidHead(t *testing.T) {
	s := train.Split{Name: "train"}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		x, y := float32(rng.NormFloat64()), float32(rng.NormFloat64())
		s.Features = append(s.Features, x, y)
		q := []float32{0, 0}
		if x > 0 {
			q[0] = 1
		}
		if y > 0 {
			q[1] = 1
		}
		s.Soft = append(s.Soft, q...)
		s.Labels = append(s.Labels, loss.Ignored)
	}
	c := config()
	c.Epochs = 40
	var last train.SplitResult
	err := train.Run(t.Context(), c, nn.Sigmoid(2), []train.Split{s}, func(e train.Epoch) error {
		last = e.Splits[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !(last.Accuracy >= 0.95 && last.NLL < 0.2) {
		t.Errorf("accuracy %v, NLL %v", last.Accuracy, last.NLL)
	}
}
