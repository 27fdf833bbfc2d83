package dynamics_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/logit"
	"github.com/logitscope/logitscope/record"
)

func dynamicsOf(t *testing.T, run *record.Run, split string) *dynamics.Dynamics {
	t.Helper()
	d, err := dynamics.Of(t.Context(), analysis.New(run), split)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// One sample of class 1 whose p is 0.2, 0.75, 0.4, 0.8 and 0.9 at epochs with gaps between them.
func TestDynamicsByHand(t *testing.T) {
	ps := map[int]float64{0: 0.2, 1: 0.75, 4: 0.4, 5: 0.8, 9: 0.9}
	for _, head := range []logit.Head{record.HeadSoftmax, record.HeadBinary} {
		m := twoClasses
		epochs := map[int][]float32{}
		for e, p := range ps {
			epochs[e] = []float32{0, logOdds(p)}
		}
		if head == record.HeadBinary {
			m.Head, m.Columns = head, 1
			for e := range epochs {
				epochs[e] = epochs[e][1:]
			}
		}
		run, _ := epochsOf(t, m, record.Samples{IDs: []int64{7}, Labels: []int32{1}}, epochs)
		d := dynamicsOf(t, run, "train")
		mean := (0.2 + 0.75 + 0.4 + 0.8 + 0.9) / 5
		variance, aum, el2n := 0., 0., 0.
		for _, p := range ps {
			variance += (p - mean) * (p - mean) / 5
			aum += math.Log(p/(1-p)) / 5
			el2n += math.Sqrt2 * (1 - p) / 5
		}
		s := d.Samples[0]
		if s.ID != 7 || !near6(s.Confidence, mean) || !near6(s.Variability, math.Sqrt(variance)) || !near6(s.Correctness, 0.6) ||
			!near6(s.AUM, aum) || !near6(s.EL2N, el2n) || s.Forgotten != 1 || s.Learned != 5 || s.Undefined != 0 {
			t.Errorf("%s: %+v; want confidence %v, variability %v, AUM %v, EL2N %v", head, s, mean, math.Sqrt(variance), aum, el2n)
		}
		if d.Early != 9 || !reflect.DeepEqual(d.Epochs, []int{0, 1, 4, 5, 9}) {
			t.Errorf("early to %d of %v", d.Early, d.Epochs)
		}
	}
}

// What is right and wrong in turn: the epoch of learning and the times of forgetting.
func TestForgetting(t *testing.T) {
	for pattern, want := range map[string][2]int{ // right (r), wrong (w) and undefined (u), from epoch 1 on
		"wwww": {-1, 0}, "rrrr": {1, 0}, "wrrr": {2, 0}, "rwrw": {-1, 2}, "rwrr": {3, 1}, "rrrw": {-1, 1}, "ruur": {1, 0},
		"rurw": {-1, 1}, "uuwr": {4, 0}, "uuuu": {-1, 0}, "ruwr": {4, 1},
	} {
		epochs := map[int][]float32{}
		for i, c := range pattern {
			epochs[i+1] = map[rune][]float32{'r': {1, 0}, 'w': {0, 1}, 'u': {nan, 0}}[c]
		}
		run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1}, Labels: []int32{0}}, epochs)
		s := dynamicsOf(t, run, "train").Samples[0]
		if s.Learned != want[0] || s.Forgotten != want[1] || s.Undefined != strings.Count(pattern, "u") {
			t.Errorf("%s: learned at %d, forgotten %d times, undefined %d times; want %v", pattern, s.Learned, s.Forgotten, s.Undefined, want)
		}
	}
}

// Early epochs end where validation NLL is lowest; EL2N is of them alone.
func TestEarlyEpochs(t *testing.T) {
	run, _ := recorded(t, certain(0, 0), certain(1, 2), certain(5, 1), certain(9, -1))
	d := dynamicsOf(t, run, "train")
	p := math.E / (math.E + 2)
	q := 1 / (math.E + 2)
	want := (math.Sqrt(6./9) + math.Sqrt((1-p)*(1-p)+2*q*q)) / 2
	if d.Early != 2 || !near6(d.Samples[1].EL2N, want) {
		t.Errorf("early to epoch %d, EL2N %v, want 2 and %v", d.Early, d.Samples[1].EL2N, want)
	}
}

// Samples without a label are left out; a masked label has p = 0 and a margin that JSON writes as null; all of it is JSON.
func TestDynamicsOfOddRows(t *testing.T) {
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1, 2, 3}, Labels: []int32{record.Ignored, 0, 1}},
		map[int][]float32{1: {0, 0, -inf, 0, nan, 0}, 2: {0, 0, 0, 0, inf, 0}})
	d := dynamicsOf(t, run, "train")
	if len(d.Samples) != 2 || d.Samples[0].ID != 2 || !near6(d.Samples[0].Confidence, 0.25) || !math.IsInf(float64(d.Samples[0].AUM), -1) {
		t.Errorf("a masked label: %+v", d.Samples[0])
	}
	if s := d.Samples[1]; s.Undefined != 2 || !math.IsNaN(float64(s.Confidence)) || s.Learned != -1 {
		t.Errorf("a sample that never has a softmax: %+v", s)
	}
	raw, err := json.Marshal(d)
	if err != nil || !strings.Contains(string(raw), `"aum":null`) || !strings.Contains(string(raw), `"learned":-1`) {
		t.Errorf("%s, %v", raw, err)
	}
	if _, err := dynamics.Of(t.Context(), analysis.New(run), "test"); err == nil {
		t.Error("a split that is not there: no error")
	}
}

