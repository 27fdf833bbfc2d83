package diagnose_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/runtest"
	"github.com/logitscope/logitscope/record"
)

// A run of validation alone, as one that was imported may be, has its best epoch, its story and its findings, and none that speaks of training.
func TestValidationAlone(t *testing.T) {
	const n, k = 2000, 4
	rng := rand.New(rand.NewPCG(1, 2))
	samples := record.Samples{}
	for i := range n {
		samples.IDs, samples.Labels = append(samples.IDs, int64(i)), append(samples.Labels, int32(rng.IntN(k)))
	}
	lowest, lowestNLL := 0, math.Inf(1)
	m := record.Manifest{Classes: []string{"a", "b", "c", "d"}, Head: record.HeadSoftmax, Columns: k}
	run, _ := runtest.Write(t, m, map[string]record.Samples{"val": samples}, func(w *record.Writer) error {
		for epoch := 1; epoch <= 8; epoch++ { // it learns for three epochs, and grows sure of the rest
			scale := 1 + 0.6*float64(max(0, epoch-3))
			logits := make([]float32, 0, n*k)
			nll := 0.0
			for _, label := range samples.Labels {
				sum := 0.0
				for j := range k {
					z := rng.NormFloat64()
					if j == int(label) {
						z += 0.5 * float64(min(epoch, 3))
					}
					logits = append(logits, float32(scale*z))
					sum += math.Exp(scale * z)
				}
				nll += math.Log(sum) - float64(logits[len(logits)-k+int(label)])
			}
			if nll < lowestNLL {
				lowest, lowestNLL = epoch, nll
			}
			if err := w.WriteEpoch(epoch, map[string][]float32{"val": logits}); err != nil {
				return err
			}
		}
		return nil
	})
	a := analysis.New(run)
	best, lacks, err := a.Epoch(context.Background(), "best")
	if err != nil || best != lowest || best == 8 || lacks.Any() {
		t.Errorf("the best epoch is %d, want %d: %+v, %v", best, lowest, lacks, err)
	}
	d, err := diagnose.Of(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range d.Findings {
		ids = append(ids, f.ID)
		if text := f.Title + f.Evidence.Text; strings.Contains(text, "NaN") || strings.Contains(text, "raining NLL") {
			t.Errorf("%s speaks of training: %s", f.ID, text)
		}
	}
	for _, want := range []string{"worsened", "overconfidence"} {
		if !slices.Contains(ids, want) {
			t.Errorf("%s is not found: %v", want, ids)
		}
	}
	for _, never := range []string{"overfitting", "underfitting", "learning_rate_high", "learning_rate_low", "imbalance", "wrong_labels", "logits_drift", "double_softmax"} {
		if slices.Contains(ids, never) {
			t.Errorf("%s is found without a training sample", never)
		}
	}
}
