package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logitscope/logitscope/experiment"
)

// An interrupt ends what does not heed it, and waits for what says that it will end in order.
func TestInterruptible(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var said bytes.Buffer
	code := interruptible(ctx, &said, func(context.Context) int { select {} })
	if code != exitFailure || !strings.Contains(said.String(), "stopped") {
		t.Errorf("exit code %d, %q", code, said.String())
	}
	ctx, interrupt = context.WithCancel(t.Context())
	code = interruptible(ctx, &said, func(ctx context.Context) int {
		defer endsInOrder(ctx)()
		interrupt()
		time.Sleep(3 * grace / 2) // longer than the patience with others
		return 77
	})
	if code != 77 {
		t.Errorf("exit code %d, want that of the command that ended in order", code)
	}
	if code := interruptible(t.Context(), &said, func(context.Context) int { return 5 }); code != 5 {
		t.Errorf("exit code %d, want the command's", code)
	}
}

// Every command that asks a run heeds an interrupt by itself, and says in one word that it stopped.
func TestQuestionsAreInterrupted(t *testing.T) {
	dir := small(t)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range [][]string{
		{"show", dir},
		{"diagnose", dir},
		{"labels", dir},
		{"compare", dir},
		{"score", dir},
		{"calibrate", dir},
		{"explain", dir, "--epoch", "1", "--split", "val", "--sample", "11"},
		{"plot", dir, "-o", t.TempDir() + "/four.png"},
		{"report", dir, "-o", t.TempDir() + "/report.html"},
		{"check", dir},
	} {
		var out, errOut bytes.Buffer
		if code := run(ctx, args, &out, &errOut); code != exitFailure || errOut.String() != "logitscope: stopped\n" || out.Len() > 0 {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out.String(), errOut.String())
		}
	}
}

// An interrupt is said in one word, wherever it was met; what is left of a training is said too.
func TestInterruptedIsOneWord(t *testing.T) {
	why := errors.New("interrupt signal received")
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(why)
	for err, want := range map[error]bool{
		context.Canceled: true,
		fmt.Errorf("z.npz: %w", fmt.Errorf("row 5: %w", why)):             true,
		fmt.Errorf("run, epoch 4, split val: %w", context.Canceled):       true,
		fmt.Errorf("fold 2: %w", &experiment.BrokenOff{Err: why}):         false,
		errors.Join(fmt.Errorf("run a: not begun: %w", context.Canceled)): false,
		errors.New("no space left on device"):                             false,
	} {
		if got := interrupted(ctx, err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
