package cli

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/internal/safetensors"
	"github.com/logitscope/logitscope/record"
)

func figures(name string) []string {
	return []string{"--logits", filepath.Join("testdata/figures", name+".npy"), "--labels", filepath.Join("testdata/figures", name+"_y.npy")}
}

// Figures of other people's arrays, at which float32, a softmax that is 1 or an edge of a bin may go wrong: by scikit-learn and fractions,
// tools/oracle/figures.py.
func TestFiguresOfOthersArrays(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		want   map[string]float64
		within float64
	}{
		{"min", nil, map[string]float64{"roc_auc": 1, "average_precision": 1}, 0},
		{"min", []string{"--temperature", "1e-6"}, map[string]float64{"roc_auc": 1, "average_precision": 1}, 0},
		{"min", []string{"--temperature", "1e20"}, map[string]float64{"roc_auc": 1, "average_precision": 1}, 0},
		{"sat40", nil, map[string]float64{"roc_auc": 0.7623427067283, "average_precision": 0.7493003972978273}, 1e-12},
		{"sat40", []string{"--temperature", "300"}, map[string]float64{"roc_auc": 0.7623427067283, "average_precision": 0.7493003972978273}, 1e-12},
		{"K100", nil, map[string]float64{"roc_auc": 0.8939030852149166, "average_precision": 0.7151256914507723}, 1e-12},
		{"o1e+07", nil, map[string]float64{"nll": 0.8239436290692538, "accuracy": 0.625}, 1e-9},
		{"knn_wine_10", []string{"--kind", "probs", "--bins", "10"}, map[string]float64{"ece": 0.07865168539325842, "mce": 0.17894736842105263}, 1e-12},
		{"rf1", []string{"--kind", "probs"}, map[string]float64{
			"accuracy": 0.9595782073813708, "brier": 0.0629427065026362, "roc_auc": 0.9887955182072828,
		}, 1e-12},
		{"p10", []string{"--kind", "probs"}, map[string]float64{"accuracy": 0.3, "brier": 0.8333895152147478}, 1e-12},
	} {
		got := scored(t, append(figures(c.name), c.args...)...)
		for figure, want := range c.want {
			if v, ok := got[figure].(float64); !ok || !numtest.Near(v, want, c.within) {
				t.Errorf("%s %v: %s is %v, want %v", c.name, c.args, figure, got[figure], want)
			}
		}
		if note, _ := got["note"].(string); (note != "") != (c.name == "p10") {
			t.Errorf("%s: note %q", c.name, note)
		}
	}
	for _, name := range []string{"p10", "p8", "rf1", "p"} {
		for _, command := range []string{"score", "calibrate"} {
			code, _, stderr := call(t, append([]string{command}, figures(name)...)...)
			if code != exitFailure || !strings.Contains(stderr, "--kind probs") || !strings.Contains(stderr, "--kind logits") {
				t.Errorf("%s of %s: exit code %d: %s", command, name, code, stderr)
			}
		}
	}
}

// A calibrator sees scores, not a softmax that is 1: a problem and its mirror image come out the same, and p of 0 is what it mends.
func TestCalibrateOthersArrays(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		nll  float64
	}{
		{"pos", nil, 0.003316752625993926},
		{"neg", nil, 0.003316752625993926},
		{"p", []string{"--kind", "probs"}, 0.3825642692542934},
	} {
		got := fitted(t, append(append(figures(c.name), "--method", "isotonic"), c.args...)...)
		if !numtest.Near(got.NLLAfter, c.nll, 1e-8) {
			t.Errorf("%s: NLL %v, want %v", c.name, got.NLLAfter, c.nll)
		}
	}
	for _, method := range []string{"isotonic", "histogram", "platt", "temperature"} {
		a, b := fitted(t, append(figures("pos"), "--method", method)...), fitted(t, append(figures("neg"), "--method", method)...)
		if !numtest.Near(a.NLLAfter, b.NLLAfter, 1e-7) || !numtest.Near(*a.HeldOutFigures["nll_after"], *b.HeldOutFigures["nll_after"], 1e-7) {
			t.Errorf("%s: NLL %v, held out %v; of the mirror image %v, %v", method, a.NLLAfter, *a.HeldOutFigures["nll_after"], b.NLLAfter, *b.HeldOutFigures["nll_after"])
		}
		p := fitted(t, append(figures("p"), "--kind", "probs", "--method", method)...)
		if !(p.NLLAfter < p.NLLBefore) || !strings.Contains(p.Note, "50 of the probabilities are 0") {
			t.Errorf("%s: NLL %v → %v, %q", method, p.NLLBefore, p.NLLAfter, p.Note)
		}
	}
	if auto := fitted(t, append(figures("p"), "--kind", "probs", "--method", "auto")...); len(auto.Tried) != 6 || auto.Method == "none" {
		t.Errorf("auto took %s of %v", auto.Method, auto.Tried)
	}
}

