package benchmark

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The names and shapes are what programs that read `logitscope bench --json` know.
func TestJobs(t *testing.T) {
	var got []string
	for _, j := range jobs() {
		got = append(got, j.name+" "+j.shape)
	}
	var want []string
	for _, shape := range []string{"65536x10", "8192x1000", "1024x32000", "512x128256"} {
		for _, name := range []string{"cross_entropy_forward", "cross_entropy_forward_backward", "softmax"} {
			want = append(want, name+" "+shape)
		}
	}
	want = append(want, "matmul 1024x1024x1024", "fused_head 2048x768x32000",
		"mlp_step 32x64-64-10", "mlp_step 128x784-256-10", "mlp_step 256x768-1024-1000", "top_p_sample 1x128256")
	if !slices.Equal(got, want) {
		t.Errorf("jobs are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A whole optimiser step allocates nothing once its buffers are there, whatever it is shared among.
func TestStepAllocatesNothing(t *testing.T) {
	for _, j := range jobs() {
		if j.name != "mlp_step" {
			continue
		}
		call := j.prepare(rand.New(rand.NewPCG(1, 2)))
		if n := testing.AllocsPerRun(20, call); n != 0 {
			t.Errorf("%s: %v allocations a step, want 0", j.shape, n)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, 1, func(r Result) { t.Errorf("%v was reported", r) }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
