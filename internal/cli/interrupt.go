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

// grace is how long an interrupted command may take to end by itself before the program ends without it.
const grace = time.Second

// Main runs the program with its arguments and returns its exit code. Ctrl-C ends the command. A command that writes a run ends in good order,
// however long that takes; any other is given up after a moment, whatever it waits for. A second Ctrl-C kills the process.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // writing to a closed pipe is an error, and does not kill the process
	return interruptible(ctx, stderr, func(ctx context.Context) int { return run(ctx, args, stdout, stderr) })
}

// interruptible returns what command returns. Once ctx has ended it waits for grace, or for the work that ends in order, and then gives up on it.
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

// orderly counts the work in progress that must be waited for.
type orderly struct{ atomic.Int32 }

type orderlyKey struct{}

// endsInOrder says that the program must wait for the work until done is called, since it writes a run or serves. The work must heed ctx.
func endsInOrder(ctx context.Context) (done func()) {
	ending, ok := ctx.Value(orderlyKey{}).(*orderly)
	if !ok {
		return func() {}
	}
	ending.Add(1)
	return func() { ending.Add(-1) }
}