// What a large offset common to a row's logits is added to has the same figures in float64, and 1e39, which float32 does not hold, is finite.
func TestOffsetsCancel(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const n, k = 300, 3
	plain, labels := make([]float64, n*k), make([]uint8, n)
	for i := range plain {
		plain[i] = math.Round(rng.NormFloat64()*2*1024) / 1024 // so that sums with the offsets are exact
	}
	for i := range labels {
		labels[i] = uint8(rng.IntN(k))
		plain[i*k+int(labels[i])]++
	}
	y := save(t, "y", labels, n)
	with := func(offset float64) []string {
		z := make([]float64, len(plain))
		for i, v := range plain {
			z[i] = v + offset
		}
		return []string{"--logits", save(t, "z", z, n, k), "--labels", y}
	}
	want := scored(t, with(0)...)
	for _, offset := range []float64{1e7, -1e9, 0x1p40} {
		got := scored(t, with(offset)...)
		for _, figure := range []string{"nll", "accuracy", "brier", "ece", "ece_classwise", "ece_adaptive", "roc_auc", "average_precision", "entropy", "margin"} {
			if !numtest.Near(got[figure].(float64), want[figure].(float64), 1e-12) {
				t.Errorf("with %v added, %s is %v, want %v", offset, figure, got[figure], want[figure])
			}
		}
		for _, method := range []string{"temperature", "platt", "isotonic", "histogram"} {
			a, b := fitted(t, append(with(offset), "--method", method)...), fitted(t, append(with(0), "--method", method)...)
			if !numtest.Near(a.NLLAfter, b.NLLAfter, 1e-9) {
				t.Errorf("with %v added, %s has NLL %v, want %v", offset, method, a.NLLAfter, b.NLLAfter)
			}
		}
	}
	huge := []string{"--logits", save(t, "z", []float64{1e39, 0, 0, 1e300, -1e308, 1e308}, 3, 2), "--labels", save(t, "y", []uint8{0, 1, 0}, 3)}
	if got := scored(t, huge...); got["n"] != 3.0 || got["undefined_rows"] != 0.0 || !numtest.Near(got["accuracy"].(float64), 2./3, 1e-15) {
		t.Errorf("of 1e39 to 1e308: %v", got)
	}
}

