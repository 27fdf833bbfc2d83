package cli

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/record"
)

type calibrated struct {
	Method                 string
	Temperature            *float64
	Verdict, Note, Written string
	NLLBefore              float64 `json:"nll_before"`
	NLLAfter               float64 `json:"nll_after"`
	ECEBefore              float64 `json:"ece_before"`
	ECEAfter               float64 `json:"ece_after"`
	Undefined              int     `json:"undefined_rows"`
	Tried                  []struct{ Method string }
	HeldOutFigures         map[string]*float64 `json:"held_out"`
}

func fitted(t *testing.T, args ...string) (c calibrated) {
	t.Helper()
	out := succeed(t, append([]string{"calibrate", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return c
}

// The fit of a run's best epoch is kept with the run, which stays whole; score at its temperature has its NLL.
func TestCalibrateRun(t *testing.T) {
	dir := small(t, "--label-noise", "0.3", "--epochs", "12")
	c := fitted(t, dir)
	if c.Method != "temperature" || c.Verdict != "converged" || !(c.NLLAfter < c.NLLBefore) || *c.HeldOutFigures["folds"] != 5 {
		t.Errorf("%+v", c)
	}
	if c.Written != filepath.Join(dir, record.CalibrationFile) {
		t.Errorf("written to %q", c.Written)
	}
	kept, err := calibrate.Load(c.Written)
	if err != nil || kept.Temperature != *c.Temperature || kept.Columns != 10 || kept.Epoch == nil {
		t.Errorf("kept %+v, %v", kept, err)
	}
	succeed(t, "check", dir)
	again := scored(t, dir, "--epoch", "best", "--temperature", strconv.FormatFloat(*c.Temperature, 'g', -1, 64))
	if !numtest.Near(again["nll"].(float64), c.NLLAfter, 1e-9) || !numtest.Near(again["ece"].(float64), c.ECEAfter, 1e-9) {
		t.Errorf("score at T has NLL %v, ECE %v, the fit %v, %v", again["nll"], again["ece"], c.NLLAfter, c.ECEAfter)
	}
	auto := fitted(t, dir, "--method", "auto")
	if len(auto.Tried) != 6 {
		t.Errorf("auto tried %v", auto.Tried)
	}
	if text := succeed(t, "calibrate", dir, "--method", "auto"); !strings.Contains(text, "held-out NLL") || !strings.Contains(text, "written to") {
		t.Errorf("printed %s", text)
	}
}

func TestCalibrateArrays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	z, y := make([]float32, 500), make([]int64, 500)
	for i := range z {
		z[i] = float32(rng.NormFloat64() * 8)
		if rng.Float64() < 1/(1+math.Exp(-float64(z[i])/4)) {
			y[i] = 1
		}
	}
	logits, labels := save(t, "z", z, 500), save(t, "y", y, 500)
	c := fitted(t, "--logits", logits, "--labels", labels)
	if c.Written != "" || !numtest.Near(*c.Temperature, 4, 0.3) {
		t.Errorf("%+v, T = %v, want about 4", c, *c.Temperature)
	}
	path := filepath.Join(t.TempDir(), "c.json")
	if c = fitted(t, "--logits", logits, "--labels", labels, "--method", "isotonic", "-o", path); c.Temperature != nil || c.Written != path {
		t.Errorf("%+v", c)
	}
	right := []string{"--logits", save(t, "z", []float32{2, 1, 0, 3}, 2, 2), "--labels", save(t, "y", []int64{0, 1}, 2)}
	if c = fitted(t, right...); c.Verdict != "separable" || c.Note == "" || *c.Temperature != 1 {
		t.Errorf("all right: %+v", c)
	}
	for _, bad := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--method", "magic"}, exitUsage, "--method \"magic\": want one of auto"},
		{[]string{"--folds", "1"}, exitUsage, "--folds 1"},
		{[]string{"--method", "vector"}, exitFailure, "platt"},
	} {
		code, _, stderr := call(t, append([]string{"calibrate", "--logits", logits, "--labels", labels}, bad.args...)...)
		if code != bad.code || !strings.Contains(stderr, bad.want) {
			t.Errorf("%v: exit code %d: %s", bad.args, code, stderr)
		}
	}
}
