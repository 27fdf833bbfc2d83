package analysis

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/logitscope/logitscope/summary"
)

// ending is a context that has ended once it was asked so many times.
type ending struct {
	context.Context
	left chan struct{}
}

func (e ending) Err() error {
	select {
	case <-e.left:
		return nil
	default:
		return context.Canceled
	}
}

// A score stops wherever its context ends: in the first reading, between the readings, in the second, among the resamples.
func TestScoreStops(t *testing.T) {
	const n, k = 20_000, 12
	rng := rand.New(rand.NewPCG(3, 1))
	b := summary.Batch{Columns: k}
	for range n {
		b.Labels = append(b.Labels, int32(rng.IntN(k)))
		for range k {
			b.Logits = append(b.Logits, float32(rng.NormFloat64()))
		}
	}
	asked := 0
	for left := 0; ; left = left*3/2 + 1 {
		e := ending{context.Background(), make(chan struct{}, left)}
		for range left {
			e.left <- struct{}{}
		}
		s, err := ScoreOf(e, b, ScoreOptions{Bootstrap: 20})
		if err == nil && s != nil {
			break
		}
		if !errors.Is(err, context.Canceled) || s != nil {
			t.Fatalf("asked %d times: %v, %v", left, s, err)
		}
		if asked++; left > 1<<16 {
			t.Fatal("it asks without end")
		}
	}
	if asked < 6 {
		t.Errorf("it stopped in %d places only", asked)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if s, err := ScoreOf(ctx, b, ScoreOptions{}); err != nil || s.N != n {
		t.Errorf("%v, %v", s, err)
	}
}