// A safetensors file says what the same NumPy arrays say: by name, by what is asked for, and in bfloat16.
func TestScoreSafetensors(t *testing.T) {
	z, labels := []float32{2, 1, 0.5, -3, 4, 4.5}, []float32{0, 1, 1}
	dir := t.TempDir()
	both := filepath.Join(dir, "both.safetensors")
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(both, safetensors.Append(
		nil, nil,
		safetensors.Floats{Name: "logits", Shape: []int{3, 2}, Data: z}, safetensors.Floats{Name: "labels", Shape: []int{3}, Data: labels},
		safetensors.Floats{Name: "other", Shape: []int{1}, Data: []float32{0}},
	))
	// The values fit bfloat16, the upper half of float32.
	half := make([]byte, 0, 12)
	for _, v := range z {
		half = append(half, byte(math.Float32bits(v)>>16), byte(math.Float32bits(v)>>24))
	}
	header := `{"z":{"dtype":"BF16","shape":[3,2],"data_offsets":[0,12]}}`
	bf16 := filepath.Join(dir, "bf16.safetensors")
	write(bf16, append(append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header...), half...))

	zPath, yPath := save(t, "z", z, 3, 2), save(t, "y", []int64{0, 1, 1}, 3)
	want := scored(t, "--logits", zPath, "--labels", yPath)
	for _, args := range [][]string{
		{"--logits", both, "--labels", both},
		{"--logits", both + ":logits", "--labels", both + ":labels"},
		{"--logits", bf16, "--labels", yPath},
		{"--logits", bf16 + ":z", "--labels", both + ":labels"},
	} {
		if got := scored(t, args...); got["nll"] != want["nll"] || got["accuracy"] != want["accuracy"] {
			t.Errorf("%v: NLL %v, want %v", args, got["nll"], want["nll"])
		}
		fitted(t, args...)
	}
	for _, c := range []struct{ logits, want string }{
		{both + ":nothing", `no tensor "nothing": there are logits, labels, other`},
		{bf16 + ":y", `no tensor "y": there are z`},
		{both + ":other", "1 rows of logits and 3 labels"},
		{filepath.Join(dir, "absent.safetensors"), "no such file"},
	} {
		if code, _, stderr := call(t, "score", "--logits", c.logits, "--labels", yPath); code != exitFailure || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d: %s; want %s", c.logits, code, stderr, c.want)
		}
	}
}

// What does worse than none on rows it was not fitted on is written only where its method was asked for; auto takes what an earlier fit
// left away. Here the labels are what the probabilities say.
func TestCalibrateDoesNoHarm(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	z, y := make([]float32, 60), make([]uint8, 60)
	for i := range z {
		z[i] = float32(rng.NormFloat64() * 2)
		if rng.Float64() < 1/(1+math.Exp(-float64(z[i]))) {
			y[i] = 1
		}
	}
	arrays := []string{"--logits", save(t, "z", z, 60), "--labels", save(t, "y", y, 60)}
	path := filepath.Join(t.TempDir(), "c.json")
	auto := fitted(t, append(arrays, "--method", "auto", "-o", path)...)
	if auto.Method != "none" || auto.Written != "" || auto.NLLAfter != auto.NLLBefore || auto.Tried[0].Method != "none" || !strings.Contains(auto.Note, "nothing is written") {
		t.Errorf("auto: %+v", auto)
	}
	if worse := fitted(t, append(arrays, "-o", path)...); worse.Method != "temperature" || worse.Written != "" || !strings.Contains(worse.Note, "--method temperature writes it") {
		t.Errorf("temperature, not asked for: %+v", worse)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it was written all the same")
	}
	if named := fitted(t, append(arrays, "--method", "isotonic", "-o", path)...); named.Written != path || !strings.Contains(named.Note, "worse than none") {
		t.Errorf("isotonic, asked for: %+v", named)
	}

	few := fitted(t, "--logits", save(t, "z", []float32{1, -1, 2}, 3), "--labels", save(t, "y", []uint8{1, 1, 0}, 3))
	for _, figure := range []string{"nll_before", "nll_after", "ece_before", "ece_after"} {
		if v, ok := few.HeldOutFigures[figure]; !ok || v != nil {
			t.Errorf("held-out %s of three rows is %v, want null", figure, v)
		}
	}
	if few = fitted(t, "--logits", save(t, "z", []float32{1, -1, 2}, 3), "--labels", save(t, "y", []uint8{1, 1, 0}, 3), "--method", "auto"); few.Method != "none" {
		t.Errorf("auto of three rows: %+v", few)
	}
}

// Where auto takes none, the run's calibrator of an earlier fit is taken away, for predict not to use it.
func TestAutoTakesAnEarlierFitAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), record.CalibrationFile)
	fitted(t, append(figures("pos"), "--method", "isotonic", "-o", path)...)
	said, err := removed(path)
	if err != nil || !strings.Contains(said, "by isotonic, is removed") {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is still there")
	}
	if said, err = removed(path); err != nil || said != "nothing is written" {
		t.Errorf("where there is none: %q, %v", said, err)
	}
}
