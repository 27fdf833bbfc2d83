package logit_test

import (
	"math"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
	"github.com/logitscope/logitscope/logit"
)

// What Stats says of small rows is what a reader works out by hand.
func TestStats(t *testing.T) {
	z := []float32{0, 1, 1, 3, 2, 1, float32(math.NaN()), 0, 0}
	out := make([]logit.RowStats, 3)
	logit.Stats(out, z, 3, []int32{2, -100, 0}, 1)
	if r := out[0]; r.Rank != 2 || r.Argmax != 1 || r.True != 1 || r.Largest != 1 || r.Least != 0 || r.Margin != 0 {
		t.Errorf("a tie: %+v", r)
	}
	if want := math.Log(2 + math.Exp(-1)); !numtest.Near(out[0].NLL, want, 1e-6) || !numtest.Near(out[0].PMax, math.Exp(-want), 1e-6) {
		t.Errorf("NLL %v, p %v, want NLL %v", out[0].NLL, out[0].PMax, want)
	}
	if r := out[1]; r.Rank != 0 || r.Argmax != 0 || r.NLL == r.NLL || r.True == r.True || r.Margin == r.Margin || !numtest.Near(r.LSE, 3+math.Log(1+math.Exp(-1)+math.Exp(-2)), 1e-6) {
		t.Errorf("no label: %+v", r)
	}
	if r := out[2]; r.Rank != 0 || r.Argmax != logit.None || r.LSE == r.LSE || r.Largest == r.Largest {
		t.Errorf("no softmax: %+v", r)
	}
}
