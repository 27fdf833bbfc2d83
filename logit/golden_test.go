package logit_test

import (
	"math"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
)

type goldenRows struct {
	Name           string
	K              int
	Z              numtest.Values
	Softmax        numtest.Values
	LogSoftmax     numtest.Values `json:"log_softmax"`
	LSE            numtest.Values
	SoftmaxAt25    numtest.Values `json:"softmax_at_2.5"`
	Upstream       numtest.Values
	GradSoftmax    numtest.Values `json:"grad_softmax"`
	GradLogSoftmax numtest.Values `json:"grad_log_softmax"`
}

// golden is what tools/oracle/logit_loss.py wrote with PyTorch in float64.
func golden(t *testing.T) []goldenRows {
	t.Helper()
	var g struct{ Rows []goldenRows }
	numtest.ReadGolden(t, "testdata/torch.json", &g)
	if len(g.Rows) < 10 {
		t.Fatalf("torch.json holds %d cases, want 10 or more", len(g.Rows))
	}
	return g.Rows
}

func TestMatchesPyTorch(t *testing.T) {
	const tolerance = 1e-14
	for _, c := range golden(t) {
		t.Run(c.Name, func(t *testing.T) {
			dst, lse := make([]float64, len(c.Z)), make([]float64, len(c.Z)/c.K)
			logit.Softmax(dst, c.Z, c.K)
			numtest.AllNear(t, "softmax", dst, c.Softmax, tolerance)
			logit.LogSoftmax(dst, c.Z, c.K)
			numtest.AllNear(t, "log-softmax", dst, c.LogSoftmax, tolerance)
			logit.LogSumExp(lse, c.Z, c.K)
			numtest.AllNear(t, "LSE", lse, c.LSE, tolerance)
			logit.Temperature(dst, c.Z, 2.5)
			logit.Softmax(dst, dst, c.K)
			numtest.AllNear(t, "softmax at T = 2.5", dst, c.SoftmaxAt25, tolerance)
			logit.SoftmaxBackward(dst, c.Upstream, c.Softmax, c.K)
			numtest.AllNear(t, "gradient through softmax", dst, c.GradSoftmax, tolerance)
			logit.LogSoftmaxBackward(dst, c.Upstream, c.LogSoftmax, c.K)
			numtest.AllNear(t, "gradient through log-softmax", dst, c.GradLogSoftmax, tolerance)
		})
	}
}

// float32 against the same golden numtest.Values: the logits are rounded to float32 first, so the cases whose point is a
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
			numtest.AllNear(t, "softmax", dst, c.Softmax, 2e-6)
			logit.LogSoftmax(dst, z, c.K)
			numtest.AllNear(t, "log-softmax", dst, c.LogSoftmax, 2e-6)
		})
	}
}
