package logit_test

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/logitscope/logitscope/logit"
)

// values are float64 in JSON, in which PyTorch's infinities and NaN are strings.
type values []float64

func (v *values) UnmarshalJSON(raw []byte) error {
	var mixed []any
	if err := json.Unmarshal(raw, &mixed); err != nil {
		return err
	}
	for _, m := range mixed {
		f, ok := m.(float64)
		if s, isString := m.(string); isString {
			var err error
			if f, err = strconv.ParseFloat(s, 64); err != nil {
				return err
			}
		} else if !ok {
			return strconv.ErrSyntax
		}
		*v = append(*v, f)
	}
	return nil
}

type goldenRows struct {
	Name           string
	K              int
	Z              values
	Softmax        values
	LogSoftmax     values `json:"log_softmax"`
	LSE            values
	SoftmaxAt25    values `json:"softmax_at_2.5"`
	Upstream       values
	GradSoftmax    values `json:"grad_softmax"`
	GradLogSoftmax values `json:"grad_log_softmax"`
}

// golden is what tools/oracle/logit_loss.py wrote with PyTorch in float64.
func golden(t *testing.T) []goldenRows {
	t.Helper()
	raw, err := os.ReadFile("testdata/torch.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct{ Rows []goldenRows }
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Rows) < 10 {
		t.Fatalf("torch.json holds %d cases, want 10 or more", len(g.Rows))
	}
	return g.Rows
}

// same reports whether got is want to within tolerance relative to max(1, |want|); NaN and infinities must match.
func same(got, want, tolerance float64) bool {
	switch {
	case math.IsNaN(want):
		return math.IsNaN(got)
	case math.IsInf(want, 0):
		return got == want
	}
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

func compare(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !same(got[i], want[i], tolerance) {
			t.Errorf("%s[%d] = %v, PyTorch has %v", what, i, got[i], want[i])
		}
	}
}

func TestMatchesPyTorch(t *testing.T) {
	const tolerance = 1e-14
	for _, c := range golden(t) {
		t.Run(c.Name, func(t *testing.T) {
			dst, lse := make([]float64, len(c.Z)), make([]float64, len(c.Z)/c.K)
			logit.Softmax(dst, c.Z, c.K)
			compare(t, "softmax", dst, c.Softmax, tolerance)
			logit.LogSoftmax(dst, c.Z, c.K)
			compare(t, "log-softmax", dst, c.LogSoftmax, tolerance)
			logit.LogSumExp(lse, c.Z, c.K)
			compare(t, "LSE", lse, c.LSE, tolerance)
			logit.Temperature(dst, c.Z, 2.5)
			logit.Softmax(dst, dst, c.K)
			compare(t, "softmax at T = 2.5", dst, c.SoftmaxAt25, tolerance)
			logit.SoftmaxBackward(dst, c.Upstream, c.Softmax, c.K)
			compare(t, "gradient through softmax", dst, c.GradSoftmax, tolerance)
			logit.LogSoftmaxBackward(dst, c.Upstream, c.LogSoftmax, c.K)
			compare(t, "gradient through log-softmax", dst, c.GradLogSoftmax, tolerance)
		})
	}
}

// float32 against the same golden values: the logits are rounded to float32 first, so the cases whose point is a
// difference below float32's are left to the float64 test.
func TestFloat32MatchesPyTorch(t *testing.T) {
	for _, c := range golden(t) {
		z := make([]float32, len(c.Z))
		exact := true
		for i, v := range c.Z {
			z[i] = float32(v)
			exact = exact && (math.IsNaN(v) || float64(z[i]) == v || math.Abs(v) < 100)
		}
		if !exact || c.Name == "tiny differences" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			dst := make([]float32, len(z))
			logit.Softmax(dst, z, c.K)
			compare(t, "softmax", widen(dst), c.Softmax, 2e-6)
			logit.LogSoftmax(dst, z, c.K)
			compare(t, "log-softmax", widen(dst), c.LogSoftmax, 2e-6)
		})
	}
}

func widen(x []float32) []float64 {
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	return wide
}
