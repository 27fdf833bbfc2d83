package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/logitscope/logitscope/train"
)

// progress shows how far training is: as a bar where the output is a terminal, and as a line for each epoch otherwise.
type progress struct {
	out   io.Writer
	total int
	lines bool
	bars  *mpb.Progress
	bar   *mpb.Bar
	last  atomic.Pointer[string] // the figures of the last epoch, which the goroutine of the bar reads
}

// newProgress returns a progress that writes to out, or nothing where quiet is set.
func newProgress(out io.Writer, epochs int, quiet bool) *progress {
	p := &progress{out: out, total: epochs}
	terminal := terminalOf(out)
	p.last.Store(new(string))
	switch {
	case quiet:
	case terminal != nil:
		p.bars = mpb.New(mpb.WithOutput(terminal), mpb.WithWidth(14), mpb.WithAutoRefresh())
		p.bar = p.bars.New(int64(epochs), mpb.BarStyle().Lbound(" ").Rbound(" ").Filler("━").Tip("━").Padding("─"),
			mpb.PrependDecorators(decor.CountersNoUnit("epoch %d/%d")),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string { return *p.last.Load() }),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), ""),
			))
	default:
		p.lines = true
	}
	return p
}

func (p *progress) epoch(e train.Epoch) {
	var names, nll, accuracy, long []string
	for _, s := range e.Splits {
		names = append(names, s.Name)
		nll = append(nll, fmt.Sprintf("%.3f", s.NLL))
		accuracy = append(accuracy, fmt.Sprintf("%.3f", s.Accuracy))
		long = append(long, fmt.Sprintf("%s NLL %.4f, accuracy %.3f", s.Name, s.NLL, s.Accuracy))
	}
	switch {
	case p.bar != nil:
		// Short enough for 80 columns, bar and time left included.
		figures := fmt.Sprintf("%s NLL %s acc %s", strings.Join(names, "|"), strings.Join(nll, "|"), strings.Join(accuracy, "|"))
		p.last.Store(&figures)
		p.bar.SetTotal(int64(e.Ahead), false)
		p.bar.Increment()
	case p.lines:
		left := time.Duration(float64(e.Elapsed) / float64(e.Number) * float64(e.Ahead-e.Number))
		fmt.Fprintf(p.out, "epoch %d/%d  %s  %s left\n", e.Number, e.Ahead, strings.Join(long, "  "), left.Round(100*time.Millisecond))
	}
}

// finish ends the bar, whether it is complete or not.
func (p *progress) finish() {
	if p.bar != nil {
		if !p.bar.Completed() {
			p.bar.Abort(false)
		}
		p.bars.Wait()
	}
}

// terminalOf returns the terminal that w writes to, nil where it is none.
func terminalOf(w io.Writer) io.Writer {
	if o, ok := w.(*output); ok {
		w = o.to
	}
	if isTerminal(w) {
		return w
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
