package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// sample returns a small run to write: two splits, three classes, previews of 2×2.
func sampleRun() (Manifest, map[string]Samples) {
	m := Manifest{
		Name: "small", Classes: []string{"cat", "dög", "<b>\"\u2028"}, Head: HeadSoftmax, Columns: 3,
		PlannedEpochs: 3, Seed: math.MaxUint64, Config: json.RawMessage(`{"lr":0.001,"hidden":[256,256]}`),
		Versions: map[string]string{"go": "1.26"}, Preview: &Preview{"image", 2, 2, 1, 16},
	}
	return m, map[string]Samples{
		"train": {
			IDs: []int64{7, -1, math.MaxInt64, 3, 4}, Labels: []int32{0, 1, 2, Ignored, 0}, CleanLabels: []int32{0, 1, 1, Ignored, 0},
			Previews: []byte("aaaabbbbccccddddeeee"),
		},
		"val": {IDs: []int64{10, 11}, Labels: []int32{2, 1}, Previews: []byte("ffffgggg")},
	}
}

// sampleLogits returns logits for an epoch of sampleRun, with every kind of float among them.
func sampleLogits(epoch int) map[string][]float32 {
	rng := rand.New(rand.NewPCG(1, uint64(epoch)))
	logits := map[string][]float32{"train": make([]float32, 15), "val": make([]float32, 6)}
	for _, split := range []string{"train", "val"} {
		for i := range logits[split] {
			logits[split][i] = float32(rng.NormFloat64())
		}
	}
	logits["train"][3], logits["val"][2] = float32(math.Inf(-1)), float32(math.NaN())
	return logits
}

func writeSample(t testing.TB, dir string, epochs int) {
	t.Helper()
	m, samples := sampleRun()
	writeRun(t, dir, m, samples, epochs)
}

func writeRun(t testing.TB, dir string, m Manifest, samples map[string]Samples, epochs int) {
	t.Helper()
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch <= epochs; epoch++ {
		if err := w.Write(epoch, sampleLogits(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// mustHold checks that r holds exactly the epochs given, each with the logits of sampleLogits.
func mustHold(t testing.TB, r *Run, epochs ...int) {
	t.Helper()
	if got := r.Epochs(); !slices.Equal(got, epochs) {
		t.Fatalf("epochs %v, want %v", got, epochs)
	}
	_, samples := sampleRun()
	for _, epoch := range epochs {
		for split, want := range sampleLogits(epoch) {
			l, err := r.Logits(epoch, split)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(l.IDs, samples[split].IDs) || !sameBits(l.Values, want) {
				t.Fatalf("epoch %d, %s: got %v %v, want %v %v", epoch, split, l.IDs, l.Values, samples[split].IDs, want)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "small")
	m, samples := sampleRun()
	w, err := Create(dir, m, samples)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.State() != StateRunning || len(r.Epochs()) != 0 {
		t.Errorf("a run without epochs: state %q, epochs %v", r.State(), r.Epochs())
	}
	for _, epoch := range []int{0, 1, 5} {
		if err := w.WriteEpoch(epoch, sampleLogits(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, r, 0, 1, 5)
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	if r.State() != StateComplete {
		t.Errorf("state %q after Close", r.State())
	}

	got := *r.Manifest()
	var config any
	if err := json.Unmarshal(got.Config, &config); err != nil || config.(map[string]any)["lr"] != 0.001 {
		t.Errorf("config %s", got.Config)
	}
	if len(got.ID) < 26 {
		t.Errorf("id %q", got.ID)
	}
	m.ID, m.FormatVersion, m.Created, m.Splits, m.Config = got.ID, 1, got.Created, []SplitInfo{{Name: "train", N: 5}, {Name: "val", N: 2}}, got.Config
	if got.Created.IsZero() || !reflect.DeepEqual(got, m) {
		t.Errorf("manifest %+v, want %+v", got, m)
	}
	for split, want := range samples {
		got, err := r.Samples(split)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("samples of %s: %+v, want %+v", split, *got, want)
		}
	}
	if _, err := Create(dir, m, samples); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a run: %v", err)
	}
}

// Several labels a sample: the targets come back, and programs that know format 1 alone are told to upgrade.
func TestTargets(t *testing.T) {
	m := Manifest{Name: "multi", Classes: []string{"a", "b", "c"}, Head: HeadSigmoid, Columns: 3}
	want := Samples{IDs: []int64{4, 5}, Labels: []int32{Ignored, Ignored}, Targets: []uint8{1, 0, 1, 0, 0, 0}}
	dir := filepath.Join(t.TempDir(), "multi")
	w, err := Create(dir, m, map[string]Samples{"train": want})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(StateComplete); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Samples("train")
	if err != nil || !reflect.DeepEqual(*got, want) || r.Manifest().FormatVersion != 2 {
		t.Errorf("format %d, samples %+v, %v; want 2 and %+v", r.Manifest().FormatVersion, got, err, want)
	}
	for _, bad := range []Samples{
		{IDs: want.IDs, Labels: want.Labels},
		{IDs: want.IDs, Labels: []int32{0, Ignored}, Targets: want.Targets},
		{IDs: want.IDs, Labels: want.Labels, Targets: []uint8{2, 0, 0, 0, 0, 0}},
	} {
		if _, err := Create(filepath.Join(t.TempDir(), "bad"), m, map[string]Samples{"train": bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	m.Head = HeadSoftmax
	if _, err := Create(filepath.Join(t.TempDir(), "bad"), m, map[string]Samples{"train": want}); err == nil {
		t.Error("targets were taken for a softmax head")
	}
}
