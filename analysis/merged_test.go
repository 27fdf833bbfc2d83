package analysis

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logitscope/logitscope/loss"
	"github.com/logitscope/logitscope/summary"
)

// made returns n rows of k classes, on every scale, with ties, masks, rows without a label and rows without a softmax.
func made(rng *rand.Rand, n, k int, wide bool) summary.Batch {
	b := summary.Batch{Columns: k, Labels: make([]int32, n), Temperature: math.Exp(rng.NormFloat64())}
	z := make([]float64, n*k)
	for i := range z {
		if z[i] = float64(float32(rng.NormFloat64() * math.Exp(2*rng.NormFloat64()))); rng.IntN(3) == 0 {
			z[i] = math.Round(z[i])
		}
	}
	for i := range b.Labels {
		b.Labels[i] = int32(rng.IntN(max(k, 2)))
		switch rng.IntN(20) {
		case 0:
			b.Labels[i] = loss.Ignored
		case 1:
			z[i*k] = math.NaN()
		}
	}
	if wide {
		b.Wide = z
		return b
	}
	for _, v := range z {
		b.Logits = append(b.Logits, float32(v))
	}
	return b
}

// However the rows are divided, whatever order and bracketing their parts are merged in, written and read on the way, their score has the
// digits of the score of all at once.
func TestScoreFromPartsHasTheDigitsOfTheWhole(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		k := []int{1, 2, 3, 10, 31, 32, 50, 257}[rng.IntN(8)]
		n := 1 + rng.IntN(1500)
		if k > 100 {
			n = 1 + n/8
		}
		b := made(rng, n, k, seed%3 == 0)
		whole, err := json.Marshal(scoreOf(t, b, ScoreOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		var parts []*summary.Totals
		for start := 0; start < n; {
			end := min(n, start+1+rng.IntN(1+n/3))
			part := summary.NewTotals(b.Classes(), 15)
			if rng.IntN(2) == 0 {
				if part, err = summary.TotalsOf(context.Background(), b.Slice(start, end), 15, nil); err != nil {
					t.Fatal(err)
				}
			} else {
				part.Add(b.Slice(start, end))
			}
			data, err := part.MarshalBinary()
			if err == nil {
				err = part.UnmarshalBinary(data)
			}
			if err != nil {
				t.Fatal(err)
			}
			parts, start = append(parts, part), end
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for len(parts) > 1 {
			at := rng.IntN(len(parts) - 1)
			if err := parts[at].Merge(parts[at+1]); err != nil {
				t.Fatal(err)
			}
			parts = slices.Delete(parts, at+1, at+2)
		}
		merged, err := json.Marshal(ScoreFrom(parts[0]))
		if err != nil || string(merged) != string(whole) {
			t.Errorf("seed %d, %d rows of %d columns: %v\n%s\nof all at once\n%s", seed, n, k, err, merged, whole)
		}
	}
}
