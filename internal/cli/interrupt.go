package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/logitscope/logitscope/internal/files"
)

// grace is how long a command that is interrupted may take to end by itself.
const grace = time.Second

// Main runs the program with its arguments and returns its exit code. Ctrl-C ends what is running: in good order what would
// else leave a run in disorder, and anything else within a moment, whatever it waits for. A second one kills the process.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is a failed write, and not the end without a word
	return interruptible(ctx, stderr, func(ctx context.Context) int { return run(ctx, args, stdout, stderr) })
}

// interruptible returns what command returns, or gives up on it where ctx has ended and it does not end in good order.
func interruptible(ctx context.Context, stderr io.Writer, command func(context.Context) int) int {
	var ending orderly
	code := make(chan int, 1)
	go func() { code <- command(context.WithValue(ctx, orderlyKey{}, &ending)) }()
	select {
	case c := <-code:
		return c
	case <-ctx.Done():
	}
	ticker := time.NewTicker(grace)
	defer ticker.Stop()
	for {
		select {
		case c := <-code:
			return c
		case <-ticker.C:
			if ending.Load() == 0 {
				files.RemoveUnfinished()
				fmt.Fprintf(stderr, "logitscope: %v\n", errStopped)
				return exitFailure
			}
		}
	}
}

// orderly counts what must be let end by itself.
type orderly struct{ atomic.Int32 }

type orderlyKey struct{}

// endsInOrder says that what goes on until done is called heeds ctx and must end by itself: it writes a run, or serves.
func endsInOrder(ctx context.Context) (done func()) {
	ending, ok := ctx.Value(orderlyKey{}).(*orderly)
	if !ok {
		return func() {}
	}
	ending.Add(1)
	return func() { ending.Add(-1) }
}