func TestDynamicsOfNothing(t *testing.T) {
	run, _ := epochsOf(t, twoClasses, record.Samples{IDs: []int64{1}, Labels: []int32{0}}, nil)
	if d := dynamicsOf(t, run, "train"); len(d.Epochs) != 0 || len(d.Samples) != 1 || !math.IsNaN(float64(d.Samples[0].AUM)) {
		t.Errorf("a run without epochs: %+v", d)
	}
	run, _ = epochsOf(t, twoClasses, record.Samples{}, map[int][]float32{1: {}})
	if d := dynamicsOf(t, run, "train"); len(d.Samples) != 0 || d.Samples == nil {
		t.Errorf("a split without samples: %+v", d)
	}
}

// A damaged epoch is named and passed over: the figures are those of a run without it.
func TestDynamicsPassOverDamage(t *testing.T) {
	run, dir := recorded(t, certain(1, 1), certain(-3, -3), certain(2, 2))
	if err := os.Truncate(filepath.Join(dir, "epochs", "000002", "train.arrow"), 64); err != nil {
		t.Fatal(err)
	}
	whole, _ := recorded(t, certain(1, 1), certain(2, 2))
	got, want := dynamicsOf(t, run, "train"), dynamicsOf(t, whole, "train")
	if len(got.Damaged) != 1 || !strings.Contains(got.Damaged[0], "000002") || !reflect.DeepEqual(got.Epochs, []int{1, 3}) {
		t.Errorf("damaged %q, epochs %v", got.Damaged, got.Epochs)
	}
	for i := range got.Samples {
		if got.Samples[i].TraceFigures != want.Samples[i].TraceFigures {
			t.Errorf("sample %d: %+v, want %+v", i, got.Samples[i], want.Samples[i])
		}
	}
}

// The figures are the same bits for any number of threads.
func TestDynamicsOnThreads(t *testing.T) {
	const n, k = 3000, 37
	samples := record.Samples{}
	epochs := map[int][]float32{}
	state := uint32(1)
	for i := range n {
		samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(i%k))
	}
	for e := 1; e <= 3; e++ {
		for range n * k {
			state = state*1664525 + 1013904223
			epochs[e] = append(epochs[e], float32(state>>8)/(1<<21)-4)
		}
	}
	m := record.Manifest{Classes: make([]string, k), Head: record.HeadSoftmax, Columns: k}
	run, _ := epochsOf(t, m, samples, epochs)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := dynamicsOf(t, run, "train")
	runtime.GOMAXPROCS(4)
	if got := dynamicsOf(t, run, "train"); !reflect.DeepEqual(got, want) {
		t.Error("four threads give other figures than one")
	}
}

// A file that another program cuts short while its samples are followed is an error that names the epoch.
func TestDynamicsOfFileCutWhileRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	run, dir := recorded(t, even(), even())
	err := dynamics.Follow(analysis.New(run), "train", func() {
		if err := os.Truncate(filepath.Join(dir, "epochs", "000002", "train.arrow"), 0); err != nil {
			t.Fatal(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "epoch 2, split train") {
		t.Errorf("error %v", err)
	}
}

// Several labels a sample have no training dynamics of one.
func TestDynamicsOfSeveralLabels(t *testing.T) {
	m := record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSigmoid, Columns: 2}
	run, _ := epochsOf(t, m, record.Samples{IDs: []int64{1}, Labels: []int32{record.Ignored}, Targets: []uint8{1, 0}}, map[int][]float32{1: {1, 2}})
	if _, err := dynamics.Of(t.Context(), analysis.New(run), "train"); err == nil || !strings.Contains(err.Error(), "several labels") {
		t.Errorf("error %v", err)
	}
}

// The bytes are those of the logits followed.
func BenchmarkDynamics(b *testing.B) {
	const n, k, epochs = 10_000, 100, 10
	m := record.Manifest{Classes: make([]string, k), Head: record.HeadSoftmax, Columns: k}
	var samples record.Samples
	for i := range n {
		samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(i%k))
	}
	logits := map[int]map[string][]float32{}
	for e := range epochs {
		z := make([]float32, n*k)
		for i := range z {
			z[i] = float32((i*7919+e)%1000) / 200
		}
		logits[e+1] = map[string][]float32{"train": z}
	}
	run, _ := runOf(b, m, map[string]record.Samples{"train": samples}, logits)
	b.SetBytes(4 * n * k * epochs)
	for b.Loop() {
		if _, err := dynamics.Of(b.Context(), analysis.New(run), "train"); err != nil {
			b.Fatal(err)
		}
	}
}
