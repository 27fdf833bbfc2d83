package cli

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/npy"
	"github.com/logitscope/logitscope/internal/numtest"
)

// save writes an array and returns its path.
func save[T float32 | float64 | int32 | int64 | uint8](t *testing.T, name string, values []T, shape ...int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npy.Write(f, values, shape...); err != nil {
		t.Fatal(err)
	}
	return path
}

func scored(t *testing.T, args ...string) (figures map[string]any) {
	t.Helper()
	out := succeed(t, append([]string{"score", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &figures); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return figures
}

// By hand: p of a row (0, 0, log 2) is (1/4, 1/4, 1/2).
func TestScoreArrays(t *testing.T) {
	log2 := math.Log(2)
	z := []float64{0, 0, log2, 0, log2, 0, 5, 0, 0}
	y := save(t, "y", []int64{2, 0, -100}, 3)
	got := scored(t, "--logits", save(t, "z", z, 3, 3), "--labels", y)
	want := map[string]float64{"n": 2, "classes": 3, "unlabelled": 1, "nll": (log2 + 2*log2) / 2, "accuracy": 0.5, "p_true": 0.375, "confidence": 0.5, "ece": 0}
	for figure, want := range want {
		if v, ok := got[figure].(float64); !ok || !numtest.Near(v, want, 1e-6) {
			t.Errorf("%s is %v, want %v", figure, got[figure], want)
		}
	}
	for _, key := range []string{
		"n", "classes", "nll", "accuracy", "top5", "brier", "ece", "mce", "ece_adaptive", "ece_classwise", "entropy", "p_true", "perplexity",
		"roc_auc", "average_precision", "f1_macro", "f1_weighted", "balanced_accuracy", "mcc", "confusion",
	} {
		if _, ok := got[key]; !ok {
			t.Errorf("no key %q", key)
		}
	}
	// The same as probabilities, as one logit, in float32, and at another temperature.
	p := []float64{0.25, 0.25, 0.5, 0.25, 0.5, 0.25, 0.9, 0.05, 0.05}
	probs := scored(t, "--kind", "probs", "--logits", save(t, "p", p, 3, 3), "--labels", y)
	if !numtest.Near(probs["nll"].(float64), want["nll"], 1e-6) {
		t.Errorf("NLL of probabilities is %v, want %v", probs["nll"], want["nll"])
	}
	one := scored(t, "--logits", save(t, "one", []float32{float32(math.Log(3)), -1}, 2), "--labels", save(t, "y1", []uint8{1, 1}, 2, 1), "--temperature", "0.5")
	if nll := (math.Log(10./9) + math.Log1p(math.Exp(2))) / 2; !numtest.Near(one["nll"].(float64), nll, 1e-6) || one["classes"] != 2.0 {
		t.Errorf("of one logit: %v, want NLL %v", one["nll"], nll)
	}
	text := succeed(t, "score", "--logits", save(t, "z", z, 3, 3), "--labels", y, "--bootstrap", "20")
	if !strings.Contains(text, "nll") || !strings.Contains(text, "2 labelled rows of 3 classes") || !strings.Contains(text, "[") {
		t.Errorf("printed %s", text)
	}
	if strings.Contains(text, "top5") { // it is 1 for five classes or fewer
		t.Errorf("of three classes it printed %s", text)
	}
	six := make([]float64, 12)
	if text := succeed(t, "score", "--logits", save(t, "six", six, 2, 6), "--labels", save(t, "y6", []int64{0, 5}, 2)); !strings.Contains(text, "top5               0.5") {
		t.Errorf("of six classes it printed %s", text)
	}
}

func TestScoreRun(t *testing.T) {
	dir := small(t)
	curves := show(t, dir)
	last := curves.Epochs[len(curves.Epochs)-1]
	for _, c := range []struct {
		args  []string
		split string
	}{{nil, "val"}, {[]string{"--split", "train"}, "train"}, {[]string{"--epoch", "3"}, "val"}} {
		got, want := scored(t, append(c.args, dir)...), last.Splits[c.split]
		if !numtest.Near(got["nll"].(float64), want.NLL, 1e-12) || !numtest.Near(got["accuracy"].(float64), want.Accuracy, 0) || got["n"] != float64(want.N) {
			t.Errorf("%v: %v, want %+v", c.args, got["nll"], want)
		}
	}
}

// What is wrong is said in one line, with what to do.
func TestScoreBadInput(t *testing.T) {
	nan := float32(math.NaN())
	z, y := save(t, "z", []float32{1, 2, 3, 4}, 2, 2), save(t, "y", []int64{0, 1}, 2)
	dir := small(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "give either a run, or --logits and --labels"},
		{[]string{dir, "--logits", z}, exitUsage, "give either a run, or --logits and --labels"},
		{[]string{"--logits", z}, exitUsage, "give either a run, or --logits and --labels"},
		{[]string{"--logits", z, "--labels", y, "--temperature", "-1"}, exitUsage, "--temperature -1"},
		{[]string{"--logits", z, "--labels", y, "--bins", "0"}, exitUsage, "--bins 0"},
		{[]string{"--logits", z, "--labels", y, "--kind", "odds"}, exitUsage, "--kind odds"},
		{[]string{"--logits", z, "--labels", save(t, "y", []int64{0, 1, 0}, 3)}, exitFailure, "2 rows of logits and 3 labels"},
		{[]string{"--logits", z, "--labels", save(t, "y", []int64{0, 2}, 2)}, exitFailure, "row 1: label 2 of 2 classes: they count from 0 to 1, and −100 is none"},
		{[]string{"--logits", z + ":logits", "--labels", y}, exitFailure, "is one array, which has no name: leave out :logits"},
		{[]string{"--logits", packed(t, z, "scores"), "--labels", y}, exitFailure, `no array "logits": it has "scores"`},
		{[]string{filepath.Join(dir, "none")}, exitFailure, "file does not exist: give the directory that a run was written to"},
		{[]string{"--logits", z, "--labels", save(t, "y", []float64{0, 0.5}, 2)}, exitFailure, "element 1 is 0.5"},
		{[]string{"--logits", save(t, "z", []float32{nan, 1, 2, 3}, 2, 2), "--labels", y}, exitFailure, "row 0): give --ignore-nonfinite"},
		{[]string{"--logits", save(t, "z", []float32{0.5, 0.5, 0.25, 0.75}, 2, 2), "--labels", y}, exitFailure, "--kind probs"},
		{[]string{"--logits", save(t, "z", []float32{-0.6931472, -0.6931472, -0.2876821, -1.3862944}, 2, 2), "--labels", y}, exitFailure, "--kind logprobs"},
		{[]string{"--logits", z, "--labels", y, "--kind", "probs"}, exitFailure, "row 0 holds 2"},
		{[]string{"--logits", save(t, "z", []float32{}, 0, 2), "--labels", save(t, "y", []int64{}, 0)}, exitFailure, "there is no row"},
		{[]string{"--logits", save(t, "z", []float32{1}, 1, 1, 1), "--labels", y}, exitFailure, "shape [1 1 1]"},
		{[]string{"--logits", "absent.npy", "--labels", y}, exitFailure, "no such file"},
		{[]string{dir, "--epoch", "9"}, exitFailure, "no epoch 9"},
		{[]string{dir, "--epoch", "first"}, exitFailure, "want a number, last or best"},
		{[]string{dir, "--split", "test"}, exitFailure, `no split "test"`},
	} {
		code, _, stderr := call(t, append([]string{"score"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("score %v: exit code %d: %s; want %d: %s", c.args, code, stderr, c.code, c.want)
		}
	}
	got := scored(t, "--ignore-nonfinite", "--logits", save(t, "z", []float32{nan, 1, 2, 3}, 2, 2), "--labels", y)
	if got["undefined_rows"] != 1.0 || got["n"] != 1.0 {
		t.Errorf("with --ignore-nonfinite: %v", got)
	}
}

// packed returns FILE.npz:logits, of an archive that holds an array under another name.
func packed(t *testing.T, path, name string) string {
	t.Helper()
	array, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	member, err := w.Create(name + ".npy")
	if err == nil {
		_, err = member.Write(array)
	}
	to := filepath.Join(t.TempDir(), "z.npz")
	if err := cmp.Or(err, w.Close(), os.WriteFile(to, archive.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return to + ":logits"
}
