// Package runtest records small runs for tests.
package runtest

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// Run records a run with the given logits, by epoch and split, and opens it.
func Run(t testing.TB, m record.Manifest, samples map[string]record.Samples, epochs map[int]map[string][]float32, files ...record.File) (*record.Run, string) {
	t.Helper()
	return Write(t, m, samples, func(w *record.Writer) error {
		for _, epoch := range slices.Sorted(maps.Keys(epochs)) {
			if err := w.WriteEpoch(epoch, epochs[epoch]); err != nil {
				return err
			}
		}
		return nil
	}, files...)
}

// Write records a complete run with what write writes to it, and opens it.
func Write(t testing.TB, m record.Manifest, samples map[string]record.Samples, write func(*record.Writer) error, files ...record.File) (*record.Run, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	w, err := record.Create(dir, m, samples, files...)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run, dir
}

// ThreeClasses makes a run of three classes with the given logits of each epoch, three training and two validation samples.
func ThreeClasses(t *testing.T, epochs ...[2][]float32) (*record.Run, string) {
	t.Helper()
	logits := map[int]map[string][]float32{}
	for i, e := range epochs {
		logits[i+1] = map[string][]float32{"train": e[0], "val": e[1]}
	}
	return Run(t, record.Manifest{
		Name: "run", Classes: []string{"a", "b", "c"}, Head: record.HeadSoftmax, Columns: 3, PlannedEpochs: len(epochs),
		Preview: &record.Preview{Kind: "image", Height: 1, Width: 2, Channels: 1, Max: 16},
	}, map[string]record.Samples{
		"train": {IDs: []int64{10, 11, 12}, Labels: []int32{0, 1, 2}, CleanLabels: []int32{0, 2, 2}, Previews: []byte{1, 2, 3, 4, 5, 6}},
		"val":   {IDs: []int64{20, 21}, Labels: []int32{0, 1}, CleanLabels: nil, Previews: []byte{7, 8, 9, 10}},
	}, logits)
}

// Even is an epoch at which every class has the same logit.
func Even() [2][]float32 { return [2][]float32{make([]float32, 9), make([]float32, 6)} }

func Near(got summary.Number, want float64) bool { return math.Abs(float64(got)-want) <= 1e-7 }

// Certain gives every sample of both splits a logit of z for its true class; the NLL falls with z.
func Certain(train, val float32) [2][]float32 {
	return [2][]float32{{train, 0, 0, 0, train, 0, 0, 0, train}, {val, 0, 0, 0, val, 0}}
}

// Sure records epochs in which each of 20 samples of a split has a logit of z for its true class, its own by a little.
func Sure(t *testing.T, epochs ...[2]float32) *record.Run {
	t.Helper()
	samples, logits := record.Samples{}, map[int]map[string][]float32{}
	for i := range 20 {
		samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(i%2))
	}
	for e, z := range epochs {
		of := func(z float32) (rows []float32) {
			for i := range 20 {
				row := []float32{0, 0}
				row[i%2] = z * (1 + float32(i)/100)
				rows = append(rows, row...)
			}
			return rows
		}
		logits[e+1] = map[string][]float32{"train": of(z[0]), "val": of(z[1])}
	}
	run, _ := Run(t, TwoClasses, map[string]record.Samples{"train": samples, "val": samples}, logits)
	return run
}

// Epochs makes a run with one split, train, from the logits of some epochs.
func Epochs(t testing.TB, m record.Manifest, samples record.Samples, epochs map[int][]float32) (*record.Run, string) {
	t.Helper()
	all := map[int]map[string][]float32{}
	for epoch, logits := range epochs {
		all[epoch] = map[string][]float32{"train": logits}
	}
	return Run(t, m, map[string]record.Samples{"train": samples}, all)
}

var TwoClasses = record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2}

// LogOdds is the logit of class 1 against a logit of 0 at which class 1 has probability p.
func LogOdds(p float64) float32 { return float32(math.Log(p / (1 - p))) }

func Near6(got summary.Number, want float64) bool { return math.Abs(float64(got)-want) <= 1e-6 }
